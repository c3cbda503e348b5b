//! Folding one's own sealed segments, when there is nothing weightier to write.
//!
//! A fold is one commit: the first segment is overwritten with all of them, the others are deleted. It is planned from the
//! verified state of one's own repo and written on condition that the repo is still in that state, so neither another
//! device of the account nor a crash at any point can come between. Nothing is to be remembered about it: whether it
//! happened, the repo tells.

use std::collections::BTreeMap;

use sheaf_repo::{cid::Cid, did::Did};

use super::{Presence, Replica, WriteAction};
use crate::{
    budget::{PUT_POINTS, Priority},
    client_id::ReplicaId,
    outbox::Cargo,
    record::{self, SegmentKey, SegmentRecord},
    segment::{Entry, Sealed, fold, worth_folding},
    time::Timestamp,
};

/// What deleting a record costs.
const DELETE_POINTS: u32 = 1;

/// A fold that is worth it.
#[derive(Debug)]
pub(super) struct FoldPlan {
    pub(super) record: SegmentRecord,
    pub(super) delete: Vec<String>,
    /// The commit it was planned from.
    pub(super) head: Cid,
    pub(super) priority: Priority,
}

impl FoldPlan {
    fn points(&self) -> u32 {
        PUT_POINTS + DELETE_POINTS * self.delete.len() as u32
    }
}

impl Replica {
    /// A segment was sealed: in a while there may be something to fold, and one's own repo is to be looked at for it.
    pub(super) fn segment_was_sealed(&mut self, now: Timestamp, account: &Did) {
        let outcome = self.views.get_mut(account).map(|view| view.ring(now, None, &mut self.ids));
        self.take_outcome(now, account, outcome.unwrap_or_default());
    }

    /// One's own repo is verified to be in a new state.
    pub(super) fn plan_fold(&mut self, account: &Did) {
        self.fold = None;
        // Before the first look of this session the view may be older than what is in the store.
        let Some(view) = self.views.get(account).filter(|view| view.verified_at().is_some()) else { return };
        let Some(head) = view.head().cloned() else { return };
        let mut logs: BTreeMap<ReplicaId, Vec<(SegmentKey, Cid)>> = BTreeMap::new();
        for (path, cid) in view.entries() {
            let key = path.split_once('/').filter(|(collection, _)| *collection == record::SEGMENT);
            if let Some(key) = key.and_then(|(_, rkey)| rkey.parse::<SegmentKey>().ok()) {
                logs.entry(key.replica.clone()).or_default().push((key, *cid));
            }
        }
        // Others of this account may be at work elsewhere; each looks after its own.
        let ours =
            |replica: &ReplicaId| *replica == self.config.replica || self.config.adopt.contains(replica);
        logs.retain(|replica, _| ours(replica));
        for (replica, log) in &logs {
            self.go_on_from_repo(account, replica, log);
        }
        // While a newer write of ours is still to be seen, the view cannot tell what is missing.
        let put_back = (self.own_rev.as_ref() <= Some(&head.rev))
            .then(|| {
                logs.values().flatten().find_map(|(key, cid)| self.put_back(account, key, cid, head.commit))
            })
            .flatten();
        self.fold =
            put_back.or_else(|| logs.values().find_map(|log| self.fold_of(account, log, head.commit)));
    }

    fn fold_of(&self, account: &Did, log: &[(SegmentKey, Cid)], head: Cid) -> Option<FoldPlan> {
        let mut sealed = Vec::new();
        for (key, cid) in log {
            // What is not here, or another document's, ends what can be folded; so does the active segment.
            let segment = self.evidence.segment(account, key, cid).filter(|segment| segment.sealed);
            let segment = segment.filter(|segment| !self.carries_unproved(segment));
            let Some(segment) = segment else { break };
            sealed.push((key, segment));
        }
        let sizes: Vec<Sealed> = sealed
            .iter()
            .map(|(key, segment)| Sealed { seq: key.seq, last: segment.last, len: segment.len })
            .collect();
        let folded = &sealed[worth_folding(&sizes)?..];
        let lists: Vec<Vec<Entry>> = folded.iter().map(|(_, segment)| segment.entries().collect()).collect();
        let ((first, _), (_, last)) = (folded.first()?, folded.last()?);
        Some(FoldPlan {
            record: SegmentRecord {
                document: self.config.document.clone(),
                replica: first.replica.clone(),
                seq: first.seq,
                sealed: true,
                through: Some(last.last),
                entries: fold(lists.iter().map(Vec::as_slice))?,
                carried: None,
            },
            delete: folded[1..].iter().map(|(key, _)| key.to_string()).collect(),
            head,
            priority: Priority::Awareness,
        })
    }

    /// Whether what is planned is to put something back, and folds nothing.
    pub(super) fn puts_back(&self) -> bool {
        self.fold.as_ref().is_some_and(|plan| plan.delete.is_empty())
    }

    pub(super) fn fold_due(&self) -> Option<Timestamp> {
        let plan = self.fold.as_ref().filter(|_| self.found != Presence::Deleted)?;
        let at = self.outbox.fold_at();
        Some(self.budget.allowed_at(plan.points(), plan.priority).map_or(at, |allowed| at.max(allowed)))
    }

    pub(super) fn publish_fold(&mut self, now: Timestamp, account: &Did) -> bool {
        match self.fold_due() {
            Some(at) if at <= now => {}
            _ => return false,
        }
        let Some(plan) = self.fold.take() else { return false };
        let seen = self.views.get(account).and_then(|view| view.head()).map(|head| &head.rev);
        if self.own_rev.as_ref() > seen {
            // Something was written since: the plan is to be made anew.
            self.segment_was_sealed(now, account);
            return false;
        }
        tracing::debug!(segments = plan.delete.len() + 1, "folding");
        let points = plan.points();
        let action = WriteAction::Fold {
            collection: record::SEGMENT,
            rkey: plan.record.key().to_string(),
            record: plan.record.to_json(),
            delete: plan.delete,
            head: plan.head,
        };
        self.send(now, account, Cargo::Fold, points, action);
        true
    }

    /// It is still to be done, unless one's own repo tells that it was.
    pub(super) fn fold_failed(&mut self, now: Timestamp) {
        if let Some(account) = self.config.account.clone() {
            self.plan_fold(&account);
        }
        self.folded(now);
    }

    /// A fold was written, or may have been: one's own repo tells.
    pub(super) fn folded(&mut self, now: Timestamp) {
        if let Some(account) = self.config.account.clone() {
            self.segment_was_sealed(now, &account);
        }
    }
}
