//! The state machine for one open document on one device: events in, effects out.
//!
//! # The run loop
//!
//! Whoever drives a replica calls [`Replica::open`] with what the store holds, then forever: hand it every event with the
//! time, carry out the effects it returns in order, answer each, and hand it [`Event::Tick`] when [`Replica::deadline`] passes.
//! The one invariant to keep: **every [`Effect::Persist`], [`Effect::Resolve`], [`Effect::Fetch`] and [`Effect::Write`] is
//! answered by exactly one event**. Nothing else is asked of the driver; retries, back-off and quota are decided here.
//!
//! # What it promises
//!
//! * An edit leaves the device only after [`Event::Stored`] has said that it is durable.
//! * The text changes only by the person's own edits and by records proved to be in an editor's signed repo.
//! * Any order of events leads replicas that have seen the same records to the same text.

mod effect;
mod event;
mod lifecycle;
mod people;
mod publish;
mod receive;
mod status;
mod store_keys;

use std::collections::{BTreeMap, BTreeSet};

use sheaf_repo::{did::Did, tid::Tid};

pub use self::{
    effect::{
        Batch, BatchId, Effect, Fetch, FetchId, FetchWhat, Listening, MAX_BLOCKS_A_FETCH, StoreOp, Swap,
        Write, WriteAction, WriteId,
    },
    event::{
        Doorbell, DoorbellKind, Event, FetchFailure, Identity, RateLimits, ResolveFailure, WriteFailure,
        WriteReceipt,
    },
    status::{CaretAt, EditorStatus, Person, Presence, Role, Stalled, Status},
};
use crate::{
    awareness::{OwnAwareness, PresenceTable},
    budget::WriteBudget,
    client_id::ReplicaId,
    document::{Document, WaitingRoom},
    document_uri::DocumentUri,
    door::VettedUpdate,
    editors::Charter,
    outbox::Outbox,
    record::FormerEditor,
    repo_view::RepoView,
    text::{Splice, Utf16Offset},
    time::Timestamp,
};

/// Who opens what.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    /// The document.
    pub document: DocumentUri,
    /// The signed-in account; `None` reads without signing in.
    pub account: Option<Did>,
    /// This replica's name: nobody else may be using it at the same time.
    pub replica: ReplicaId,
    /// Replicas of this account on this device that nobody is using: what they left unpublished goes out too.
    pub adopt: Vec<ReplicaId>,
    /// What to call the person; shown to others.
    pub name: Option<String>,
    /// Spreads retries of many replicas; any number.
    pub seed: u64,
}

/// One open document on one device.
#[derive(Debug)]
pub struct Replica {
    config: ReplicaConfig,
    document: Document,
    /// Proved updates whose causes have not arrived yet.
    waiting: WaitingRoom,
    /// Proved updates for which that room had no place.
    turned_away: Vec<VettedUpdate>,
    charter: Charter,
    found: Presence,
    views: BTreeMap<Did, RepoView>,
    /// Verified segments in the store, by author and record key.
    stored: receive::StoredSegments,
    quarantined: BTreeMap<Did, BTreeMap<String, String>>,
    people: PresenceTable,
    own: OwnAwareness,
    outbox: Outbox,
    budget: WriteBudget,
    unstored: BTreeMap<BatchId, Unstored>,
    store_trouble: Option<String>,
    selection: Option<(Utf16Offset, Utf16Offset)>,
    online: bool,
    doorbell: Option<DoorbellKind>,
    /// The revision of our own last write: its bell tells us nothing new.
    own_rev: Option<Tid>,
    poll_at: Option<Timestamp>,
    listening: BTreeSet<Listening>,
    /// This replica's own log cannot be read: going on under its name would overwrite what it published.
    damaged: Option<String>,
    ids: u64,
    effects: Vec<Effect>,
}

/// A batch on its way to the store.
#[derive(Debug)]
struct Unstored {
    ops: Vec<StoreOp>,
    /// Own edits it makes durable, by replica.
    edits: BTreeMap<ReplicaId, u64>,
    retry_at: Option<Timestamp>,
}

impl Replica {
    /// The prefixes of everything [`Replica::open`] wants to be given from the store.
    pub fn store_prefixes(config: &ReplicaConfig) -> Vec<String> {
        let mut prefixes = vec![store_keys::document_prefix(&config.document)];
        prefixes.extend(config.account.as_ref().map(store_keys::budget_prefix));
        prefixes
    }

    /// Takes one event in and gives back what is to be done about it, in order.
    #[must_use = "the effects are to be carried out"]
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        self.budget.settle(now);
        match event {
            Event::Edit(splices) => self.edit(now, &splices),
            Event::Undo => self.undo(now),
            Event::Redo => self.redo(now),
            Event::Select { anchor, head } => self.select(now, anchor, head),
            Event::Hidden(hidden) => self.own.set_hidden(now, hidden),
            Event::SetTitle(title) => self.set_title(now, &title),
            Event::AddEditor(did) => self.add_editor(now, did),
            Event::RemoveEditor(did) => self.remove_editor(now, did),
            Event::FlushNow => self.outbox.hurry(),
            Event::Close => self.close(now),
            Event::Stored(batch) => self.stored(now, batch),
            Event::StoreFailed { batch, reason } => self.store_failed(now, batch, reason),
            Event::Online(online) => self.set_online(now, online),
            Event::Session(usable) => self.outbox.set_session(usable),
            Event::Resolved { did, result } => self.resolved(now, &did, result),
            Event::Fetched { fetch, result } => self.fetched(now, fetch, &result),
            Event::Written { write, result, limits } => self.written(now, write, result, limits),
            Event::Doorbell(bell) => self.rung(now, &bell),
            Event::Doorbells { connected } => self.doorbells(now, connected),
            Event::Tick => self.tick(now),
        }
        self.publish(now);
        std::mem::take(&mut self.effects)
    }

    /// When to hand in [`Event::Tick`] unless another event comes first.
    pub fn deadline(&self) -> Option<Timestamp> {
        let views = self.views.values().filter_map(RepoView::deadline);
        let stores = self.unstored.values().filter_map(|batch| batch.retry_at);
        views
            .chain(stores)
            .chain(self.poll_at)
            .chain(self.people.deadline())
            .chain(self.publish_deadline())
            .min()
    }

    /// The text as it is now.
    pub fn text(&self) -> String {
        self.document.text()
    }

    /// What the document is called, the owner's unpublished change included.
    pub fn title(&self) -> String {
        self.charter.current().map(|record| record.title).unwrap_or_default()
    }

    /// Who may write, the owner first.
    pub fn editors(&self) -> Vec<Did> {
        let mut editors = vec![self.config.document.owner().clone()];
        editors.extend(self.charter.current().into_iter().flat_map(|record| record.editors));
        editors
    }

    /// What the signed-in account may do.
    pub fn role(&self) -> Role {
        let Some(account) = &self.config.account else { return Role::Reader };
        if self.damaged.is_some() {
            return Role::Reader;
        }
        if matches!(self.found, Presence::NotFound | Presence::UnknownFormat(_)) {
            return Role::Reader;
        }
        if account == self.config.document.owner() {
            return Role::Owner;
        }
        match self.charter.current() {
            Some(record) if record.editors.contains(account) => Role::Editor,
            _ => Role::Reader,
        }
    }

    /// Whether there is an own edit to take back.
    pub fn can_undo(&self) -> bool {
        self.document.can_undo()
    }

    /// Whether there is an undone edit to bring back.
    pub fn can_redo(&self) -> bool {
        self.document.can_redo()
    }

    /// What is open and who opens it.
    pub fn config(&self) -> &ReplicaConfig {
        &self.config
    }

    fn show(&mut self, splices: Vec<Splice>) {
        if !splices.is_empty() {
            self.effects.push(Effect::Show(splices));
        }
    }

    fn refresh(&mut self) {
        if !matches!(self.effects.last(), Some(Effect::Refresh)) {
            self.effects.push(Effect::Refresh);
        }
    }

    /// What the removal of an editor accepts of them: everything this replica has applied.
    fn former(&self, did: &Did) -> FormerEditor {
        receive::former(did, &self.stored)
    }
}
