//! How far one replica's updates reach: what they wrote, by clock, and what they deleted.
//!
//! Used to tell whether one version of a segment holds all that another does, and to say (and later keep to) how much of a
//! removed editor's text and deletions is accepted.

use crate::{
    client_id::ClientId,
    door::{self, Content, Parsed, Piece, Refusal, Run, VettedUpdate, ranges::IdRanges},
};

/// Everything that some updates of one replica add and delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first clock written, and the one after the last.
    from: u32,
    clock: u32,
    deletes: IdRanges,
}

impl Extent {
    /// How far these updates reach.
    pub fn of<'a>(updates: impl IntoIterator<Item = &'a VettedUpdate>) -> Extent {
        let mut extent = Extent::default();
        for update in updates {
            let (from, clock) = update
                .provides()
                .values()
                .fold((u32::MAX, 0), |(from, clock), range| (range.start.min(from), range.end.max(clock)));
            extent.unite(&Extent { from: from.min(clock), clock, deletes: update.parsed().deletes });
        }
        extent
    }

    /// Reads what [`Extent::clock`] and [`Extent::deletes`] gave.
    ///
    /// # Errors
    /// [`Refusal`] when `deletes` is no set of deletions and nothing else, in canonical form.
    pub fn from_parts(clock: u32, deletes: &[u8]) -> Result<Extent, Refusal> {
        // A set of deletions is written as an update that adds nothing: there the door lets nobody write.
        let nobody = std::collections::BTreeSet::new();
        let update = door::scan(deletes, door::Allowed::AnyOf(&nobody))?;
        Ok(Extent { from: 0, clock, deletes: update.parsed().deletes })
    }

    /// The clock after the last unit written.
    pub fn clock(&self) -> u32 {
        self.clock
    }

    /// The deletions, as a Yjs v1 update that adds nothing.
    pub fn deletes(&self) -> Vec<u8> {
        door::encode(&Parsed { clients: vec![], deletes: self.deletes.clone() })
    }

    /// Takes another extent in.
    pub fn unite(&mut self, other: &Extent) {
        if self.clock == 0 || other.clock > 0 {
            self.from = if self.clock == 0 { other.from } else { self.from.min(other.from) };
        }
        self.clock = self.clock.max(other.clock);
        self.deletes.extend(&other.deletes);
    }

    /// Whether all of the other is within this one, both being of updates that follow each other.
    pub fn covers(&self, other: &Extent) -> bool {
        (other.clock == 0 || self.from <= other.from && other.clock <= self.clock)
            && other.deletes.iter().all(|(client, range)| self.deletes.contains(client, &range))
    }

    /// An update as far as it lies within: text before the clock, and deletions that are in the set. Text from the clock on
    /// is there as deleted: it shows nothing, but what others wrote beside it keeps its place.
    pub fn limit(&self, update: &VettedUpdate) -> VettedUpdate {
        let mut parsed = update.parsed();
        for section in &mut parsed.clients {
            for run in &mut section.runs {
                self.veil(section.client, run);
            }
        }
        let mut deletes = IdRanges::default();
        for (client, range) in parsed.deletes.iter() {
            for within in self.deletes.within(client, range) {
                deletes.insert(client, within);
            }
        }
        parsed.deletes = deletes;
        VettedUpdate::by(update.author(), &parsed)
    }

    fn veil(&self, client: ClientId, run: &mut Run<'_>) {
        let mut veiled = Vec::with_capacity(run.pieces.len() + 1);
        for piece in run.pieces.drain(..) {
            let end = piece.end();
            let (shown, hidden) = piece.cut(client, self.clock);
            veiled.extend(shown);
            veiled.extend(hidden.map(|hidden| Piece { content: Content::Deleted, ..hidden }));
            debug_assert_eq!(veiled.last().map(Piece::end), Some(end));
        }
        run.pieces = veiled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        document::Document,
        text::{Splice, Utf16Offset},
        time::Timestamp,
    };

    fn edits(document: &mut Document, edits: &[(u32, u32, &str)]) -> Vec<VettedUpdate> {
        let edit = |(at, delete, insert): &(u32, u32, &str)| {
            let splice = Splice { at: Utf16Offset(*at), delete: *delete, insert: (*insert).to_owned() };
            document.edit(Timestamp::from_micros(1), &[splice]).unwrap().updates
        };
        edits.iter().flat_map(edit).collect()
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn what_comes_after_the_extent_is_cut_off_and_what_came_before_stays() {
        let client = ClientId::new(5).unwrap();
        let mut author = Document::new(client);
        let early = edits(&mut author, &[(0, 0, "héllo 😀"), (0, 2, "")]);
        let extent = Extent::of(&early);
        let before = author.text();
        let late = edits(&mut author, &[(6, 0, " later"), (0, 3, "")]);
        let extent = Extent::from_parts(extent.clock(), &extent.deletes()).unwrap();

        let whole = door::merge(&[early.clone(), late.clone()].concat()).unwrap();
        let mut reader = Document::new(ClientId::new(6).unwrap());
        reader.apply(&extent.limit(&whole));
        assert_eq!(reader.text(), before);
        let mut in_steps = Document::new(ClientId::new(6).unwrap());
        for update in early.iter().chain(&late) {
            in_steps.apply(&extent.limit(update));
        }
        assert_eq!(in_steps.encode_state(), reader.encode_state());

        // Somebody had seen the later words and wrote in their midst: that stays, and where it was.
        let mut other = Document::new(ClientId::new(7).unwrap());
        other.apply(&whole);
        let beside = edits(&mut other, &[(6, 0, "!")]);
        assert!(beside.iter().all(|update| !reader.apply(update).is_empty()));
        assert_eq!(reader.text(), format!("{before}!"));

        let everything = Extent::of(early.iter().chain(&late));
        assert!(everything.covers(&extent) && !extent.covers(&everything));
    }
}
