//! The verified segments behind the text: what each holds, and how much of it counts.
//!
//! The text is a function of two things that are the same for every replica that has seen the same heads: the segments
//! themselves, whole, and the limits that the owner's record sets to former editors. Limits are applied when segments are
//! read into the text and never to what is kept, so whatever arrives first, the removal of an editor or their words, the
//! outcome is the same, and an editor who comes back is back with all they wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sheaf_repo::{cid::Cid, did::Did};

use crate::{
    client_id::{ClientId, ReplicaId},
    document_uri::DocumentUri,
    door::{self, Allowed, VettedUpdate},
    extent::Extent,
    record::{self, DocumentRecord, FormerEditor, FormerReplica, RecordError, SegmentKey, SegmentRecord},
    segment::{self, Entry, carried::CarriedUpdates},
    time::Timestamp,
};

/// A segment that passed every check.
#[derive(Debug, Clone)]
pub(super) struct VettedSegment {
    pub(super) replica: ReplicaId,
    /// Its number, and that of the last segment folded into it.
    pub(super) seq: u32,
    pub(super) last: u32,
    pub(super) sealed: bool,
    /// How long its entries are, deflated.
    pub(super) len: usize,
    /// The record, byte for byte.
    pub(super) bytes: Arc<[u8]>,
    /// When its author says they made each entry.
    times: Vec<Timestamp>,
    pub(super) updates: Vec<VettedUpdate>,
    /// What it brings along of others: nothing of it is verified yet.
    pub(super) carried: Vec<CarriedUpdates>,
}

impl VettedSegment {
    /// When its author says they made its last entry.
    pub(super) fn made(&self) -> Timestamp {
        self.times.last().copied().unwrap_or(Timestamp::EPOCH)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.timed().map(|(at, update)| Entry { at, update: update.bytes().to_vec() })
    }

    /// Its updates, each with when its author says they made it.
    pub(super) fn timed(&self) -> impl Iterator<Item = (Timestamp, &VettedUpdate)> {
        self.times.iter().copied().zip(&self.updates)
    }

    /// Whether this says all that another version of the same segment does, and more.
    fn is_more_than(&self, other: &VettedSegment) -> bool {
        is_more(&self.updates, &other.updates)
    }

    /// Whether another segment of the same log was folded into this one.
    fn has_folded(&self, other: &VettedSegment) -> bool {
        self.seq < other.seq && other.last <= self.last
    }
}

/// Whether some updates of a replica say all that others of it do, and more.
pub(super) fn is_more(some: &[VettedUpdate], others: &[VettedUpdate]) -> bool {
    let (these, those) = (Extent::of(some), Extent::of(others));
    these.covers(&those) && !those.covers(&these) && door::agree(some, others)
}

/// Every check between a proved record and the evidence. `None` when the segment belongs to another document.
pub(super) fn vet(
    document: &DocumentUri,
    author: &Did,
    rkey: &str,
    bytes: &[u8],
) -> Result<Option<VettedSegment>, String> {
    let key: SegmentKey = rkey.parse().map_err(|e: RecordError| e.to_string())?;
    let record = SegmentRecord::parse(bytes).map_err(|e| e.to_string())?;
    if record.document != *document {
        return Ok(None);
    }
    if record.replica != key.replica || record.seq != key.seq {
        return Err("it says it is another segment than its key says".into());
    }
    let client = ClientId::derive(author.as_str(), &document.to_string(), &record.replica);
    let entries = segment::decode_entries(&record.entries).map_err(|e| e.to_string())?;
    let mut updates: Vec<VettedUpdate> = Vec::with_capacity(entries.len());
    let mut reached = None;
    for entry in &entries {
        let update = door::scan(&entry.update, Allowed::Author(client)).map_err(|e| e.to_string())?;
        if let Some(range) = update.provides().get(&client) {
            if update.has_holes() || reached.is_some_and(|reached| reached != range.start) {
                return Err("its edits do not follow each other".into());
            }
            reached = Some(range.end);
        }
        updates.push(update);
    }
    let carried = record.carried.as_deref().map(segment::carried::decode_carried).transpose();
    let carried = carried.map_err(|e| e.to_string())?.unwrap_or_default();
    Ok(Some(VettedSegment {
        carried,
        seq: record.seq,
        last: record.last(),
        sealed: record.sealed,
        len: record.entries.len(),
        bytes: bytes.into(),
        times: entries.iter().map(|entry| entry.at).collect(),
        replica: record.replica,
        updates,
    }))
}

/// What is not in an author's repo (any more).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Holes {
    /// Segments that are here and were taken out of the repo.
    pub(super) withdrawn: usize,
    /// Segments that nobody here has.
    pub(super) missing: usize,
}

/// Enough to be told; a segment's number may be anything.
const MOST_HOLES: usize = 1_000;

/// All verified segments of a document, by author and record key; usually one version of each.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    segments: BTreeMap<(Did, ReplicaId, String), BTreeMap<Cid, VettedSegment>>,
    /// Replicas that have said two things under the same clocks, with their authors.
    contradicted: BTreeSet<(Did, ReplicaId)>,
}

impl Evidence {
    /// Takes a segment in and names what it replaces, by record key and CID: older versions that hold nothing it lacks, those
    /// that say something else under the same clocks, for then the newest is what counts, here as for whoever comes later,
    /// and segments that were folded into it.
    pub(super) fn add(
        &mut self,
        did: &Did,
        rkey: &str,
        cid: &Cid,
        new: &VettedSegment,
    ) -> Vec<(String, Cid)> {
        let agrees = |other: &VettedSegment| door::agree(&other.updates, &new.updates);
        let first = (did.clone(), new.replica.clone(), String::new());
        let others = self
            .segments
            .range_mut(first..)
            .take_while(|((author, replica, _), _)| author == did && *replica == new.replica)
            .filter(|((.., key), _)| key != rkey);
        let mut contradicts = false;
        let extent = Extent::of(&new.updates);
        let mut replaced: Vec<(String, Cid)> = Vec::new();
        for ((.., key), versions) in others {
            versions.retain(|cid, other| {
                let differs = !agrees(other);
                contradicts |= differs;
                let goes = !differs && new.has_folded(other) && extent.covers(&Extent::of(&other.updates));
                if goes {
                    replaced.push((key.clone(), *cid));
                }
                !goes
            });
        }
        let versions = self.segments.entry((did.clone(), new.replica.clone(), rkey.to_owned())).or_default();
        versions.retain(|older, segment| {
            let differs = !door::agree(&segment.updates, &new.updates);
            contradicts |= differs;
            let goes = older != cid && (differs || extent.covers(&Extent::of(&segment.updates)));
            if goes {
                replaced.push((rkey.to_owned(), *older));
            }
            !goes
        });
        versions.insert(*cid, new.clone());
        if contradicts {
            self.contradicted.insert((did.clone(), new.replica.clone()));
        }
        replaced
    }

    /// This version of a segment, if it is here.
    pub(super) fn segment(&self, did: &Did, key: &SegmentKey, cid: &Cid) -> Option<&VettedSegment> {
        self.segments.get(&(did.clone(), key.replica.clone(), key.to_string()))?.get(cid)
    }

    /// The version of a segment that holds all that this one does and more, if there is one.
    pub(super) fn fuller(&self, did: &Did, key: &SegmentKey, cid: &Cid) -> Option<&VettedSegment> {
        let versions = self.segments.get(&(did.clone(), key.replica.clone(), key.to_string()))?;
        let known = versions.get(cid)?;
        versions
            .iter()
            .filter(|(other, _)| *other != cid)
            .map(|(_, other)| other)
            .find(|other| other.is_more_than(known))
    }

    /// Every version of every segment of an author, by record key and CID.
    pub(super) fn segments_of(&self, did: &Did) -> impl Iterator<Item = (&String, &Cid, &VettedSegment)> {
        let segments = self.segments.iter().filter(move |((author, ..), _)| author == did);
        segments.flat_map(|((.., rkey), versions)| {
            versions.iter().map(move |(cid, segment)| (rkey, cid, segment))
        })
    }

    /// Of an author's segments, given what their repo holds now: how many are here that the repo does not hold any more,
    /// and how many the repo's own numbers say were there once that are not here either.
    pub(super) fn holes<'a>(&self, did: &Did, repo: impl Iterator<Item = (&'a String, &'a Cid)>) -> Holes {
        let mut there: BTreeMap<ReplicaId, BTreeMap<u32, u32>> = BTreeMap::new();
        let mut paths = BTreeSet::new();
        for (path, cid) in repo {
            let Some((record::SEGMENT, rkey)) = path.split_once('/') else { continue };
            let Ok(key) = rkey.parse::<SegmentKey>() else { continue };
            let last = self.segment(did, &key, cid).map_or(key.seq, |segment| segment.last);
            there.entry(key.replica).or_default().insert(key.seq, last);
            paths.insert(rkey);
        }
        let mut holes = Holes::default();
        let mut kept: BTreeMap<&ReplicaId, Vec<(u32, u32)>> = BTreeMap::new();
        for ((_, replica, rkey), versions) in self.segments.iter().filter(|((author, ..), _)| author == did) {
            if let Some(segment) = versions.values().next().filter(|_| !paths.contains(rkey.as_str())) {
                holes.withdrawn += 1;
                kept.entry(replica).or_default().push((segment.seq, segment.last));
            }
        }
        for (replica, segments) in &there {
            let mut next = 0;
            for (seq, last) in segments {
                let here = |n: &u32| {
                    kept.get(replica)
                        .is_some_and(|kept| kept.iter().any(|(from, to)| (from..=to).contains(&n)))
                };
                holes.missing += (next..*seq).take(MOST_HOLES).filter(|n| !here(n)).count();
                next = next.max(last.saturating_add(1));
            }
        }
        holes
    }

    /// Whether some replica has said two things under the same clocks. Which of them the text shows must then not depend on
    /// what came first, so it is to be woven anew with every change.
    pub(super) fn is_contradicted(&self) -> bool {
        !self.contradicted.is_empty()
    }

    /// Whether this author has.
    pub(super) fn has_contradicted(&self, did: &Did) -> bool {
        self.contradicted.iter().any(|(author, _)| author == did)
    }

    /// How far what is verified of a replica reaches.
    pub(super) fn reach(&self, did: &Did, replica: &ReplicaId) -> Extent {
        let mut reach = Extent::default();
        for segment in self.of_replica(did, replica) {
            reach.unite(&Extent::of(&segment.updates));
        }
        reach
    }

    /// The clock after the last that is verified of a replica: cheaper to have than its whole reach.
    pub(super) fn clock(&self, did: &Did, replica: &ReplicaId) -> u32 {
        let updates = self.of_replica(did, replica).flat_map(|segment| &segment.updates);
        updates.flat_map(|update| update.provides().values()).map(|range| range.end).max().unwrap_or(0)
    }

    fn of_replica<'a>(
        &'a self,
        did: &'a Did,
        replica: &'a ReplicaId,
    ) -> impl Iterator<Item = &'a VettedSegment> {
        let first = (did.clone(), replica.clone(), String::new());
        let theirs = self.segments.range(first..);
        theirs
            .take_while(move |((author, name, _), _)| author == did && name == replica)
            .flat_map(|(_, versions)| versions.values())
    }

    /// Every segment, in an order that is the same wherever the same ones are known.
    pub(super) fn segments(&self) -> impl Iterator<Item = (&Did, &VettedSegment)> {
        self.segments
            .iter()
            .flat_map(|((did, ..), versions)| versions.values().map(move |segment| (did, segment)))
    }

    /// What the removal of an editor accepts of them: all that this device has verified, and what of `said`, updates by replica in
    /// the order of their clocks, goes on from there.
    pub(super) fn former<'a>(
        &self,
        did: &Did,
        said: impl Iterator<Item = (&'a ReplicaId, &'a VettedUpdate)>,
    ) -> FormerEditor {
        let mut extents: BTreeMap<ReplicaId, Extent> = BTreeMap::new();
        for (_, segment) in self.segments().filter(|(author, _)| *author == did) {
            extents.entry(segment.replica.clone()).or_default().unite(&Extent::of(&segment.updates));
        }
        for (replica, update) in said {
            let extent = extents.entry(replica.clone()).or_default();
            if update.provides().values().all(|range| range.start <= extent.clock()) {
                extent.unite(&Extent::of([update]));
            }
        }
        let replicas = extents.into_iter().map(|(replica, extent)| FormerReplica {
            replica,
            clock: extent.clock(),
            deletes: extent.deletes(),
        });
        FormerEditor { did: did.clone(), replicas: replicas.collect() }
    }
}

/// How far former editors are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Limits(BTreeMap<Did, BTreeMap<ReplicaId, Extent>>);

impl Limits {
    pub(super) fn of(record: Option<&DocumentRecord>) -> Limits {
        let former = record.into_iter().flat_map(|record| &record.former);
        Limits(former.map(|former| (former.did.clone(), extents(former))).collect())
    }

    /// As much of an update as counts.
    pub(super) fn apply(&self, did: &Did, replica: &ReplicaId, update: &VettedUpdate) -> VettedUpdate {
        match self.0.get(did) {
            None => update.clone(),
            Some(replicas) => match replicas.get(replica) {
                Some(extent) => extent.limit(update),
                None => Extent::default().limit(update),
            },
        }
    }
}

fn extents(former: &FormerEditor) -> BTreeMap<ReplicaId, Extent> {
    let extent = |limit: &FormerReplica| {
        Extent::from_parts(limit.clock, &limit.deletes).expect("checked when the record was read")
    };
    former.replicas.iter().map(|limit| (limit.replica.clone(), extent(limit))).collect()
}
