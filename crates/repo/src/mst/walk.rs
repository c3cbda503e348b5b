//! Reading ranges of a tree, checked, from blocks of which some may be missing.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{MstError, Node};
use crate::{blocks::Blocks, cid::Cid};

/// SHA-256 has 256 bits, so no key stands higher than this.
pub const MAX_LAYER: u32 = 128;

/// Where a walk finds blocks. What it gives must hash to the CID asked for, as everything in [`Blocks`] does.
pub trait BlockSource {
    /// The block, if it is at hand.
    fn get(&self, cid: &Cid) -> Option<&[u8]>;
}

impl BlockSource for Blocks {
    fn get(&self, cid: &Cid) -> Option<&[u8]> {
        Blocks::get(self, cid)
    }
}

/// Keys from one, included, up to another, excluded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    from: String,
    to: String,
}

impl KeyRange {
    /// All keys `from <= key < to`, in byte order.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> KeyRange {
        KeyRange { from: from.into(), to: to.into() }
    }

    /// Just this key.
    pub fn only(key: &str) -> KeyRange {
        KeyRange { from: key.to_owned(), to: format!("{key}\0") }
    }

    /// Where it begins.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Where it ends, this key excluded.
    pub fn to(&self) -> &str {
        &self.to
    }

    /// Whether the key is in it.
    pub fn contains(&self, key: &str) -> bool {
        self.from.as_str() <= key && key < self.to.as_str()
    }

    /// Whether it could have a key strictly between two others; `None` stands for the end of the keys.
    fn has_between(&self, after: Option<&str>, before: Option<&str>) -> bool {
        // Nothing stands between a key and itself with the smallest character after it, so a range of one key never leads
        // right of that key.
        let ends_by = |after: &str| {
            self.to.as_str() <= after || self.to.strip_prefix(after).is_some_and(|end| end == "\0")
        };
        self.from < self.to
            && after.is_none_or(|after| !ends_by(after))
            && before.is_none_or(|before| self.from.as_str() < before)
    }
}

/// How far a walk came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walk {
    /// Every node that could hold a key of the ranges was seen: these are all the keys there are.
    Complete {
        /// What stands in the ranges.
        entries: BTreeMap<String, Cid>,
        /// The nodes that prove it.
        nodes: BTreeSet<Cid>,
    },
    /// These nodes are needed to go on. Nothing is said about what is or is not there.
    Missing {
        /// Their CIDs: all that can be told to be needed as yet, to be fetched in one go.
        cids: BTreeSet<Cid>,
    },
}

/// Walks the tree below `root` into the ranges. Checks order, layers and bounds of all it sees; never takes a missing block
/// for an absent record. Each block at hand is read once, whatever the tree looks like.
///
/// A walk of everything that is complete shows the one tree that its entries have: what [`super::build`] makes of them has the
/// same root. What the ranges do not touch is neither read nor checked.
///
/// # Errors
///
/// When a node is malformed or the tree is none: no fetching will mend that.
pub fn walk(root: &Cid, blocks: &impl BlockSource, ranges: &[KeyRange]) -> Result<Walk, MstError> {
    let mut walker =
        Walker { blocks, ranges, entries: BTreeMap::new(), nodes: BTreeSet::new(), missing: BTreeSet::new() };
    walker.visit(root, Place { above: None, after: None, before: None })?;
    Ok(if walker.missing.is_empty() {
        Walk::Complete { entries: walker.entries, nodes: walker.nodes }
    } else {
        Walk::Missing { cids: walker.missing }
    })
}

struct Walker<'a, B> {
    blocks: &'a B,
    ranges: &'a [KeyRange],
    entries: BTreeMap<String, Cid>,
    nodes: BTreeSet<Cid>,
    missing: BTreeSet<Cid>,
}

/// What a node's place demands of it.
#[derive(Clone, Copy)]
struct Place<'k> {
    /// The layer of the node above; the root has none.
    above: Option<u32>,
    /// All keys come after this one,
    after: Option<&'k str>,
    /// and before this one.
    before: Option<&'k str>,
}

impl<B: BlockSource> Walker<'_, B> {
    fn visit(&mut self, cid: &Cid, place: Place<'_>) -> Result<(), MstError> {
        let Some(bytes) = self.blocks.get(cid) else {
            return if self.missing.insert(*cid) { Ok(()) } else { Err(MstError::Twice) };
        };
        // A subtree has keys of its own and so only one place. Refusing a second one also bounds the work by the blocks.
        if !self.nodes.insert(*cid) {
            return Err(MstError::Twice);
        }
        let node = Node::parse(bytes)?;
        let layer = match (node.layer(), place.above) {
            (Some(layer), None) => layer,
            (Some(layer), Some(above)) if layer + 1 == above => layer,
            (Some(_), Some(_)) => return Err(MstError::Layer),
            // A node without keys only leads further down; the lowest cannot, and the root of a non-empty tree has keys.
            (None, None) if node.left.is_none() => return Ok(()),
            (None, Some(above)) if above > 1 && node.left.is_some() => above - 1,
            (None, _) => return Err(MstError::EmptyBranch),
        };
        if layer > MAX_LAYER {
            return Err(MstError::Layer);
        }
        let out_of_bounds = |key: &str| {
            place.after.is_some_and(|after| key <= after) || place.before.is_some_and(|before| key >= before)
        };
        if node.entries.iter().any(|entry| out_of_bounds(&entry.key)) {
            return Err(MstError::Bounds);
        }
        let has_children = node.left.is_some() || node.entries.iter().any(|entry| entry.right.is_some());
        if layer == 0 && has_children {
            return Err(MstError::Layer);
        }
        let mut after = place.after;
        let first = node.entries.first().map(|entry| entry.key.as_str());
        self.descend(node.left.as_ref(), layer, after, first.or(place.before))?;
        for (n, entry) in node.entries.iter().enumerate() {
            if self.ranges.iter().any(|range| range.contains(&entry.key)) {
                self.entries.insert(entry.key.clone(), entry.value);
            }
            after = Some(entry.key.as_str());
            let next = node.entries.get(n + 1).map(|next| next.key.as_str());
            self.descend(entry.right.as_ref(), layer, after, next.or(place.before))?;
        }
        Ok(())
    }

    fn descend(
        &mut self,
        child: Option<&Cid>,
        layer: u32,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<(), MstError> {
        let Some(child) = child else { return Ok(()) };
        if !self.ranges.iter().any(|range| range.has_between(after, before)) {
            return Ok(());
        }
        self.visit(child, Place { above: Some(layer), after, before })
    }
}
