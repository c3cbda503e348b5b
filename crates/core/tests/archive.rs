//! A document as a file: it opens with nobody to ask, and nobody can change a letter of it.

mod document_support;
mod world;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use document_support::{Chance, for_each_seed};
use sheaf_core::{
    archive::{Archive, ArchiveError},
    replica::{Event, FetchFailure, Presence, Replica, Role},
    time::Timestamp,
};
use sheaf_repo::car::CarError;
use world::{
    World,
    beginnings::{MOMENT, WHILE, two_people},
};

/// Alice's and Bob's document with something by each, and another of Alice's devices.
fn written(seed: u64) -> (World, usize, usize) {
    let (mut world, alice, bob) = two_people(seed);
    world.type_at(alice, 0, 0, "Hello 👩‍👩‍👧 e\u{301}\r\n");
    world.run(Duration::from_secs(301));
    world.type_at(bob, 6, 8, "שלום");
    world.run(WHILE);
    (world, alice, bob)
}

fn archive(world: &World, device: usize) -> Vec<u8> {
    let made = world.devices[device].replica.to_archive(world.now).unwrap();
    assert!(made.lacking.is_empty(), "{:?}", made.lacking);
    made.archive.write().unwrap()
}

fn opened(bytes: &[u8], now: Timestamp) -> Replica {
    Replica::from_archive(&Archive::read(bytes).unwrap(), now)
}

#[test]
fn an_archive_opens_with_nobody_to_ask() {
    let (mut world, alice, bob) = written(1);
    for device in [alice, bob] {
        world.restart(device);
        world.run(WHILE);
        let bytes = archive(&world, device);
        let replica = opened(&bytes, world.now);
        assert_eq!(replica.text(), world.devices[alice].view);
        assert_eq!(replica.title(), "Notes");
        assert_eq!(replica.editors(), world.devices[alice].replica.editors());
        assert_eq!(replica.role(), Role::Reader);
        assert_eq!(replica.history().written(), world.devices[alice].replica.history().written());
        let audit = replica.audit();
        assert_eq!((audit.presence, audit.waiting), (Presence::Here, 0));
        assert!(audit.editors.iter().all(|editor| editor.head.is_some() && editor.missing == 0));
        // What was read can be put away again, byte for byte.
        let made_at = Archive::read(&bytes).unwrap().made_at;
        assert_eq!(replica.to_archive(made_at).unwrap().archive.write().unwrap(), bytes);
    }
}

#[test]
fn a_server_that_is_gone_takes_nothing_out_of_an_archive() {
    let (mut world, alice, bob) = written(2);
    let text = world.devices[alice].view.clone();
    let owner = world.did(0);
    world.accounts.get_mut(&owner).unwrap().reads_fail = Some(FetchFailure::Unreachable("gone".into()));
    world.restart(bob);
    world.run(WHILE);
    assert_eq!(opened(&archive(&world, bob), world.now).text(), text);
    // Somebody who never saw the owner's record has nothing to prove.
    let uri = world.uri(0);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    let made = world.devices[newcomer].replica.to_archive(world.now);
    assert_eq!(made.unwrap_err(), ArchiveError::OwnerUnproved);
}

#[test]
fn what_is_not_published_is_not_signed_and_so_not_in_it() {
    let (mut world, alice, _) = written(3);
    let text = world.devices[alice].view.clone();
    world.set_online(alice, false);
    world.type_at(alice, 0, 0, "Not yet. ");
    assert_eq!(opened(&archive(&world, alice), world.now).text(), text);
}

#[test]
fn a_removed_editor_counts_in_an_archive_as_far_as_everywhere() {
    let (mut world, alice, bob) = two_people(4);
    let ben = world.did(1);
    world.type_at(bob, 0, 0, "Ben's. ");
    world.run(MOMENT);
    world.hand(alice, Event::RemoveEditor(ben.clone()));
    world.run(MOMENT);
    world.vandalise(&ben);
    world.run(WHILE);
    let replica = opened(&archive(&world, alice), world.now);
    assert_eq!(replica.text(), world.devices[alice].view);
    assert!(replica.audit().editors.iter().any(|editor| editor.is_former && editor.did == ben));
}

#[test]
fn damage_is_told_and_never_read_as_text() {
    let (world, alice, _) = written(5);
    let bytes = archive(&world, alice);
    let text = world.devices[alice].view.clone();
    assert_eq!(Archive::read(b"").unwrap_err(), ArchiveError::Car(CarError::Truncated));
    assert!(Archive::read(b"# Notes\n\nNot an archive at all.").is_err());
    for_each_seed(300, |_, chance| {
        let damaged = damage(&bytes, chance);
        // Either the file is refused, or what it proves is what was signed, whole for each author.
        let Ok(archive) = Archive::read(&damaged) else { return };
        let replica = Replica::from_archive(&archive, world.now);
        let proved = replica.audit().editors.iter().filter(|editor| editor.head.is_some()).count();
        assert!(damaged == bytes || proved < 2 || replica.text() == text, "{}", replica.text());
        assert!(proved > 0 || replica.text().is_empty());
    });
}

/// Cut short, with a byte changed, with a stretch left out or twice.
fn damage(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = chance.below(bytes.len());
    match chance.below(4) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << chance.below(8),
        2 => drop(bytes.drain(at..(at + 1 + chance.below(200)).min(bytes.len()))),
        _ => {
            let again = bytes[at..(at + 100).min(bytes.len())].to_vec();
            bytes.splice(at..at, again);
        }
    }
    bytes
}

#[test]
fn a_block_left_out_and_a_signature_of_somebody_else_prove_nothing() {
    let (world, alice, _) = written(6);
    let bytes = archive(&world, alice);
    let limits =
        sheaf_repo::car::CarLimits { max_bytes: 1 << 24, max_blocks: 1_000, max_block_bytes: 1 << 20 };
    let car = sheaf_repo::car::parse(&bytes, &limits).unwrap();
    let ben = world.did(1);
    for (left_out, _) in car.blocks.iter() {
        let rest = car.blocks.iter().filter(|(cid, _)| *cid != left_out);
        let rest = sheaf_repo::car::write(&car.roots, rest);
        let Ok(archive) = Archive::read(&rest) else { continue };
        let replica = Replica::from_archive(&archive, world.now);
        let proved = replica.audit().editors.iter().filter(|editor| editor.head.is_some()).count();
        assert!(proved < 2, "without {left_out} all is proved all the same");
    }
    // The archive says that Bob's key is another: then nothing of his is proved, and all of Alice's is.
    let mut forged = Archive::read(&bytes).unwrap();
    let alices_key = forged.people.iter().find(|person| person.did != ben).unwrap().key.clone();
    forged.people.iter_mut().find(|person| person.did == ben).unwrap().key = alices_key;
    let replica = opened(&forged.write().unwrap(), world.now);
    let proved: Vec<_> = replica.audit().editors.into_iter().map(|e| (e.did, e.head.is_some())).collect();
    assert_eq!(proved, [(world.did(0), true), (ben, false)]);
    assert!(!replica.text().contains("שלום"));
}
