//! One attempt to move a view to a newer head: gather, check the commit, walk, fetch what is missing, arrive.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sheaf_repo::{
    blocks::Blocks,
    car::{self, CarLimits},
    cid::Cid,
    commit::Commit,
    mst::{self, BlockSource, KeyRange, Walk},
    tid::Tid,
};

use super::{Head, Trouble};
use crate::{
    replica::{FetchId, FetchWhat, Identity, MAX_BLOCKS_A_FETCH},
    time::Timestamp,
};

/// An honest walk of a document's ranges needs a handful of rounds; a repo that asks for more is leading us on.
const MAX_ROUNDS: u32 = 64;
/// All blocks of one pursuit together, in bytes.
const MAX_BYTES: usize = 48 * 1024 * 1024;
/// Records of one document in one repo.
const MAX_ENTRIES: usize = 20_000;
/// Revisions are timestamps made by the PDS. Devices' clocks are wrong by hours more often than repos lie, so only a
/// revision a whole day ahead is refused.
const MAX_AHEAD: Duration = Duration::from_secs(24 * 3600);

/// One answer's limits: `getRecord` and `getBlocks` bring nodes of a few KB and records up to 1 MB.
const CAR_LIMITS: CarLimits =
    CarLimits { max_bytes: 16 * 1024 * 1024, max_blocks: 10_000, max_block_bytes: 1024 * 1024 + 1024 };

#[derive(Debug)]
pub(super) struct Pursuit {
    blocks: Blocks,
    /// Head commits that proofs began with.
    candidates: BTreeSet<Cid>,
    probes: Vec<(String, String)>,
    waiting: BTreeMap<FetchId, Asked>,
    asked_for: BTreeSet<Cid>,
    rounds: u32,
    key_checked: bool,
    from_frame: bool,
    by_bell: bool,
}

/// What the view knows already.
pub(super) struct Known<'a> {
    pub(super) head: Option<&'a Head>,
    /// Whether `entries` is everything in the ranges at `head`.
    pub(super) complete: bool,
    pub(super) entries: &'a BTreeMap<String, Cid>,
    /// What was written since.
    pub(super) written: &'a Written,
    pub(super) nodes: &'a Blocks,
    pub(super) ranges: &'a [KeyRange],
}

/// Paths that this device wrote to, with the revision at which the repo was then.
pub(super) type Written = BTreeMap<String, Tid>;

impl Known<'_> {
    /// Whether this is what stood there at the head that is known, and nothing was written there between that and `rev`.
    fn has(&self, path: &str, cid: &Cid, rev: &Tid) -> bool {
        self.entries.get(path) == Some(cid) && self.written.get(path).is_none_or(|written| written > rev)
    }
}

#[derive(Debug)]
enum Asked {
    Proof,
    Blocks,
}

/// What to do next.
pub(super) enum Step {
    /// An answer is still under way.
    Wait,
    /// More blocks are needed.
    Ask(Vec<FetchWhat>),
    /// The signature does not fit the key known: look the key up once more.
    CheckKey,
    /// The repo is at the head already known.
    Unchanged,
    /// Everything in the ranges is proved.
    Arrived(Box<Arrival>),
    /// It cannot go on.
    Failed(Trouble),
}

pub(super) struct Arrival {
    pub(super) head: Head,
    /// The commit itself: whoever has it and the nodes can prove the rest.
    pub(super) commit: Vec<u8>,
    pub(super) entries: BTreeMap<String, Cid>,
    pub(super) nodes: Blocks,
    pub(super) changed: Vec<(String, Cid, Vec<u8>)>,
}

impl Pursuit {
    /// Begins with proofs of these keys; `blocks` are any that may be of use.
    pub(super) fn new(probes: Vec<(String, String)>, blocks: Blocks, by_bell: bool) -> Self {
        Pursuit {
            blocks,
            candidates: BTreeSet::new(),
            probes,
            waiting: BTreeMap::new(),
            asked_for: BTreeSet::new(),
            rounds: 0,
            key_checked: false,
            from_frame: false,
            by_bell,
        }
    }

    /// Begins with the blocks that firehose frames brought: each holds what its own commit changed, so that those of
    /// several commits belong together. `None` when none is a CAR with a commit: then the bell is just a bell.
    pub(super) fn from_frames(frames: Vec<Vec<u8>>) -> Option<Self> {
        let mut pursuit = Pursuit::new(vec![], Blocks::default(), true);
        pursuit.from_frame = true;
        for car in frames {
            // One that makes no sense takes nothing from the others.
            let _ = pursuit.take(&car, true);
        }
        pursuit.candidates.retain(|root| pursuit.blocks.get(root).is_some());
        (!pursuit.candidates.is_empty()).then_some(pursuit)
    }

    /// Begins with what somebody carries of the repo: a commit and all that hangs on it in the ranges.
    pub(super) fn from_carried(commit: Cid, blocks: Blocks) -> Self {
        let mut pursuit = Pursuit::new(vec![], blocks, false);
        pursuit.candidates.insert(commit);
        pursuit
    }

    /// What it has gathered. Blocks go by their hash, so that they are true wherever they are of use.
    pub(super) fn into_blocks(self) -> Blocks {
        self.blocks
    }

    pub(super) fn was_begun_by_a_bell(&self) -> bool {
        self.by_bell
    }

    pub(super) fn began_with_frame(&self) -> bool {
        self.from_frame
    }

    pub(super) fn awaits(&self, fetch: FetchId) -> bool {
        self.waiting.contains_key(&fetch)
    }

    pub(super) fn asked(&mut self, id: FetchId, what: &FetchWhat) {
        let asked = match what {
            FetchWhat::Proof { .. } => Asked::Proof,
            FetchWhat::Blob { .. } => return, // No part of a tree.
            FetchWhat::Blocks { cids } => {
                self.asked_for.extend(cids.iter().cloned());
                Asked::Blocks
            }
        };
        self.waiting.insert(id, asked);
    }

    pub(super) fn received(&mut self, fetch: FetchId, car: &[u8]) -> Result<(), String> {
        let Some(asked) = self.waiting.remove(&fetch) else { return Ok(()) };
        self.take(car, matches!(asked, Asked::Proof))
    }

    fn take(&mut self, bytes: &[u8], has_head: bool) -> Result<(), String> {
        let car = car::parse(bytes, &CAR_LIMITS).map_err(|e| e.to_string())?;
        if has_head {
            let root = car.roots.first().ok_or("the proof names no commit")?;
            self.candidates.insert(*root);
        }
        self.blocks.extend(car.blocks);
        if self.blocks.total_bytes() > MAX_BYTES {
            return Err("it is larger than any honest document".into());
        }
        Ok(())
    }

    pub(super) fn step(&mut self, now: Timestamp, identity: &Identity, known: &Known<'_>) -> Step {
        if !self.waiting.is_empty() {
            return Step::Wait;
        }
        if self.candidates.is_empty() {
            let probes = std::mem::take(&mut self.probes);
            if probes.is_empty() {
                return Step::Failed(Trouble::Invalid("no commit came with the proof".into()));
            }
            let wants = probes.into_iter().map(|(collection, rkey)| FetchWhat::Proof { collection, rkey });
            return Step::Ask(wants.collect());
        }
        let (commit_cid, commit) = match self.newest_commit() {
            Ok(found) => found,
            Err(why) => return Step::Failed(Trouble::Invalid(why)),
        };
        if commit.did() != &identity.did {
            return Step::Failed(Trouble::Invalid("the commit is another account's".into()));
        }
        if let Some(head) = known.head {
            if head.commit == commit_cid && known.complete {
                return Step::Unchanged;
            }
            if commit.rev() < &head.rev {
                return Step::Failed(Trouble::RolledBack);
            }
            if commit.rev() == &head.rev && commit_cid != head.commit {
                return Step::Failed(Trouble::TwoHistories);
            }
        }
        if commit.rev().micros() > now.saturating_add(MAX_AHEAD).as_micros() {
            return Step::Failed(Trouble::FromTheFuture);
        }
        if commit.verify(&identity.key).is_err() {
            if std::mem::replace(&mut self.key_checked, true) {
                return Step::Failed(Trouble::BadSignature);
            }
            return Step::CheckKey;
        }
        self.walk(commit_cid, &commit, known)
    }

    /// Of several proofs asked for at once, some may already show a newer head. The newest wins.
    fn newest_commit(&self) -> Result<(Cid, Commit), String> {
        let mut newest: Option<(Cid, Commit)> = None;
        for cid in &self.candidates {
            let bytes = self.blocks.get(cid).ok_or("the proof lacks its commit")?;
            let commit = Commit::parse(bytes).map_err(|e| e.to_string())?;
            if newest.as_ref().is_none_or(|(_, best)| commit.rev() > best.rev()) {
                newest = Some((*cid, commit));
            }
        }
        newest.ok_or_else(|| "no commit came with the proof".into())
    }

    fn walk(&mut self, commit_cid: Cid, commit: &Commit, known: &Known<'_>) -> Step {
        let head = Head { commit: commit_cid, rev: commit.rev().clone(), data: *commit.data() };
        if known.complete && known.written.is_empty() && known.head.is_some_and(|h| h.data == head.data) {
            // The same tree under a newer signature: nothing to walk.
            return Step::Arrived(Box::new(Arrival {
                head,
                commit: commit.encode(),
                entries: known.entries.clone(),
                nodes: known.nodes.clone(),
                changed: vec![],
            }));
        }
        let source = Both { new: &self.blocks, cache: known.nodes };
        let (found, nodes) = match mst::walk(commit.data(), &source, known.ranges) {
            Ok(Walk::Complete { entries, nodes }) => (entries, nodes),
            Ok(Walk::Missing { cids }) => return self.ask_for(cids),
            Err(e) => return Step::Failed(Trouble::Invalid(e.to_string())),
        };
        if found.len() > MAX_ENTRIES {
            return Step::Failed(Trouble::Invalid("it holds more records than any honest document".into()));
        }
        let changed: Vec<(&String, &Cid)> =
            found.iter().filter(|(path, cid)| !known.has(path, cid, &head.rev)).collect();
        let missing: BTreeSet<Cid> =
            changed.iter().filter(|(_, cid)| source.get(cid).is_none()).map(|(_, cid)| *(*cid)).collect();
        if !missing.is_empty() {
            return self.ask_for(missing);
        }
        let changed = changed
            .into_iter()
            .filter_map(|(path, cid)| Some((path.clone(), *cid, source.get(cid)?.to_vec())))
            .collect();
        let mut kept = Blocks::default();
        for cid in &nodes {
            kept.copy_from(known.nodes, cid);
            kept.copy_from(&self.blocks, cid);
        }
        Step::Arrived(Box::new(Arrival {
            head,
            commit: commit.encode(),
            entries: found,
            nodes: kept,
            changed,
        }))
    }

    fn ask_for(&mut self, cids: BTreeSet<Cid>) -> Step {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return Step::Failed(Trouble::Invalid("its tree never ends".into()));
        }
        if cids.iter().any(|cid| self.asked_for.contains(cid)) {
            return Step::Failed(Trouble::Invalid("its server leaves out blocks it was asked for".into()));
        }
        let cids: Vec<Cid> = cids.into_iter().collect();
        Step::Ask(cids.chunks(MAX_BLOCKS_A_FETCH).map(|c| FetchWhat::Blocks { cids: c.to_vec() }).collect())
    }
}

/// What came with this pursuit, and behind it the nodes known from before.
struct Both<'a> {
    new: &'a Blocks,
    cache: &'a Blocks,
}

impl BlockSource for Both<'_> {
    fn get(&self, cid: &Cid) -> Option<&[u8]> {
        self.new.get(cid).or_else(|| self.cache.get(cid))
    }
}
