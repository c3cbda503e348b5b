//! A set of blocks, each of which hashes to its CID: nothing else can be put in.

use std::collections::BTreeMap;

use crate::cid::{self, Cid};

/// Blocks by CID.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocks {
    blocks: BTreeMap<Cid, Vec<u8>>,
    bytes: usize,
}

/// A block does not hash to the CID it came with.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("a block is not what its CID {} says", crate::cid::text(cid))]
pub struct WrongBlock {
    /// The CID it came with.
    pub cid: Cid,
}

// Where an insertion is expected to work, this is what a browser loads with it: `Cid`'s own brings along two dozen bases.
impl std::fmt::Debug for WrongBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WrongBlock").field("cid", &cid::text(&self.cid)).finish()
    }
}

impl Blocks {
    /// Puts a block in after hashing it.
    pub fn insert(&mut self, cid: Cid, bytes: Vec<u8>) -> Result<(), WrongBlock> {
        if !cid::is_of(&cid, &bytes) {
            return Err(WrongBlock { cid });
        }
        self.bytes += bytes.len();
        if let Some(old) = self.blocks.insert(cid, bytes) {
            self.bytes -= old.len();
        }
        Ok(())
    }

    /// Puts a DAG-CBOR block in under its own hash.
    pub fn add(&mut self, bytes: Vec<u8>) -> Cid {
        let cid = cid::of_record(&bytes);
        self.insert(cid, bytes).expect("just hashed");
        cid
    }

    /// The block with this CID.
    pub fn get(&self, cid: &Cid) -> Option<&[u8]> {
        self.blocks.get(cid).map(Vec::as_slice)
    }

    /// Copies a block over from another set, where it was hashed already.
    pub fn copy_from(&mut self, other: &Blocks, cid: &Cid) {
        if let Some(bytes) = other.blocks.get(cid)
            && self.blocks.insert(*cid, bytes.clone()).is_none()
        {
            self.bytes += bytes.len();
        }
    }

    /// Takes all of another set's blocks in.
    pub fn extend(&mut self, other: Blocks) {
        for (cid, bytes) in other.blocks {
            let len = bytes.len();
            if self.blocks.insert(cid, bytes).is_none() {
                self.bytes += len;
            }
        }
    }

    /// Forgets a block.
    pub fn remove(&mut self, cid: &Cid) {
        if let Some(old) = self.blocks.remove(cid) {
            self.bytes -= old.len();
        }
    }

    /// Every block, by CID.
    pub fn iter(&self) -> impl Iterator<Item = (&Cid, &[u8])> {
        self.blocks.iter().map(|(cid, bytes)| (cid, bytes.as_slice()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The bytes of all of them together.
    pub fn total_bytes(&self) -> usize {
        self.bytes
    }
}
