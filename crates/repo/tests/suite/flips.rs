//! Proofs with damage: no change to a proof of one thing may make it a proof of another.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use sheaf_repo::{
    car::{self, CarLimits},
    did::Did,
    proof::{Proof, ProofError, prove},
    repo::Repo,
    tid::Tid,
};

use crate::samples;

const LIMITS: CarLimits = CarLimits { max_bytes: 1 << 20, max_blocks: 1_000, max_block_bytes: 1 << 20 };
const THERE: &str = "app.example.note/000123";
const ABSENT: &str = "app.example.note/000123x";

fn check(
    repo: &Repo,
    key: &sheaf_repo::key::VerifyingKey,
    car: &[u8],
    path: &str,
) -> Result<Proof, ProofError> {
    assert_eq!(repo.rev(), &Tid::from_micros(2, 0));
    prove(&samples::did(), key, car, path, &LIMITS)
}

/// Every bit of proofs of presence and of absence, under keys of both kinds.
#[test]
fn no_flip_yields_another_record() {
    for key in samples::signing_keys() {
        let repo = samples::repo(&key, 300);
        let public = key.verifying_key();
        for path in [THERE, ABSENT] {
            let car = repo.record_car(path);
            let truth = check(&repo, &public, &car, path).expect("a proof");
            assert_eq!(truth.record.is_some(), path == THERE);
            assert!(car.len() > 1_000, "a proof through several nodes");
            let mut refused = 0;
            for at in 0..car.len() {
                let flips =
                    (0..8).map(|bit| car[at] ^ (1 << bit)).chain([0x00, 0xff, car[at].wrapping_add(1)]);
                for flipped in flips.filter(|flipped| *flipped != car[at]) {
                    let mut bent = car.clone();
                    bent[at] = flipped;
                    match check(&repo, &public, &bent, path) {
                        Err(_) => refused += 1,
                        Ok(proof) => assert_eq!(proof, truth, "byte {at} as {flipped:#x}"),
                    }
                }
            }
            assert!(refused >= 8 * car.len(), "every byte of a proof counts");
        }
    }
}

#[test]
fn no_cut_nor_loss_yields_another_record() {
    let [key, _] = samples::signing_keys();
    let repo = samples::repo(&key, 300);
    let public = key.verifying_key();
    for path in [THERE, ABSENT] {
        let bytes = repo.record_car(path);
        let truth = check(&repo, &public, &bytes, path).expect("a proof");
        for cut in 0..bytes.len() {
            // A cut between blocks leaves a good CAR that lacks some.
            assert!(check(&repo, &public, &bytes[..cut], path).is_err(), "{cut}");
        }
        let car = car::parse(&bytes, &LIMITS).expect("a CAR");
        let root = car.roots[0];
        for (lost, _) in car.blocks.iter() {
            let rest = car::write(Some(&root), car.blocks.iter().filter(|(cid, _)| *cid != lost));
            assert_eq!(check(&repo, &public, &rest, path), Err(ProofError::Incomplete));
        }
        // Blocks in another order, twice, or besides, are the same proof.
        let extra = samples::record(12_345);
        let mut blocks: Vec<_> = car.blocks.iter().collect();
        blocks.reverse();
        blocks.push((&extra.1, &extra.0));
        blocks.push(blocks[0]);
        assert_eq!(check(&repo, &public, &car::write(Some(&root), blocks), path), Ok(truth));
        // Without the commit as root, or with another block in its place, it is none.
        assert!(check(&repo, &public, &car::write(None, car.blocks.iter()), path).is_err());
        for (other, _) in car.blocks.iter().filter(|(cid, _)| **cid != root) {
            assert!(check(&repo, &public, &car::write(Some(other), car.blocks.iter()), path).is_err());
        }
    }
}

/// The proof of one path says the truth of another, or nothing.
#[test]
fn a_proof_for_another_path_deceives_nobody() {
    let [_, key] = samples::signing_keys();
    let repo = samples::repo(&key, 40);
    let public = key.verifying_key();
    let paths: Vec<String> = (0..44)
        .flat_map(|n| [format!("app.example.note/{n:06}"), format!("app.example.note/{n:06}-")])
        .collect();
    let mut incomplete = 0;
    for asked in &paths {
        let car = repo.record_car(asked);
        for path in &paths {
            match check(&repo, &public, &car, path) {
                Ok(proof) => {
                    assert_eq!(
                        proof.record.as_ref().map(|(cid, bytes)| (cid, &bytes[..])),
                        repo.get(path),
                        "{path}"
                    );
                }
                Err(ProofError::Incomplete) => incomplete += 1,
                Err(why) => panic!("{asked} for {path}: {why}"),
            }
        }
        assert!(check(&repo, &public, &car, asked).is_ok());
    }
    assert!(incomplete > paths.len());
}

#[test]
fn another_account_or_key_proves_nothing() {
    let [key, other_key] = samples::signing_keys();
    let repo = samples::repo(&key, 10);
    let car = repo.record_car(THERE);
    let other: Did = "did:web:mallory.example".parse().expect("a DID");
    let verdict =
        |did: &Did, key: &sheaf_repo::key::SigningKey| prove(did, &key.verifying_key(), &car, THERE, &LIMITS);
    assert!(verdict(&samples::did(), &key).is_ok());
    assert_eq!(verdict(&other, &key), Err(ProofError::OtherAccount));
    assert!(matches!(verdict(&samples::did(), &other_key), Err(ProofError::Commit(_))));
    // One's own repo, well signed, under another's name.
    let mut forged = Repo::new(samples::did(), other_key.clone(), Tid::from_micros(1, 0));
    forged.put(THERE, samples::record(666).0, Tid::from_micros(2, 0));
    let car = forged.record_car(THERE);
    assert!(matches!(
        prove(&samples::did(), &key.verifying_key(), &car, THERE, &LIMITS),
        Err(ProofError::Commit(_))
    ));
    // The true commit with another tree, or another record, beside it.
    let (commit, forged_car) = (car::parse(&repo.record_car(THERE), &LIMITS).expect("a CAR"), car);
    let forged_blocks = car::parse(&forged_car, &LIMITS).expect("a CAR").blocks;
    let mut mixed = forged_blocks;
    mixed.copy_from(&commit.blocks, repo.head());
    let mixed = car::write(Some(repo.head()), mixed.iter());
    assert_eq!(
        prove(&samples::did(), &key.verifying_key(), &mixed, THERE, &LIMITS),
        Err(ProofError::Incomplete)
    );
}

#[test]
fn an_empty_repo_proves_absence() {
    for key in samples::signing_keys() {
        let repo = Repo::new(samples::did(), key.clone(), Tid::from_micros(9, 0));
        let proof = prove(&samples::did(), &key.verifying_key(), &repo.record_car(THERE), THERE, &LIMITS);
        assert_eq!(proof, Ok(Proof { rev: Tid::from_micros(9, 0), record: None }));
    }
}
