//! Sending: which of the things that wait goes out now, within the write budget.
//!
//! One write at a time, in order of weight: the owner's document record (membership never yields), then segments at the
//! pace of the flush window, then presence.

use sheaf_repo::{cid::Cid, did::Did};

use super::{
    Effect, RateLimits, Replica, Role, Stalled, StoreOp, Swap, Write, WriteAction, WriteFailure, WriteId,
    WriteReceipt, lifecycle::store_op, store_keys,
};
use crate::{
    budget::Priority,
    client_id::ReplicaId,
    document::Bias,
    editors::Intent,
    extent::Extent,
    outbox::Cargo,
    record::{self, AwarenessRecord, Caret, FormerEditor, SegmentRecord},
    segment::SegmentPlan,
    time::Timestamp,
};

/// What a `putRecord` costs, whether it creates or overwrites.
const PUT: u32 = 2;

impl Replica {
    /// Sends the next thing if it may go now.
    pub(super) fn publish(&mut self, now: Timestamp) {
        if !self.online || self.outbox.may_write(now).is_err() {
            return;
        }
        let Some(account) = self.config.account.clone() else { return };
        if self.role() == Role::Owner && self.publish_document(now, &account) {
            return;
        }
        if self.role().can_write() && self.is_published() {
            if self.publish_segment(now, &account) {
                return;
            }
            self.publish_awareness(now, &account);
        }
    }

    /// When [`Replica::publish`] will have something to do.
    pub(super) fn publish_deadline(&self) -> Option<Timestamp> {
        if !self.online || self.config.account.is_none() || !self.role().can_write() {
            return None;
        }
        let earliest = match self.outbox.may_write(Timestamp::from_micros(0)) {
            Ok(()) => Timestamp::from_micros(0),
            Err(Some(at)) => at,
            Err(None) => return None,
        };
        let document = (self.charter.pending() > 0 && self.unstored.is_empty()).then_some(earliest);
        let segment = self.segment_due().map(|at| at.max(earliest));
        let awareness =
            self.is_published().then(|| self.own.deadline(&self.budget)).flatten().map(|at| at.max(earliest));
        document.into_iter().chain(segment).chain(awareness).min()
    }

    /// Segments and presence of a document that its owner's repo does not hold yet would hang in the air.
    fn is_published(&self) -> bool {
        self.charter.verified().is_some()
    }

    fn segment_due(&self) -> Option<Timestamp> {
        let window = self.budget.interval(PUT);
        let at = self.outbox.flush_at(window)?;
        Some(self.budget.allowed_at(PUT, Priority::Segment).map_or(at, |allowed| at.max(allowed)))
    }

    fn publish_document(&mut self, now: Timestamp, account: &Did) -> bool {
        if self.charter.is_carried_out() {
            let all = u64::MAX;
            self.forget_intents(all);
        }
        // An intent is sent only once it is durable, like everything else.
        if !self.unstored.is_empty() {
            return false;
        }
        let Some((document, based_on, upto)) = self.charter.plan() else { return false };
        let swap = Some(based_on.map_or(Swap::Absent, Swap::Cid));
        let rkey = self.config.document.rkey().to_string();
        self.send(now, account, Cargo::Document { upto }, record::DOCUMENT, rkey, document.to_json(), swap);
        true
    }

    fn publish_segment(&mut self, now: Timestamp, account: &Did) -> bool {
        match self.segment_due() {
            Some(at) if at <= now => {}
            _ => return false,
        }
        let Some((replica, plan)) = self.outbox.next_segment() else { return false };
        let record = self.segment_record(&replica, &plan);
        let rkey = record.key().to_string();
        self.send(
            now,
            account,
            Cargo::Segment { replica, plan },
            record::SEGMENT,
            rkey,
            record.to_json(),
            None,
        );
        true
    }

    fn publish_awareness(&mut self, now: Timestamp, account: &Did) {
        let Some(expires_at) = self.own.due(now, &self.budget) else { return };
        let caret = self.selection.map(|(anchor, head)| Caret {
            anchor: self.document.sticky(anchor, Bias::Before),
            head: self.document.sticky(head, Bias::Before),
        });
        let record = AwarenessRecord {
            document: self.config.document.clone(),
            replica: self.config.replica.clone(),
            name: self.config.name.clone(),
            color: Some(record::Color::for_did(account)),
            caret,
            expires_at,
        };
        let rkey = self.config.document.rkey().to_string();
        self.own.written(now);
        self.send(now, account, Cargo::Awareness, record::AWARENESS, rkey, record.to_json(), None);
    }

    #[allow(clippy::too_many_arguments)] // the one way out: everything a write is made of
    fn send(
        &mut self,
        now: Timestamp,
        account: &Did,
        cargo: Cargo,
        collection: &'static str,
        rkey: String,
        record: serde_json::Value,
        swap: Option<Swap>,
    ) {
        self.ids += 1;
        let id = WriteId(self.ids);
        // The server counts what it is asked, not what it answers.
        self.budget.spend(now, PUT);
        let key = store_keys::budget(account, &self.config.replica);
        self.persist(vec![store_op(key, Some(self.budget.encode()))], Default::default());
        self.outbox.sent(now, id, cargo);
        self.effects
            .push(Effect::Write(Write { id, action: WriteAction::Put { collection, rkey, record, swap } }));
    }

    pub(super) fn written(
        &mut self,
        now: Timestamp,
        write: WriteId,
        result: Result<WriteReceipt, WriteFailure>,
        limits: Option<RateLimits>,
    ) {
        let Some(cargo) = self.outbox.answered(write) else { return };
        if let Some(limits) = limits {
            self.budget.limits(now, &limits);
        }
        match result {
            Ok(receipt) => {
                self.outbox.succeeded();
                self.own_rev = receipt.rev.or(self.own_rev.take());
                self.published(now, cargo, receipt.cid);
            }
            Err(failure) => {
                tracing::info!(%failure, "a write did not go through");
                if let WriteFailure::RateLimited { retry_after } = &failure {
                    self.budget.throttled(now, *retry_after);
                }
                match (&failure, &cargo) {
                    // Presence is worth no stall: the next one says it anew.
                    (WriteFailure::Refused { .. } | WriteFailure::SwapMismatch, Cargo::Awareness) => {}
                    (WriteFailure::SwapMismatch, _) => {
                        self.outbox.failed(now, &failure);
                        // The record is not the one we know: look, then the intents apply to what is found.
                        let owner = self.config.document.owner().clone();
                        let outcome =
                            self.views.get_mut(&owner).map(|view| view.ring(now, None, &mut self.ids));
                        self.take_outcome(now, &owner, outcome.unwrap_or_default());
                    }
                    _ => self.outbox.failed(now, &failure),
                }
            }
        }
        self.refresh();
    }

    fn published(&mut self, now: Timestamp, cargo: Cargo, cid: Option<Cid>) {
        match cargo {
            Cargo::Document { upto } => {
                // What was written is what was planned; the view will verify it like everything else.
                if let (Some(record), Some(cid)) = (self.charter.current_upto(upto), cid) {
                    self.accept_document(record, cid);
                }
                self.forget_intents(upto);
                self.document_changed(now);
            }
            Cargo::Segment { replica, plan } => {
                let mut ops = Vec::new();
                if plan.sealed {
                    // The log forgets a sealed segment's entries: the record itself takes their place, in the same batch.
                    self.keep_own_segment(&replica, &plan, &mut ops);
                }
                for (suffix, value) in self.outbox.segment_published(&replica, &plan) {
                    ops.push(store_op(store_keys::own(&self.config.document, &replica, &suffix), value));
                }
                self.persist(ops, Default::default());
            }
            Cargo::Awareness => {}
        }
    }

    fn segment_record(&self, replica: &ReplicaId, plan: &SegmentPlan) -> SegmentRecord {
        SegmentRecord {
            document: self.config.document.clone(),
            replica: replica.clone(),
            seq: plan.seq,
            sealed: plan.sealed,
            entries: plan.entries.clone(),
        }
    }

    fn keep_own_segment(&mut self, replica: &ReplicaId, plan: &SegmentPlan, ops: &mut Vec<StoreOp>) {
        let Some(account) = self.config.account.clone() else { return };
        let record = self.segment_record(replica, plan);
        let bytes =
            sheaf_repo::json::to_cbor(&record.to_json()).expect("our own record is valid atproto JSON");
        let cid = sheaf_repo::cid::of_record(&bytes);
        let rkey = record.key().to_string();
        if let Err(why) = self.keep_segment(&account, &rkey, &cid, &bytes, ops) {
            tracing::error!(rkey, why, "our own segment is refused by our own door");
        }
    }

    fn forget_intents(&mut self, upto: u64) {
        let done = self.charter.carried_out(upto);
        let document = &self.config.document;
        let ops = done.into_iter().map(|n| store_op(store_keys::intent(document, n), None)).collect();
        self.persist(ops, Default::default());
    }

    /// Title or editors changed, by the owner's repo or by what is intended.
    pub(super) fn document_changed(&mut self, now: Timestamp) {
        self.follow_editors(now);
        self.refresh();
    }

    // --- the owner's changes ---

    pub(super) fn set_title(&mut self, _now: Timestamp, title: &str) {
        let title = record::clean_title(title);
        if self.role() == Role::Owner && title != self.title() {
            self.intend(Intent::SetTitle(title));
        }
    }

    pub(super) fn add_editor(&mut self, now: Timestamp, did: Did) {
        if self.role() == Role::Owner && did != *self.config.document.owner() {
            self.intend(Intent::AddEditor(did));
            self.document_changed(now);
        }
    }

    /// Stops accepting anything of this editor beyond what this replica has verified by now.
    pub(super) fn remove_editor(&mut self, now: Timestamp, did: Did) {
        if self.role() != Role::Owner
            || !self.editors().contains(&did)
            || did == *self.config.document.owner()
        {
            return;
        }
        let mut former = self.former(&did);
        self.make_fit(&mut former);
        self.intend(Intent::RemoveEditor(former));
        self.document_changed(now);
    }

    /// A record can hold only so much about former editors. Where it grew too long to be read back, newcomers see some text
    /// again that this editor had deleted; nothing they wrote later gets in either way.
    fn make_fit(&self, former: &mut FormerEditor) {
        let intended = self.charter.with(&Intent::RemoveEditor(former.clone()));
        if intended.is_some_and(|record| record.check().is_err()) {
            tracing::warn!(did = %former.did, "too many deletions to name: the removal accepts none of them");
            for replica in &mut former.replicas {
                replica.deletes = Extent::default().deletes();
            }
        }
    }

    pub(super) fn stalled(&self) -> Option<Stalled> {
        let mine = self.outbox.waiting() > 0;
        if mine && self.config.account.is_some() && !self.role().can_write() {
            return Some(Stalled::NoLongerEditor);
        }
        self.outbox.stalled().cloned()
    }
}
