//! What was written, by whom and when, and the text as it was at any moment.
//!
//! Nothing is kept for it: the entries of everyone's segments carry their authors' times, and since deleted text stays in
//! the document, weaving the earlier ones alone gives the earlier text. [`Replica::history`] reads them off; what comes out
//! are plain values, the same wherever the same segments are known.
//!
//! A time is its author's word for it. It says when they wrote, and it cannot say that something was there before what it
//! builds on: an entry shows no earlier than all of its causes do ([`Written::shown_at`]). Typing is folded into entries of
//! up to five minutes, each with the time of its first edit, so that is how closely a moment can be told.
//!
//! A timeline has [`History::turns`], each of which leads from one text to the next ([`History::passages`]); to go back to one
//! is to edit the text again ([`History::way_back`]).
//!
//! It is told on the spot: of a paper of 259,778 keystrokes, 12,053 entries, the list takes some 60 ms, any moment's text up
//! to some 60 ms, and who wrote what of it twice that (`tests/history.rs`, optimised).
//!
//! [`Replica::history`]: crate::replica::Replica::history

mod order;
mod passage;
mod sitting;
mod turn;

use std::{collections::BTreeMap, ops::Range};

use sheaf_repo::did::Did;

use self::order::{Line, Placed};
pub use self::{
    passage::{Fate, Passage},
    sitting::Sitting,
    turn::Turn,
};
use crate::{
    client_id::{ClientId, ReplicaId},
    document::Document,
    door::{Content, VettedUpdate, ranges::IdRanges},
    text::{Splice, Utf16Offset, differences, utf16_len},
    time::Timestamp,
};

/// Everything that is known to have been written in one document, in the order in which it shows.
#[derive(Debug, Clone, Default)]
pub struct History {
    written: Vec<Written>,
    /// Of each, in the same order.
    updates: Vec<VettedUpdate>,
    /// For each client the clocks after its entries' last units, ascending, with the entries' places in the order.
    reaches: BTreeMap<ClientId, Vec<(u32, usize)>>,
    waiting: usize,
}

/// One entry: what somebody wrote within a few minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Who wrote it.
    pub author: Did,
    /// On which of their devices, or in which tab.
    pub replica: ReplicaId,
    /// When, by the clock of their device.
    pub made_at: Timestamp,
    /// From when on it shows: then, or when what it builds on does.
    pub shown_at: Timestamp,
    /// How much was put in, in UTF-16 units; what is taken out again in the same entry included.
    pub inserted: u32,
    /// How much was taken out, whoever had written it, in UTF-16 units; what somebody else had taken out before is not
    /// counted twice.
    pub deleted: u32,
}

/// A stretch of the text that somebody wrote at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authored {
    /// Who.
    pub author: Did,
    /// When, by the clock of their device.
    pub made_at: Timestamp,
    /// Where it begins.
    pub from: Utf16Offset,
    /// Where it ends.
    pub to: Utf16Offset,
}

impl History {
    /// Puts in order what each replica wrote, given in its own order with the author's times. What builds on something
    /// that is in none of them is left out, and counted.
    pub(crate) fn of(logs: BTreeMap<(Did, ReplicaId), Vec<(Timestamp, VettedUpdate)>>) -> History {
        let (authors, lines): (Vec<_>, Vec<Line>) = logs.into_iter().unzip();
        let (placed, waiting) = order::order(lines);
        let mut history = History { waiting, ..History::default() };
        let mut seen = Seen::default();
        for Placed { line, made_at, shown_at, update } in placed {
            let (author, replica) = authors[line].clone();
            let (inserted, deleted) = seen.take(&update);
            for (client, range) in update.provides() {
                history.reaches.entry(*client).or_default().push((range.end, history.written.len()));
            }
            history.written.push(Written { author, replica, made_at, shown_at, inserted, deleted });
            history.updates.push(update);
        }
        history
    }

    /// Every entry, in the order in which they show: by time, each after what it builds on.
    pub fn written(&self) -> &[Written] {
        &self.written
    }

    /// How many updates are known that cannot be shown, because something they build on is missing.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The text as it was then: all that shows from that moment on or sooner.
    pub fn text_at(&self, at: Timestamp) -> String {
        self.document_at(at).text()
    }

    /// Who had written what of [`History::text_at`] and when, from its beginning to its end.
    pub fn authored_at(&self, at: Timestamp) -> Vec<Authored> {
        let mut stretches: Vec<Authored> = Vec::new();
        for run in self.document_at(at).author_runs() {
            let mut clock = run.clocks.start;
            while clock < run.clocks.end {
                let (entry, reach) = self.entry_of(run.client, clock);
                let from = Utf16Offset(run.text.start.0 + (clock - run.clocks.start));
                clock = reach.min(run.clocks.end);
                let to = Utf16Offset(run.text.start.0 + (clock - run.clocks.start));
                let Written { author, made_at, .. } = &self.written[entry];
                match stretches.last_mut() {
                    Some(last) if last.author == *author && last.made_at == *made_at => last.to = to,
                    _ => stretches.push(Authored { author: author.clone(), made_at: *made_at, from, to }),
                }
            }
        }
        stretches
    }

    /// What was written in sittings: of each author, what follows each other with pauses of at most `pause`. In the order in
    /// which they began.
    pub fn sittings(&self, pause: std::time::Duration) -> Vec<Sitting> {
        sitting::sittings(&self.written, pause)
    }

    /// What was written in turns: of one author, with pauses of at most `pause` and nobody else's word in between, none
    /// longer than `longest`. Together they are the whole history, in order.
    pub fn turns(&self, pause: std::time::Duration, longest: std::time::Duration) -> Vec<Turn> {
        turn::turns(&self.written, pause, longest)
    }

    /// The text after so many of the entries (all of them, where there are fewer).
    pub fn text_after(&self, entries: usize) -> String {
        self.document_after(entries).text()
    }

    /// The text after these entries beside the text before them, from its beginning to its end: what is
    /// [`Fate::Added`] or [`Fate::Kept`] is the text after them, what is kept or [`Fate::Removed`] the text before (but that a
    /// character which was cut in half meanwhile is two replacement characters in both).
    pub fn passages(&self, entries: Range<usize>) -> Vec<Passage> {
        let end = entries.end.min(self.written.len());
        passage::passages(self, &(entries.start.min(end)..end))
    }

    /// The splices that make the text after so many entries of the text as it is now: an edit like any other. What shows in
    /// both stays and keeps its author, unless writing it anew touches less.
    pub fn way_back(&self, entries: usize) -> Vec<Splice> {
        let (now, then) = (self.document_after(self.written.len()), self.document_after(entries));
        let by_author = now.splices_to(&then);
        let by_letter = differences(&now.text(), &then.text());
        // Who takes something back and brings it again has the same words twice; by who wrote what they would be exchanged.
        let touched = |splices: &[Splice]| -> u64 {
            splices.iter().map(|s| u64::from(s.delete) + u64::from(utf16_len(&s.insert))).sum()
        };
        if touched(&by_letter) < touched(&by_author) { by_letter } else { by_author }
    }

    fn document_at(&self, at: Timestamp) -> Document {
        self.document_after(self.written.partition_point(|written| written.shown_at <= at))
    }

    fn document_after(&self, entries: usize) -> Document {
        // Nobody ever writes in it.
        let mut document = Document::new(ClientId::MIN);
        for update in &self.updates[..entries.min(self.updates.len())] {
            document.take_in(update);
        }
        document
    }

    /// Which entry a unit came with, and the clock after that entry's last one.
    fn entry_of(&self, client: ClientId, clock: u32) -> (usize, u32) {
        let reaches = self.reaches.get(&client).expect("text is only there by an entry of its client");
        let nth = reaches.partition_point(|(reach, _)| *reach <= clock);
        let (reach, entry) = reaches[nth];
        (entry, reach)
    }
}

/// What is there so far, to tell what an entry adds to it.
#[derive(Debug, Default)]
struct Seen {
    reached: BTreeMap<ClientId, u32>,
    deleted: IdRanges,
}

impl Seen {
    /// How many units an update puts in and takes out.
    fn take(&mut self, update: &VettedUpdate) -> (u32, u32) {
        let parsed = update.parsed();
        let mut inserted = 0u32;
        for section in &parsed.clients {
            let reached = self.reached.entry(section.client).or_default();
            for piece in section.runs.iter().flat_map(|run| &run.pieces) {
                let new = piece.end().saturating_sub(piece.clock.max(*reached));
                match piece.content {
                    Content::Text(_) => inserted = inserted.saturating_add(new),
                    // What came as deleted never showed, so taking it out takes nothing out.
                    Content::Deleted => self.deleted.insert(section.client, piece.clock..piece.end()),
                }
                *reached = piece.end().max(*reached);
            }
        }
        let mut deleted = 0u32;
        for (client, range) in parsed.deletes.iter() {
            let known: u32 =
                self.deleted.within(client, range.clone()).map(|known| known.end - known.start).sum();
            deleted = deleted.saturating_add(range.end - range.start - known);
            self.deleted.insert(client, range);
        }
        (inserted, deleted)
    }
}
