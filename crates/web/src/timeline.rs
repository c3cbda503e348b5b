//! A document's timeline as a view looks at it: who wrote what and when, the text of any moment, and the way back to it.
//!
//! It is taken when the view asks for it, and stays as it was then until the view has done with it: what is pointed at in it
//! must not move. Going back is an edit of the text as it is by then, like any other.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use sheaf_core::{
    history::{Fate, History, Turn},
    record::Color,
    replica::{Audit, Person},
    text::{Splice, differences},
};
use sheaf_repo::did::Did;

use crate::clock::millis;

/// Who goes on after so long has begun another turn …
const PAUSE: Duration = Duration::from_secs(5 * 60);
/// … and who goes on for so long, too: who writes alone all day wants to go back to more than the morning.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Who wrote what and when. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// Everybody whose words are in it.
    pub authors: Vec<Author>,
    /// What one of them wrote before somebody else did, or before a long pause; oldest first.
    pub turns: Vec<TurnShown>,
}

/// Somebody who wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Author {
    /// Their account.
    pub did: String,
    /// Their handle, or the DID where none is known for certain.
    pub name: String,
    /// `#rrggbb`, as their caret has it.
    pub color: String,
}

/// What somebody wrote in one go.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct TurnShown {
    /// Who, by their place among the authors.
    pub author: usize,
    /// When it begins to show.
    pub from: f64,
    /// When the last of it does.
    pub to: f64,
    /// How much was put in, in UTF-16 code units.
    pub inserted: f64,
    /// How much was taken out.
    pub deleted: f64,
}

/// The text as it was after a turn, beside the text before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Moment {
    /// From its beginning to its end.
    pub passages: Vec<PassageShown>,
}

/// A part of the text, by one author and with one fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct PassageShown {
    /// The text.
    pub text: String,
    /// Who wrote it, by their place among the authors.
    pub author: usize,
    /// What became of it in this turn.
    pub fate: FateShown,
}

/// What became of a part of the text in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "camelCase")]
pub enum FateShown {
    /// It was there before, and after.
    Kept,
    /// It came.
    Added,
    /// It went.
    Removed,
}

/// Why an earlier text is not restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The view looks at no timeline with such a turn.
    #[error("the history has to be opened again: Sheaf has gone on in another tab")]
    NotLooking,
    /// The account may not write here, or not any more.
    #[error("you may not write in this document any more")]
    MayNotWrite,
}

/// A timeline that somebody looks at.
#[derive(Debug)]
pub(crate) struct Looking {
    history: History,
    turns: Vec<Turn>,
    authors: Vec<Did>,
}

impl Looking {
    pub(crate) fn at(history: History) -> Self {
        let turns = history.turns(PAUSE, LONGEST);
        let mut authors: Vec<Did> = history.written().iter().map(|written| written.author.clone()).collect();
        authors.sort();
        authors.dedup();
        Self { history, turns, authors }
    }

    pub(crate) fn timeline(&self, audit: &Audit, people: &[Person]) -> Timeline {
        let handles: BTreeMap<&Did, &String> =
            audit.editors.iter().filter_map(|editor| Some((&editor.did, editor.handle.as_ref()?))).collect();
        let color = |did: &Did| match people.iter().find(|person| person.did == *did) {
            Some(person) => person.color.clone(),
            None => Color::for_did(did).to_string(),
        };
        let author = |did: &Did| Author {
            did: did.to_string(),
            name: handles.get(did).map_or_else(|| did.to_string(), ToString::to_string),
            color: color(did),
        };
        Timeline {
            authors: self.authors.iter().map(author).collect(),
            turns: self.turns.iter().map(|turn| self.turn(turn)).collect(),
        }
    }

    fn turn(&self, turn: &Turn) -> TurnShown {
        TurnShown {
            author: self.place_of(&turn.author),
            from: millis(turn.from),
            to: millis(turn.to),
            inserted: turn.inserted as f64,
            deleted: turn.deleted as f64,
        }
    }

    /// The text after a turn beside that before it; nothing for a turn that there is not.
    pub(crate) fn moment(&self, turn: usize) -> Option<Moment> {
        let turn = self.turns.get(turn)?;
        let mut passages: Vec<PassageShown> = Vec::new();
        for passage in self.history.passages(turn.entries.clone()) {
            let fate = match passage.fate {
                Fate::Kept => FateShown::Kept,
                Fate::Added => FateShown::Added,
                Fate::Removed { .. } => FateShown::Removed,
            };
            let author = self.place_of(&passage.author);
            match passages.last_mut() {
                Some(last) if last.author == author && last.fate == fate => last.text.push_str(&passage.text),
                _ => passages.push(PassageShown { text: passage.text, author, fate }),
            }
        }
        Some(Moment { passages })
    }

    /// What makes `now` the text after that turn.
    pub(crate) fn way_back(&self, turn: usize, now: &str) -> Option<Vec<Splice>> {
        let entries = self.turns.get(turn)?.entries.end;
        // Where nobody has written since, words keep their authors.
        if self.history.text_after(self.history.written().len()) == now {
            return Some(self.history.way_back(entries));
        }
        Some(differences(now, &self.history.text_after(entries)))
    }

    fn place_of(&self, author: &Did) -> usize {
        self.authors.binary_search(author).expect("every entry's author is among them")
    }
}
