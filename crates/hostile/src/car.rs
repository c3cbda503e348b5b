//! CARs: their blocks are what they say, and as proofs, or as what somebody carries, they only ever say the truth.

use sheaf_core::replica::Doorbell;
use sheaf_repo::{
    car::{self, Car, CarLimits, MAX_ROOTS},
    cid,
    commit::Commit,
    proof,
};

use crate::history::{absent_path, history, signing_key};
use crate::relinked::{relinked, told};

pub(crate) const LIMITS: CarLimits =
    CarLimits { max_bytes: 1 << 20, max_blocks: 1_000, max_block_bytes: 1 << 16 };

pub(crate) fn read(input: &[u8]) -> bool {
    match relinked(input) {
        Some(car) => read_car(&car),
        None => read_car(input),
    }
}

fn read_car(input: &[u8]) -> bool {
    let Ok(car) = car::parse(input, &LIMITS) else { return false };
    assert!(car.roots.len() <= MAX_ROOTS && car.blocks.len() <= LIMITS.max_blocks);
    assert_eq!(car.blocks.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), car.blocks.total_bytes());
    for (cid, bytes) in car.blocks.iter() {
        assert!(cid::is_of(cid, bytes));
        if let Ok(commit) = Commit::parse(bytes) {
            assert_eq!(commit.encode(), bytes);
        }
    }
    let root = car.roots.first();
    let written = car::write(root, car.blocks.iter());
    let read = car::parse(&written, &LIMITS).expect("our own CAR is read");
    assert_eq!((read.roots.first(), &read.blocks), (root, &car.blocks));
    only_the_truth(input);
    carried(&car);
    came_with_a_bell(input, &car);
    true
}

/// Whatever somebody carries, in a snapshot's record or its blob, is believed only where it is so.
pub(crate) fn carried(car: &Car) {
    for root in &car.roots {
        history().carry(*root, &car.blocks);
    }
}

/// As the blocks of a commit that a server's stream has told of.
fn came_with_a_bell(input: &[u8], car: &Car) {
    let commit = car.roots.first().and_then(|root| Commit::parse(car.blocks.get(root)?).ok());
    let Some(commit) = commit else { return };
    history().ring(&Doorbell {
        did: history().did.clone(),
        rev: Some(commit.rev().clone()),
        path: Some(history().document.document_path()),
        car: Some(input.to_vec()),
    });
}

/// Whatever it proves of the account's records is so at the revision it names.
fn only_the_truth(car: &[u8]) {
    let history = history();
    let key = signing_key().verifying_key();
    for path in [history.document.document_path(), absent_path(&history.document)] {
        let Ok(proof) = proof::prove(&history.did, &key, car, &path, &LIMITS) else { continue };
        let repo = history.repos.iter().find(|repo| *repo.rev() == proof.rev).expect("a revision there was");
        let record = proof.record.as_ref().map(|(cid, bytes)| (cid, bytes.as_slice()));
        assert_eq!(record, repo.get(&path), "{path}");
    }
}

/// Proofs, whole repos and single commits, our own and the reference implementation's.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let history = history();
    let newest = history.newest();
    let mut seeds = vec![
        newest.record_car(&history.document.document_path()),
        newest.record_car(&absent_path(&history.document)),
        newest.export_car(),
        newest.blocks_car(&[*newest.data(), *newest.head()]).expect("its own blocks"),
        car::write(None, []),
    ];
    seeds.extend((1..history.repos.len()).map(|n| history.commit_car(n)));
    let whole = |car: &Vec<u8>| car::parse(car, &LIMITS).expect("our own CAR");
    seeds.extend(seeds.iter().map(|car| told(&whole(car))).collect::<Vec<_>>());
    for reference in [
        &include_bytes!("../../repo/tests/fixtures/reference/k256-record-11.car")[..],
        include_bytes!("../../repo/tests/fixtures/reference/p256-record-12.car"),
        include_bytes!("../../repo/tests/fixtures/reference/k256-repo.car"),
    ] {
        seeds.push(reference.to_vec());
    }
    seeds
}
