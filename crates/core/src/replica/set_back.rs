//! Going on from where one's own repo is, on a device that was set back.
//!
//! A device restored from a backup goes by the name it had, and its log ends earlier than what it has published since. What
//! it wrote next would take clocks that are taken, or leave a gap that nobody can read past. Its own repo has the rest: once
//! that is verified, the log goes on where the repo ends.

use sheaf_repo::{cid::Cid, did::Did};

use super::{Replica, lifecycle::store_op, store_keys, storing::Matter};
use crate::{
    client_id::ReplicaId,
    door,
    extent::Extent,
    record::SegmentKey,
    segment::{Entry, LogOp, SegmentLog},
};

/// Where a log goes on.
struct Resumption {
    seq: u32,
    published: Vec<Entry>,
    /// How many of the edits that wait are in there already.
    published_of_waiting: u64,
}

impl Replica {
    /// One's own repo is verified to hold these segments under a name of ours, in the order of their numbers.
    pub(super) fn go_on_from_repo(&mut self, account: &Did, name: &ReplicaId, there: &[(SegmentKey, Cid)]) {
        let Some(log) = self.outbox.logs().find(|log| log.replica() == name) else { return };
        let Some(resumption) = self.resumption(account, log, there) else { return };
        let Resumption { seq, published, published_of_waiting } = resumption;
        let Some(ops) = self.outbox.go_on_from(name, seq, published, published_of_waiting) else { return };
        tracing::warn!(%name, seq, "the repo has more of what this device wrote than the device itself: it was set back");
        let op =
            |(suffix, value): LogOp| store_op(store_keys::own(&self.config.document, name, &suffix), value);
        let ops = ops.into_iter().map(op).collect();
        self.persist(ops, Matter::default());
    }

    fn resumption(&self, account: &Did, log: &SegmentLog, there: &[(SegmentKey, Cid)]) -> Option<Resumption> {
        let segments = there.iter().filter_map(|(key, cid)| self.evidence.segment(account, key, cid));
        let segments: Vec<_> = segments.filter(|segment| segment.last >= log.seq()).collect();
        let newest = segments.last()?;
        let theirs: Vec<_> = segments.iter().flat_map(|segment| segment.updates.iter().cloned()).collect();
        let published = self.vet_own(account, log.replica(), log.published());
        let waiting = self.vet_own(account, log.replica(), log.waiting());
        let reach = Extent::of(&theirs);
        let all = [published.as_slice(), waiting.as_slice()].concat();
        // Where they say another thing under the same clocks, neither can go on from the other.
        let goes_on = reach.covers(&Extent::of(&published)) && door::agree(&theirs, &all);
        let is_set_back = goes_on && !Extent::of(&all).covers(&reach);
        let published_of_waiting =
            waiting.iter().take_while(|update| reach.covers(&Extent::of([*update]))).count() as u64;
        is_set_back.then(|| Resumption {
            seq: if newest.sealed { newest.last.saturating_add(1) } else { newest.seq },
            published: if newest.sealed { Vec::new() } else { newest.entries().collect() },
            published_of_waiting,
        })
    }
}
