//! Putting back what a late write of one's own has replaced.
//!
//! A write that hangs on its way may reach the server after a newer one: the process that sent it has given up or died, and
//! the next has gone on. Then the older state of a segment is in the repo, and what is missing from it is nowhere but on its
//! author's devices. Nobody is told; but everyone follows their own repo like the others', and there it shows.

use sheaf_repo::{cid::Cid, did::Did};

use super::{Replica, evidence, fold::FoldPlan};
use crate::{
    budget::Priority,
    record::{SegmentKey, SegmentRecord},
    segment::encode_entries,
};

impl Replica {
    /// What to write if a segment of ours, of which the repo has this version, has been published with more in it.
    ///
    /// Where the repo says something else under the same clocks, someone else goes by our name (a device that was copied
    /// with all that is on it): two who put back their own would do so for ever.
    pub(super) fn put_back(&self, account: &Did, key: &SegmentKey, cid: &Cid, head: Cid) -> Option<FoldPlan> {
        let there = self.evidence.segment(account, key, cid)?;
        let active = self.outbox.logs().find(|log| *log.replica() == key.replica && log.seq() == key.seq);
        let record = match active {
            Some(log) => {
                let ours = self.vet_own(account, log.replica(), log.published());
                evidence::is_more(&ours, &there.updates).then(|| SegmentRecord {
                    document: self.config.document.clone(),
                    replica: key.replica.clone(),
                    seq: key.seq,
                    sealed: false,
                    through: None,
                    entries: encode_entries(log.published_entries()),
                    // With its next flush it brings along what it still has to.
                    carried: None,
                })?
            }
            None => SegmentRecord::parse(&self.evidence.fuller(account, key, cid)?.bytes).ok()?,
        };
        tracing::info!(%key, "a late write has replaced a newer one, which is put back");
        Some(FoldPlan { record, delete: Vec::new(), head, priority: Priority::Segment })
    }
}
