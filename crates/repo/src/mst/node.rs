//! One node, read strictly and written canonically.

use ipld_core::ipld::Ipld;
use sha2::{Digest, Sha256};

use crate::{
    cbor::{self, CborError},
    cid::{self, Cid},
};

/// A path `collection/rkey` is at most this long, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// An honest node has about four entries; one with more than this is made to hurt.
pub const MAX_ENTRIES: usize = 4096;

/// Why a block is no valid node, or a tree no valid tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MstError {
    /// Not canonical DAG-CBOR.
    #[error("a tree node is {0}")]
    Cbor(#[from] CborError),
    /// Not of a node's shape.
    #[error("a tree node is malformed: {0}")]
    Shape(&'static str),
    /// Keys out of order.
    #[error("the tree's keys are out of order")]
    Order,
    /// A key stands at another layer than its hash says.
    #[error("a key of the tree stands at the wrong layer")]
    Layer,
    /// A subtree holds a key that its place forbids.
    #[error("a subtree holds a key outside its bounds")]
    Bounds,
    /// A link to a subtree without a single key.
    #[error("the tree has an empty branch")]
    EmptyBranch,
    /// One subtree linked from two places, which cannot both be within their bounds.
    #[error("the tree has one branch in two places")]
    Twice,
}

/// A node: its subtrees stand left of all keys and right of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// The subtree left of the first key.
    pub left: Option<Cid>,
    /// Keys in order.
    pub entries: Vec<NodeEntry>,
}

/// A key, its record, and the subtree between it and the next key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// `collection/rkey`.
    pub key: String,
    /// The record.
    pub value: Cid,
    /// The subtree right of the key.
    pub right: Option<Cid>,
}

/// The layer a key belongs to: leading zero bits of its SHA-256, in pairs.
pub fn layer_of(key: &str) -> u32 {
    let digest = Sha256::digest(key.as_bytes());
    let mut zeros = 0;
    for byte in digest.iter() {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros / 2
}

impl Node {
    /// Reads a node; anything but the one way to write it is refused.
    pub fn parse(bytes: &[u8]) -> Result<Node, MstError> {
        let Ipld::Map(mut map) = cbor::decode(bytes)? else { return Err(MstError::Shape("not a map")) };
        if map.len() != 2 {
            return Err(MstError::Shape("not the two fields of a node"));
        }
        let left = link(map.remove("l"))?;
        let Some(Ipld::List(list)) = map.remove("e") else {
            return Err(MstError::Shape("no list of entries"));
        };
        if list.len() > MAX_ENTRIES {
            return Err(MstError::Shape("too many entries"));
        }
        let mut entries: Vec<NodeEntry> = Vec::with_capacity(list.len());
        for item in list {
            let previous = entries.last().map_or("", |entry| entry.key.as_str());
            let entry = parse_entry(item, previous)?;
            if !entries.is_empty() && entry.key.as_bytes() <= previous.as_bytes() {
                return Err(MstError::Order);
            }
            entries.push(entry);
        }
        if let Some(first) = entries.first() {
            let layer = layer_of(&first.key);
            if entries.iter().any(|entry| layer_of(&entry.key) != layer) {
                return Err(MstError::Layer);
            }
        }
        Ok(Node { left, entries })
    }

    /// Writes the node the one way it can be written.
    pub fn encode(&self) -> Vec<u8> {
        let mut previous = "";
        let mut list = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let shared = shared_prefix(previous, &entry.key);
            list.push(Ipld::Map(
                [
                    ("k".to_owned(), Ipld::Bytes(entry.key.as_bytes()[shared..].to_vec())),
                    ("p".to_owned(), Ipld::Integer(shared as i128)),
                    ("t".to_owned(), entry.right.map_or(Ipld::Null, Ipld::Link)),
                    ("v".to_owned(), Ipld::Link(entry.value)),
                ]
                .into(),
            ));
            previous = &entry.key;
        }
        cbor::encode(&Ipld::Map(
            [("e".to_owned(), Ipld::List(list)), ("l".to_owned(), self.left.map_or(Ipld::Null, Ipld::Link))]
                .into(),
        ))
    }

    /// The layer its keys stand at; `None` for a node that only leads further down.
    pub fn layer(&self) -> Option<u32> {
        self.entries.first().map(|entry| layer_of(&entry.key))
    }
}

fn parse_entry(item: Ipld, previous: &str) -> Result<NodeEntry, MstError> {
    let Ipld::Map(mut map) = item else { return Err(MstError::Shape("an entry is not a map")) };
    if map.len() != 4 {
        return Err(MstError::Shape("not the four fields of an entry"));
    }
    let Some(Ipld::Integer(shared)) = map.remove("p") else {
        return Err(MstError::Shape("no prefix length"));
    };
    let Some(Ipld::Bytes(suffix)) = map.remove("k") else { return Err(MstError::Shape("no key")) };
    let Some(Ipld::Link(value)) = map.remove("v") else { return Err(MstError::Shape("no value")) };
    if !cid::is_dag_cbor(&value) {
        return Err(MstError::Shape("a CID of an unknown kind"));
    }
    let right = link(map.remove("t"))?;
    let shared = usize::try_from(shared).map_err(|_| MstError::Shape("a negative prefix length"))?;
    let prefix =
        previous.as_bytes().get(..shared).ok_or(MstError::Shape("a prefix longer than the key before"))?;
    let key = [prefix, &suffix].concat();
    if key.len() > MAX_KEY_BYTES {
        return Err(MstError::Shape("a key too long"));
    }
    let key = String::from_utf8(key).map_err(|_| MstError::Shape("a key that is not text"))?;
    if !is_path(&key) {
        return Err(MstError::Shape("a key that is no record's path"));
    }
    if shared_prefix(previous, &key) != shared {
        return Err(MstError::Shape("a prefix not as long as it can be"));
    }
    Ok(NodeEntry { key, value, right })
}

fn link(value: Option<Ipld>) -> Result<Option<Cid>, MstError> {
    match value {
        Some(Ipld::Null) => Ok(None),
        Some(Ipld::Link(cid)) if cid::is_dag_cbor(&cid) => Ok(Some(cid)),
        _ => Err(MstError::Shape("a malformed link")),
    }
}

fn shared_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// Whether a key is one that a tree may have: `collection/rkey`, both made of the characters that record keys allow, and not
/// longer than [`MAX_KEY_BYTES`]. Wider than what NSIDs and record keys may be today, because old repos hold old names.
pub fn is_path(key: &str) -> bool {
    let allowed = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'~'))
    };
    key.len() <= MAX_KEY_BYTES
        && key.split_once('/').is_some_and(|(collection, rkey)| allowed(collection) && allowed(rkey))
}
