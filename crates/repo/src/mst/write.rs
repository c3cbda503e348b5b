//! The one tree that a set of records has.

use std::collections::BTreeMap;

use super::node::{Node, NodeEntry, layer_of};
use crate::{blocks::Blocks, cid::Cid};

/// Builds the tree, adds its nodes to `blocks`, and gives its root.
pub fn build(records: &BTreeMap<String, Cid>, blocks: &mut Blocks) -> Cid {
    let keys: Vec<(&str, Cid, u32)> =
        records.iter().map(|(key, cid)| (key.as_str(), *cid, layer_of(key))).collect();
    let top = keys.iter().map(|(_, _, layer)| *layer).max().unwrap_or(0);
    subtree(&keys, top, blocks).unwrap_or_else(|| blocks.add(Node::default().encode()))
}

/// The subtree of these keys, none above `layer`; `None` when there are no keys.
fn subtree(keys: &[(&str, Cid, u32)], layer: u32, blocks: &mut Blocks) -> Option<Cid> {
    if keys.is_empty() {
        return None;
    }
    let mut node = Node::default();
    let mut start = 0;
    for (n, (key, value, own)) in keys.iter().enumerate() {
        if *own != layer {
            continue;
        }
        let between = below(&keys[start..n], layer, blocks);
        attach(&mut node, between);
        node.entries.push(NodeEntry { key: (*key).to_owned(), value: *value, right: None });
        start = n + 1;
    }
    let rest = below(&keys[start..], layer, blocks);
    attach(&mut node, rest);
    Some(blocks.add(node.encode()))
}

fn below(keys: &[(&str, Cid, u32)], layer: u32, blocks: &mut Blocks) -> Option<Cid> {
    // At layer 0 nothing is left over: every key is at least at layer 0 and none is above.
    layer.checked_sub(1).and_then(|layer| subtree(keys, layer, blocks))
}

fn attach(node: &mut Node, child: Option<Cid>) {
    match node.entries.last_mut() {
        Some(entry) => entry.right = child,
        None => node.left = child,
    }
}
