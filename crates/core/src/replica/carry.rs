//! Bringing along what one's own edits build on and others have only said live.
//!
//! Every segment that is published is whole: what it builds on is in its author's repo, as far as this replica has verified
//! that, or signed by its author in `carried`. So whoever reads the repos never waits for a piece, whatever becomes of its
//! author. Of an author who is not live any more all goes along that their repo does not show, after a while even where nobody
//! writes; of one who is removed, at once. With the next flush after the author's repo shows it, it is left out again.

use std::{collections::BTreeMap, time::Duration};

use sheaf_repo::did::Did;

use super::{Replica, Role, evidence::VettedSegment, provisional::Unproved};
use crate::{
    client_id::{ClientId, ReplicaId},
    record::MAX_SEGMENT_RECORD,
    segment::{
        MAX_CARRIED_BYTES, SegmentPlan,
        carried::{CarriedUpdates, MAX_AUTHORS, MAX_UPDATES, encode_carried},
    },
    time::Timestamp,
};

/// What a segment's record takes beside its bytes.
const RECORD_FRAME: usize = 1_024;

/// Of whoever has vanished everything is carried once nobody has done so for this long …
const VANISHED: Duration = Duration::from_secs(120);
/// … and up to so much longer, so that not everyone does so at once.
const SPREAD_SECS: u64 = 120;

/// What has to be brought along though nobody writes.
#[derive(Debug, Default)]
pub(super) struct ToCarry {
    /// When it was first seen that there is something.
    since: Option<Timestamp>,
    /// Whether it is an editor who was removed: they will not publish it.
    at_once: bool,
    /// What was to go along with our own last segment, by number. What of it found no room, or cannot be proved to be its
    /// author's, does not with another one either that is written for nothing else.
    seen: Vec<u64>,
}

impl Replica {
    /// Looks whether somebody's words are on screens and in no repo, and they are not here to publish them.
    pub(super) fn look_for_what_to_carry(&mut self, now: Timestamp) {
        let mut lonely = false;
        let mut at_once = false;
        let mut away: Vec<&Did> = self.provisional.iter().map(|(did, ..)| did).collect();
        away.dedup();
        let live = self.live_editors();
        away.retain(|did| self.is_former(did) || live.binary_search(did).is_err());
        // What is carried takes long to say where much is: while everyone is live nobody asks.
        if !away.is_empty() {
            let carried: Vec<u64> =
                self.evidence.segments().flat_map(|(_, segment)| self.unproved_in(segment)).collect();
            for (did, _, _, said) in self.provisional.iter().filter(|(did, ..)| away.contains(did)) {
                if carried.contains(&said.number) || self.to_carry.seen.contains(&said.number) {
                    continue;
                }
                lonely = true;
                at_once |= self.is_former(did) && self.role() == Role::Owner;
            }
        }
        let since = lonely.then(|| self.to_carry.since.unwrap_or(now));
        (self.to_carry.since, self.to_carry.at_once) = (since, at_once);
    }

    /// When our segment is to be written for that alone.
    pub(super) fn carrying_due(&self) -> Option<Timestamp> {
        let since = self.to_carry.since?;
        let spread = Duration::from_secs(self.config.seed % SPREAD_SECS);
        Some(if self.to_carry.at_once { since } else { since.saturating_add(VANISHED + spread) })
    }

    /// What the record of this plan brings along, if anything.
    pub(super) fn carried_along(
        &mut self,
        account: &Did,
        replica: &ReplicaId,
        plan: &SegmentPlan,
    ) -> Option<Vec<u8>> {
        self.to_carry.since = None;
        self.to_carry.seen.clear();
        if self.provisional.is_empty() {
            return None;
        }
        let mut needed: BTreeMap<ClientId, u32> = BTreeMap::new();
        for update in self.vet_own(account, replica, plan.updates()) {
            need(&mut needed, update.requires());
        }
        let in_sealed = self.carried_in_sealed(account);
        let all: Vec<_> = self.provisional.iter().collect();
        let mut chosen = vec![false; all.len()];
        let live = self.live_editors();
        // What is brought along may itself build on something that has to be.
        loop {
            let mut more = false;
            for (n, (did, _, client, said)) in all.iter().enumerate() {
                // Of whoever has vanished all is brought along: they may not come back.
                if chosen[n] || live.binary_search(did).is_ok() && !is_needed(&needed, *client, said) {
                    continue;
                }
                (chosen[n], more) = (true, true);
                need(&mut needed, said.vetted.requires());
            }
            if !more {
                break;
            }
        }
        let seen = all.iter().zip(&chosen).filter(|(_, chosen)| **chosen);
        let seen = seen.map(|((.., said), _)| said.number).collect();
        let room =
            MAX_SEGMENT_RECORD.saturating_sub(plan.entries.len() + RECORD_FRAME).min(MAX_CARRIED_BYTES);
        let mut authors: Vec<CarriedUpdates> = Vec::new();
        let (mut last, mut updates, mut bytes) = (None, 0, 0);
        for (_, (did, replica, _, said)) in all.into_iter().enumerate().filter(|(n, _)| chosen[*n]) {
            if in_sealed.contains(&said.number) {
                continue;
            }
            let session = self
                .live
                .sessions
                .of(did)
                .find(|session| session.author.replica == *replica && session.author.key == said.key);
            let Some(session) = session else { continue };
            let who = (did, replica, &said.key);
            let is_first = last != Some(who);
            let len = said.signed.update.len() + 80 + if is_first { session.proof.len() } else { 0 };
            // As it deflates at least a little, what fits before does so after.
            if bytes + len > room || updates >= MAX_UPDATES || is_first && authors.len() >= MAX_AUTHORS {
                tracing::warn!(%did, "more is built on than can be brought along at once");
                break;
            }
            (bytes, updates) = (bytes + len, updates + 1);
            if is_first {
                authors.push(CarriedUpdates { proof: session.proof.clone(), updates: Vec::new() });
                last = Some(who);
            }
            let author = authors.last_mut().expect("one was just put there, or is the same");
            author.updates.push(said.signed.clone());
        }
        let carried = (!authors.is_empty()).then(|| encode_carried(&authors));
        self.to_carry.seen = seen;
        carried
    }

    /// What of it this account's sealed segments bring along, by number: they stay as they are.
    fn carried_in_sealed(&self, account: &Did) -> Vec<u64> {
        let sealed = self.evidence.segments_of(account).filter(|(.., segment)| segment.sealed);
        sealed.flat_map(|(.., segment)| self.unproved_in(segment)).collect()
    }

    /// What a segment brings along that its author's repo does not show yet, by number.
    fn unproved_in<'a>(&'a self, segment: &'a VettedSegment) -> impl Iterator<Item = u64> + 'a {
        let is_in = |said: &Unproved| segment.carried.iter().any(|one| one.updates.contains(&said.signed));
        let all = self.provisional.iter().filter(|_| !segment.carried.is_empty());
        all.filter(move |(.., said)| is_in(said)).map(|(.., said)| said.number)
    }

    /// Whether it brings anything along of that kind: then it is not folded yet.
    pub(super) fn carries_unproved(&self, segment: &VettedSegment) -> bool {
        self.unproved_in(segment).next().is_some()
    }

    /// What the segments that this device has bring along, as far as it is not known otherwise.
    pub(super) fn load_carried(&mut self) {
        let brings = |(did, segment): (&Did, &VettedSegment)| (did.clone(), segment.carried.clone());
        let found: Vec<_> = self.evidence.segments().map(brings).collect();
        for (carrier, carried) in found {
            self.keep_unverified(&carrier, "what this device has stored", &carried);
        }
    }
}

fn need(needed: &mut BTreeMap<ClientId, u32>, requires: &BTreeMap<ClientId, u32>) {
    for (client, clock) in requires {
        let most = needed.entry(*client).or_insert(*clock);
        *most = (*most).max(*clock);
    }
}

/// Whether something of this client up to a clock that is needed is in an update. One that only deletes is never needed.
fn is_needed(needed: &BTreeMap<ClientId, u32>, client: ClientId, said: &Unproved) -> bool {
    let Some(clock) = needed.get(&client) else { return false };
    said.vetted.provides().get(&client).is_some_and(|range| range.start < *clock)
}
