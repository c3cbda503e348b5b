//! A tree that changes: each write touches only the nodes on its path, and the outcome is the one canonical tree all the same.

use std::collections::BTreeMap;

use super::node::{Node, NodeEntry, layer_of};
use crate::{blocks::Blocks, cid::Cid};

/// A whole tree in memory, to be written record by record. Its root depends on what is in it and never on how it came there;
/// [`super::build`] gives the same.
///
/// ```
/// use sheaf_repo::{blocks::Blocks, cid, mst::{self, Mst}};
///
/// let (one, two) = (cid::of_record(b"\xa0"), cid::of_record(b"\xa1ahbhi"));
/// let mut tree = Mst::default();
/// tree.insert("app.example.note/1", one);
/// tree.insert("app.example.note/2", two);
/// tree.remove("app.example.note/2");
/// let records = [("app.example.note/1".to_owned(), one)].into();
/// assert_eq!(tree.write().root, mst::build(&records, &mut Blocks::default()));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Mst {
    top: Link,
    /// Nodes written before that are no longer part of the tree.
    stale: Vec<Cid>,
    /// The root written for an empty tree, which has no node in `top`.
    empty_root: Option<Cid>,
}

/// What a change of the tree comes to, in blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The root of the tree.
    pub root: Cid,
    /// The nodes that are new since the last time.
    pub added: Blocks,
    /// The nodes of the last time that are no longer part of the tree.
    pub removed: Vec<Cid>,
}

type Link = Option<Box<Subtree>>;

#[derive(Debug, Clone)]
struct Subtree {
    layer: u32,
    left: Link,
    entries: Vec<Entry>,
    /// What it was written as; `None` since a key below it changed.
    written: Option<Cid>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    value: Cid,
    right: Link,
}

impl Mst {
    /// The tree of these records.
    pub fn from_records(records: &BTreeMap<String, Cid>) -> Mst {
        let mut tree = Mst::default();
        for (key, value) in records {
            tree.insert(key, *value);
        }
        tree
    }

    /// Sets the record at `key`, a path as [`super::is_path`] has it, and gives the one it replaces.
    ///
    /// # Panics
    ///
    /// When the key is no path: a tree with such a key would be refused by everyone.
    pub fn insert(&mut self, key: &str, value: Cid) -> Option<Cid> {
        assert!(super::is_path(key), "a tree's keys are paths, collection/rkey");
        let layer = layer_of(key);
        match self.top.take() {
            Some(mut top) if layer <= top.layer => {
                let old = self.insert_below(&mut top, key, layer, value);
                self.top = Some(top);
                old
            }
            top => {
                let (before, after) = self.split(top, key);
                let (left, right) = (raise(before, layer), raise(after, layer));
                let entries = vec![Entry { key: key.to_owned(), value, right }];
                self.top = Some(Box::new(Subtree { layer, left, entries, written: None }));
                None
            }
        }
    }

    /// Removes the record at `key` and gives it.
    pub fn remove(&mut self, key: &str) -> Option<Cid> {
        let old = self.get(key)?;
        let layer = layer_of(key);
        let top = self.top.take();
        self.top = self.remove_below(top, key, layer);
        // A root has keys: without any, the tree is lower than it was.
        while self.top.as_ref().is_some_and(|top| top.entries.is_empty()) {
            self.top = self.top.take().and_then(|mut top| {
                self.touch(&mut top);
                top.left
            });
        }
        Some(old)
    }

    /// The record at `key`.
    pub fn get(&self, key: &str) -> Option<Cid> {
        let mut link = &self.top;
        while let Some(node) = link {
            let n = node.entries.partition_point(|entry| entry.key.as_str() < key);
            match node.entries.get(n) {
                Some(entry) if entry.key == key => return Some(entry.value),
                _ => link = node.gap(n),
            }
        }
        None
    }

    /// Encodes what changed since the last time.
    pub fn write(&mut self) -> Written {
        let mut added = Blocks::default();
        let mut removed = std::mem::take(&mut self.stale);
        let root = match &mut self.top {
            Some(top) => {
                removed.extend(self.empty_root.take());
                top.write(&mut added)
            }
            None => *self.empty_root.get_or_insert_with(|| added.add(Node::default().encode())),
        };
        // What was taken out and put back in is still there.
        removed.retain(|cid| added.get(cid).is_none());
        Written { root, added, removed }
    }

    fn insert_below(&mut self, node: &mut Subtree, key: &str, layer: u32, value: Cid) -> Option<Cid> {
        self.touch(node);
        let n = node.entries.partition_point(|entry| entry.key.as_str() < key);
        let own_layer = node.layer;
        if layer < own_layer {
            return match node.gap_mut(n) {
                Some(child) => self.insert_below(child, key, layer, value),
                gap => {
                    let entries = vec![Entry { key: key.to_owned(), value, right: None }];
                    let leaf = Some(Box::new(Subtree { layer, left: None, entries, written: None }));
                    *gap = raise(leaf, own_layer);
                    None
                }
            };
        }
        if let Some(entry) = node.entries.get_mut(n).filter(|entry| entry.key == key) {
            return Some(std::mem::replace(&mut entry.value, value));
        }
        let gap = node.gap_mut(n).take();
        let (before, after) = self.split(gap, key);
        *node.gap_mut(n) = before;
        node.entries.insert(n, Entry { key: key.to_owned(), value, right: after });
        None
    }

    fn remove_below(&mut self, link: Link, key: &str, layer: u32) -> Link {
        let mut node = link.expect("the key is in the tree, so its path is too");
        self.touch(&mut node);
        let n = node.entries.partition_point(|entry| entry.key.as_str() < key);
        let gap = node.gap_mut(n).take();
        *node.gap_mut(n) = if layer == node.layer {
            let entry = node.entries.remove(n);
            self.join(gap, entry.right)
        } else {
            self.remove_below(gap, key, layer)
        };
        node.unless_empty()
    }

    /// Parts a subtree at a key that is not in it, into what comes before and what comes after.
    fn split(&mut self, link: Link, key: &str) -> (Link, Link) {
        let Some(mut node) = link else { return (None, None) };
        self.touch(&mut node);
        let n = node.entries.partition_point(|entry| entry.key.as_str() < key);
        let gap = node.gap_mut(n).take();
        let (before, after) = self.split(gap, key);
        let entries = node.entries.split_off(n);
        *node.gap_mut(n) = before;
        let right = Box::new(Subtree { layer: node.layer, left: after, entries, written: None });
        (node.unless_empty(), right.unless_empty())
    }

    /// Makes one subtree of two at the same layer, all keys of the first before those of the second.
    fn join(&mut self, before: Link, after: Link) -> Link {
        let (mut before, mut after) = match (before, after) {
            (Some(before), Some(after)) => (before, after),
            (one, other) => return one.or(other),
        };
        self.touch(&mut before);
        self.touch(&mut after);
        let seam = before.entries.len();
        let middle = self.join(before.gap_mut(seam).take(), after.left.take());
        *before.gap_mut(seam) = middle;
        before.entries.append(&mut after.entries);
        Some(before)
    }

    /// Notes that a node is no longer what it was written as.
    fn touch(&mut self, node: &mut Subtree) {
        self.stale.extend(node.written.take());
    }
}

impl Subtree {
    /// What stands left of the entry with this index, and right of the one before.
    fn gap(&self, n: usize) -> &Link {
        match n.checked_sub(1) {
            None => &self.left,
            Some(before) => &self.entries[before].right,
        }
    }

    fn gap_mut(&mut self, n: usize) -> &mut Link {
        match n.checked_sub(1) {
            None => &mut self.left,
            Some(before) => &mut self.entries[before].right,
        }
    }

    fn unless_empty(self: Box<Self>) -> Link {
        (!self.entries.is_empty() || self.left.is_some()).then_some(self)
    }

    fn write(&mut self, added: &mut Blocks) -> Cid {
        if let Some(cid) = self.written {
            return cid;
        }
        let left = self.left.as_mut().map(|left| left.write(added));
        let entries = self.entries.iter_mut().map(|entry| NodeEntry {
            key: entry.key.clone(),
            value: entry.value,
            right: entry.right.as_mut().map(|right| right.write(added)),
        });
        let node = Node { left, entries: entries.collect() };
        let cid = added.add(node.encode());
        self.written = Some(cid);
        cid
    }
}

/// Puts nodes without keys above a subtree until it can hang from a node at layer `above`.
fn raise(link: Link, above: u32) -> Link {
    let mut node = link?;
    while node.layer + 1 < above {
        node = Box::new(Subtree { layer: node.layer + 1, left: Some(node), entries: vec![], written: None });
    }
    Some(node)
}
