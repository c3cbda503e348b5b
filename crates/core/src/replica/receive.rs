//! What the views prove comes in here: documents, presence, and segments through the door into the text.

use std::collections::{BTreeMap, BTreeSet};

use sheaf_repo::{cid::Cid, did::Did};

use super::{
    Doorbell, Effect, Fetch, FetchFailure, FetchId, Identity, Listening, Presence, Replica, ResolveFailure,
    StoreOp, store_keys,
};
use crate::{
    client_id::{ClientId, ReplicaId},
    document::Bias,
    document_uri::DocumentUri,
    door::{self, Allowed, VettedUpdate},
    extent::Extent,
    record::{self, AwarenessRecord, DocumentRecord, FormerEditor, FormerReplica, SegmentKey, SegmentRecord},
    repo_view::{Advance, Ask, Outcome, RepoView},
    segment,
    text::{Splice, Utf16Offset, utf16_len},
    time::Timestamp,
};

/// Verified segments that are in the store, with what each holds in one piece.
#[derive(Debug, Default)]
pub(super) struct StoredSegments(BTreeMap<(Did, String), BTreeMap<Cid, VettedSegment>>);

/// A segment that passed every check.
#[derive(Debug, Clone)]
pub(super) struct VettedSegment {
    replica: ReplicaId,
    /// When its author says they made its last entry.
    made: Timestamp,
    updates: Vec<VettedUpdate>,
}

/// What came of a segment that belongs to the document.
pub(super) struct Kept {
    replica: ReplicaId,
    made: Timestamp,
    /// What the text went through.
    shown: Vec<Splice>,
}

impl Replica {
    // --- answers and bells ---

    pub(super) fn resolved(&mut self, now: Timestamp, did: &Did, result: Result<Identity, ResolveFailure>) {
        let Some(view) = self.views.get_mut(did) else { return };
        let outcome = view.resolved(now, result, &mut self.ids);
        self.take_outcome(now, did, outcome);
        self.listen();
        self.refresh();
    }

    pub(super) fn fetched(&mut self, now: Timestamp, fetch: FetchId, result: &Result<Vec<u8>, FetchFailure>) {
        let answered = self.views.iter_mut().find_map(|(did, view)| {
            view.fetched(now, fetch, result, &mut self.ids).map(|outcome| (did.clone(), outcome))
        });
        if let Some((did, outcome)) = answered {
            self.take_outcome(now, &did, outcome);
        }
    }

    pub(super) fn rung(&mut self, now: Timestamp, bell: &Doorbell) {
        if self.config.account.as_ref() == Some(&bell.did) && bell.rev.is_some() && bell.rev == self.own_rev {
            return;
        }
        let Some(view) = self.views.get_mut(&bell.did) else { return };
        let outcome = view.ring(now, Some(bell), &mut self.ids);
        self.take_outcome(now, &bell.did, outcome);
    }

    pub(super) fn take_outcome(&mut self, now: Timestamp, did: &Did, outcome: Outcome) {
        for ask in outcome.asks {
            self.effects.push(match ask {
                Ask::Resolve { fresh } => Effect::Resolve { did: did.clone(), fresh },
                Ask::Fetch { id, pds, what } => Effect::Fetch(Fetch { id, did: did.clone(), pds, what }),
            });
        }
        let trouble = self.views.get(did).and_then(RepoView::trouble).cloned();
        if let Some(trouble) = &trouble {
            tracing::info!(%did, %trouble, "a repo cannot be followed for now");
            self.refresh();
        }
        if let Some(advance) = outcome.advance {
            self.advance(now, did, advance);
        }
    }

    // --- whom to follow ---

    /// The view of this editor's repo, made if need be.
    pub(super) fn view(&mut self, did: &Did) -> &mut RepoView {
        let document = &self.config.document;
        let seed = self.config.seed;
        self.views.entry(did.clone()).or_insert_with(|| {
            let mut ranges = vec![document.awareness_range()];
            if did == document.owner() {
                ranges.push(document.document_range());
            }
            ranges.push(document.segment_range());
            let salt = did.as_str().bytes().fold(seed, |h, b| h.rotate_left(5) ^ u64::from(b));
            RepoView::new(did.clone(), ranges, salt)
        })
    }

    /// Follows the owner, the editors, and those who once were (their earlier text is part of the document).
    pub(super) fn follow_editors(&mut self, now: Timestamp) {
        let mut wanted = BTreeSet::from([self.config.document.owner().clone()]);
        if let Some(record) = self.charter.current() {
            wanted.extend(record.editors.iter().cloned());
            wanted.extend(record.former.iter().map(|former| former.did.clone()));
        }
        self.views.retain(|did, _| wanted.contains(did));
        self.people.retain(&self.editors());
        for did in wanted {
            if !self.views.contains_key(&did) {
                let outcome = {
                    self.view(&did);
                    let view = self.views.get_mut(&did).expect("made just above");
                    view.ring(now, None, &mut self.ids)
                };
                self.take_outcome(now, &did, outcome);
            }
        }
        self.listen();
    }

    fn listen(&mut self) {
        let repos: BTreeSet<Listening> = self
            .views
            .values()
            .map(|view| Listening {
                did: view.did().clone(),
                pds: view.identity().map(|who| who.pds.clone()),
            })
            .collect();
        if repos != self.listening {
            self.listening = repos.clone();
            self.effects.push(Effect::Listen { repos, collections: record::COLLECTIONS.to_vec() });
        }
    }

    // --- what is proved ---

    fn advance(&mut self, now: Timestamp, did: &Did, advance: Advance) {
        let span =
            tracing::debug_span!("advance", %did, changed = advance.changed.len(), gone = advance.gone.len());
        let _entered = span.enter();
        let mut ops = Vec::new();
        let mut splices = Vec::new();
        let mut membership_changed = false;
        if let Some(quarantined) = self.quarantined.get_mut(did) {
            quarantined.retain(|path, _| {
                !advance.gone.contains(path) && !advance.changed.iter().any(|c| c.0 == *path)
            });
        }
        for (path, cid, bytes) in &advance.changed {
            let (collection, rkey) = path.split_once('/').unwrap_or((path, ""));
            let refused = match collection {
                record::DOCUMENT => match DocumentRecord::parse(bytes) {
                    Ok(document) => {
                        let key = store_keys::document_record(&self.config.document);
                        ops.push(StoreOp::Put { key, value: bytes.clone() });
                        self.accept_document(document, *cid);
                        membership_changed = true;
                        None
                    }
                    Err(why) => Some(why.to_string()),
                },
                record::AWARENESS => self.receive_awareness(now, did, bytes).err(),
                record::SEGMENT => {
                    self.receive_segment(now, did, rkey, cid, bytes, &mut ops, &mut splices).err()
                }
                _ => None,
            };
            if let Some(why) = refused {
                tracing::warn!(path, %cid, why, "a record is refused");
                self.quarantined.entry(did.clone()).or_default().insert(path.clone(), why);
            }
        }
        if advance.gone.iter().any(|path| *path == self.config.document.document_path()) {
            self.found = Presence::Deleted;
        } else if did == self.config.document.owner()
            && self.found == Presence::Looking
            && self
                .views
                .get(did)
                .is_some_and(|view| view.entry(&self.config.document.document_path()).is_none())
        {
            self.found = Presence::NotFound;
        }
        let saved = self.views.get(did).and_then(|view| {
            // Presence is not stored, so it is to be fetched anew after a restart.
            view.save(|path, _| !path.starts_with(record::AWARENESS))
        });
        if let Some(value) = saved {
            ops.push(StoreOp::Put { key: store_keys::repo(&self.config.document, did), value });
        }
        self.persist(ops, BTreeMap::new());
        self.show(splices);
        if membership_changed {
            self.document_changed(now);
        }
        self.refresh();
    }

    /// The owner's record, verified now or before the last restart.
    pub(super) fn accept_document(&mut self, record: DocumentRecord, cid: Cid) {
        self.found = match &record.format {
            record::Format::YjsV1 => Presence::Here,
            record::Format::Other(name) => Presence::UnknownFormat(name.clone()),
        };
        self.charter.set_verified(Some((record, cid)));
    }

    fn receive_awareness(&mut self, now: Timestamp, did: &Did, bytes: &[u8]) -> Result<(), String> {
        let record = AwarenessRecord::parse(bytes).map_err(|e| e.to_string())?;
        if record.document != self.config.document {
            return Ok(()); // Another document whose key happens to be the same.
        }
        let mine = self.config.account.as_ref() == Some(did);
        if !mine && self.editors().contains(did) {
            self.people.observe(did, &record, now);
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // one segment's circumstances, used once
    fn receive_segment(
        &mut self,
        now: Timestamp,
        did: &Did,
        rkey: &str,
        cid: &Cid,
        bytes: &[u8],
        ops: &mut Vec<StoreOp>,
        splices: &mut Vec<Splice>,
    ) -> Result<(), String> {
        let Some(Kept { replica, made, shown }) = self.keep_segment(did, rkey, cid, bytes, ops)? else {
            return Ok(());
        };
        let own = self.config.account.as_ref() == Some(did);
        if let (false, Some(last)) = (own, shown.last()) {
            // Whoever types is where they typed: no presence record is needed to know it.
            let at = Utf16Offset(last.at.0 + utf16_len(&last.insert));
            let caret = self.document.sticky(at, Bias::Before);
            self.people.edited(did, &replica, made, caret, now);
        }
        splices.extend(shown);
        Ok(())
    }

    /// Vets a proved segment, applies it, and says what to store. `None` when it does not belong to this document.
    pub(super) fn keep_segment(
        &mut self,
        did: &Did,
        rkey: &str,
        cid: &Cid,
        bytes: &[u8],
        ops: &mut Vec<StoreOp>,
    ) -> Result<Option<Kept>, String> {
        let former =
            self.charter.current().and_then(|r| r.former.into_iter().find(|former| former.did == *did));
        let Some(vetted) = vet(&self.config.document, did, rkey, bytes, former.as_ref())? else {
            return Ok(None);
        };
        let key = store_keys::segment(&self.config.document, did, rkey, cid);
        ops.push(StoreOp::Put { key, value: bytes.to_vec() });
        for older in self.stored.add(did, rkey, cid, &vetted) {
            ops.push(StoreOp::Delete { key: store_keys::segment(&self.config.document, did, rkey, &older) });
        }
        let shown = self.apply(did, &vetted.updates);
        Ok(Some(Kept { replica: vetted.replica, made: vetted.made, shown }))
    }

    fn apply(&mut self, did: &Did, updates: &[VettedUpdate]) -> Vec<Splice> {
        let mut splices = Vec::new();
        for update in updates {
            match self.waiting.offer(&mut self.document, update.clone()) {
                Ok(shown) => splices.extend(shown),
                Err(why) => {
                    // It is stored, so nothing is lost: it is tried again with the next thing that arrives.
                    tracing::warn!(%did, %why, "an update has to be offered again");
                    self.turned_away.push(update.clone());
                }
            }
        }
        if !splices.is_empty() {
            for update in std::mem::take(&mut self.turned_away) {
                match self.waiting.offer(&mut self.document, update.clone()) {
                    Ok(shown) => splices.extend(shown),
                    Err(_) => self.turned_away.push(update),
                }
            }
        }
        splices
    }

    /// What one of this account's replicas on this device has written and not sealed yet.
    pub(super) fn apply_own<'a>(
        &mut self,
        account: &Did,
        replica: &ReplicaId,
        updates: impl Iterator<Item = &'a [u8]>,
    ) {
        let client = ClientId::derive(account.as_str(), &self.config.document.to_string(), replica);
        let mut vetted = Vec::new();
        for update in updates {
            match door::scan(update, Allowed::Author(client)) {
                Ok(update) => vetted.push(update),
                Err(why) => tracing::error!(%replica, %why, "a stored change of one's own is unreadable"),
            }
        }
        self.apply(account, &vetted);
    }

    /// A segment that was verified before the last restart.
    pub(super) fn load_segment(&mut self, did: &str, rkey: &str, cid: &str, bytes: &[u8]) {
        let (Ok(did), Ok(cid)) = (did.parse::<Did>(), cid.parse::<Cid>()) else { return };
        match vet(&self.config.document, &did, rkey, bytes, None) {
            Ok(Some(vetted)) => {
                self.apply(&did, &vetted.updates);
                self.stored.add(&did, rkey, &cid, &vetted);
            }
            Ok(None) => {}
            Err(why) => {
                tracing::warn!(%did, rkey, why, "a stored segment is unreadable and will be fetched anew")
            }
        }
    }
}

/// Every check between a proved record and the text. `None` when the segment belongs to another document or, by the
/// removal of its author, to nobody.
fn vet(
    document: &DocumentUri,
    author: &Did,
    rkey: &str,
    bytes: &[u8],
    former: Option<&FormerEditor>,
) -> Result<Option<VettedSegment>, String> {
    let key: SegmentKey = rkey.parse().map_err(|e: record::RecordError| e.to_string())?;
    let record = SegmentRecord::parse(bytes).map_err(|e| e.to_string())?;
    if record.document != *document {
        return Ok(None);
    }
    if record.replica != key.replica || record.seq != key.seq {
        return Err("it says it is another segment than its key says".into());
    }
    let client = ClientId::derive(author.as_str(), &document.to_string(), &record.replica);
    let entries = segment::decode_entries(&record.entries).map_err(|e| e.to_string())?;
    let mut updates = Vec::with_capacity(entries.len());
    for entry in &entries {
        updates.push(door::scan(&entry.update, Allowed::Author(client)).map_err(|e| e.to_string())?);
    }
    if let Some(former) = former {
        let Some(limit) = former.replicas.iter().find(|r| r.replica == record.replica) else {
            return Ok(None);
        };
        let extent = Extent::from_parts(limit.clock, &limit.deletes).map_err(|e| e.to_string())?;
        updates = updates.iter().filter_map(|update| extent.limit(update)).collect();
    }
    let made = entries.last().map_or(Timestamp::EPOCH, |entry| entry.at);
    Ok(Some(VettedSegment { replica: record.replica, made, updates }))
}

impl StoredSegments {
    /// Remembers a segment and names the older versions of it that hold nothing the new one lacks.
    fn add(&mut self, did: &Did, rkey: &str, cid: &Cid, vetted: &VettedSegment) -> Vec<Cid> {
        let versions = self.0.entry((did.clone(), rkey.to_owned())).or_default();
        let new = Extent::of(&vetted.updates);
        let superseded: Vec<Cid> = versions
            .iter()
            .filter(|(older, segment)| *older != cid && new.covers(&Extent::of(&segment.updates)))
            .map(|(older, _)| *older)
            .collect();
        versions.retain(|older, _| !superseded.contains(older));
        versions.insert(*cid, vetted.clone());
        superseded
    }
}

/// What the removal of an editor accepts of them: all that this device has verified.
pub(super) fn former(did: &Did, stored: &StoredSegments) -> FormerEditor {
    let mut extents: BTreeMap<ReplicaId, Extent> = BTreeMap::new();
    for ((author, _), versions) in &stored.0 {
        for segment in versions.values().filter(|_| author == did) {
            extents.entry(segment.replica.clone()).or_default().unite(&Extent::of(&segment.updates));
        }
    }
    let replicas = extents.into_iter().map(|(replica, extent)| FormerReplica {
        replica,
        clock: extent.clock(),
        deletes: extent.deletes(),
    });
    FormerEditor { did: did.clone(), replicas: replicas.collect() }
}
