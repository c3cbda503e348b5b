//! Trees made to deceive: every block hashes to its CID, and yet they are no valid trees.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use proptest::prelude::*;
use sheaf_repo::{
    Ipld,
    blocks::Blocks,
    cbor,
    cid::{self, Cid},
    mst::{self, KeyRange, MstError, Node, NodeEntry, Walk},
};

use crate::samples::{self, keys_at};

fn value() -> Cid {
    samples::record(1).1
}

fn node(left: Option<Cid>, entries: &[(&str, Option<Cid>)]) -> Node {
    let entries = entries.iter().map(|(key, right)| NodeEntry {
        key: (*key).to_owned(),
        value: value(),
        right: *right,
    });
    Node { left, entries: entries.collect() }
}

fn walk_all(root: &Cid, blocks: &Blocks) -> Result<Walk, MstError> {
    mst::walk(root, blocks, &[KeyRange::new("", "\u{7f}")])
}

/// Checks that the tree is valid, so that the ones next to it are refused for the reason meant.
fn accepted(root: &Cid, blocks: &Blocks) {
    let Ok(Walk::Complete { entries, .. }) = walk_all(root, blocks) else { panic!("a valid tree") };
    assert_eq!(mst::build(&entries, &mut Blocks::default()), *root);
}

#[test]
fn disorder_within_a_node() {
    let keys = keys_at(0, 2);
    let mut blocks = Blocks::default();
    let root = blocks.add(node(None, &[(&keys[0], None), (&keys[1], None)]).encode());
    accepted(&root, &blocks);
    let root = blocks.add(node(None, &[(&keys[1], None), (&keys[0], None)]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::Order));
    let root = blocks.add(node(None, &[(&keys[0], None), (&keys[0], None)]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::Order));
}

#[test]
fn keys_at_the_wrong_layer() {
    let (low, mid, high) = (keys_at(0, 3), keys_at(1, 3), keys_at(2, 3));
    let mut blocks = Blocks::default();
    let (first, second) = (low[0].clone().min(mid[0].clone()), low[0].clone().max(mid[0].clone()));
    let mixed = blocks.add(node(None, &[(&first, None), (&second, None)]).encode());
    assert_eq!(walk_all(&mixed, &blocks), Err(MstError::Layer));

    // A child one layer down is right; one at the same layer or two down is not.
    let before = |keys: &[String], key: &str| keys.iter().find(|k| k.as_str() < key).cloned();
    let top = high.last().expect("three");
    let child = |blocks: &mut Blocks, key: &str| blocks.add(node(None, &[(key, None)]).encode());
    let low_key = before(&low, top).expect("layer 0 is common");
    let mid_key = before(&mid, top).expect("layer 1 is common");
    let leaf = child(&mut blocks, &low_key);
    let right = child(&mut blocks, &mid_key);
    let same = child(&mut blocks, &high[0]);
    let root = blocks.add(node(Some(right), &[(top, None)]).encode());
    accepted(&root, &blocks);
    for wrong in [leaf, same] {
        let root = blocks.add(node(Some(wrong), &[(top, None)]).encode());
        assert_eq!(walk_all(&root, &blocks), Err(MstError::Layer));
    }
    // A child below with a higher layer than its parent.
    let root = blocks.add(node(Some(same), &[(&mid[2].clone().max(low[2].clone()), None)]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::Layer));
    // With a node without keys between, two layers down is right; with two of them it is not.
    let between = blocks.add(node(Some(leaf), &[]).encode());
    let root = blocks.add(node(Some(between), &[(top, None)]).encode());
    accepted(&root, &blocks);
    let twice = blocks.add(node(Some(between), &[]).encode());
    let root = blocks.add(node(Some(twice), &[(top, None)]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::EmptyBranch));
    // Nothing hangs below the lowest layer, seen or not.
    for below in [leaf, samples::record(77).1] {
        let root = blocks.add(node(Some(below), &[(low.last().expect("three"), None)]).encode());
        assert_eq!(walk_all(&root, &blocks), Err(MstError::Layer));
        let elsewhere = [KeyRange::new("zzz", "zzzz")];
        assert_eq!(mst::walk(&root, &blocks, &elsewhere), Err(MstError::Layer));
    }
}

#[test]
fn branches_without_keys() {
    let high = keys_at(2, 1);
    let mut blocks = Blocks::default();
    let empty = blocks.add(Node::default().encode());
    accepted(&empty, &blocks);
    let root = blocks.add(node(Some(empty), &[(&high[0], None)]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::EmptyBranch));
    let root = blocks.add(node(None, &[(&high[0], Some(empty))]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::EmptyBranch));
    // A root without keys above a tree: the tree should have been its own root.
    let leaf = blocks.add(node(None, &[(&keys_at(0, 1)[0], None)]).encode());
    let root = blocks.add(node(Some(leaf), &[]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::EmptyBranch));
}

#[test]
fn keys_outside_their_bounds() {
    let mid = keys_at(1, 12);
    let low = keys_at(0, 2_000);
    let (first, second) = (&mid[3], &mid[9]);
    let left = low.iter().find(|key| *key < first).expect("one before");
    let inner = low.iter().find(|key| *key > first && *key < second).expect("one between");
    let right = low.iter().find(|key| *key > second).expect("one after");
    let mut blocks = Blocks::default();
    let [l, i, r] = [left, inner, right].map(|key| blocks.add(node(None, &[(key, None)]).encode()));
    let root = blocks.add(node(Some(l), &[(first, Some(i)), (second, Some(r))]).encode());
    accepted(&root, &blocks);
    for (a, b, c) in [(i, l, r), (r, i, l), (l, r, i)] {
        let root = blocks.add(node(Some(a), &[(first, Some(b)), (second, Some(c))]).encode());
        assert_eq!(walk_all(&root, &blocks), Err(MstError::Bounds));
    }
    // One key too many at the edge is enough.
    let wide = blocks.add(node(None, &[(left, None), (inner, None)]).encode());
    let root = blocks.add(node(Some(wide), &[(first, None), (second, None)]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::Bounds));
    // Bounds hold through a node without keys, and down from further above.
    let high = keys_at(2, 9);
    let top = &high[4];
    let beyond = low.iter().find(|key| *key > top).expect("one after");
    let within = low.iter().find(|key| *key < top).expect("one before");
    for (key, verdict) in [(within, Ok(())), (beyond, Err(MstError::Bounds))] {
        let leaf = blocks.add(node(None, &[(key, None)]).encode());
        let between = blocks.add(node(Some(leaf), &[]).encode());
        let root = blocks.add(node(Some(between), &[(top, None)]).encode());
        assert_eq!(walk_all(&root, &blocks).map(|_| ()), verdict);
    }
    let mid_key = mid.iter().find(|key| *key < top).expect("one before");
    let leaf = blocks.add(node(None, &[(beyond, None)]).encode());
    let between = blocks.add(node(None, &[(mid_key, Some(leaf))]).encode());
    let root = blocks.add(node(Some(between), &[(top, None)]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::Bounds));
}

#[test]
fn one_branch_in_two_places() {
    let mid = keys_at(1, 12).remove(11);
    let mut blocks = Blocks::default();
    let missing = samples::record(99).1;
    let root = blocks.add(node(Some(missing), &[(&mid, Some(missing))]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::Twice));
    let there = blocks.add(node(None, &[(&keys_at(0, 1)[0], None)]).encode());
    let root = blocks.add(node(Some(there), &[(&mid, Some(there))]).encode());
    assert_eq!(walk_all(&root, &blocks), Err(MstError::Twice));
}

/// The entry of a node as it stands in DAG-CBOR.
fn entry(prefix: i128, suffix: &[u8]) -> BTreeMap<String, Ipld> {
    BTreeMap::from([
        ("k".to_owned(), Ipld::Bytes(suffix.to_vec())),
        ("p".to_owned(), Ipld::Integer(prefix)),
        ("t".to_owned(), Ipld::Null),
        ("v".to_owned(), Ipld::Link(value())),
    ])
}

fn encoded(entries: Vec<BTreeMap<String, Ipld>>) -> Vec<u8> {
    let list = Ipld::List(entries.into_iter().map(Ipld::Map).collect());
    cbor::encode(&Ipld::Map([("e".to_owned(), list), ("l".to_owned(), Ipld::Null)].into()))
}

#[test]
fn prefixes_not_as_long_as_they_can_be() {
    let keys = keys_at(0, 2);
    let shared = keys[0].bytes().zip(keys[1].bytes()).take_while(|(a, b)| a == b).count();
    let pair = |prefix: usize| {
        encoded(vec![entry(0, keys[0].as_bytes()), entry(prefix as i128, &keys[1].as_bytes()[prefix..])])
    };
    assert_eq!(Node::parse(&pair(shared)), Ok(node(None, &[(&keys[0], None), (&keys[1], None)])));
    for prefix in 0..shared {
        assert!(matches!(Node::parse(&pair(prefix)), Err(MstError::Shape(_))), "{prefix}");
    }
}

#[test]
fn nodes_of_another_shape() {
    let key = keys_at(0, 1).remove(0);
    let good = || entry(0, key.as_bytes());
    let with = |field: &str, value: Option<Ipld>| {
        let mut entry = good();
        match value {
            Some(value) => entry.insert(field.to_owned(), value),
            None => entry.remove(field),
        };
        encoded(vec![entry])
    };
    assert!(Node::parse(&encoded(vec![good()])).is_ok());
    let raw = Cid::new_v1(cid::RAW, *value().hash());
    for (what, bytes) in [
        ("no key", with("k", None)),
        ("a key that is text", with("k", Some(Ipld::String(key.clone())))),
        ("a key that is no path", with("k", Some(Ipld::Bytes(b"note".to_vec())))),
        ("a key that is not UTF-8", with("k", Some(Ipld::Bytes(b"a/\xff".to_vec())))),
        ("an empty key", with("k", Some(Ipld::Bytes(vec![])))),
        ("a long key", with("k", Some(Ipld::Bytes([b"a/", &[b'a'; 1023][..]].concat())))),
        ("no prefix", with("p", None)),
        ("a negative prefix", with("p", Some(Ipld::Integer(-1)))),
        ("a prefix of nothing", with("p", Some(Ipld::Integer(1)))),
        ("a huge prefix", with("p", Some(Ipld::Integer(i64::MAX.into())))),
        ("a prefix that is null", with("p", Some(Ipld::Null))),
        ("no value", with("v", None)),
        ("a value that is null", with("v", Some(Ipld::Null))),
        ("a value that is a blob", with("v", Some(Ipld::Link(raw)))),
        ("no subtree field", with("t", None)),
        ("a subtree that is a blob", with("t", Some(Ipld::Link(raw)))),
        ("a subtree that is bytes", with("t", Some(Ipld::Bytes(value().to_bytes())))),
        ("one field more", with("x", Some(Ipld::Null))),
        ("no map", cbor::encode(&Ipld::List(vec![]))),
        ("an empty map", cbor::encode(&Ipld::Map(BTreeMap::new()))),
        (
            "no list",
            cbor::encode(&Ipld::Map([("e".to_owned(), Ipld::Null), ("l".to_owned(), Ipld::Null)].into())),
        ),
        ("no left", cbor::encode(&Ipld::Map([("e".to_owned(), Ipld::List(vec![]))].into()))),
        (
            "a list of numbers",
            cbor::encode(&Ipld::Map(
                [("e".to_owned(), Ipld::List(vec![Ipld::Integer(1)])), ("l".to_owned(), Ipld::Null)].into(),
            )),
        ),
        ("a record", samples::record(1).0),
    ] {
        assert!(matches!(Node::parse(&bytes), Err(MstError::Shape(_))), "{what}: {:?}", Node::parse(&bytes));
    }
    let mut trailing = Node::default().encode();
    trailing.push(0);
    assert!(matches!(Node::parse(&trailing), Err(MstError::Cbor(_))));
    // The same node with its two fields the other way round.
    let swapped = [&[0xa2, 0x61, b'l', 0xf6, 0x61, b'e'][..], &[0x80]].concat();
    assert!(matches!(Node::parse(&swapped), Err(MstError::Cbor(_))));
}

#[test]
fn more_entries_than_any_honest_node() {
    let all = keys_at(0, mst::MAX_ENTRIES + 1);
    let entries = |count: usize| {
        let entries =
            all[..count].iter().map(|key| NodeEntry { key: key.clone(), value: value(), right: None });
        Node { left: None, entries: entries.collect() }
    };
    assert!(Node::parse(&entries(mst::MAX_ENTRIES).encode()).is_ok());
    assert!(matches!(Node::parse(&entries(mst::MAX_ENTRIES + 1).encode()), Err(MstError::Shape(_))));
}

/// A tree to be bent.
#[derive(Debug, Clone, Default)]
struct Loose {
    left: Option<Box<Loose>>,
    entries: Vec<(String, Cid, Option<Box<Loose>>)>,
}

impl Loose {
    fn load(cid: &Cid, blocks: &Blocks) -> Box<Loose> {
        let node = Node::parse(blocks.get(cid).expect("our own tree")).expect("our own tree");
        let below = |link: Option<Cid>| link.map(|cid| Loose::load(&cid, blocks));
        Box::new(Loose {
            left: below(node.left),
            entries: node.entries.into_iter().map(|e| (e.key, e.value, below(e.right))).collect(),
        })
    }

    fn store(&self, blocks: &mut Blocks) -> Cid {
        let mut below = |link: &Option<Box<Loose>>| link.as_ref().map(|node| node.store(blocks));
        let left = below(&self.left);
        let entries = self.entries.iter().map(|(key, value, right)| NodeEntry {
            key: key.clone(),
            value: *value,
            right: below(right),
        });
        let node = Node { left, entries: entries.collect() };
        blocks.add(node.encode())
    }

    fn count(&self) -> usize {
        let below = self.left.iter().chain(self.entries.iter().filter_map(|entry| entry.2.as_ref()));
        1 + below.map(|node| node.count()).sum::<usize>()
    }

    /// The nth node from the top.
    fn nth(&mut self, n: &mut usize) -> Option<&mut Loose> {
        if *n == 0 {
            return Some(self);
        }
        *n -= 1;
        let below = self.left.iter_mut().chain(self.entries.iter_mut().filter_map(|entry| entry.2.as_mut()));
        below.into_iter().find_map(|node| node.nth(n))
    }
}

#[derive(Debug, Clone)]
enum Bend {
    DropLeft,
    DropRight,
    DropEntry,
    SwapEntries,
    Rename(String),
    Add(String),
    Double,
    Lift,
    Sink,
    Exchange(prop::sample::Index),
}

fn bend() -> impl Strategy<Value = Bend> {
    prop_oneof![
        Just(Bend::DropLeft),
        Just(Bend::DropRight),
        Just(Bend::DropEntry),
        Just(Bend::SwapEntries),
        samples::path().prop_map(Bend::Rename),
        samples::path().prop_map(Bend::Add),
        Just(Bend::Double),
        Just(Bend::Lift),
        Just(Bend::Sink),
        any::<prop::sample::Index>().prop_map(Bend::Exchange),
    ]
}

impl Bend {
    fn apply(self, tree: &mut Loose, at: prop::sample::Index, which: prop::sample::Index) {
        let count = tree.count();
        if let Bend::Exchange(other) = &self {
            // Two whole subtrees change places, unless one holds the other.
            let taken = tree.nth(&mut other.index(count)).cloned().expect("in range");
            *tree.nth(&mut at.index(count)).expect("in range") = taken;
            return;
        }
        let node = tree.nth(&mut at.index(count)).expect("in range");
        let n = if node.entries.is_empty() { None } else { Some(which.index(node.entries.len())) };
        match (self, n) {
            (Bend::DropLeft, _) => node.left = None,
            (Bend::DropRight, Some(n)) => node.entries[n].2 = None,
            (Bend::DropEntry, Some(n)) => drop(node.entries.remove(n)),
            (Bend::SwapEntries, Some(n)) => node.entries.swap(0, n),
            (Bend::Rename(key), Some(n)) => node.entries[n].0 = key,
            (Bend::Add(key), _) => {
                let n = node.entries.partition_point(|entry| entry.0 < key);
                node.entries.insert(n, (key, value(), None));
            }
            (Bend::Double, Some(n)) => node.entries.insert(n, node.entries[n].clone()),
            // A child takes its parent's place,
            (Bend::Lift, _) => {
                if let Some(left) = node.left.take() {
                    *node = *left;
                }
            }
            // or goes one down.
            (Bend::Sink, _) => {
                let sunk = std::mem::take(node);
                node.left = Some(Box::new(sunk));
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// However a tree is bent, it is refused, or it is exactly the one tree of the records it shows.
    #[test]
    fn a_tree_that_is_accepted_is_the_one_tree_of_its_records(
        records in samples::records(50),
        bends in proptest::collection::vec((bend(), any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..3),
    ) {
        let (root, blocks) = samples::tree(&records);
        let mut tree = Loose::load(&root, &blocks);
        for (bend, at, which) in bends {
            bend.apply(&mut tree, at, which);
        }
        let mut blocks = Blocks::default();
        let root = tree.store(&mut blocks);
        match walk_all(&root, &blocks) {
            Err(_) => {}
            Ok(Walk::Missing { .. }) => prop_assert!(false, "every block is there"),
            Ok(Walk::Complete { entries, .. }) => {
                prop_assert_eq!(mst::build(&entries, &mut Blocks::default()), root);
            }
        }
    }
}
