//! What a replica says of itself is true, and who is who cannot be made up.

mod world;

use sheaf_core::replica::{Event, FetchFailure, WriteFailure};
use world::{World, beginnings::MOMENT};

#[test]
fn nothing_is_called_saved_before_the_store_says_so() {
    let mut world = World::new(1, 1);
    let alice = world.create(0, "Notes");
    assert_eq!(world.status(alice).sentence(), "Saving on this device", "not even the new document itself");
    world.run(MOMENT);
    assert_eq!(world.status(alice).sentence(), "Published");

    world.type_at(alice, 0, 0, "on its way to the disk");
    assert_eq!(world.status(alice).unsaved, 1);
    assert_eq!(world.status(alice).sentence(), "Saving on this device");
    world.run(MOMENT);
    assert_eq!(world.status(alice).unsaved, 0);
    assert_eq!(world.status(alice).sentence(), "Published");

    world.hand(alice, Event::SetTitle("Other notes".into()));
    assert_eq!((world.status(alice).unsaved, world.status(alice).waiting), (1, 0), "a title is a change too");
    assert_eq!(world.status(alice).sentence(), "Saving on this device");
    world.run(MOMENT);
    assert_eq!(world.status(alice).sentence(), "Published");
}

#[test]
fn an_ended_session_with_nothing_waiting_counts_nothing() {
    let mut world = World::new(2, 1);
    let alice = world.create(0, "Notes");
    world.run(MOMENT);
    world.hand(alice, Event::Session(false));
    assert_eq!(world.status(alice).sentence(), "Sign in again to publish");
    let did = world.did(0);
    world.accounts.get_mut(&did).unwrap().writes_fail = Some(WriteFailure::SignInAgain);
    world.type_at(alice, 0, 0, "kept");
    world.run(MOMENT);
    assert_eq!(world.status(alice).sentence(), "Sign in again to publish: 1 change waiting");
}

#[test]
fn a_chosen_name_never_stands_alone() {
    let mut world = World::new(3, 2);
    let alice = world.create(0, "Notes");
    world.run(MOMENT);
    let bob_did = world.did(1);
    world.hand(alice, Event::AddEditor(bob_did.clone()));
    world.run(MOMENT);
    let uri = world.uri(0);
    let bob = world.open(&uri, Some(1));
    world.run(MOMENT);
    let names = |world: &World, who: usize| -> Vec<String> {
        world.devices[who].replica.people().into_iter().map(|person| person.name).collect()
    };
    // In this world nobody's handle is verified; one's own name needs no proof.
    assert_eq!(names(&world, alice), ["Person 0".to_owned(), format!("Person 1 ({bob_did})")]);
    assert_eq!(names(&world, bob)[0], "Person 1");
}

#[test]
fn what_the_owner_changed_and_published_is_there_after_a_restart_without_a_network() {
    let mut world = World::new(4, 2);
    let alice = world.create(0, "Untitled");
    world.run(MOMENT);
    let bob_did = world.did(1);
    world.hand(alice, Event::SetTitle("Notes".into()));
    world.hand(alice, Event::AddEditor(bob_did.clone()));
    world.run(MOMENT);
    assert_eq!(world.status(alice).sentence(), "Published");
    let did = world.did(0);
    world.accounts.get_mut(&did).unwrap().reads_fail = Some(FetchFailure::TimedOut);
    world.restart(alice);
    assert_eq!(world.devices[alice].replica.title(), "Notes");
    assert!(world.devices[alice].replica.editors().contains(&bob_did));
}
