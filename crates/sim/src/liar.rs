//! A PDS that lies about an account, and doorbells that somebody made up.

use sheaf_core::{
    replica::{Doorbell, FetchFailure, FetchWhat},
    time::Timestamp,
};
use sheaf_repo::{
    car::{self, CarLimits},
    cid::Cid,
    tid::Tid,
};

use crate::{
    choices::Choices,
    pds::{Account, honest},
    schedule::{Bell, Lie},
};

const LIMITS: CarLimits = CarLimits { max_bytes: 16 << 20, max_blocks: 10_000, max_block_bytes: 1 << 20 };

/// The answer of a lying PDS.
pub(crate) fn read(
    lie: Lie,
    account: &Account,
    other: &Account,
    what: &FetchWhat,
    choices: &mut Choices,
) -> Result<Vec<u8>, FetchFailure> {
    let older = account.older.first().unwrap_or(&account.repo);
    match lie {
        Lie::RollBack => honest(account, older, what),
        Lie::AnotherRepo => honest(other, &other.repo, what),
        Lie::WrongKey => honest(account, account.impostor.as_ref().unwrap_or(&account.repo), what),
        Lie::Withhold => honest(account, &account.repo, what).map(|car| withhold(&car, choices)),
        Lie::Flip => honest(account, &account.repo, what).map(|car| flip(car, choices)),
        Lie::Swap => honest(account, &account.repo, what).map(|car| swap(&car, account)),
    }
}

/// A doorbell that nobody rang.
pub(crate) fn bell(
    bell: Bell,
    account: &Account,
    other: &Account,
    path: String,
    now: Timestamp,
    choices: &mut Choices,
) -> Doorbell {
    let older = account.older.first().unwrap_or(&account.repo);
    let car = match bell {
        Bell::Invented => None,
        Bell::Replayed => Some(older.record_car(&path)),
        Bell::AnotherRepo => Some(other.repo.record_car(&path)),
        Bell::WrongKey => account.impostor.as_ref().map(|impostor| impostor.export_car()),
        Bell::Corrupted => Some(flip(account.repo.record_car(&path), choices)),
        Bell::Swapped => Some(swap(&account.repo.export_car(), account)),
    };
    let rev = match choices.below(3) {
        0 => None,
        1 => Some(Tid::from_micros(now.as_micros() + 3_600_000_000, 5)),
        _ => Some(account.repo.rev().clone()),
    };
    Doorbell { did: account.did.clone(), rev, path: Some(path), car }
}

fn flip(mut car: Vec<u8>, choices: &mut Choices) -> Vec<u8> {
    let at = choices.below(car.len());
    if let Some(byte) = car.get_mut(at) {
        *byte ^= 1 << choices.below(8);
    }
    car
}

/// All but one of the blocks.
fn withhold(bytes: &[u8], choices: &mut Choices) -> Vec<u8> {
    let Ok(car) = car::parse(bytes, &LIMITS) else { return bytes.to_vec() };
    let gone = choices.below(car.blocks.len());
    let left = car.blocks.iter().enumerate().filter(|(n, _)| *n != gone).map(|(_, block)| block);
    car::write(car.roots.first(), left)
}

/// The impostor's records under the CIDs of the true ones.
fn swap(bytes: &[u8], account: &Account) -> Vec<u8> {
    let (Ok(car), Some(impostor)) = (car::parse(bytes, &LIMITS), &account.impostor) else {
        return bytes.to_vec();
    };
    let forged: Vec<u8> = impostor
        .paths()
        .filter_map(|path| impostor.get(path))
        .map(|(_, bytes)| bytes.to_vec())
        .find(|bytes| account.repo.all_blocks().iter().all(|(_, true_one)| true_one != bytes.as_slice()))
        .unwrap_or_default();
    let records: Vec<Cid> =
        account.repo.paths().filter_map(|path| Some(*account.repo.get(path)?.0)).collect();
    let blocks =
        car.blocks.iter().map(|(cid, bytes)| (cid, if records.contains(cid) { &forged[..] } else { bytes }));
    car::write(car.roots.first(), blocks)
}
