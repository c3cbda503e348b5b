//! CARs told block by block, whose links are made true to what was changed: so it is the signature that has to stop a
//! forgery, or the tree's form, and not merely that some byte is not the one that was hashed.

use sheaf_repo::{
    car::{self, Car},
    cid::{self, Cid},
};

use crate::bytes;

/// An input that begins with this is told. No CAR does: it is the length of a header, which is longer.
const TOLD: u8 = b'B';
/// At most this many blocks are told.
const MOST: usize = 96;
/// A CID as bytes.
const NAME: usize = 36;
/// A change of a record goes up through as many nodes as a tree of so few blocks can have layers, and the commit.
const PASSES: usize = 12;

/// The CAR that an input tells. `None` for one that does not begin like that.
pub(crate) fn relinked(input: &[u8]) -> Option<Vec<u8>> {
    let (&TOLD, told) = input.split_first()? else { return None };
    let mut parts = bytes::parts(told, MOST).into_iter().map(<[u8]>::to_vec);
    let mut roots = parts.next()?;
    let mut blocks: Vec<Vec<u8>> = parts.filter(|block| block.len() >= NAME).collect();
    for _ in 0..PASSES {
        let mut changed = false;
        for at in 0..blocks.len() {
            let (name, block) = blocks[at].split_at(NAME);
            let (old, new) = (name.to_vec(), true_name(block).to_bytes());
            if old != new {
                changed = true;
                for place in blocks.iter_mut().chain([&mut roots]) {
                    replace(place, &old, &new);
                }
            }
        }
        if !changed {
            break;
        }
    }
    let roots: Vec<Cid> = roots.chunks_exact(NAME).filter_map(|name| Cid::try_from(name).ok()).collect();
    let named = |block: &Vec<u8>| (true_name(&block[NAME..]), block[NAME..].to_vec());
    let blocks: Vec<(Cid, Vec<u8>)> = blocks.iter().map(named).collect();
    Some(car::write(&roots, blocks.iter().map(|(cid, bytes)| (cid, bytes.as_slice()))))
}

fn true_name(block: &[u8]) -> Cid {
    cid::of_record(block)
}

fn replace(place: &mut [u8], old: &[u8], new: &[u8]) {
    let mut at = 0;
    while let Some(found) = place.get(at..).and_then(|rest| rest.windows(NAME).position(|part| part == old)) {
        place[at + found..at + found + NAME].copy_from_slice(new);
        at += found + NAME;
    }
}

/// An input that tells this CAR.
pub(crate) fn told(car: &Car) -> Vec<u8> {
    let roots = car.roots.iter().flat_map(Cid::to_bytes).collect();
    let blocks = car.blocks.iter().map(|(cid, bytes)| [&cid.to_bytes(), bytes].concat());
    let parts: Vec<Vec<u8>> = std::iter::once(roots).chain(blocks).collect();
    [&[TOLD], bytes::joined(&parts).as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{car::LIMITS, history::history};

    #[test]
    fn what_was_changed_hangs_together_again() {
        let newest = history().newest();
        let whole =
            car::parse(&newest.record_car(&history().document.document_path()), &LIMITS).expect("a CAR");
        let mut told = told(&whole);
        let same = relinked(&told).expect("it is told");
        assert_eq!(car::parse(&same, &LIMITS).expect("a CAR").blocks, whole.blocks);
        let title = told.windows(5).position(|part| part == b"Field").expect("the record is in it");
        told[title] = b'Y';
        let forged = car::parse(&relinked(&told).expect("it is told"), &LIMITS).expect("a CAR");
        assert_eq!((forged.roots.len(), forged.blocks.len()), (1, whole.blocks.len()));
        let hangs = |cid: &Cid| {
            let name = cid.to_bytes();
            forged.roots.contains(cid)
                || forged.blocks.iter().any(|(_, bytes)| bytes.windows(NAME).any(|part| part == name))
        };
        assert!(forged.blocks.iter().all(|(cid, _)| hangs(cid)));
        assert_ne!(forged.roots, whole.roots);
    }
}
