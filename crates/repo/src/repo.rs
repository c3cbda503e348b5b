//! A whole repo in memory, written canonically and truly signed: for tests and simulations.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    blocks::Blocks,
    car,
    cid::Cid,
    commit::Commit,
    did::Did,
    key::SigningKey,
    mst::{self, BlockSource, KeyRange},
    tid::Tid,
};

/// One account's repo.
#[derive(Debug, Clone)]
pub struct Repo {
    did: Did,
    key: SigningKey,
    records: BTreeMap<String, Cid>,
    blocks: Blocks,
    head: Cid,
    rev: Tid,
    data: Cid,
}

/// A change to one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordWrite {
    /// Set the record at this path to these DAG-CBOR bytes.
    Put(String, Vec<u8>),
    /// Remove the record at this path.
    Delete(String),
}

impl Repo {
    /// An empty repo with its first commit.
    pub fn new(did: Did, key: SigningKey, rev: Tid) -> Repo {
        let mut blocks = Blocks::default();
        let data = mst::build(&BTreeMap::new(), &mut blocks);
        let commit = Commit::sign(did.clone(), data, rev.clone(), &key);
        let head = blocks.add(commit.encode());
        Repo { did, key, records: BTreeMap::new(), blocks, head, rev, data }
    }

    /// Makes the changes in one commit with this revision, which must be newer than the last.
    pub fn apply(&mut self, writes: impl IntoIterator<Item = RecordWrite>, rev: Tid) {
        assert!(rev > self.rev, "a revision only grows");
        for write in writes {
            match write {
                RecordWrite::Put(path, bytes) => {
                    let cid = self.blocks.add(bytes);
                    self.records.insert(path, cid);
                }
                RecordWrite::Delete(path) => {
                    self.records.remove(&path);
                }
            }
        }
        let mut nodes = Blocks::default();
        self.data = mst::build(&self.records, &mut nodes);
        let commit = Commit::sign(self.did.clone(), self.data, rev.clone(), &self.key);
        self.head = nodes.add(commit.encode());
        self.rev = rev;
        // Like a real PDS, forget what no longer belongs to the tree.
        let live: BTreeSet<Cid> = self.records.values().copied().collect();
        let mut blocks = nodes;
        for cid in &live {
            blocks.copy_from(&self.blocks, cid);
        }
        self.blocks = blocks;
    }

    /// Sets one record.
    pub fn put(&mut self, path: &str, bytes: Vec<u8>, rev: Tid) -> Cid {
        self.apply([RecordWrite::Put(path.to_owned(), bytes)], rev);
        self.records[path]
    }

    /// Removes one record.
    pub fn delete(&mut self, path: &str, rev: Tid) {
        self.apply([RecordWrite::Delete(path.to_owned())], rev);
    }

    /// A revision for now, or just after the last one if that is later.
    pub fn next_rev(&self, now_micros: u64) -> Tid {
        Tid::from_micros(now_micros.max(self.rev.micros() + 1), 0)
    }

    /// The record at a path: its CID and bytes.
    pub fn get(&self, path: &str) -> Option<(&Cid, &[u8])> {
        let cid = self.records.get(path)?;
        Some((cid, self.blocks.get(cid).expect("every record's block is kept")))
    }

    /// Every record's path, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.records.keys().map(String::as_str)
    }

    /// The newest commit.
    pub fn head(&self) -> &Cid {
        &self.head
    }

    /// Its revision.
    pub fn rev(&self) -> &Tid {
        &self.rev
    }

    /// Every block of the repo as it is now.
    pub fn all_blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// What `com.atproto.sync.getRepo` answers.
    pub fn export_car(&self) -> Vec<u8> {
        car::write(Some(&self.head), self.blocks.iter())
    }

    /// What `com.atproto.sync.getRecord` answers: the commit, the nodes on the way to the path, and the record if it is there.
    pub fn record_car(&self, path: &str) -> Vec<u8> {
        let recorder = Recorder { blocks: &self.blocks, seen: Default::default() };
        mst::walk(&self.data, &recorder, &[KeyRange::only(path)]).expect("our own tree is valid");
        let mut cids = vec![self.head];
        cids.extend(recorder.seen.into_inner());
        cids.extend(self.records.get(path));
        car::write(
            Some(&self.head),
            cids.iter().map(|cid| (cid, self.blocks.get(cid).expect("our own block"))),
        )
    }

    /// What `com.atproto.sync.getBlocks` answers; `None` when one of them is not (any more) part of the repo.
    pub fn blocks_car(&self, cids: &[Cid]) -> Option<Vec<u8>> {
        let blocks: Option<Vec<_>> = cids.iter().map(|cid| Some((cid, self.blocks.get(cid)?))).collect();
        Some(car::write(None, blocks?))
    }
}

/// Notes which blocks a walk reads.
struct Recorder<'a> {
    blocks: &'a Blocks,
    seen: std::cell::RefCell<BTreeSet<Cid>>,
}

impl BlockSource for Recorder<'_> {
    fn get(&self, cid: &Cid) -> Option<&[u8]> {
        self.seen.borrow_mut().insert(*cid);
        self.blocks.get(cid)
    }
}
