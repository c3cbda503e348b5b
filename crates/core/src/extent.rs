//! How far one replica's updates reach: what they wrote, by clock, and what they deleted.
//!
//! Used to tell whether one version of a segment holds all that another does, and to say (and later keep to) how much of a
//! removed editor's text and deletions is accepted.

use crate::{
    client_id::ClientId,
    door::{self, Content, Parsed, Refusal, Run, VettedUpdate, ranges::IdRanges},
    text::utf16_len,
};

/// Everything that some updates of one replica add and delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    clock: u32,
    deletes: IdRanges,
}

impl Extent {
    /// How far these updates reach.
    pub fn of<'a>(updates: impl IntoIterator<Item = &'a VettedUpdate>) -> Extent {
        let mut extent = Extent::default();
        for update in updates {
            let ends = update.provides().values().map(|range| range.end);
            extent.clock = ends.max().unwrap_or_default().max(extent.clock);
            extent.deletes.extend(&update.parsed().deletes);
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
        Ok(Extent { clock, deletes: update.parsed().deletes })
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
        self.clock = self.clock.max(other.clock);
        self.deletes.extend(&other.deletes);
    }

    /// Whether all of the other is within this one.
    pub fn covers(&self, other: &Extent) -> bool {
        self.clock >= other.clock
            && other.deletes.iter().all(|(client, range)| self.deletes.contains(client, &range))
    }

    /// The part of an update that lies within: text before the clock, and deletions that are in the set. `None` when
    /// nothing is left.
    pub fn limit(&self, update: &VettedUpdate) -> Option<VettedUpdate> {
        let mut parsed = update.parsed();
        for section in &mut parsed.clients {
            section.runs.iter_mut().for_each(|run| self.cut(run));
            section.runs.retain(|run| !run.pieces.is_empty());
        }
        parsed.clients.retain(|section| !section.runs.is_empty());
        let mut deletes = IdRanges::default();
        for (client, range) in parsed.deletes.iter().collect::<Vec<(ClientId, _)>>() {
            for within in self.deletes.within(client, range) {
                deletes.insert(client, within);
            }
        }
        parsed.deletes = deletes;
        let limited = VettedUpdate::from_parsed(&parsed);
        (!limited.is_empty()).then_some(limited)
    }

    fn cut(&self, run: &mut Run<'_>) {
        run.pieces.retain(|piece| piece.clock < self.clock);
        let Some(last) = run.pieces.last_mut().filter(|piece| piece.end() > self.clock) else { return };
        let keep = self.clock - last.clock;
        match &mut last.content {
            Content::Deleted => last.len = keep,
            Content::Text(text) => {
                let mut units = 0;
                let kept: String = text
                    .chars()
                    .take_while(|ch| {
                        units += ch.len_utf16() as u32;
                        units <= keep
                    })
                    .collect();
                last.len = utf16_len(&kept);
                *text = kept.into();
            }
        }
        if last.len == 0 {
            run.pieces.pop();
        }
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
        reader.apply(&extent.limit(&whole).unwrap());
        assert_eq!(reader.text(), before);
        assert!(late.iter().all(|update| extent.limit(update).is_none()));

        let everything = Extent::of(early.iter().chain(&late));
        assert!(everything.covers(&extent) && !extent.covers(&everything));
    }
}
