//! From evidence to text: applying what is new, and weaving the whole text anew where that is not enough.

use sheaf_repo::did::Did;

use super::{
    Replica,
    evidence::{Limits, VettedSegment},
};
use crate::{
    client_id::{ClientId, ReplicaId},
    document::{Document, Readiness, WaitingRoom, WaitingRoomFull},
    door::{self, Allowed, MAX_UPDATE_BYTES, VettedUpdate},
    segment::Entry,
    text::Splice,
    time::Timestamp,
};

impl Replica {
    /// Applies a segment as far as it counts. Gives what the text went through.
    pub(super) fn apply_segment(&mut self, did: &Did, segment: &VettedSegment) -> Vec<Splice> {
        let limited = |update| self.limits.apply(did, &segment.replica, update);
        let updates: Vec<VettedUpdate> = segment.updates.iter().map(limited).collect();
        self.apply(&updates)
    }

    /// Applies one update that is not in a segment.
    pub(super) fn apply_one(&mut self, update: VettedUpdate) -> Vec<Splice> {
        self.apply(&[update])
    }

    fn apply(&mut self, updates: &[VettedUpdate]) -> Vec<Splice> {
        let mut splices = Vec::new();
        self.let_in(updates, |waiting, document, update| {
            splices.extend(waiting.offer(document, update)?);
            Ok(())
        });
        splices
    }

    /// Each update costs about the same, however short: what one author wrote in a row goes in as one, unless it waits for
    /// something, which may keep back only a part of it.
    fn let_in(
        &mut self,
        updates: &[VettedUpdate],
        mut offer: impl FnMut(&mut WaitingRoom, &mut Document, VettedUpdate) -> Result<(), WaitingRoomFull>,
    ) {
        let mut rest = updates;
        while !rest.is_empty() {
            let (row, others) = rest.split_at(in_a_row(rest));
            rest = others;
            let merged = if row.len() > 1 { door::merge(row).ok() } else { None };
            let goes_in =
                |merged: &VettedUpdate| !matches!(self.document.readiness(merged), Readiness::Waiting(_));
            let together = merged.filter(goes_in).map(|merged| [merged]);
            for update in together.as_ref().map_or(row, |merged| merged.as_slice()) {
                if let Err(why) = offer(&mut self.waiting, &mut self.document, update.clone()) {
                    // It is stored, so nothing is lost: it is tried again with the next thing that arrives.
                    tracing::warn!(%why, "an update has to be offered again");
                    self.turned_away.push(update.clone());
                }
            }
        }
        // Whenever something new is there, those that found no room may be next.
        let mut left = usize::MAX;
        while (1..left).contains(&self.turned_away.len()) {
            left = self.turned_away.len();
            for update in std::mem::take(&mut self.turned_away) {
                if offer(&mut self.waiting, &mut self.document, update.clone()).is_err() {
                    self.turned_away.push(update);
                }
            }
        }
    }

    /// Whether own text is known that cannot be put in yet, because something that it builds on is missing. To write on
    /// under the same name would be to write twice under the same clocks.
    pub(super) fn own_text_waits(&self) -> bool {
        self.waiting.holds_of(self.document.client())
            || self.turned_away.iter().any(|update| update.author() == Some(self.document.client()))
    }

    /// What a replica of this account on this device has written and not sealed yet, read from the store.
    pub(super) fn vet_own<'a>(
        &self,
        account: &Did,
        replica: &ReplicaId,
        updates: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<VettedUpdate> {
        let client = ClientId::derive(account.as_str(), &self.config.document.to_string(), replica);
        let mut vetted = Vec::new();
        for update in updates {
            match door::scan(update, Allowed::Author(client)) {
                Ok(update) => vetted.push(update),
                Err(why) => tracing::error!(%replica, %why, "a stored change of one's own is unreadable"),
            }
        }
        vetted
    }

    /// The same with the time of each.
    pub(super) fn vet_own_entries<'a>(
        &self,
        account: &Did,
        replica: &ReplicaId,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Vec<(Timestamp, VettedUpdate)> {
        let vetted = entries.flat_map(|entry| {
            let update = std::iter::once(entry.update.as_slice());
            self.vet_own(account, replica, update).into_iter().map(|update| (entry.at, update))
        });
        vetted.collect()
    }

    /// The owner's record says something else about former editors than before: what counts of them has changed.
    pub(super) fn limits_changed(&mut self) {
        let limits = Limits::of(self.charter.current());
        if limits != self.limits {
            self.limits = limits;
            self.reweave();
        }
    }

    /// Makes the text anew from all that is known, and shows the difference.
    pub(super) fn reweave(&mut self) {
        let fresh = Document::new(self.document.client());
        let mut before = std::mem::replace(&mut self.document, fresh);
        self.weave();
        self.document.take_history(&mut before);
        let splices = before.splices_to(&self.document);
        self.show(splices);
    }

    /// Applies all that is known to a document that is still empty.
    pub(super) fn weave(&mut self) {
        self.waiting = WaitingRoom::default();
        self.turned_away.clear();
        let mut updates = Vec::new();
        for (did, segment) in self.evidence.segments() {
            updates.extend(
                segment.updates.iter().map(|update| self.limits.apply(did, &segment.replica, update)),
            );
        }
        if let Some(account) = &self.config.account {
            // Published or not, these are words of somebody at this device. What is published of them counts as far as
            // anybody's does; the rest stays in sight, and the status says that it waits.
            for log in self.outbox.logs() {
                let published = self.vet_own(account, log.replica(), log.published());
                updates
                    .extend(published.iter().map(|update| self.limits.apply(account, log.replica(), update)));
                updates.extend(self.vet_own(account, log.replica(), log.waiting()));
            }
            for (replica, neighbours) in &self.neighbours {
                updates
                    .extend(neighbours.iter().map(|(_, update)| self.limits.apply(account, replica, update)));
            }
        }
        updates.extend(
            self.provisional
                .iter()
                .map(|(did, replica, _, said)| self.limits.apply(did, replica, &said.vetted)),
        );
        self.let_in(&updates, WaitingRoom::take_in);
    }
}

/// With how many updates a list of at least one begins that are one author's, and together no longer than an update may be.
fn in_a_row(updates: &[VettedUpdate]) -> usize {
    let mut bytes = updates[0].bytes().len();
    let goes_on = |pair: &&[VettedUpdate]| {
        bytes += pair[1].bytes().len();
        bytes <= MAX_UPDATE_BYTES && pair[0].author() == pair[1].author()
    };
    1 + updates.windows(2).take_while(goes_on).count()
}
