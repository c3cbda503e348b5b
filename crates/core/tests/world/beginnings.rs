//! How most stories begin, and how long things take in them.

use std::time::Duration;

use sheaf_core::replica::Event;

use super::World;

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
