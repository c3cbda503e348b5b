//! The text of one moment beside that of another: what stayed, what came and what went, and by whom.

use std::{collections::BTreeMap, ops::Range};

use sheaf_repo::did::Did;

use super::History;
use crate::{
    client_id::ClientId,
    document::{Stretch, units},
    door::ranges::IdRanges,
    time::Timestamp,
};

/// A part of the text, by one author and with one fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The text.
    pub text: String,
    /// Who wrote it.
    pub author: Did,
    /// When, by the clock of their device.
    pub made_at: Timestamp,
    /// What became of it between the two moments.
    pub fate: Fate,
}

/// What became of a part of the text from one moment to a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is in both.
    Kept,
    /// It is only in the later one.
    Added,
    /// It is only in the earlier one.
    Removed {
        /// Who took it out first.
        by: Did,
    },
}

/// What was taken out by when.
struct Gone {
    /// Before the earlier moment.
    before: IdRanges,
    /// Between the two: where each range begins, where it ends and by which entry it went.
    since: BTreeMap<(ClientId, u32), (u32, usize)>,
}

impl Gone {
    fn of(history: &History, entries: &Range<usize>) -> Gone {
        let mut gone = IdRanges::default();
        for update in &history.updates[..entries.start] {
            gone.extend(&update.parsed().deletes);
        }
        let (before, mut since) = (gone.clone(), BTreeMap::new());
        for n in entries.clone() {
            for (client, range) in history.updates[n].parsed().deletes.iter() {
                for new in gone.outside(client, range.clone()) {
                    since.insert((client, new.start), (new.end, n));
                }
                gone.insert(client, range);
            }
        }
        Gone { before, since }
    }

    /// Whether the unit went before, or by which entry it went since; and up to where that is so.
    fn at(&self, client: ClientId, clocks: Range<u32>) -> (Went, u32) {
        if let Some(first) = self.before.within(client, clocks.clone()).next() {
            return match first.start == clocks.start {
                true => (Went::Before, first.end),
                false => self.since(client, clocks.start..first.start),
            };
        }
        self.since(client, clocks)
    }

    fn since(&self, client: ClientId, clocks: Range<u32>) -> (Went, u32) {
        let at_or_before = self.since.range((client, 0)..=(client, clocks.start)).next_back();
        if let Some((_, &(end, entry))) = at_or_before.filter(|(_, (end, _))| *end > clocks.start) {
            return (Went::By(entry), end.min(clocks.end));
        }
        let next = self.since.range((client, clocks.start)..(client, clocks.end)).next();
        (Went::Not, next.map_or(clocks.end, |(&(_, start), _)| start))
    }
}

enum Went {
    Not,
    Before,
    By(usize),
}

pub(super) fn passages(history: &History, entries: &Range<usize>) -> Vec<Passage> {
    let gone = Gone::of(history, entries);
    let mut passages: Vec<Passage> = Vec::new();
    for Stretch { id, len, text, .. } in history.document_after(entries.end).everything() {
        let (mut clock, end) = (id.clock, id.clock + len);
        while clock < end {
            let (entry, reach) = history.entry_of(id.client, clock);
            let (went, until) = gone.at(id.client, clock..reach.min(end));
            let part = units(&text, clock - id.clock, until - clock);
            clock = until;
            let is_new = entry >= entries.start;
            let fate = match went {
                Went::Not if is_new => Fate::Added,
                Went::Not => Fate::Kept,
                Went::By(by) if !is_new => Fate::Removed { by: history.written[by].author.clone() },
                // It shows at neither of the moments.
                Went::Before | Went::By(_) => continue,
            };
            let wrote = &history.written[entry];
            match passages.last_mut() {
                Some(last)
                    if last.author == wrote.author && last.made_at == wrote.made_at && last.fate == fate =>
                {
                    last.text.push_str(&part);
                }
                _ => passages.push(Passage {
                    text: part,
                    author: wrote.author.clone(),
                    made_at: wrote.made_at,
                    fate,
                }),
            }
        }
    }
    passages
}
