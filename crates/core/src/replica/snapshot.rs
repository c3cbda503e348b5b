//! Carrying what the others have written, with the proofs, in one's own repo; and taking what others carry.
//!
//! A snapshot is a CAR of the other editors' repos as far as this replica has verified them: of each the signed commit, the
//! nodes of its tree on the way to the document's records, and the records. So nobody has to believe whoever carries it: it
//! is verified like what the repos themselves say ([`crate::repo_view::RepoView::carry`]), against the key that the directory
//! names. When an editor's server is gone, their text is still here, and newcomers find it in the others' repos.

use std::collections::{BTreeMap, BTreeSet};

use sheaf_repo::{
    blocks::Blocks,
    car::{self, CarLimits},
    cid::{self, Cid},
    commit::Commit,
    did::Did,
};

use super::{Effect, Fetch, FetchFailure, FetchId, FetchWhat, Replica, WriteAction};
use crate::{
    budget::{PUT_POINTS, Priority},
    outbox::Cargo,
    record::{
        self, Carried, Content, MAX_SNAPSHOT_BLOB, MAX_SNAPSHOT_INLINE, SNAPSHOT_BLOB_TYPE, SegmentKey,
        SnapshotRecord,
    },
    time::Timestamp,
};

/// How long the others' text has to be at rest before it is carried, or
const AT_REST: std::time::Duration = std::time::Duration::from_secs(60);
/// how long after the last snapshot it is carried however much they write.
const AT_LEAST_EVERY: std::time::Duration = std::time::Duration::from_secs(15 * 60);
/// What a snapshot of others may hold.
const LIMITS: CarLimits =
    CarLimits { max_bytes: MAX_SNAPSHOT_BLOB, max_blocks: 20_000, max_block_bytes: 256 * 1024 };

/// A record that the text depends on: the owner's document record, or a segment.
pub(super) struct RecordOfText {
    segment: Option<(SegmentKey, Cid)>,
    pub(super) bytes: Vec<u8>,
}

/// What this replica carries, and what it is fetching of what others carry.
#[derive(Debug, Default)]
pub(super) struct Carrying {
    /// Which segments of each repo are in our own last snapshot.
    published: BTreeMap<Did, BTreeSet<Cid>>,
    /// The same of one that is on its way, with when it was made.
    sent: Option<(BTreeMap<Did, BTreeSet<Cid>>, Timestamp)>,
    /// When that was made.
    made: Option<Timestamp>,
    /// When something that it lacks was first, and last, verified.
    lacking: Option<(Timestamp, Timestamp)>,
    fetching: BTreeMap<FetchId, Cid>,
    /// Which segments of each repo are in whose snapshot.
    carried: BTreeMap<Did, BTreeMap<Did, BTreeSet<Cid>>>,
}

impl Carrying {
    /// Who carries this segment of this account.
    pub(super) fn carriers(&self, did: &Did, segment: &Cid) -> Vec<Did> {
        let carries =
            |repos: &BTreeMap<Did, BTreeSet<Cid>>| repos.get(did).is_some_and(|s| s.contains(segment));
        self.carried.iter().filter(|(_, repos)| carries(repos)).map(|(carrier, _)| carrier.clone()).collect()
    }
}

fn segments_of(repos: &[Carried]) -> BTreeMap<Did, BTreeSet<Cid>> {
    let of_repo = |repo: &Carried| repo.segments.iter().map(|(_, cid)| *cid).collect();
    repos.iter().map(|repo| (repo.did.clone(), of_repo(repo))).collect()
}

impl Replica {
    // --- what others carry ---

    pub(super) fn receive_snapshot(
        &mut self,
        now: Timestamp,
        carrier: &Did,
        bytes: &[u8],
    ) -> Result<(), String> {
        let snapshot = SnapshotRecord::parse(bytes).map_err(|e| e.to_string())?;
        if snapshot.document != self.config.document {
            return Ok(()); // Another document whose key happens to be the same.
        }
        self.carrying.carried.insert(carrier.clone(), segments_of(&snapshot.repos));
        if self.config.account.as_ref() == Some(carrier) {
            self.carrying.published = segments_of(&snapshot.repos);
            self.carrying.made = Some(snapshot.created_at.min(now));
        }
        if !snapshot.repos.iter().any(|repo| self.is_news(repo)) {
            return Ok(());
        }
        match snapshot.content {
            Content::Inline(car) => self.take_snapshot(now, &car),
            Content::Blob(cid) => {
                let Some(pds) = self.views.get(carrier).and_then(|v| v.identity()).map(|who| who.pds.clone())
                else {
                    return Ok(());
                };
                self.ids += 1;
                let id = FetchId(self.ids);
                self.carrying.fetching.insert(id, cid);
                let what = FetchWhat::Blob { cid };
                self.effects.push(Effect::Fetch(Fetch { id, did: carrier.clone(), pds, what }));
                Ok(())
            }
        }
    }

    /// Whether a snapshot holds something of this repo that is not known here, and its own server has not told yet.
    fn is_news(&self, repo: &Carried) -> bool {
        let view = self.views.get(&repo.did);
        view.is_some_and(|view| view.head().is_none_or(|head| head.rev < repo.rev))
    }

    /// The answer to a fetch of a blob; `false` when it is not one of ours.
    pub(super) fn fetched_snapshot(
        &mut self,
        now: Timestamp,
        fetch: FetchId,
        result: &Result<Vec<u8>, FetchFailure>,
    ) -> bool {
        let Some(wanted) = self.carrying.fetching.remove(&fetch) else { return false };
        let taken = match result {
            Ok(bytes) if cid::is_of(&wanted, bytes) => self.take_snapshot(now, bytes),
            Ok(_) => Err("the blob is another than the record names".to_owned()),
            Err(failure) => Err(failure.to_string()),
        };
        if let Err(why) = taken {
            // It was only a help: the repos themselves are asked all the same.
            tracing::info!(why, "a snapshot cannot be used");
        }
        true
    }

    fn take_snapshot(&mut self, now: Timestamp, car: &[u8]) -> Result<(), String> {
        let car = car::parse(car, &LIMITS).map_err(|e| e.to_string())?;
        self.take_carried(now, &car.roots, &car.blocks)
    }

    /// Takes what is proved of these repos, given their commits and all that hangs on them.
    pub(super) fn take_carried(
        &mut self,
        now: Timestamp,
        commits: &[Cid],
        blocks: &Blocks,
    ) -> Result<(), String> {
        for root in commits {
            let commit = blocks.get(root).ok_or("it lacks a commit that it names")?;
            let commit = Commit::parse(commit).map_err(|e| e.to_string())?;
            let did = commit.did().clone();
            let advance = self.views.get_mut(&did).and_then(|view| view.carry(now, *root, blocks.clone()));
            if let Some(advance) = advance {
                self.advance(now, &did, advance);
            }
        }
        Ok(())
    }

    // --- what we carry ---

    /// Something new of somebody's repo was verified.
    pub(super) fn is_to_be_carried(&mut self, now: Timestamp, did: &Did) {
        if self.config.account.as_ref() == Some(did) {
            return;
        }
        let first = self.carrying.lacking.map_or(now, |(first, _)| first);
        self.carrying.lacking = Some((first, now));
    }

    pub(super) fn snapshot_published(&mut self) {
        if let Some((segments, made)) = self.carrying.sent.take() {
            self.carrying.published = segments;
            self.carrying.made = Some(made);
        }
    }

    /// It is still to be carried.
    pub(super) fn snapshot_failed(&mut self, now: Timestamp) {
        self.carrying.lacking.get_or_insert((now, now));
    }

    pub(super) fn snapshot_due(&self) -> Option<Timestamp> {
        let (first, last) = self.carrying.lacking?;
        let since = self.carrying.made.unwrap_or(first).max(first);
        let at = last
            .saturating_add(AT_REST)
            .min(since.saturating_add(AT_LEAST_EVERY))
            .max(self.outbox.snapshot_at());
        Some(self.budget.allowed_at(PUT_POINTS, Priority::Awareness).map_or(at, |allowed| at.max(allowed)))
    }

    pub(super) fn publish_snapshot(&mut self, now: Timestamp, account: &Did) -> bool {
        match self.snapshot_due() {
            Some(at) if at <= now => {}
            _ => return false,
        }
        self.carrying.lacking = None;
        let Some((repos, car)) = self.carried(account) else { return false };
        // Every commit has a new revision; what counts is what it says.
        let segments = segments_of(&repos);
        if segments == self.carrying.published {
            return false;
        }
        self.carrying.sent = Some((segments, now));
        let rkey = self.config.document.rkey().to_string();
        let (content, blob) = if car.len() <= MAX_SNAPSHOT_INLINE {
            (Content::Inline(car), None)
        } else {
            (Content::Blob(cid::of_blob(&car)), Some(car))
        };
        let record =
            SnapshotRecord { document: self.config.document.clone(), created_at: now, repos, content };
        let record = record.to_json();
        let action = match blob {
            None => WriteAction::Put { collection: record::SNAPSHOT, rkey, record, swap: None },
            Some(bytes) => WriteAction::PutWithBlob {
                collection: record::SNAPSHOT,
                rkey,
                record,
                field: "blob",
                media_type: SNAPSHOT_BLOB_TYPE,
                bytes,
            },
        };
        self.send(now, account, Cargo::Snapshot, PUT_POINTS, action);
        true
    }

    /// Every other repo that matters, as far as it is verified here. `None` when there is nothing to carry, or too much.
    fn carried(&self, account: &Did) -> Option<(Vec<Carried>, Vec<u8>)> {
        let mut repos = Vec::new();
        let mut roots = Vec::new();
        let mut blocks = Blocks::default();
        for (did, view) in self.views.iter().filter(|(did, _)| *did != account) {
            let (Some(head), Some((commit, proof))) = (view.head(), view.proof()) else { continue };
            let Some(records) = self.records_of(did) else { continue };
            if records.is_empty() {
                continue;
            }
            blocks.extend(proof);
            let mut segments = Vec::new();
            for record in records {
                blocks.add(record.bytes);
                segments.extend(record.segment);
            }
            roots.push(commit);
            repos.push(Carried { did: did.clone(), rev: head.rev.clone(), segments });
        }
        let car = car::write(&roots, blocks.iter());
        (!repos.is_empty() && car.len() <= MAX_SNAPSHOT_BLOB).then_some((repos, car))
    }

    /// The records of the text that a repo has at its verified head, byte for byte. `None` when one of them is not here.
    pub(super) fn records_of(&self, did: &Did) -> Option<Vec<RecordOfText>> {
        let view = self.views.get(did)?;
        let document = self.config.document.document_path();
        let mut seen = BTreeSet::new();
        let mut records = Vec::new();
        for (path, cid) in view.entries().filter(|(_, cid)| seen.insert(**cid)) {
            if *path == document {
                let bytes = self.document_bytes.clone()?;
                records.push(RecordOfText { segment: None, bytes });
            } else if let Some((record::SEGMENT, rkey)) = path.split_once('/') {
                let key: SegmentKey = rkey.parse().ok()?;
                let bytes = self.evidence.segment(did, &key, cid)?.bytes.to_vec();
                records.push(RecordOfText { segment: Some((key, *cid)), bytes });
            }
        }
        Some(records)
    }
}
