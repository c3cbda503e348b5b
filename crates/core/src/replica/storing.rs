//! The way to the device's store: one batch at a time, so that what is stored is always a beginning of what happened.
//!
//! A crash may come between any two batches, and a store may refuse one and take the next. If several were under way at
//! once, an edit could be there without the one it builds on. So a batch waits until the one before it is durable, and
//! what comes meanwhile goes together in the next.
//!
//! Each batch is flushed to disk, and one's own next edit waits for the one under way. What others say live comes with every key
//! of theirs and is on their devices, too: it is stored at leisure, or with whatever builds on it.

use std::{collections::BTreeMap, time::Duration};

use super::{Batch, BatchId, Effect, Replica, StoreOp};
use crate::{client_id::ReplicaId, time::Timestamp};

/// How long after a failure the same changes are offered again.
const RETRY: Duration = Duration::from_secs(2);

/// How long what is stored at leisure waits for company.
const LEISURE: Duration = Duration::from_millis(250);

/// What a batch makes durable beside its ops.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Matter {
    /// Own edits, by replica.
    pub(super) edits: BTreeMap<ReplicaId, u64>,
    /// The last of the owner's intents, by its number.
    pub(super) intent: Option<u64>,
}

/// Changes on their way to the store, in order.
#[derive(Debug, Default)]
pub(super) struct Storing {
    under_way: Option<BatchId>,
    /// What is under way, or has failed and is offered again.
    first: Changes,
    /// What has come since.
    next: Changes,
    retry_at: Option<Timestamp>,
    /// Until when `next` may wait, if all of it may.
    leisure_until: Option<Timestamp>,
    /// How many edits came so far.
    edits: u64,
    trouble: Option<String>,
}

#[derive(Debug, Default)]
struct Changes {
    ops: Vec<StoreOp>,
    matter: Matter,
}

impl Changes {
    fn add(&mut self, later: Changes) {
        self.ops.extend(later.ops);
        for (replica, edits) in later.matter.edits {
            *self.matter.edits.entry(replica).or_default() += edits;
        }
        self.matter.intent = self.matter.intent.max(later.matter.intent);
    }
}

impl Storing {
    /// Edits that are not durable yet.
    pub(super) fn edits(&self) -> u64 {
        let both = [&self.first, &self.next];
        both.iter().flat_map(|changes| changes.matter.edits.values()).sum()
    }

    /// How many edits came so far, and how many of them are durable.
    pub(super) fn edits_so_far(&self) -> (u64, u64) {
        (self.edits, self.edits - self.edits())
    }

    /// Whether everything is durable.
    pub(super) fn is_empty(&self) -> bool {
        self.first.ops.is_empty() && self.next.ops.is_empty()
    }

    /// When to offer again what failed, or what has waited long enough.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.retry_at.or(self.leisure_until.filter(|_| self.under_way.is_none()))
    }

    /// Why the store refuses, if it does.
    pub(super) fn trouble(&self) -> Option<&String> {
        self.trouble.as_ref()
    }

    pub(super) fn clock_was_set_back(&mut self, now: Timestamp) {
        self.retry_at = self.retry_at.map(|at| at.min(now.saturating_add(RETRY)));
        self.leisure_until = self.leisure_until.map(|at| at.min(now.saturating_add(LEISURE)));
    }

    fn offer(&mut self, id: BatchId) -> Batch {
        self.first.add(std::mem::take(&mut self.next));
        self.under_way = Some(id);
        (self.retry_at, self.leisure_until) = (None, None);
        Batch { id, ops: self.first.ops.clone() }
    }
}

impl Replica {
    /// Makes changes durable, after those before them.
    pub(super) fn persist(&mut self, ops: Vec<StoreOp>, matter: Matter) {
        if ops.is_empty() {
            return;
        }
        self.storing.edits += matter.edits.values().sum::<u64>();
        self.storing.next.add(Changes { ops, matter });
        self.store_soon();
    }

    /// Makes changes durable that nobody waits for, in a while or with those after them.
    pub(super) fn persist_at_leisure(&mut self, now: Timestamp, ops: Vec<StoreOp>) {
        if self.storing.next.ops.is_empty() {
            self.storing.leisure_until = Some(now.saturating_add(LEISURE));
        }
        self.storing.next.add(Changes { ops, matter: Matter::default() });
    }

    /// Nothing has leisure any more.
    pub(super) fn store_soon(&mut self) {
        let Storing { under_way, retry_at, next, leisure_until, .. } = &mut self.storing;
        *leisure_until = None;
        if under_way.is_none() && retry_at.is_none() && !next.ops.is_empty() {
            self.offer_batch();
        }
    }

    fn offer_batch(&mut self) {
        self.ids += 1;
        let batch = self.storing.offer(BatchId(self.ids));
        self.effects.push(Effect::Persist(batch));
    }

    pub(super) fn stored(&mut self, batch: BatchId) {
        if self.storing.under_way != Some(batch) {
            return;
        }
        self.storing.under_way = None;
        let Changes { matter, .. } = std::mem::take(&mut self.storing.first);
        let had_edits = !matter.edits.is_empty();
        for (replica, count) in matter.edits {
            self.outbox.durable(&replica, count);
            if replica == self.config.replica {
                self.say_edits(count);
            }
        }
        if let Some(intent) = matter.intent {
            self.charter.durable(intent);
        }
        let was_in_trouble = self.storing.trouble.take().is_some();
        if !self.storing.next.ops.is_empty() && self.storing.leisure_until.is_none() {
            self.offer_batch();
        }
        if was_in_trouble || had_edits || self.storing.under_way.is_none() {
            self.refresh();
        }
    }

    pub(super) fn store_failed(&mut self, now: Timestamp, batch: BatchId, reason: String) {
        if self.storing.under_way == Some(batch) {
            self.storing.under_way = None;
            self.storing.retry_at = Some(now.saturating_add(RETRY));
            self.storing.trouble = Some(reason);
            self.refresh();
        }
    }

    pub(super) fn store_what_is_due(&mut self, now: Timestamp) {
        if self.storing.deadline().is_some_and(|at| at <= now) {
            self.offer_batch();
        }
    }
}
