//! Sending: which of the things that wait goes out now, within the write budget.
//!
//! One write at a time, in order of weight: the owner's document record (membership never yields), then segments at the
//! pace of the flush window, then presence.

use std::time::Duration;

use sheaf_repo::did::Did;

use super::{
    Effect, Presence, RateLimits, Replica, Role, Stalled, StoreOp, Swap, Write, WriteAction, WriteFailure,
    WriteId, WriteReceipt, lifecycle::store_op, store_keys, storing::Matter,
};
use crate::{
    budget::{PUT_POINTS, Priority},
    client_id::ReplicaId,
    editors::Intent,
    outbox::Cargo,
    record::{self, AwarenessRecord, Caret, SegmentRecord},
    segment::SegmentPlan,
    time::Timestamp,
};

/// How long a flush may take while everyone who is here gets what is written at once: so long,
const RELAXED: Duration = Duration::from_secs(4);
/// or so long for each of them where there are many, for each flush has each of them read the repo,
const RELAXED_EACH: Duration = Duration::from_secs(1);
/// and never longer.
const RELAXED_AT_MOST: Duration = Duration::from_secs(20);

impl Replica {
    /// Sends the next thing if it may go now.
    pub(super) fn publish(&mut self, now: Timestamp) {
        self.publish_changes(now);
        if !self.online || self.outbox.may_write(now).is_err() {
            return;
        }
        let Some(account) = self.config.account.clone() else { return };
        if !self.is_published() {
            return;
        }
        if !self.role().can_write() {
            // Others may have built on what a former editor had published: that is put back even so.
            if self.puts_back() {
                self.publish_fold(now, &account);
            }
        } else if !self.publish_awareness(now, &account) && !self.publish_fold(now, &account) {
            self.publish_snapshot(now, &account);
        }
    }

    /// Sends the next change if it may go now.
    pub(super) fn publish_changes(&mut self, now: Timestamp) {
        if !self.online || self.outbox.may_write(now).is_err() {
            return;
        }
        let Some(account) = self.config.account.clone() else { return };
        if self.role() == Role::Owner && self.publish_document(now, &account) {
            return;
        }
        if self.role().can_write() && self.is_published() {
            self.publish_segment(now, &account);
        }
    }

    /// When [`Replica::publish`] will have something to do.
    pub(super) fn publish_deadline(&self) -> Option<Timestamp> {
        let may_write = self.role().can_write();
        if !self.online || self.config.account.is_none() || !may_write && !self.puts_back() {
            return None;
        }
        let earliest = match self.outbox.may_write(Timestamp::from_micros(0)) {
            Ok(()) => Timestamp::from_micros(0),
            Err(Some(at)) => at,
            Err(None) => return None,
        };
        let text = match (self.is_published(), may_write) {
            (false, _) => [None; 4],
            (true, false) => [None, None, self.fold_due(), None],
            (true, true) => [self.segment_due(), self.awareness_due(), self.fold_due(), self.snapshot_due()],
        };
        text.into_iter().chain([self.document_due()]).flatten().map(|at| at.max(earliest)).min()
    }

    /// Segments and presence of a document that its owner's repo does not hold would hang in the air.
    fn is_published(&self) -> bool {
        self.charter.verified().is_some() && self.found != Presence::Deleted
    }

    fn document_due(&self) -> Option<Timestamp> {
        if self.role() != Role::Owner || self.found == Presence::Deleted {
            return None;
        }
        self.charter.sendable()?;
        let at = self.outbox.document_at(self.budget.interval(PUT_POINTS));
        Some(self.budget.allowed_at(PUT_POINTS, Priority::Membership).map_or(at, |allowed| at.max(allowed)))
    }

    fn segment_due(&self) -> Option<Timestamp> {
        let flush_at = if self.live.everyone && !self.own.is_hidden() {
            self.relaxed_flush_at()
        } else {
            self.outbox.flush_at(self.budget.interval(PUT_POINTS))
        };
        let at = match self.carrying_due() {
            Some(due) => flush_at.map_or(due, |at| at.min(due)),
            None => flush_at?,
        };
        Some(self.budget.allowed_at(PUT_POINTS, Priority::Segment).map_or(at, |allowed| at.max(allowed)))
    }

    /// When to flush what is on everyone's disk already.
    fn relaxed_flush_at(&self) -> Option<Timestamp> {
        let people = u32::try_from(self.people.iter().count()).unwrap_or(u32::MAX);
        let relaxed = RELAXED_EACH.saturating_mul(people).clamp(RELAXED, RELAXED_AT_MOST);
        let at = self.outbox.flush_at(relaxed.max(self.budget.interval(PUT_POINTS)))?;
        // Many who begin to write at one time do not all publish at one time.
        let after = (relaxed - RELAXED) * (self.config.seed % 1_024) as u32 / 1_024;
        let since =
            self.outbox.waiting_since().filter(|since| !self.outbox.hurries() && *since <= self.latest);
        Some(since.map_or(at, |since| at.max(since.saturating_add(after))))
    }

    fn publish_document(&mut self, now: Timestamp, account: &Did) -> bool {
        if self.charter.is_carried_out() {
            self.forget_intents(u64::MAX, Vec::new());
        }
        match self.document_due() {
            Some(at) if at <= now => {}
            _ => return false,
        }
        let Some((document, based_on, upto)) = self.charter.plan() else { return false };
        let swap = Some(based_on.map_or(Swap::Absent, Swap::Cid));
        let rkey = self.config.document.rkey().to_string();
        let json = document.to_json();
        let cargo = Cargo::Document { upto, record: Box::new(document) };
        self.put(now, account, cargo, record::DOCUMENT, rkey, json, swap);
        true
    }

    /// Presence waits a little for the live channel, so that one announcement tells of both.
    fn awareness_due(&self) -> Option<Timestamp> {
        let at = self.own.deadline(&self.budget)?;
        Some(self.live.holds_presence().map_or(at, |until| at.max(until)))
    }

    fn publish_segment(&mut self, now: Timestamp, account: &Did) -> bool {
        match self.segment_due() {
            Some(at) if at <= now => {}
            _ => return false,
        }
        let Some((replica, plan)) = self.outbox.next_segment().or_else(|| self.outbox.same_segment()) else {
            return false;
        };
        let carried = self.carried_along(account, &replica, &plan);
        let record = self.segment_record(&replica, &plan, carried.clone());
        let rkey = record.key().to_string();
        self.put(
            now,
            account,
            Cargo::Segment { replica, plan, carried },
            record::SEGMENT,
            rkey,
            record.to_json(),
            None,
        );
        true
    }

    fn publish_awareness(&mut self, now: Timestamp, account: &Did) -> bool {
        if self.live.holds_presence().is_some_and(|until| until > now) {
            return false;
        }
        let Some(expires_at) = self.own.due(now, &self.budget) else { return false };
        let caret = self.selection.map(|(anchor, head)| Caret { anchor, head });
        let record = AwarenessRecord {
            document: self.config.document.clone(),
            replica: self.config.replica.clone(),
            name: self.config.name.clone(),
            color: Some(record::Color::for_did(account)),
            caret,
            live: self.live.endpoint(now),
            expires_at,
        };
        let rkey = self.config.document.rkey().to_string();
        self.own.written(now);
        self.put(now, account, Cargo::Awareness, record::AWARENESS, rkey, record.to_json(), None);
        true
    }

    #[allow(clippy::too_many_arguments)] // everything a record and its place are made of
    fn put(
        &mut self,
        now: Timestamp,
        account: &Did,
        cargo: Cargo,
        collection: &'static str,
        rkey: String,
        record: serde_json::Value,
        swap: Option<Swap>,
    ) {
        self.send(now, account, cargo, PUT_POINTS, WriteAction::Put { collection, rkey, record, swap });
    }

    /// The one way out.
    pub(super) fn send(
        &mut self,
        now: Timestamp,
        account: &Did,
        cargo: Cargo,
        points: u32,
        action: WriteAction,
    ) {
        self.ids += 1;
        let id = WriteId(self.ids);
        // The server counts what it is asked, not what it answers.
        self.budget.spend(now, points);
        let key = store_keys::budget(account, &self.config.replica);
        self.persist(vec![store_op(key, Some(self.budget.encode()))], Default::default());
        self.outbox.sent(now, id, action.path(), cargo);
        self.effects.push(Effect::Write(Write { id, action }));
    }

    pub(super) fn written(
        &mut self,
        now: Timestamp,
        write: WriteId,
        result: Result<WriteReceipt, WriteFailure>,
        limits: Option<RateLimits>,
    ) {
        let Some((path, cargo)) = self.outbox.answered(write) else { return };
        if let Some(limits) = limits {
            self.budget.limits(now, &limits);
        }
        match result {
            Ok(receipt) => {
                self.outbox.succeeded(&cargo);
                self.own_rev = receipt.rev.clone().or(self.own_rev.take());
                let account = self.config.account.clone();
                let view = account.as_ref().and_then(|account| self.views.get_mut(account));
                let is_replaced = view
                    .zip(receipt.rev.clone())
                    .is_some_and(|(view, rev)| view.written(path, rev, receipt.cid.as_ref()));
                self.published(now, cargo, &receipt);
                if let Some(account) = account.filter(|_| is_replaced) {
                    let outcome =
                        self.views.get_mut(&account).map(|view| view.ring(now, None, &mut self.ids));
                    self.take_outcome(now, &account, outcome.unwrap_or_default());
                }
            }
            Err(failure) => {
                tracing::info!(%failure, "a write did not go through");
                if let WriteFailure::RateLimited { retry_after } = &failure {
                    self.budget.throttled(now, *retry_after);
                }
                self.outbox.failed(now, &failure, &cargo);
                if cargo == Cargo::Fold {
                    self.fold_failed(now);
                } else if cargo == Cargo::Snapshot {
                    self.snapshot_failed(now);
                } else if failure == WriteFailure::SwapMismatch {
                    // The record is not the one we know: look, then the intents apply to what is found.
                    let owner = self.config.document.owner().clone();
                    let outcome = self.views.get_mut(&owner).map(|view| view.ring(now, None, &mut self.ids));
                    self.take_outcome(now, &owner, outcome.unwrap_or_default());
                }
            }
        }
        self.refresh();
    }

    fn published(&mut self, now: Timestamp, cargo: Cargo, receipt: &WriteReceipt) {
        match cargo {
            Cargo::Document { upto, record } => {
                // What was written is what was planned; the view will verify it like everything else. Where the answer took so
                // long that the view has been there already, it knows better: others may have written since.
                let mut ops = Vec::new();
                let seen = self.views.get(self.config.document.owner()).and_then(|view| view.head());
                let was_seen =
                    receipt.rev.as_ref().is_some_and(|rev| seen.is_some_and(|seen| *rev <= seen.rev));
                if let Some(cid) = receipt.cid.filter(|_| !was_seen) {
                    let bytes = sheaf_repo::json::to_cbor(&record.to_json());
                    // In one batch with the intents it takes the place of: a restart without a network finds it there.
                    if let Some(value) = bytes.ok().filter(|bytes| sheaf_repo::cid::of_record(bytes) == cid) {
                        let key = store_keys::document_record(&self.config.document);
                        ops.push(StoreOp::Put { key, value });
                    }
                    self.accept_document(*record, cid);
                }
                self.forget_intents(upto, ops);
                self.document_changed(now);
            }
            Cargo::Segment { replica, plan, carried } => {
                let mut ops = Vec::new();
                if plan.sealed {
                    // The log forgets a sealed segment's entries: the record itself takes their place, in the same batch.
                    self.keep_own_segment(&replica, &plan, carried, &mut ops);
                }
                for (suffix, value) in self.outbox.segment_published(&replica, &plan) {
                    ops.push(store_op(store_keys::own(&self.config.document, &replica, &suffix), value));
                }
                self.persist(ops, Matter::default());
                if plan.sealed
                    && let Some(account) = self.config.account.clone()
                {
                    self.segment_was_sealed(now, &account);
                }
            }
            Cargo::Fold => self.folded(now),
            Cargo::Snapshot => self.snapshot_published(),
            Cargo::Awareness => {}
        }
    }

    fn segment_record(
        &self,
        replica: &ReplicaId,
        plan: &SegmentPlan,
        carried: Option<Vec<u8>>,
    ) -> SegmentRecord {
        SegmentRecord {
            document: self.config.document.clone(),
            replica: replica.clone(),
            seq: plan.seq,
            sealed: plan.sealed,
            through: None,
            entries: plan.entries.clone(),
            carried,
        }
    }

    fn keep_own_segment(
        &mut self,
        replica: &ReplicaId,
        plan: &SegmentPlan,
        carried: Option<Vec<u8>>,
        ops: &mut Vec<StoreOp>,
    ) {
        let Some(account) = self.config.account.clone() else { return };
        let record = self.segment_record(replica, plan, carried);
        let bytes =
            sheaf_repo::json::to_cbor(&record.to_json()).expect("our own record is valid atproto JSON");
        let cid = sheaf_repo::cid::of_record(&bytes);
        let rkey = record.key().to_string();
        match self.keep_segment(&account, &rkey, &cid, &bytes, ops) {
            // Nothing new, unless its author has been removed meanwhile: what is published counts as far as anybody's.
            Ok(kept) => self.show(kept.map(|kept| kept.shown).unwrap_or_default()),
            Err(why) => tracing::error!(rkey, why, "our own segment is refused by our own door"),
        }
    }

    fn forget_intents(&mut self, upto: u64, mut ops: Vec<StoreOp>) {
        let done = self.charter.carried_out(upto);
        let document = &self.config.document;
        ops.extend(done.iter().map(|key| store_op(store_keys::intent(document, key), None)));
        self.persist(ops, Matter::default());
    }

    /// Title or editors changed, by the owner's repo or by what is intended.
    pub(super) fn document_changed(&mut self, now: Timestamp) {
        self.limits_changed();
        self.follow_editors(now);
        self.live_editors_changed(now);
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
        let editors = self.editors();
        if self.role() == Role::Owner && !editors.contains(&did) && editors.len() <= record::MAX_EDITORS {
            self.intend(Intent::AddEditor(did));
            self.document_changed(now);
        }
    }

    /// Stops accepting anything of this editor beyond what is on this device's screen by now. What of that they have only said
    /// live is carried from here: they may not publish it any more.
    pub(super) fn remove_editor(&mut self, now: Timestamp, did: Did) {
        if self.role() != Role::Owner
            || !self.editors().contains(&did)
            || did == *self.config.document.owner()
        {
            return;
        }
        let theirs = self.provisional.iter().filter(|(author, ..)| **author == did);
        let said = theirs.map(|(_, replica, _, said)| (replica, &said.vetted));
        let former = self.evidence.former(&did, said);
        self.intend(Intent::RemoveEditor(former));
        self.document_changed(now);
        self.look_for_what_to_carry(now);
    }

    pub(super) fn stalled(&self) -> Option<Stalled> {
        if self.own_text_waits() {
            return Some(Stalled::TextMissing);
        }
        let mine = self.outbox.waiting() > 0;
        if mine && self.config.account.is_some() && !self.role().can_write() {
            return Some(Stalled::NoLongerEditor);
        }
        self.outbox.stalled().cloned()
    }
}
