//! A whole repo in memory, written canonically and truly signed: for tests and simulations.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    blocks::Blocks,
    car,
    cid::Cid,
    commit::Commit,
    did::Did,
    key::SigningKey,
    mst::{self, BlockSource, KeyRange, Mst},
    tid::Tid,
};

/// One account's repo. A commit costs what it changes, not what the repo holds.
#[derive(Debug, Clone)]
pub struct Repo {
    did: Did,
    key: SigningKey,
    records: BTreeMap<String, Cid>,
    /// How many paths each record stands at: equal records are one block.
    uses: BTreeMap<Cid, usize>,
    tree: Mst,
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
        let mut tree = Mst::default();
        let written = tree.write();
        let mut blocks = written.added;
        let data = written.root;
        let commit = Commit::sign(did.clone(), data, rev.clone(), &key);
        let head = blocks.add(commit.encode());
        let (records, uses) = (BTreeMap::new(), BTreeMap::new());
        Repo { did, key, records, uses, tree, blocks, head, rev, data }
    }

    /// Signs what comes from now on with another key. The newest commit keeps its signature until the next one.
    pub fn set_key(&mut self, key: SigningKey) {
        self.key = key;
    }

    /// Makes the changes in one commit with this revision. Like a real PDS, forgets all that is no longer part of the tree.
    ///
    /// # Panics
    ///
    /// When the revision is not newer than the last, or a path is none ([`mst::is_path`]).
    pub fn apply(&mut self, writes: impl IntoIterator<Item = RecordWrite>, rev: Tid) {
        assert!(rev > self.rev, "a revision only grows");
        for write in writes {
            match write {
                RecordWrite::Put(path, bytes) => {
                    let cid = self.blocks.add(bytes);
                    *self.uses.entry(cid).or_default() += 1;
                    let old = self.tree.insert(&path, cid);
                    self.records.insert(path, cid);
                    self.release(old);
                }
                RecordWrite::Delete(path) => {
                    let old = self.tree.remove(&path);
                    self.records.remove(&path);
                    self.release(old);
                }
            }
        }
        let written = self.tree.write();
        for cid in &written.removed {
            self.blocks.remove(cid);
        }
        self.blocks.extend(written.added);
        self.data = written.root;
        let commit = Commit::sign(self.did.clone(), self.data, rev.clone(), &self.key);
        self.blocks.remove(&self.head);
        self.head = self.blocks.add(commit.encode());
        self.rev = rev;
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

    /// The root of its tree.
    pub fn data(&self) -> &Cid {
        &self.data
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

    /// A path no longer holds this record; the block goes with the last such path.
    fn release(&mut self, record: Option<Cid>) {
        let Some(cid) = record else { return };
        let uses = self.uses.get_mut(&cid).expect("every record is counted");
        *uses -= 1;
        if *uses == 0 {
            self.uses.remove(&cid);
            self.blocks.remove(&cid);
        }
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
