//! How most stories begin, and how long things take in them.

use std::time::Duration;

use sheaf_core::replica::{Event, WriteFailure};

use super::World;

/// Shorter than any flush.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(1);
/// Long enough for what was typed to be everywhere.
pub(crate) const MOMENT: Duration = Duration::from_secs(3);
/// Long enough for a failure to be tried again.
pub(crate) const WHILE: Duration = Duration::from_secs(30);

/// Alice makes a document, Bob is let in, and both have it open.
pub(crate) fn two_people(seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed, 3);
    let alice = world.create(0, "Notes");
    world.run(MOMENT);
    let bob_did = world.did(1);
    world.hand(alice, Event::AddEditor(bob_did));
    world.run(MOMENT);
    let uri = world.uri(0);
    let bob = world.open(&uri, Some(1));
    world.run(MOMENT);
    (world, alice, bob)
}

/// Alice's document with these people in it, all live.
pub(crate) fn live_people(seed: u64, people: usize) -> (World, Vec<usize>) {
    let mut world = World::new(seed, people.max(3));
    let made = world.create(0, "Notes");
    world.run(WHILE);
    for n in 1..people {
        let did = world.did(n);
        world.hand(made, Event::AddEditor(did));
    }
    world.run(WHILE);
    let uri = world.uri(0);
    let devices: Vec<usize> = (0..people).map(|n| world.open_live(&uri, Some(n))).collect();
    world.hand(made, Event::Close);
    world.run(WHILE);
    (world, devices)
}

/// Nobody's server takes anything any more.
pub(crate) fn nobody_writes(world: &mut World) {
    for account in world.accounts.values_mut() {
        account.writes_fail = Some(WriteFailure::Unreachable("away".into()));
    }
}
