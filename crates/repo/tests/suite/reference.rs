//! Repos written by the reference implementation: read, proved, and written again the same.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use sheaf_repo::{
    blocks::Blocks,
    car::{self, Car, CarLimits},
    cbor,
    cid::{self, Cid},
    commit::Commit,
    did::Did,
    json,
    key::VerifyingKey,
    mst::{self, KeyRange, Walk},
    proof::prove,
    tid::Tid,
};

use crate::samples;

const LIMITS: CarLimits = CarLimits { max_bytes: 1 << 20, max_blocks: 1_000, max_block_bytes: 1 << 20 };

#[derive(Deserialize)]
struct Reference {
    kind: String,
    did: Did,
    key: String,
    rev: Tid,
    head: String,
    data: String,
    records: BTreeMap<String, String>,
    proofs: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    path: String,
    file: String,
}

impl Reference {
    fn all() -> Vec<Reference> {
        let all: Vec<Reference> = serde_json::from_slice(&fixture("repos.json")).expect("fixtures");
        assert_eq!(all.len(), 2);
        all
    }

    fn key(&self) -> VerifyingKey {
        VerifyingKey::from_did_key(&self.key).expect("a key")
    }

    fn car(&self) -> Car {
        car::parse(&fixture(&format!("{}-repo.car", self.kind)), &LIMITS).expect("a CAR")
    }

    fn records(&self) -> BTreeMap<String, Cid> {
        let parsed = self.records.iter().map(|(path, cid)| (path.clone(), cid::parse(cid).expect("a CID")));
        parsed.collect()
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let path =
        [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "reference", name].iter().collect::<PathBuf>();
    // The crate itself does no IO; its tests read their fixtures.
    #[allow(clippy::disallowed_methods)]
    std::fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

#[test]
fn whole_repos() {
    for (reference, signer) in Reference::all().into_iter().zip(samples::signing_keys()) {
        assert_eq!(signer.verifying_key(), reference.key());
        let car = reference.car();
        assert_eq!(car.roots, [cid::parse(&reference.head).expect("a CID")]);
        let bytes = car.blocks.get(&car.roots[0]).expect("the commit");
        let commit = Commit::parse(bytes).expect("a commit");
        assert_eq!(commit.verify(&reference.key()), Ok(()));
        assert_eq!((commit.did(), commit.rev()), (&reference.did, &reference.rev));
        assert_eq!(commit.data().to_string(), reference.data);
        // Signing is deterministic, so both write the very same commit.
        let own = Commit::sign(reference.did.clone(), *commit.data(), reference.rev.clone(), &signer);
        assert_eq!(own.encode(), bytes);

        let range = KeyRange::new("", "\u{7f}");
        let Ok(Walk::Complete { entries, nodes }) = mst::walk(commit.data(), &car.blocks, &[range]) else {
            panic!("a whole tree");
        };
        assert_eq!(entries, reference.records());
        let mut written = Blocks::default();
        assert_eq!(mst::build(&entries, &mut written), *commit.data());
        assert_eq!(
            written.iter().map(|(cid, _)| *cid).collect::<Vec<_>>(),
            nodes.into_iter().collect::<Vec<_>>()
        );
        for (path, cid) in entries {
            let bytes = car.blocks.get(&cid).expect("every record is there");
            let record = json::from_ipld(&cbor::decode(bytes).expect("DAG-CBOR"));
            assert_eq!(json::to_cbor(&record).expect("a record"), bytes, "{path}");
        }
    }
}

#[test]
fn proofs_of_presence_and_absence() {
    for reference in Reference::all() {
        let (mut there, mut absent) = (0, 0);
        for Asked { path, file } in &reference.proofs {
            let proof =
                prove(&reference.did, &reference.key(), &fixture(file), path, &LIMITS).expect("a proof");
            assert_eq!(proof.rev, reference.rev);
            assert_eq!(
                proof.record.as_ref().map(|(cid, _)| *cid),
                reference.records().get(path).copied(),
                "{file}"
            );
            match proof.record {
                Some(_) => there += 1,
                None => absent += 1,
            }
        }
        assert_eq!((there, absent), (3, 1));
    }
}

/// As with our own proofs: no flipped bit may yield another record.
#[test]
fn no_flip_yields_another_record() {
    for reference in Reference::all() {
        for Asked { path, file } in &reference.proofs {
            let car = fixture(file);
            let prove = |car: &[u8]| prove(&reference.did, &reference.key(), car, path, &LIMITS);
            let truth = prove(&car);
            assert!(truth.is_ok());
            for at in 0..car.len() {
                for bit in 0..8 {
                    let mut bent = car.clone();
                    bent[at] ^= 1 << bit;
                    let verdict = prove(&bent);
                    assert!(verdict.is_err() || verdict == truth, "{file}: byte {at}, bit {bit}");
                }
            }
        }
    }
}
