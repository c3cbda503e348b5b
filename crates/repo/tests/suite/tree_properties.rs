//! Trees of random records: one tree for one set of records, and walks that say just what is there.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sheaf_repo::{
    blocks::Blocks,
    cid::Cid,
    mst::{self, KeyRange, Mst, Walk},
};

use crate::samples;

#[derive(Debug, Clone)]
enum Write {
    Put(String, u64),
    Remove(String),
    /// Remove the nth of what is there, so that removals often hit.
    RemoveNth(prop::sample::Index),
    Encode,
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        6 => (samples::path(), 0u64..50).prop_map(|(path, n)| Write::Put(path, n)),
        1 => samples::path().prop_map(Write::Remove),
        3 => any::<prop::sample::Index>().prop_map(Write::RemoveNth),
        2 => Just(Write::Encode),
    ]
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        3 => (samples::path(), samples::path()).prop_map(|(a, b)| KeyRange::new(a.clone().min(b.clone()), a.max(b))),
        // From and to need not be paths, nor in order.
        1 => ("[a-d./0-9:~]{0,5}", "[a-d./0-9:~]{0,5}").prop_map(|(a, b)| KeyRange::new(a, b)),
        3 => samples::path().prop_map(|path| KeyRange::only(&path)),
        1 => Just(everything()),
    ]
}

fn everything() -> KeyRange {
    KeyRange::new("", "\u{7f}")
}

fn within(records: &BTreeMap<String, Cid>, ranges: &[KeyRange]) -> BTreeMap<String, Cid> {
    let inside = |key: &str| ranges.iter().any(|range| range.contains(key));
    records.iter().filter(|(key, _)| inside(key)).map(|(key, cid)| (key.clone(), *cid)).collect()
}

fn complete(walk: Walk) -> (BTreeMap<String, Cid>, BTreeSet<Cid>) {
    match walk {
        Walk::Complete { entries, nodes } => (entries, nodes),
        Walk::Missing { cids } => panic!("{} nodes are missing", cids.len()),
    }
}

proptest! {
    #[test]
    fn a_tree_depends_on_its_records_only(writes in proptest::collection::vec(write(), 0..160)) {
        let mut tree = Mst::default();
        let mut records = BTreeMap::new();
        let mut blocks = Blocks::default();
        for write in writes.into_iter().chain([Write::Encode]) {
            match write {
                Write::Put(path, n) => {
                    let cid = samples::record(n).1;
                    prop_assert_eq!(tree.insert(&path, cid), records.insert(path, cid));
                }
                Write::Remove(path) => prop_assert_eq!(tree.remove(&path), records.remove(&path)),
                Write::RemoveNth(n) if !records.is_empty() => {
                    let path = records.keys().nth(n.index(records.len())).expect("in range").clone();
                    prop_assert_eq!(tree.remove(&path), records.remove(&path));
                    prop_assert_eq!(tree.get(&path), None);
                }
                Write::RemoveNth(_) => {}
                Write::Encode => {
                    let written = tree.write();
                    for cid in &written.removed {
                        prop_assert!(blocks.get(cid).is_some(), "it was there to be removed");
                        blocks.remove(cid);
                    }
                    blocks.extend(written.added);
                    let (root, from_scratch) = samples::tree(&records);
                    prop_assert_eq!(written.root, root);
                    prop_assert_eq!(&blocks, &from_scratch);
                }
            }
        }
        for (path, cid) in &records {
            prop_assert_eq!(tree.get(path), Some(*cid));
        }
        prop_assert_eq!(Mst::from_records(&records).write().root, tree.write().root);
    }

    #[test]
    fn a_walk_finds_what_is_in_its_ranges(
        records in samples::records(120),
        ranges in proptest::collection::vec(range(), 0..4),
    ) {
        let (root, blocks) = samples::tree(&records);
        let (entries, nodes) = complete(mst::walk(&root, &blocks, &ranges).expect("a valid tree"));
        prop_assert_eq!(entries, within(&records, &ranges));
        // The nodes it names are enough, and none of them is too many.
        let mut kept = Blocks::default();
        for cid in &nodes {
            kept.copy_from(&blocks, cid);
        }
        complete(mst::walk(&root, &kept, &ranges).expect("a valid tree"));
        for cid in &nodes {
            let mut fewer = kept.clone();
            fewer.remove(cid);
            let walk = mst::walk(&root, &fewer, &ranges).expect("a valid tree");
            prop_assert_eq!(walk, Walk::Missing { cids: [*cid].into() });
        }
    }

    #[test]
    fn a_missing_node_is_never_an_absent_record(
        records in samples::records(120),
        ranges in proptest::collection::vec(range(), 1..4),
        lost in proptest::collection::vec(any::<prop::sample::Index>(), 1..8),
    ) {
        let (root, blocks) = samples::tree(&records);
        let all: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
        let mut some = blocks.clone();
        for n in lost {
            some.remove(&all[n.index(all.len())]);
        }
        let (_, needed) = complete(mst::walk(&root, &blocks, &ranges).expect("a valid tree"));
        let mut rounds = 0;
        loop {
            match mst::walk(&root, &some, &ranges).expect("a valid tree") {
                Walk::Complete { entries, nodes } => {
                    prop_assert_eq!(entries, within(&records, &ranges));
                    prop_assert_eq!(nodes, needed);
                    break;
                }
                Walk::Missing { cids } => {
                    // It asks only for what it lacks and needs, and gets further with it.
                    prop_assert!(!cids.is_empty() && cids.is_subset(&needed));
                    for cid in &cids {
                        prop_assert!(some.get(cid).is_none());
                        some.copy_from(&blocks, cid);
                    }
                    rounds += 1;
                    prop_assert!(rounds <= 16, "one round a layer");
                }
            }
        }
    }

    #[test]
    fn nodes_read_as_they_are_written(records in samples::records(60)) {
        let (_, blocks) = samples::tree(&records);
        for (_, bytes) in blocks.iter() {
            let node = mst::Node::parse(bytes).expect("a valid node");
            prop_assert_eq!(node.encode(), bytes);
        }
    }
}

#[test]
fn one_key_is_found_by_the_nodes_above_it_alone() {
    let keys: Vec<String> = (0..4).flat_map(|layer| samples::keys_at(layer, 40 >> (2 * layer))).collect();
    let records: BTreeMap<String, Cid> = keys.iter().map(|key| (key.clone(), samples::record(1).1)).collect();
    let (root, blocks) = samples::tree(&records);
    let top = keys.iter().map(|key| mst::layer_of(key)).max().expect("some keys");
    for key in &keys {
        let (entries, nodes) =
            complete(mst::walk(&root, &blocks, &[KeyRange::only(key)]).expect("a valid tree"));
        assert_eq!(entries.len(), 1);
        // Neither what stands left of the key nor what stands right of it is needed.
        assert_eq!(nodes.len() as u32, top - mst::layer_of(key) + 1);
    }
}

#[test]
fn no_ranges_need_the_root_alone() {
    let records = samples::keys_at(1, 9).into_iter().map(|key| (key, samples::record(1).1)).collect();
    let (root, blocks) = samples::tree(&records);
    let walk = mst::walk(&root, &blocks, &[]).expect("a valid tree");
    assert_eq!(walk, Walk::Complete { entries: BTreeMap::new(), nodes: [root].into() });
    let walk = mst::walk(&root, &Blocks::default(), &[]).expect("nothing wrong yet");
    assert_eq!(walk, Walk::Missing { cids: [root].into() });
}
