//! Where the characters of two UTF-16 units are, so that an edit never cuts one in half and one that is cut is noticed.

use std::collections::{BTreeMap, BTreeSet};

use crate::client_id::ClientId;
use crate::door::{Content, Id, Parsed, Piece};

/// For each client, the clocks of the second halves of characters that are whole.
#[derive(Debug, Default)]
pub(super) struct Pairs(BTreeMap<ClientId, BTreeSet<u32>>);

impl Pairs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, client: ClientId, piece: &Piece<'_>) {
        let Content::Text(text) = &piece.content else { return };
        let mut clock = piece.clock;
        for character in text.chars() {
            if character.len_utf16() == 2 {
                self.0.entry(client).or_default().insert(clock + 1);
            }
            clock += character.len_utf16() as u32;
        }
    }

    /// Whether a cut just before this code unit goes through a character.
    pub(super) fn cut_before(&self, id: Id) -> bool {
        self.0.get(&id.client).is_some_and(|halves| halves.contains(&id.clock))
    }

    pub(super) fn any_cut_by(&self, parsed: &Parsed<'_>) -> bool {
        !self.is_empty() && cuts(parsed).any(|id| self.cut_before(id))
    }

    /// Forgets the characters that an update breaks: their halves are two characters now.
    pub(super) fn cut_by(&mut self, parsed: &Parsed<'_>) {
        if self.is_empty() {
            return;
        }
        for id in cuts(parsed) {
            if let Some(halves) = self.0.get_mut(&id.client) {
                halves.remove(&id.clock);
                if halves.is_empty() {
                    self.0.remove(&id.client);
                }
            }
        }
    }
}

/// The code units just before which an update cuts the text of what was there.
fn cuts<'p>(parsed: &'p Parsed<'_>) -> impl Iterator<Item = Id> + 'p {
    let beside =
        parsed.clients.iter().flat_map(|section| section.runs.iter().flat_map(|run| &run.pieces)).flat_map(
            |piece| {
                let after_origin = piece.origin.map(|id| Id { client: id.client, clock: id.clock + 1 });
                [after_origin, piece.right_origin].into_iter().flatten()
            },
        );
    let deleted = parsed
        .deletes
        .iter()
        .flat_map(|(client, range)| [Id { client, clock: range.start }, Id { client, clock: range.end }]);
    beside.chain(deleted)
}
