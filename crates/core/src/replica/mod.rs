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
//! * The text changes only by the person's own edits, by records proved to be in an editor's signed repo, and by what an
//!   editor has signed on the live channel with a key that their repo names. The last is provisional: what their repo says counts.
//! * Any order of events leads replicas that have seen the same records to the same text.

mod archive;
mod audit;
mod carry;
mod effect;
mod event;
mod evidence;
mod fold;
mod history;
mod left_behind;
mod lifecycle;
mod live;
mod marks;
mod people;
mod provisional;
mod publish;
mod put_back;
mod receive;
mod set_back;
mod snapshot;
mod status;
mod store_keys;
mod storing;
mod weave;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use sheaf_repo::{did::Did, tid::Tid};

pub use self::{
    archive::ToArchive,
    audit::{Audit, EditorAudit, SegmentAudit},
    effect::{
        Batch, BatchId, Effect, Fetch, FetchId, FetchWhat, Listening, MAX_BLOCKS_A_FETCH, StoreOp, Swap,
        Write, WriteAction, WriteId,
    },
    event::{
        Doorbell, DoorbellKind, Event, FetchFailure, Identity, Mark, RateLimits, ResolveFailure,
        WriteFailure, WriteReceipt,
    },
    left_behind::{LeftBehind, Leftover},
    live::{LiveStatus, Reading},
    status::{CaretAt, EditorStatus, Person, Presence, Role, Stalled, Status},
};
use self::{
    carry::ToCarry,
    evidence::{Evidence, Limits},
    fold::FoldPlan,
    live::Live,
    marks::Marks,
    provisional::Provisional,
    snapshot::Carrying,
    storing::Storing,
};
use crate::{
    awareness::{OwnAwareness, PresenceTable},
    budget::WriteBudget,
    client_id::ReplicaId,
    document::{Document, Sticky, WaitingRoom},
    document_link::{DocumentLink, MAX_VIA},
    document_uri::DocumentUri,
    door::VettedUpdate,
    editors::Charter,
    outbox::Outbox,
    repo_view::RepoView,
    text::Splice,
    time::Timestamp,
};

/// Who opens what.
#[derive(Clone)]
pub struct ReplicaConfig {
    /// The document.
    pub document: DocumentUri,
    /// The signed-in account; `None` reads without signing in.
    pub account: Option<Did>,
    /// This replica's name: nobody else may be using it at the same time.
    pub replica: ReplicaId,
    /// Replicas of this account on this device that nobody is using: what they left unpublished goes out too.
    pub adopt: Vec<ReplicaId>,
    /// Who may carry the document, should its owner's repo not tell: [`crate::document_link`].
    pub via: Vec<Did>,
    /// The secret of the session key with which this replica signs on the live channel: 32 random bytes, the same for as long as
    /// the replica goes by its name. `None` takes no part in it.
    pub session: Option<[u8; 32]>,
    /// What to call the person; shown to others.
    pub name: Option<String>,
    /// Spreads retries of many replicas; any number.
    pub seed: u64,
}

impl fmt::Debug for ReplicaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the secret.
        f.debug_struct("ReplicaConfig")
            .field("document", &self.document)
            .field("account", &self.account)
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
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
    /// Those among them that are asked for nothing but what they carry.
    carriers: BTreeSet<Did>,
    /// The verified segments that the text is made of, as the store has them.
    evidence: Evidence,
    /// How much of former editors' segments counts.
    limits: Limits,
    /// What other replicas of this account on this device had not sealed when this one was opened, and when it was made.
    neighbours: BTreeMap<ReplicaId, Vec<(Timestamp, VettedUpdate)>>,
    quarantined: BTreeMap<Did, BTreeMap<String, String>>,
    /// What others have only said live.
    provisional: Provisional,
    to_carry: ToCarry,
    live: Live,
    people: PresenceTable,
    own: OwnAwareness,
    outbox: Outbox,
    budget: WriteBudget,
    /// Changes on their way to the store, and those that wait for them.
    storing: Storing,
    /// Which changes of which views are in the text.
    marks: Marks,
    /// Where the person's selection began and where the caret is.
    selection: Option<(Sticky, Sticky)>,
    online: bool,
    doorbell: Option<DoorbellKind>,
    doorbell_hosts: Vec<String>,
    /// The revision of our own last write: its bell tells us nothing new.
    own_rev: Option<Tid>,
    /// The owner's record, byte for byte as verified.
    document_bytes: Option<Vec<u8>>,
    carrying: Carrying,
    /// Own segments that are worth folding, or one that is to be put back.
    fold: Option<FoldPlan>,
    /// Whether one's own repo has been looked at since this was opened.
    own_repo_seen: bool,
    poll_at: Option<Timestamp>,
    listening: BTreeSet<Listening>,
    /// This replica's own log cannot be read: going on under its name would overwrite what it published.
    damaged: Option<String>,
    /// The time of the last event.
    latest: Timestamp,
    ids: u64,
    effects: Vec<Effect>,
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
        if now < self.latest {
            self.clock_was_set_back(now);
        }
        self.latest = now;
        self.budget.settle(now);
        match event {
            Event::Edit(splices) => self.edit(now, &splices, None),
            Event::Restore(splices) => {
                self.document.break_undo_group();
                self.edit(now, &splices, None);
                self.document.break_undo_group();
            }
            Event::EditOnce { splices, mark } => self.edit(now, &splices, Some(mark)),
            Event::Undo => self.undo(now),
            Event::Redo => self.redo(now),
            Event::Select { anchor, head } => self.select(now, anchor, head),
            Event::Hidden(hidden) => self.own.set_hidden(now, hidden),
            Event::SetTitle(title) => self.set_title(now, &title),
            Event::AddEditor(did) => self.add_editor(now, did),
            Event::RemoveEditor(did) => self.remove_editor(now, did),
            Event::FlushNow => self.outbox.hurry(),
            Event::Close => self.close(now),
            Event::Stored(batch) => self.stored(batch),
            Event::StoreFailed { batch, reason } => self.store_failed(now, batch, reason),
            Event::Online(online) => self.set_online(now, online),
            Event::Session(usable) => self.outbox.set_session(usable),
            Event::Resolved { did, result } => self.resolved(now, &did, result),
            Event::Fetched { fetch, result } => self.fetched(now, fetch, &result),
            Event::Written { write, result, limits } => self.written(now, write, result, limits),
            Event::Doorbell(bell) => self.rung(now, &bell),
            Event::Doorbells { connected, hosts } => self.doorbells(now, connected, hosts),
            Event::Live(event) => self.live_happened(now, event),
            Event::Tick => self.tick(now),
        }
        self.live.everyone = self.everyone_is_live();
        self.own.set_quiet(self.live.everyone);
        self.publish(now);
        std::mem::take(&mut self.effects)
    }

    /// When to hand in [`Event::Tick`] unless another event comes first.
    pub fn deadline(&self) -> Option<Timestamp> {
        let views = self.views.values().filter_map(RepoView::deadline);
        views
            .chain(self.storing.deadline())
            .chain(self.poll_at)
            .chain(self.people.deadline())
            .chain(self.live_deadline())
            .chain(self.publish_deadline())
            .min()
    }

    /// For each repo the newest revision that is known to matter here: a walk found something new at it, or it is one's own
    /// write. Whoever listens to a live doorbell should have heard of these.
    pub fn revisions(&self) -> impl Iterator<Item = (&Did, &Tid)> {
        self.views.iter().filter_map(|(did, view)| {
            let own = self.own_rev.as_ref().filter(|_| self.config.account.as_ref() == Some(did));
            Some((did, view.changed_at().max(own)?))
        })
    }

    /// The text as it is now.
    pub fn text(&self) -> String {
        self.document.text()
    }

    /// The document as one Yjs update (v1), in a text named `text`: for other programs to go on with.
    pub fn to_yjs(&self) -> Vec<u8> {
        self.document.encode_state()
    }

    /// What the document is called, the owner's unpublished change included.
    pub fn title(&self) -> String {
        self.charter.current().map(|record| record.title.clone()).unwrap_or_default()
    }

    /// Who may write, the owner first.
    pub fn editors(&self) -> Vec<Did> {
        let mut editors = vec![self.config.document.owner().clone()];
        editors.extend(self.charter.current().into_iter().flat_map(|record| record.editors.iter().cloned()));
        editors
    }

    /// Whether this account may write.
    fn is_editor(&self, did: &Did) -> bool {
        did == self.config.document.owner()
            || self.charter.current().is_some_and(|record| record.editors.contains(did))
    }

    /// Whether this account once might, and may not any more.
    fn is_former(&self, did: &Did) -> bool {
        self.charter.current().is_some_and(|record| record.former.iter().any(|former| former.did == *did))
    }

    /// The link to pass on. It names editors besides the owner, this account first: they carry what the owner may not be able
    /// to show some day.
    pub fn link(&self) -> DocumentLink {
        let mut via: Vec<Did> = self.editors().split_off(1);
        via.sort_by_key(|did| self.config.account.as_ref() != Some(did));
        via.truncate(MAX_VIA);
        DocumentLink { document: self.config.document.clone(), via }
    }

    /// What the signed-in account may do.
    pub fn role(&self) -> Role {
        let Some(account) = &self.config.account else { return Role::Reader };
        if self.damaged.is_some() || self.own_text_waits() {
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

    /// How many own edits were made since this was opened, and how many of them are durable: always the first ones.
    pub fn edits(&self) -> (u64, u64) {
        self.storing.edits_so_far()
    }

    /// The last change of this view that is in the text, by its number.
    pub fn mark_of(&self, view: &str) -> Option<u32> {
        self.marks.number(view)
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
}
