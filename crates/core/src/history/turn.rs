//! Entries, grouped into what somebody wrote before somebody else did.

use std::{ops::Range, time::Duration};

use sheaf_repo::did::Did;

use super::Written;
use crate::time::Timestamp;

/// What one author wrote for some time without a long pause and before anybody else wrote: a step of the text from one
/// moment to the next. Unlike a [`Sitting`](super::Sitting), in which two who write at once both sit, it is all that
/// happened meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who.
    pub author: Did,
    /// Which entries, by their places in [`History::written`](super::History::written): each turn begins where the one before
    /// it ends.
    pub entries: Range<usize>,
    /// When the first of it shows.
    pub from: Timestamp,
    /// When the last of it does. (Each entry may hold some minutes of typing from then on.)
    pub to: Timestamp,
    /// How much was put in, in UTF-16 units.
    pub inserted: u64,
    /// How much was taken out, in UTF-16 units.
    pub deleted: u64,
}

pub(super) fn turns(written: &[Written], pause: Duration, longest: Duration) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for (n, entry) in written.iter().enumerate() {
        let changes_nothing = entry.inserted == 0 && entry.deleted == 0;
        let goes_on = |turn: &Turn| {
            changes_nothing
                || turn.author == entry.author
                    && entry.shown_at.saturating_since(turn.to) <= pause
                    && entry.shown_at.saturating_since(turn.from) <= longest
        };
        match turns.last_mut().filter(|turn| goes_on(turn)) {
            Some(turn) => {
                turn.entries.end = n + 1;
                if !changes_nothing {
                    turn.to = entry.shown_at;
                }
                turn.inserted += u64::from(entry.inserted);
                turn.deleted += u64::from(entry.deleted);
            }
            None => turns.push(Turn {
                author: entry.author.clone(),
                entries: n..n + 1,
                from: entry.shown_at,
                to: entry.shown_at,
                inserted: entry.inserted.into(),
                deleted: entry.deleted.into(),
            }),
        }
    }
    turns
}
