//! Opening, the person's own edits, the device's store, and the passing of time.

use std::{collections::BTreeMap, time::Duration};

use sheaf_repo::{
    car::{self, CarLimits},
    did::Did,
};

use super::{
    Effect, Mark, Presence, Replica, ReplicaConfig, StoreOp,
    carry::ToCarry,
    evidence::{Evidence, Limits},
    live::Live,
    marks::Marks,
    provisional::Provisional,
    snapshot::Carrying,
    store_keys,
    storing::{Matter, Storing},
};
use crate::{
    awareness::{OwnAwareness, PresenceTable},
    budget::WriteBudget,
    client_id::{ClientId, ReplicaId},
    document::{Bias, Document, LocalChange, WaitingRoom},
    editors::{Charter, Intent, IntentKey},
    live::Session,
    outbox::Outbox,
    record::{self, DocumentRecord},
    segment::{self, SegmentLog},
    text::{Splice, Utf16Offset, inverse, utf16_len},
    time::Timestamp,
};

/// Without a live doorbell every repo is looked at this often.
const POLL: Duration = Duration::from_secs(5);
/// With one, this often all the same: a doorbell may be silently deaf.
const POLL_BEHIND_DOORBELL: Duration = Duration::from_secs(90);
/// A paste is cut into edits of at most this many UTF-16 units, so that each fits a record with room to spare.
const MAX_EDIT_UNITS: usize = 8 * 1024;

/// What this device has stored of its own accord; hashed all the same.
const PROOF_LIMITS: CarLimits =
    CarLimits { max_bytes: 16 * 1024 * 1024, max_blocks: 50_000, max_block_bytes: 1024 * 1024 };

impl Replica {
    /// Opens a document with everything the store holds under [`Replica::store_prefixes`]. The text is there at once; the
    /// effects go and look for more.
    pub fn open(
        config: ReplicaConfig,
        stored: Vec<(String, Vec<u8>)>,
        now: Timestamp,
    ) -> (Replica, Vec<Effect>) {
        let mut replica = Replica::empty(config, now);
        replica.load(stored, now);
        replica.begin(now)
    }

    /// A new document of the signed-in account. It needs no network: it is published as soon as there is one.
    pub fn create(
        config: ReplicaConfig,
        title: &str,
        stored: Vec<(String, Vec<u8>)>,
        now: Timestamp,
    ) -> (Replica, Vec<Effect>) {
        let mut replica = Replica::empty(config, now);
        replica.load(stored, now);
        replica.found = Presence::Here;
        replica.intend(Intent::Create { title: record::clean_title(title), at: now });
        replica.begin(now)
    }

    /// Goes and looks for what there is, now that everything the device knows is in.
    fn begin(mut self, now: Timestamp) -> (Replica, Vec<Effect>) {
        self.follow_editors(now);
        self.look_again(now);
        self.schedule_poll(now);
        // Presence comes with the first event or tick: until then a face can say that there is nobody to announce.
        self.publish_changes(now);
        self.refresh();
        let effects = std::mem::take(&mut self.effects);
        (self, effects)
    }

    pub(super) fn empty(config: ReplicaConfig, now: Timestamp) -> Replica {
        let uri = config.document.to_string();
        // Someone who only reads needs a client id too, but never writes under it.
        let author = config.account.as_ref().unwrap_or(config.document.owner());
        let client = ClientId::derive(author.as_str(), &uri, &config.replica);
        Replica {
            document: Document::new(client),
            waiting: WaitingRoom::default(),
            turned_away: Vec::new(),
            charter: Charter::default(),
            found: Presence::Looking,
            views: BTreeMap::new(),
            carriers: Default::default(),
            evidence: Evidence::default(),
            limits: Limits::default(),
            neighbours: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            provisional: Provisional::default(),
            to_carry: ToCarry::default(),
            live: Live::new(&config, now),
            people: PresenceTable::default(),
            own: OwnAwareness::new(now),
            outbox: Outbox::new(config.replica.clone(), config.seed),
            budget: WriteBudget::new(config.replica.clone()),
            storing: Storing::default(),
            marks: Marks::default(),
            selection: None,
            online: true,
            doorbell: None,
            doorbell_hosts: Vec::new(),
            own_rev: None,
            document_bytes: None,
            carrying: Carrying::default(),
            fold: None,
            own_repo_seen: false,
            poll_at: None,
            listening: Default::default(),
            damaged: None,
            latest: now,
            ids: 0,
            effects: Vec::new(),
            config,
        }
    }

    fn load(&mut self, stored: Vec<(String, Vec<u8>)>, now: Timestamp) {
        let prefix = store_keys::document_prefix(&self.config.document);
        let budget_prefix = self.config.account.as_ref().map(store_keys::budget_prefix);
        let mut budgets = Vec::new();
        let mut own: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
        let mut segments = Vec::new();
        let mut proofs = Vec::new();
        let mut deleted = false;
        for (key, value) in stored {
            if budget_prefix.as_ref().is_some_and(|prefix| key.starts_with(prefix.as_str())) {
                budgets.push(value);
                continue;
            }
            let Some(rest) = key.strip_prefix(&prefix) else { continue };
            match store_keys::parse(rest) {
                Some(store_keys::Key::Document) => self.load_document(&value),
                Some(store_keys::Key::Deleted) => deleted = true,
                Some(store_keys::Key::Intent { replica, n }) => self.load_intent(replica, n, &value),
                Some(store_keys::Key::Repo(did)) => {
                    if let Ok(did) = did.parse::<Did>() {
                        self.view(&did).restore(&value);
                    }
                }
                Some(store_keys::Key::Proof(did)) => proofs.push((did.to_owned(), value)),
                Some(store_keys::Key::Segment { did, rkey, cid }) => {
                    segments.push((did.to_owned(), rkey.to_owned(), cid.to_owned(), value));
                }
                Some(store_keys::Key::Own { replica, suffix }) => {
                    own.entry(replica.to_owned()).or_default().push((suffix.to_owned(), value));
                }
                Some(store_keys::Key::Mark(view)) => self.marks.restore(view, &value),
                Some(store_keys::Key::Session) => {
                    if let Some(session) = Session::restore(&self.config.document, value) {
                        self.live.sessions.add(session);
                    }
                }
                Some(store_keys::Key::Live { did, replica, n }) => self.load_live(did, replica, n, &value),
                None => tracing::warn!(key, "an unknown key in the store is left alone"),
            }
        }
        self.budget = WriteBudget::load(now, &self.config.replica, budgets.iter().map(Vec::as_slice));
        for (did, rkey, cid, bytes) in segments {
            self.load_segment(&did, &rkey, &cid, &bytes);
        }
        for (did, car) in proofs {
            let view = did.parse::<Did>().ok().and_then(|did| self.views.get_mut(&did));
            if let (Some(view), Ok(car)) = (view, car::parse(&car, &PROOF_LIMITS)) {
                view.restore_proof(car.blocks);
            }
        }
        if deleted {
            self.found = Presence::Deleted;
        }
        self.forget_what_is_not_here();
        self.load_carried();
        self.load_own(own);
        self.limits = Limits::of(self.charter.current());
        self.weave();
    }

    /// A change of the owner's that was made here or that nobody else here looks after.
    fn load_intent(&mut self, replica: &str, n: u64, value: &[u8]) {
        let Ok(replica) = replica.parse::<ReplicaId>() else { return };
        if replica != self.config.replica && !self.config.adopt.contains(&replica) {
            return;
        }
        if let Ok(intent) = serde_json::from_slice::<Intent>(value) {
            self.charter.restore(IntentKey { replica, n }, intent);
            self.found = Presence::Here;
        }
    }

    /// A view may know of records that are not in the store, or can no longer be read: they are to be fetched again.
    fn forget_what_is_not_here(&mut self) {
        let document = self.config.document.document_path();
        let verified = self.charter.verified().map(|(_, cid)| *cid);
        for (did, view) in &mut self.views {
            view.forget(|path, cid| match path.split_once('/') {
                Some((record::SEGMENT, rkey)) => {
                    rkey.parse().is_ok_and(|key| self.evidence.segment(did, &key, cid).is_some())
                }
                _ => path != document || verified == Some(*cid),
            });
        }
    }

    /// What this device's replicas have written and not sealed yet: the text needs it, and what is unpublished goes out.
    fn load_own(&mut self, own: BTreeMap<String, Vec<(String, Vec<u8>)>>) {
        let Some(account) = self.config.account.clone() else { return };
        for (name, stored) in own {
            let Ok(replica) = name.parse::<ReplicaId>() else { continue };
            let log = match SegmentLog::load(replica.clone(), stored) {
                Ok(log) => log,
                Err(why) => {
                    tracing::error!(%replica, %why, "changes kept on this device cannot be read");
                    if replica == self.config.replica {
                        self.damaged = Some(format!("changes kept on this device cannot be read ({why})"));
                    }
                    continue;
                }
            };
            if replica == self.config.replica || self.config.adopt.contains(&replica) {
                self.outbox.restore(log);
            } else {
                let entries = log.published_entries().iter().chain(log.waiting_entries());
                let updates = self.vet_own_entries(&account, &replica, entries);
                self.neighbours.insert(replica, updates);
            }
        }
    }

    /// An update that its author has only said live.
    fn load_live(&mut self, did: &str, replica: &str, n: u64, value: &[u8]) {
        let (Ok(did), Ok(replica)) = (did.parse::<Did>(), replica.parse::<ReplicaId>()) else { return };
        let client = ClientId::derive(did.as_str(), &self.config.document.to_string(), &replica);
        if let Err(why) = self.provisional.restore(&did, &replica, client, n, value) {
            tracing::warn!(%did, %replica, why, "what somebody said live is unreadable: their repo will tell");
        }
    }

    fn load_document(&mut self, bytes: &[u8]) {
        match DocumentRecord::parse(bytes) {
            Ok(record) => {
                let cid = sheaf_repo::cid::of_record(bytes);
                self.document_bytes = Some(bytes.to_vec());
                self.accept_document(record, cid);
            }
            Err(why) => {
                tracing::warn!(%why, "the stored document record is unreadable and will be fetched anew")
            }
        }
    }

    // --- the person ---

    pub(super) fn edit(&mut self, now: Timestamp, splices: &[Splice], mark: Option<Mark>) {
        if !self.can_edit() {
            tracing::debug!("an edit by somebody who may not write is not taken");
            self.take_back(splices);
            return;
        }
        // A paste may be larger than a record: it becomes several edits that land one after another.
        let pieces: Vec<Splice> = splices.iter().flat_map(split).collect();
        let mut kept = Kept::default();
        let mut refused = None;
        for (n, piece) in pieces.iter().enumerate() {
            match self.document.edit(now, std::slice::from_ref(piece)) {
                Ok(change) => self.log(now, &change, &mut kept),
                Err(why) => {
                    tracing::warn!(%why, "an edit is not taken");
                    refused = Some(n);
                    break;
                }
            }
        }
        if let Some(mark) = mark
            && kept.entries > 0
        {
            kept.ops.extend(self.marks.set(&self.config.document, mark));
        }
        self.keep(now, kept);
        if let Some(n) = refused {
            self.take_back(&pieces[n..]);
        }
    }

    fn can_edit(&self) -> bool {
        self.role().can_write() && matches!(self.found, Presence::Here | Presence::Deleted)
    }

    /// The view has made these edits already, and the text does not take them: the view takes them back.
    fn take_back(&mut self, splices: &[Splice]) {
        match inverse(&self.document.text(), splices) {
            Ok(back) => {
                self.show(back);
                let written: String = splices.iter().map(|splice| splice.insert.as_str()).collect();
                if !written.is_empty() {
                    self.effects.push(Effect::NotTaken(written));
                }
            }
            Err(why) => tracing::error!(%why, "the view and the replica disagree about the text"),
        }
        self.refresh();
    }

    pub(super) fn undo(&mut self, now: Timestamp) {
        if !self.can_edit() {
            return;
        }
        if let Some(change) = self.document.undo() {
            self.show(change.splices.clone());
            let mut kept = Kept::default();
            self.log(now, &change, &mut kept);
            self.keep(now, kept);
        }
    }

    pub(super) fn redo(&mut self, now: Timestamp) {
        if !self.can_edit() {
            return;
        }
        if let Some(change) = self.document.redo() {
            self.show(change.splices.clone());
            let mut kept = Kept::default();
            self.log(now, &change, &mut kept);
            self.keep(now, kept);
        }
    }

    /// Writes an own change into this replica's log.
    fn log(&mut self, now: Timestamp, change: &LocalChange, kept: &mut Kept) {
        let Replica { config, outbox, .. } = self;
        for piece in change.updates.iter().flat_map(|update| update.split(segment::MAX_UPDATE)) {
            for (suffix, value) in outbox.append(now, piece.bytes()) {
                kept.ops.push(store_op(store_keys::own(&config.document, &config.replica, &suffix), value));
            }
            kept.entries += 1;
        }
    }

    /// An own change is durable first, then everything else. All of it at once: of a change that may be offered again, a
    /// part must never be there alone.
    fn keep(&mut self, now: Timestamp, kept: Kept) {
        self.own.edited(now);
        let edits = BTreeMap::from([(self.config.replica.clone(), kept.entries)]);
        self.persist(kept.ops, Matter { edits, intent: None });
    }

    pub(super) fn select(&mut self, now: Timestamp, anchor: Utf16Offset, head: Utf16Offset) {
        let selection =
            (self.document.sticky(anchor, Bias::Before), self.document.sticky(head, Bias::Before));
        // What others write moves the offsets and not the place.
        if self.selection.as_ref() != Some(&selection) {
            self.selection = Some(selection);
            if !self.own.moved(now) {
                self.caret_moved(now);
            }
        }
    }

    pub(super) fn intend(&mut self, intent: Intent) {
        let value = serde_json::to_vec(&intent).expect("an intent is strings and numbers");
        let (number, key) = self.charter.intend(&self.config.replica, intent);
        let key = store_keys::intent(&self.config.document, &key);
        let matter = Matter { intent: Some(number), ..Matter::default() };
        self.persist(vec![StoreOp::Put { key, value }], matter);
        self.refresh();
    }

    pub(super) fn close(&mut self, now: Timestamp) {
        self.own.leave(now);
        self.outbox.hurry();
        self.store_soon();
    }

    // --- the world ---

    /// Whatever was to happen at a time of the old clock would be hours late: it happens soon instead.
    pub(super) fn clock_was_set_back(&mut self, now: Timestamp) {
        tracing::info!("the device's clock was set back");
        self.outbox.clock_was_set_back(now);
        self.storing.clock_was_set_back(now);
        self.live_clock_was_set_back(now);
        self.views.values_mut().for_each(|view| view.clock_was_set_back(now));
        self.schedule_poll(now);
    }

    pub(super) fn set_online(&mut self, now: Timestamp, online: bool) {
        let back = online && !self.online;
        self.online = online;
        if back {
            self.outbox.network_is_back();
            self.look_again(now);
            self.dial_again(now);
        }
        self.refresh();
    }

    pub(super) fn doorbells(
        &mut self,
        now: Timestamp,
        connected: Option<super::DoorbellKind>,
        hosts: Vec<String>,
    ) {
        let newly = connected.is_some() && self.doorbell.is_none();
        self.doorbell = connected;
        self.doorbell_hosts = hosts;
        if newly {
            // Whatever rang while nobody listened was missed: look once.
            self.look_again(now);
        }
        self.schedule_poll(now);
        self.refresh();
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        self.store_what_is_due(now);
        self.live_tick(now);
        self.look_for_what_to_carry(now);
        let due: Vec<Did> = self
            .views
            .iter()
            .filter(|(_, v)| v.deadline().is_some_and(|at| at <= now))
            .map(|(d, _)| d.clone())
            .collect();
        for did in due {
            let outcome = self.views.get_mut(&did).map(|view| view.tick(now, &mut self.ids));
            self.take_outcome(now, &did, outcome.unwrap_or_default());
        }
        if self.poll_at.is_some_and(|at| at <= now) {
            if self.online {
                self.ring_all(now);
            }
            self.schedule_poll(now);
        }
        if self.people.expire(now) {
            self.refresh();
        }
    }

    fn schedule_poll(&mut self, now: Timestamp) {
        let every = if self.doorbell.is_some() { POLL_BEHIND_DOORBELL } else { POLL };
        self.poll_at = Some(now.saturating_add(every));
    }

    /// Looks at every repo now, whatever was put off.
    fn look_again(&mut self, now: Timestamp) {
        let all: Vec<Did> = self.views.keys().cloned().collect();
        for did in all {
            let outcome = self.views.get_mut(&did).map(|view| view.retry_now(now, &mut self.ids));
            self.take_outcome(now, &did, outcome.unwrap_or_default());
        }
    }

    fn ring_all(&mut self, now: Timestamp) {
        let all: Vec<Did> = self.views.keys().cloned().collect();
        for did in all {
            let outcome = self.views.get_mut(&did).map(|view| view.ring(now, None, &mut self.ids));
            self.take_outcome(now, &did, outcome.unwrap_or_default());
        }
    }
}

/// What is to be stored of an own change.
#[derive(Debug, Default)]
struct Kept {
    ops: Vec<StoreOp>,
    entries: u64,
}

pub(super) fn store_op(key: String, value: Option<Vec<u8>>) -> StoreOp {
    match value {
        Some(value) => StoreOp::Put { key, value },
        None => StoreOp::Delete { key },
    }
}

/// Cuts an insertion that is too large for one record, never between the halves of a surrogate pair.
fn split(splice: &Splice) -> Vec<Splice> {
    if splice.insert.len() <= MAX_EDIT_UNITS {
        return vec![splice.clone()];
    }
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut at = splice.at;
    let mut delete = splice.delete;
    let mut units = 0;
    for ch in splice.insert.chars() {
        if units + ch.len_utf16() > MAX_EDIT_UNITS {
            let insert = std::mem::take(&mut piece);
            let len = utf16_len(&insert);
            pieces.push(Splice { at, delete: std::mem::take(&mut delete), insert });
            at = Utf16Offset(at.0 + len);
            units = 0;
        }
        units += ch.len_utf16();
        piece.push(ch);
    }
    pieces.push(Splice { at, delete, insert: piece });
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_paste_is_cut_between_characters_and_loses_nothing() {
        let insert = "a😀e\u{301}".repeat(MAX_EDIT_UNITS);
        let splice = Splice { at: Utf16Offset(2), delete: 1, insert: insert.clone() };
        let mut text = "xyz!".to_owned();
        crate::text::apply_splices(&mut text, &split(&splice)).unwrap();
        assert_eq!(text, format!("xy{insert}!"));
    }
}
