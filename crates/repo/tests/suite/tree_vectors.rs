//! The published trees: layers, prefixes, roots and proofs.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use serde::Deserialize;
use sheaf_repo::{
    Ipld,
    blocks::Blocks,
    cbor,
    cid::{self, Cid},
    mst::{self, KeyRange, Mst, Node, NodeEntry, Walk},
};

#[derive(Deserialize)]
struct Height {
    key: String,
    height: u32,
}

#[test]
fn published_layers() {
    let heights: Vec<Height> =
        serde_json::from_str(include_str!("../fixtures/interop/mst/key_heights.json")).expect("fixtures");
    for Height { key, height } in heights {
        assert_eq!(mst::layer_of(&key), height, "{key:?}");
    }
    // In the list of examples each name says its layer.
    let mut count = 0;
    for key in include_str!("../fixtures/interop/mst/example_keys.txt").lines() {
        assert_eq!(mst::layer_of(key).to_string(), key[1..2], "{key:?}");
        count += 1;
    }
    assert_eq!(count, 156);
}

#[derive(Deserialize)]
struct Shared {
    left: String,
    right: String,
    len: usize,
}

#[test]
fn published_prefixes() {
    let cases: Vec<Shared> =
        serde_json::from_str(include_str!("../fixtures/interop/mst/common_prefix.json")).expect("fixtures");
    for case in cases {
        // What a node writes of its second key is what the first does not share.
        let entry = |key: &str| NodeEntry { key: key.to_owned(), value: cid::of_record(b""), right: None };
        let node = Node { left: None, entries: vec![entry(&case.left), entry(&case.right)] };
        let written = cbor::decode(&node.encode()).expect("DAG-CBOR");
        let Ipld::Map(node) = written else { panic!("a node is a map") };
        let Ipld::List(entries) = &node["e"] else { panic!("a node has a list") };
        let Ipld::Map(second) = &entries[1] else { panic!("an entry is a map") };
        assert_eq!(second["p"], Ipld::Integer(case.len as i128), "{:?} {:?}", case.left, case.right);
    }
}

#[derive(Deserialize)]
struct KnownRoots {
    value: String,
    cases: Vec<KnownCase>,
}

#[derive(Deserialize)]
struct KnownCase {
    name: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    writes: Vec<Write>,
    root: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Write {
    Add(String),
    Remove(String),
}

#[test]
fn roots_of_the_reference_implementation() {
    let known: KnownRoots =
        serde_json::from_str(include_str!("../fixtures/mst-known-roots.json")).expect("fixtures");
    let value = cid::parse(&known.value).expect("a CID");
    for case in known.cases {
        let mut tree = Mst::default();
        let mut records = BTreeMap::new();
        for step in case.steps {
            for write in step.writes {
                match write {
                    Write::Add(key) => {
                        tree.insert(&key, value);
                        records.insert(key, value);
                    }
                    Write::Remove(key) => {
                        tree.remove(&key);
                        records.remove(&key);
                    }
                }
            }
            assert_eq!(tree.write().root.to_string(), step.root, "{}", case.name);
            assert_eq!(mst::build(&records, &mut Blocks::default()).to_string(), step.root, "{}", case.name);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitProof {
    comment: String,
    leaf_value: String,
    keys: Vec<String>,
    adds: Vec<String>,
    dels: Vec<String>,
    root_before_commit: String,
    root_after_commit: String,
    blocks_in_proof: Vec<String>,
}

#[test]
fn published_commit_proofs() {
    let cases: Vec<CommitProof> =
        serde_json::from_str(include_str!("../fixtures/interop/firehose/commit-proof-fixtures.json"))
            .expect("fixtures");
    assert!(!cases.is_empty());
    for case in cases {
        let value = cid::parse(&case.leaf_value).expect("a CID");
        let mut tree = Mst::default();
        for key in &case.keys {
            tree.insert(key, value);
        }
        let before = tree.write();
        assert_eq!(before.root.to_string(), case.root_before_commit, "{}", case.comment);
        for key in &case.adds {
            assert_eq!(tree.insert(key, value), None);
        }
        for key in &case.dels {
            assert_eq!(tree.remove(key), Some(value));
        }
        let after = tree.write();
        assert_eq!(after.root.to_string(), case.root_after_commit, "{}", case.comment);

        // The blocks of the proof are all of the new tree, and enough to see what was added and what is gone.
        let mut all = before.added;
        all.extend(after.added);
        let mut proof = Blocks::default();
        for cid in &case.blocks_in_proof {
            let cid: Cid = cid::parse(cid).expect("a CID");
            assert!(all.get(&cid).is_some(), "{}: {cid}", case.comment);
            proof.copy_from(&all, &cid);
        }
        for key in case.adds.iter().chain(&case.dels) {
            let walk = mst::walk(&after.root, &proof, &[KeyRange::only(key)]).expect("a valid tree");
            let Walk::Complete { entries, .. } = walk else {
                panic!("{}: {key} is not proved", case.comment)
            };
            assert_eq!(entries.contains_key(key), case.adds.contains(key), "{}: {key}", case.comment);
        }
    }
}

#[test]
fn keys_that_a_tree_may_and_may_not_have() {
    for good in [
        "coll/3jui7kd54zh2y",
        "coll/self",
        "coll/example.com",
        "com.example/rkey",
        "coll/~1.2-3_",
        "coll/pre:fix",
        "coll/_",
    ] {
        assert!(mst::is_path(good), "{good}");
    }
    let long = format!("coll/{}", "a".repeat(mst::MAX_KEY_BYTES - 5));
    assert!(mst::is_path(&long));
    for bad in [
        "",
        "asdf",
        "nested/collection/asdf",
        "coll/",
        "/rkey",
        "coll/jalapeñoA",
        "coll/abc💩",
        "coll/key$",
        "coll/key%",
        "coll/key(",
        "coll/key+",
        "coll/key=",
        "coll/@handle",
        "coll/any space",
        "coll/#extra",
        "coll/number[3]",
        "coll/\"quote\"",
        "coll/a\0",
        "coll/a\r\n",
        &format!("{long}a"),
    ] {
        assert!(!mst::is_path(bad), "{bad:?}");
    }
}
