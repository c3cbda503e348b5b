//! What the views prove comes in here: documents, presence, and segments through the door into the text.

use std::collections::BTreeSet;

use sheaf_repo::{
    car,
    cid::{self, Cid},
    did::Did,
};

use super::{
    Doorbell, Effect, Fetch, FetchFailure, FetchId, Identity, Listening, Presence, Replica, ResolveFailure,
    StoreOp, evidence, store_keys, storing::Matter,
};
use crate::{
    client_id::ReplicaId,
    document::Bias,
    live::Session,
    record::{self, AwarenessRecord, DocumentRecord},
    repo_view::{Advance, Ask, Outcome, RepoView},
    segment::carried::CarriedUpdates,
    text::{Splice, Utf16Offset, utf16_len},
    time::Timestamp,
};

/// What came of a segment that belongs to the document.
pub(super) struct Kept {
    replica: ReplicaId,
    made: Timestamp,
    carried: Vec<CarriedUpdates>,
    /// What the text went through.
    pub(super) shown: Vec<Splice>,
}

impl Replica {
    // --- answers and bells ---

    pub(super) fn resolved(&mut self, now: Timestamp, did: &Did, result: Result<Identity, ResolveFailure>) {
        let Some(view) = self.views.get_mut(did) else { return };
        let outcome = view.resolved(now, result, &mut self.ids);
        self.take_outcome(now, did, outcome);
        self.greet_again(now);
        self.verify_carried(now);
        self.listen();
        self.refresh();
    }

    pub(super) fn fetched(&mut self, now: Timestamp, fetch: FetchId, result: &Result<Vec<u8>, FetchFailure>) {
        if self.fetched_snapshot(now, fetch, result) {
            return;
        }
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
        self.look_for_the_document(did);
        let seen = !self.own_repo_seen
            && self.config.account.as_ref() == Some(did)
            && self.views.get(did).is_some_and(|view| view.verified_at().is_some());
        if seen {
            // Whatever the last session left to be done with it.
            self.own_repo_seen = true;
            self.plan_fold(did);
        }
    }

    /// Whether the owner's repo, once it has been looked at, has such a document: one that is as it was the last time brings
    /// nothing new, so that this cannot be told from what changed.
    fn look_for_the_document(&mut self, did: &Did) {
        if self.found != Presence::Looking || did != self.config.document.owner() {
            return;
        }
        let path = self.config.document.document_path();
        let is_not_there = |view: &RepoView| view.verified_at().is_some() && view.entry(&path).is_none();
        if self.views.get(did).is_some_and(is_not_there) {
            self.found = Presence::NotFound;
            self.refresh();
        }
    }

    // --- whom to follow ---

    /// The view of this editor's repo, made if need be.
    pub(super) fn view(&mut self, did: &Did) -> &mut RepoView {
        let document = &self.config.document;
        let seed = self.config.seed;
        self.views.entry(did.clone()).or_insert_with(|| {
            let salt = did.as_str().bytes().fold(seed, |h, b| h.rotate_left(5) ^ u64::from(b));
            if self.carriers.contains(did) {
                return RepoView::new(did.clone(), vec![document.snapshot_range()], salt);
            }
            let mut ranges = vec![document.awareness_range(), document.snapshot_range()];
            if did == document.owner() {
                ranges.push(document.document_range());
            }
            ranges.push(document.segment_range());
            RepoView::new(did.clone(), ranges, salt)
        })
    }

    /// Follows the owner, the editors, and those who once were (their earlier text is part of the document). As long as
    /// nobody knows who they are, those whom the link names are asked what they carry.
    pub(super) fn follow_editors(&mut self, now: Timestamp) {
        let mut wanted = BTreeSet::from([self.config.document.owner().clone()]);
        if let Some(record) = self.charter.current() {
            wanted.extend(record.editors.iter().cloned());
            wanted.extend(record.former.iter().map(|former| former.did.clone()));
        }
        let unknown = self.charter.current().is_none() && self.found == Presence::Looking;
        let named = self.config.via.iter().filter(|did| unknown && !wanted.contains(*did));
        let carriers: BTreeSet<Did> = named.cloned().collect();
        // Who turns out to be an editor is read anew, and whole.
        self.views
            .retain(|did, _| carriers.contains(did) || wanted.contains(did) && !self.carriers.contains(did));
        wanted.extend(carriers.iter().cloned());
        self.carriers = carriers;
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

    pub(super) fn advance(&mut self, now: Timestamp, did: &Did, advance: Advance) {
        let span =
            tracing::debug_span!("advance", %did, changed = advance.changed.len(), gone = advance.gone.len());
        let _entered = span.enter();
        let mut ops = Vec::new();
        let mut splices = Vec::new();
        let mut membership_changed = false;
        let mut snapshots = Vec::new();
        let mut brought = Vec::new();
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
                        ops.push(StoreOp::Delete { key: store_keys::deleted(&self.config.document) });
                        self.document_bytes = Some(bytes.clone());
                        self.accept_document(document, *cid);
                        membership_changed = true;
                        None
                    }
                    Err(why) => Some(why.to_string()),
                },
                record::AWARENESS => self.receive_awareness(now, did, bytes).err(),
                record::SNAPSHOT => {
                    snapshots.push((path, bytes));
                    None
                }
                record::SEGMENT => self
                    .receive_segment(now, did, rkey, cid, bytes, &mut ops, &mut splices, &mut brought)
                    .err(),
                _ => None,
            };
            if let Some(why) = refused {
                tracing::warn!(path, why, "a record is refused");
                self.quarantined.entry(did.clone()).or_default().insert(path.clone(), why);
            }
        }
        if advance.gone.iter().any(|path| *path == self.config.document.document_path()) {
            self.found = Presence::Deleted;
            ops.push(StoreOp::Put { key: store_keys::deleted(&self.config.document), value: vec![] });
        }
        let saved = self.views.get(did).and_then(|view| {
            // Neither presence nor what is carried is stored, so they are to be fetched anew after a restart.
            let stored =
                |path: &str| !path.starts_with(record::AWARENESS) && !path.starts_with(record::SNAPSHOT);
            view.save(|path, _| stored(path)).zip(view.proof())
        });
        if let Some((value, (root, blocks))) = saved {
            ops.push(StoreOp::Put { key: store_keys::repo(&self.config.document, did), value });
            let value = car::write([&root], blocks.iter());
            ops.push(StoreOp::Put { key: store_keys::proof(&self.config.document, did), value });
        }
        self.persist(ops, Matter::default());
        self.show(splices);
        if self.evidence.is_contradicted() {
            tracing::warn!(%did, "somebody has published two texts in one place: the text is made anew");
            self.reweave();
        }
        if membership_changed {
            self.document_changed(now);
        }
        for (path, carried) in brought {
            self.take_carried_updates(now, did, &path, &carried);
        }
        if self.config.account.as_ref() == Some(did) {
            self.plan_fold(did);
        }
        let of_text = |path: &String| path.starts_with(record::SEGMENT) || path.starts_with(record::DOCUMENT);
        if advance.changed.iter().any(|(path, ..)| of_text(path)) || advance.gone.iter().any(of_text) {
            self.is_to_be_carried(now, did);
        }
        for (path, bytes) in snapshots {
            if let Err(why) = self.receive_snapshot(now, did, bytes) {
                tracing::warn!(path, why, "a snapshot is refused");
                self.quarantined.entry(did.clone()).or_default().insert(path.clone(), why);
            }
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
        if !self.live.sessions.know(did, &record)
            && let Some(proof) = self.views.get(did).and_then(RepoView::proof)
            && let Some(session) = Session::of_record(&self.config.document, did, bytes, &proof)
        {
            self.learn(now, session);
        }
        let mine = self.config.account.as_ref() == Some(did);
        if !mine && self.is_editor(did) {
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
        brought: &mut Vec<(String, Vec<CarriedUpdates>)>,
    ) -> Result<(), String> {
        let Some(Kept { replica, made, carried, shown }) = self.keep_segment(did, rkey, cid, bytes, ops)?
        else {
            return Ok(());
        };
        brought.push((format!("{}/{rkey}", record::SEGMENT), carried));
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
        let Some(vetted) = evidence::vet(&self.config.document, did, rkey, bytes)? else {
            return Ok(None);
        };
        let key = store_keys::segment(&self.config.document, did, rkey, cid);
        ops.push(StoreOp::Put { key, value: bytes.to_vec() });
        for (rkey, older) in self.evidence.add(did, rkey, cid, &vetted) {
            ops.push(StoreOp::Delete { key: store_keys::segment(&self.config.document, did, &rkey, &older) });
        }
        // What was contradicted is woven anew once all that has come is here.
        let shown = if self.evidence.is_contradicted() { vec![] } else { self.apply_segment(did, &vetted) };
        self.is_proved_now(did, &vetted.replica, &vetted.updates);
        Ok(Some(Kept { made: vetted.made(), replica: vetted.replica, carried: vetted.carried, shown }))
    }

    /// A segment that was verified before the last restart.
    pub(super) fn load_segment(&mut self, did: &str, rkey: &str, cid: &str, bytes: &[u8]) {
        let (Ok(did), Ok(cid)) = (did.parse::<Did>(), cid::parse(cid)) else { return };
        match evidence::vet(&self.config.document, &did, rkey, bytes) {
            Ok(Some(vetted)) => {
                self.evidence.add(&did, rkey, &cid, &vetted);
            }
            Ok(None) => {}
            Err(why) => {
                tracing::warn!(%did, rkey, why, "a stored segment is unreadable and will be fetched anew")
            }
        }
    }
}
