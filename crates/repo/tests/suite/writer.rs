//! The repo that tests and simulations write.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::BTreeMap;

use proptest::prelude::*;
use sheaf_repo::{
    blocks::Blocks,
    car::{self, CarLimits},
    cid,
    commit::Commit,
    mst::{self, KeyRange, Walk},
    proof::prove,
    repo::{RecordWrite, Repo},
    tid::Tid,
};

use crate::samples;

const LIMITS: CarLimits = CarLimits { max_bytes: 16 << 20, max_blocks: 100_000, max_block_bytes: 1 << 20 };

fn write() -> impl Strategy<Value = RecordWrite> {
    prop_oneof![
        3 => (samples::path(), 0u64..5).prop_map(|(path, n)| RecordWrite::Put(path, samples::record(n).0)),
        1 => samples::path().prop_map(RecordWrite::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_repo_is_what_was_written_and_proves_it(
        commits in proptest::collection::vec(proptest::collection::vec(write(), 0..12), 0..8),
        asked in proptest::collection::vec(samples::path(), 1..8),
        kind in 0usize..2,
    ) {
        let key = &samples::signing_keys()[kind];
        let mut repo = Repo::new(samples::did(), key.clone(), Tid::from_micros(1, 0));
        let mut truth: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for writes in commits {
            for write in &writes {
                match write.clone() {
                    RecordWrite::Put(path, bytes) => truth.insert(path, bytes),
                    RecordWrite::Delete(path) => truth.remove(&path),
                };
            }
            let rev = repo.next_rev(0);
            repo.apply(writes, rev.clone());
            prop_assert_eq!(repo.rev(), &rev);

            // It holds what is part of it now, all of that and nothing else.
            let car = car::parse(&repo.export_car(), &LIMITS).expect("a CAR");
            prop_assert_eq!(&car.roots, &[*repo.head()]);
            let mut expected = Blocks::default();
            let records = truth.iter().map(|(path, bytes)| (path.clone(), cid::of_record(bytes))).collect();
            let root = mst::build(&records, &mut expected);
            for bytes in truth.values() {
                expected.add(bytes.clone());
            }
            let commit = Commit::parse(car.blocks.get(repo.head()).expect("the commit")).expect("a commit");
            expected.add(commit.encode());
            prop_assert_eq!(&car.blocks, &expected);
            prop_assert_eq!((commit.data(), repo.data()), (&root, &root));
            prop_assert_eq!(commit.verify(&key.verifying_key()), Ok(()));
        }
        prop_assert_eq!(repo.paths().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
        for path in asked.iter().chain(truth.keys()) {
            let proof = prove(&samples::did(), &key.verifying_key(), &repo.record_car(path), path, &LIMITS).expect("a proof");
            prop_assert_eq!(proof.record.map(|(_, bytes)| bytes), truth.get(path).cloned());
            prop_assert_eq!(&proof.rev, repo.rev());
        }
    }
}

#[test]
fn blocks_are_given_all_or_not_at_all() {
    let [key, _] = samples::signing_keys();
    let mut repo = samples::repo(&key, 20);
    let old = [*repo.head(), *repo.data()];
    let car = car::parse(&repo.blocks_car(&old).expect("they are there"), &LIMITS).expect("a CAR");
    assert_eq!((car.roots.len(), car.blocks.len()), (0, 2));
    repo.delete("app.example.note/000003", Tid::from_micros(3, 0));
    assert_eq!(repo.blocks_car(&old), None);
    assert_eq!(repo.get("app.example.note/000003"), None);
    assert_eq!(repo.blocks_car(&[samples::record(3).1]), None, "a deleted record is gone");
    assert!(repo.blocks_car(&[*repo.head()]).is_some());
}

#[test]
fn revisions_only_grow() {
    let [key, _] = samples::signing_keys();
    let repo = Repo::new(samples::did(), key, Tid::from_micros(1_000, 3));
    assert_eq!(repo.next_rev(5_000), Tid::from_micros(5_000, 0));
    assert!(repo.next_rev(1_000) > *repo.rev());
    assert!(repo.next_rev(7) > *repo.rev());
}

#[test]
#[should_panic(expected = "a revision only grows")]
fn an_old_revision_is_a_mistake() {
    let [key, _] = samples::signing_keys();
    Repo::new(samples::did(), key, Tid::from_micros(2, 0)).apply([], Tid::from_micros(2, 0));
}

#[test]
#[should_panic(expected = "a tree's keys are paths")]
fn a_path_that_is_none_is_a_mistake() {
    let [key, _] = samples::signing_keys();
    Repo::new(samples::did(), key, Tid::from_micros(1, 0)).put(
        "no path",
        samples::record(1).0,
        Tid::from_micros(2, 0),
    );
}

/// What a proof costs does not depend on how much else there is, but for a logarithm.
#[test]
fn proofs_and_ranges_of_a_large_repo_stay_small() {
    let [key, _] = samples::signing_keys();
    let mut repo = samples::repo(&key, 10_000);
    let before = repo.all_blocks().len();
    for n in 0..200u64 {
        let rev = repo.next_rev(0);
        repo.put("app.example.note/005000", samples::record(1_000_000 + n).0, rev);
    }
    assert_eq!(repo.all_blocks().len(), before, "only what is part of the tree is kept");
    for path in ["app.example.note/005000", "app.example.note/0050005"] {
        let car = repo.record_car(path);
        assert!(car.len() < 12_000, "{} bytes", car.len());
        prove(&samples::did(), &key.verifying_key(), &car, path, &LIMITS).expect("a proof");
    }
    let range = KeyRange::new("app.example.note/005000", "app.example.note/005050");
    let Ok(Walk::Complete { entries, nodes }) = mst::walk(repo.data(), repo.all_blocks(), &[range]) else {
        panic!("our own tree");
    };
    assert_eq!(entries.len(), 50);
    assert!(nodes.len() < 40, "{} nodes", nodes.len());
}
