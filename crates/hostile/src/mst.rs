//! Trees: nodes as bytes, and whole trees whose nodes are put together as the input says, each link true to its hash.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use sheaf_repo::{
    blocks::Blocks,
    cid::{self, Cid},
    mst::{self, KeyRange, Node, NodeEntry, Walk},
};

use crate::history::history;

/// An input that begins with this is one node; any other tells a tree.
const ONE_NODE: u8 = 0;
/// Keys that a told tree is made of, by number.
const KEYS: usize = 4096;
/// A told tree has at most this many nodes.
const MOST_NODES: usize = 64;
/// In place of a link: no subtree.
const NONE: u8 = 0;
/// A subtree that is not at hand.
const LOST: u8 = 255;

pub(crate) fn read(input: &[u8]) -> bool {
    match input.split_first() {
        Some((&ONE_NODE, node)) => read_node(node),
        Some((_, telling)) => read_tree(telling),
        None => false,
    }
}

fn read_node(bytes: &[u8]) -> bool {
    let Ok(node) = Node::parse(bytes) else { return false };
    assert_eq!(node.encode(), bytes);
    let layer = node.layer();
    for pair in node.entries.windows(2) {
        assert!(pair[0].key < pair[1].key);
    }
    assert!(
        node.entries.iter().all(|entry| mst::is_path(&entry.key) && Some(mst::layer_of(&entry.key)) == layer)
    );
    true
}

/// A tree that a walk believes is the one tree that its records have, and each part of it says the same as the whole.
fn read_tree(telling: &[u8]) -> bool {
    let (root, blocks) = told(telling);
    let everything = [KeyRange::new("", "\u{7f}")];
    let whole = mst::walk(&root, &blocks, &everything);
    let entries = match &whole {
        Ok(Walk::Complete { entries, nodes }) => {
            let mut built = Blocks::default();
            assert_eq!(mst::build(entries, &mut built), root, "another tree than its records have");
            assert_eq!(
                built.iter().map(|(cid, _)| cid).collect::<Vec<_>>(),
                nodes.iter().collect::<Vec<_>>()
            );
            Some(entries)
        }
        Ok(Walk::Missing { cids }) => {
            assert!(!cids.is_empty() && cids.iter().all(|cid| blocks.get(cid).is_none()));
            None
        }
        Err(_) => None,
    };
    for range in [KeyRange::only(&keys()[17]), KeyRange::new(&keys()[100][..], &keys()[2_000][..])] {
        let part = mst::walk(&root, &blocks, std::slice::from_ref(&range));
        if let Some(entries) = entries {
            let Ok(Walk::Complete { entries: found, .. }) = part else {
                panic!("a part of what is whole: {part:?}")
            };
            let within = entries.iter().filter(|(key, _)| range.contains(key));
            assert!(found.iter().eq(within));
        } else if let (Ok(Walk::Missing { cids }), Ok(Walk::Missing { cids: all })) = (&part, &whole) {
            assert!(cids.is_subset(all));
        }
    }
    entries.is_some()
}

fn keys() -> &'static [String] {
    static KEYS_MADE: OnceLock<Vec<String>> = OnceLock::new();
    KEYS_MADE.get_or_init(|| (0..KEYS).map(|n| format!("app.example.note/{n:06}")).collect())
}

fn value() -> Cid {
    cid::of_record(b"\xa0")
}

/// Nodes one after another, the last of them the root: a link, how many entries, and for each the number of its key and a
/// link. A link is the number of a node before, counted from one.
fn told(telling: &[u8]) -> (Cid, Blocks) {
    let mut blocks = Blocks::default();
    let mut nodes: Vec<Cid> = Vec::new();
    let mut bytes = telling.iter().copied();
    while let Some(left) = bytes.next()
        && nodes.len() < MOST_NODES
    {
        let link = |byte: u8| match byte {
            NONE => None,
            LOST => Some(cid::of_record(b"lost")),
            n => nodes.get(usize::from(n) - 1).copied(),
        };
        let count = bytes.next().unwrap_or(0);
        let mut node = Node { left: link(left), entries: vec![] };
        for _ in 0..count {
            let (Some(high), Some(low), Some(right)) = (bytes.next(), bytes.next(), bytes.next()) else {
                break;
            };
            let key = keys()[usize::from(u16::from_be_bytes([high, low])) % KEYS].clone();
            node.entries.push(NodeEntry { key, value: value(), right: link(right) });
        }
        nodes.push(blocks.add(node.encode()));
    }
    (nodes.last().copied().unwrap_or_else(|| cid::of_record(b"nothing")), blocks)
}

/// Tells a true tree, so that [`told`] makes it again.
fn tell(records: &BTreeMap<String, Cid>) -> Vec<u8> {
    let mut blocks = Blocks::default();
    let root = mst::build(records, &mut blocks);
    let mut telling = vec![ONE_NODE + 1];
    tell_node(&root, &blocks, &mut telling, &mut 0);
    telling
}

fn tell_node(cid: &Cid, blocks: &Blocks, telling: &mut Vec<u8>, count: &mut u8) -> u8 {
    let node = Node::parse(blocks.get(cid).expect("our own tree is whole")).expect("our own tree is valid");
    let mut link = |child: &Option<Cid>, telling: &mut Vec<u8>| {
        child.as_ref().map_or(NONE, |child| tell_node(child, blocks, telling, count))
    };
    let mut own = vec![link(&node.left, telling), node.entries.len() as u8];
    for entry in &node.entries {
        let number: u16 = entry.key[entry.key.len() - 6..].parse().expect("the number of a key");
        own.extend(number.to_be_bytes());
        own.push(link(&entry.right, telling));
    }
    telling.extend(own);
    *count += 1;
    *count
}

/// Trees of different sizes, and the nodes of a real repo.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [60, 0, 1, 2, 5, 9, 20, 40, 100, 150]
        .iter()
        .map(|count| {
            let numbers = (0..*count).map(|n| (n * 37 + count * 11) % KEYS);
            tell(&numbers.map(|n| (keys()[n].clone(), value())).collect())
        })
        .collect();
    let blocks = history().newest().all_blocks().iter();
    let nodes = blocks.filter(|(_, bytes)| Node::parse(bytes).is_ok());
    seeds.extend(nodes.map(|(_, bytes)| [&[ONE_NODE], bytes].concat()));
    seeds
}
