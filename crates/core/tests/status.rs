//! What a replica says of itself is true, and who is who cannot be made up.

mod world;

use std::time::Duration;

use sheaf_core::replica::{Event, FetchFailure, WriteFailure};
use world::{
    World,
    beginnings::{MOMENT, WHILE, two_people},
};

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
fn what_waits_is_said_with_since_when() {
    let mut world = World::new(3, 1);
    let alice = world.create(0, "Notes");
    world.run(MOMENT);
    world.hand(alice, Event::Online(false));
    let clock = |at: sheaf_core::time::Timestamp| Some(format!("second {}", at.as_millis() / 1_000));
    assert_eq!(world.status(alice).sentence_since(clock), "Offline: everything is published");
    world.type_at(alice, 0, 0, "first");
    let first = world.now.as_millis() / 1_000;
    world.run(WHILE);
    world.type_at(alice, 5, 0, ", and later");
    world.run(MOMENT);
    let status = world.status(alice);
    assert_eq!(status.sentence_since(clock), format!("Offline: 2 changes waiting since second {first}"));
    assert_eq!(status.sentence(), "Offline: 2 changes waiting");
    assert!(
        status.points_left < 5_000 && status.points_left_today < 35_000,
        "a new document costs something"
    );
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

#[test]
fn a_repo_that_misbehaves_is_told_of_in_plain_words_and_what_was_read_stays() {
    let (mut world, alice, bob) = two_people(5);
    let (uri, bob_did) = (world.uri(0), world.did(1));
    world.type_at(bob, 0, 0, "one ");
    world.run(MOMENT);
    let older = world.accounts[&bob_did].repo.clone();
    world.type_at(bob, 4, 0, "two ");
    world.run(WHILE);
    // He is not there to put it right.
    world.set_online(bob, false);
    let honest = world.accounts[&bob_did].repo.clone();
    let other = world.other_history(&bob_did, &older);

    for (shown, told) in [(older, "an older state than before"), (other, "two histories at once")] {
        world.accounts.get_mut(&bob_did).unwrap().repo = shown;
        world.set_online(alice, false);
        world.set_online(alice, true);
        world.run(MOMENT);
        let sentence = world.status(alice).sentence();
        assert!(sentence.starts_with(bob_did.as_str()) && sentence.contains(told), "{sentence}");
        assert_eq!(world.devices[alice].view, "one two ", "what was read stays");
        world.accounts.get_mut(&bob_did).unwrap().repo = honest.clone();
        world.run(Duration::from_secs(20 * 60));
        assert_eq!(world.status(alice).sentence(), "Published", "an honest server is believed again");
    }

    // Whoever comes while blocks are left out is told whose they are, and sees what the others carry of it.
    world.accounts.get_mut(&bob_did).unwrap().withholds = true;
    world.type_at(alice, 0, 0, "zero ");
    let newcomer = world.open(&uri, None);
    world.run(MOMENT);
    let sentence = world.status(newcomer).sentence();
    assert!(sentence.starts_with(bob_did.as_str()) && sentence.contains("leaves out"), "{sentence}");
    assert_eq!(world.devices[newcomer].view, "zero one two ");
    world.accounts.get_mut(&bob_did).unwrap().withholds = false;
    world.run(Duration::from_secs(20 * 60));
    assert!(world.status(newcomer).editors.iter().all(|editor| editor.trouble.is_none()));
}

#[test]
fn a_key_that_changes_is_followed_without_a_word() {
    let (mut world, alice, bob) = two_people(6);
    let bob_did = world.did(1);
    world.type_at(bob, 0, 0, "one ");
    world.run(MOMENT);
    world.rotate_key(&bob_did);
    world.type_at(bob, 4, 0, "two ");
    world.run(MOMENT);
    assert_eq!(world.devices[alice].view, "one two ");
    assert!(world.status(alice).sentence().starts_with("Published"), "{}", world.status(alice).sentence());
}
