//! Replicas in a small world of signed repos: what people are promised, on virtual time.

mod world;

use std::time::Duration;

use sheaf_core::replica::{Event, Presence, Role, Stalled, WriteFailure};
use world::World;

const MOMENT: Duration = Duration::from_secs(3);
const WHILE: Duration = Duration::from_secs(30);

/// Alice makes a document, Bob is let in, and both have it open.
fn two_people(seed: u64) -> (World, usize, usize) {
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

#[test]
fn what_one_types_the_other_sees() {
    let (mut world, alice, bob) = two_people(1);
    assert_eq!(world.devices[bob].replica.role(), Role::Editor);
    assert_eq!(world.devices[bob].replica.title(), "Notes");
    world.type_at(alice, 0, 0, "Hello, 👩‍👩‍👧 e\u{301}\r\n");
    world.run(MOMENT);
    world.type_at(bob, 0, 0, "שלום ");
    world.run(MOMENT);
    assert_eq!(world.devices[alice].view, "שלום Hello, 👩‍👩‍👧 e\u{301}\r\n");
    assert_eq!(world.texts().len(), 1);
    assert_eq!(world.status(alice).waiting, 0);
    assert_eq!(world.status(alice).people, 2, "each sees the other");
    assert!(world.status(bob).sentence().starts_with("Published"), "{}", world.status(bob).sentence());
}

#[test]
fn a_stranger_reads_along_and_cannot_write() {
    let (mut world, alice, _) = two_people(2);
    let uri = world.uri(0);
    let reader = world.open(&uri, Some(2));
    let nobody = world.open(&uri, None);
    world.type_at(alice, 0, 0, "for all to read");
    world.run(MOMENT);
    for reader in [reader, nobody] {
        assert_eq!(world.devices[reader].view, "for all to read");
        assert_eq!(world.devices[reader].replica.role(), Role::Reader);
        let splice =
            sheaf_core::text::Splice { at: sheaf_core::text::Utf16Offset(0), delete: 3, insert: "x".into() };
        world.hand(reader, Event::Edit(vec![splice]));
        assert_eq!(world.devices[reader].replica.text(), "for all to read");
        assert_eq!(world.status(reader).waiting, 0);
    }
}

#[test]
fn the_first_keystroke_after_a_pause_leaves_at_once() {
    let (mut world, alice, bob) = two_people(3);
    world.run(WHILE);
    let before = world.now;
    world.type_at(alice, 0, 0, "a");
    while world.devices[bob].view.is_empty() {
        assert!(world.deliver_one(), "nothing is left to do and Bob still sees nothing");
    }
    assert_eq!(world.now, before, "no time had to pass");
}

#[test]
fn everyone_converges_whatever_they_type_and_in_whatever_order_news_arrives() {
    for seed in 0..40 {
        let (mut world, alice, bob) = two_people(seed);
        let alices_phone = {
            let uri = world.uri(0);
            world.open(&uri, Some(0))
        };
        world.run(MOMENT);
        for _ in 0..60 {
            let who = [alice, bob, alices_phone][world.choices.below(3)];
            match world.choices.below(12) {
                0 => world.hand(who, Event::Undo),
                1 => world.hand(who, Event::Redo),
                2 => {
                    let online = !world.devices[who].online;
                    world.set_online(who, online);
                }
                3 => world.restart(who),
                4 => world.run(Duration::from_millis(700)),
                _ => world.type_something(who),
            }
            for _ in 0..world.choices.below(6) {
                world.deliver_one();
            }
        }
        for who in [alice, bob, alices_phone] {
            world.set_online(who, true);
        }
        world.run(Duration::from_secs(180));
        assert_eq!(world.texts().len(), 1, "seed {seed}: {:?}", world.texts());
        let uri = world.uri(0);
        let newcomer = world.open(&uri, None);
        world.run(WHILE);
        assert_eq!(
            world.devices[newcomer].view, world.devices[alice].view,
            "seed {seed}: a newcomer reads the same"
        );
        for who in [alice, bob, alices_phone] {
            assert_eq!(world.status(who).waiting, 0, "seed {seed}: everything is published");
        }
    }
}

#[test]
fn nothing_leaves_the_device_before_it_is_durable_and_a_crash_loses_nothing_stored() {
    let (mut world, alice, _) = two_people(4);
    world.devices[alice].online = false;
    world.hand(alice, Event::Online(false));
    world.type_at(alice, 0, 0, "typed on the train 🚆");
    world.run(MOMENT);
    assert_eq!(world.status(alice).sentence(), "Offline: 1 change waiting");
    world.restart(alice);
    assert_eq!(world.devices[alice].view, "typed on the train 🚆", "it is there before any network");

    world.devices[alice].store_fails = true;
    let writes = world.accounts[&world.did(0)].points.len();
    world.set_online(alice, true);
    world.type_at(alice, 0, 0, "unstored ");
    world.run(MOMENT);
    assert!(
        world.status(alice).sentence().starts_with("Not saved on this device"),
        "{}",
        world.status(alice).sentence()
    );
    world.devices[alice].store_fails = false;
    world.run(WHILE);
    assert!(world.accounts[&world.did(0)].points.len() > writes);
    assert_eq!(world.texts().len(), 1);
    assert_eq!(world.status(alice).waiting, 0);
}

#[test]
fn a_lost_answer_and_a_failing_server_lose_and_double_nothing() {
    let (mut world, alice, bob) = two_people(5);
    let did = world.did(0);
    world.accounts.get_mut(&did).unwrap().lose_answers = 2;
    world.type_at(alice, 0, 0, "once");
    world.run(WHILE);
    world.accounts.get_mut(&did).unwrap().writes_fail = Some(WriteFailure::Server { status: 500 });
    world.type_at(alice, 4, 0, " more");
    world.run(MOMENT);
    let status = world.status(alice);
    assert_eq!(status.waiting, 1);
    assert!(matches!(status.stalled, Some(Stalled::Unreachable { .. })), "{status:?}");
    world.accounts.get_mut(&did).unwrap().writes_fail =
        Some(WriteFailure::RateLimited { retry_after: Some(Duration::from_secs(20)) });
    world.run(MOMENT);
    world.accounts.get_mut(&did).unwrap().writes_fail = None;
    world.run(Duration::from_secs(120));
    assert_eq!(world.devices[bob].view, "once more");
    assert_eq!(world.status(alice).waiting, 0);
}

#[test]
fn an_expired_session_keeps_everything_until_one_signs_in_again() {
    let (mut world, alice, bob) = two_people(6);
    let did = world.did(0);
    world.accounts.get_mut(&did).unwrap().writes_fail = Some(WriteFailure::SignInAgain);
    world.type_at(alice, 0, 0, "kept");
    world.run(WHILE);
    let sentence = world.status(alice).sentence();
    assert!(sentence.starts_with("Sign in again to publish: 1 change waiting"), "{sentence}");
    world.accounts.get_mut(&did).unwrap().writes_fail = None;
    world.hand(alice, Event::Session(true));
    world.run(MOMENT);
    assert_eq!(world.devices[bob].view, "kept");
}

#[test]
fn a_removed_editors_later_writes_do_not_appear_and_the_earlier_ones_stay() {
    let (mut world, alice, bob) = two_people(7);
    world.type_at(bob, 0, 0, "Bob's early words. ");
    world.run(MOMENT);
    let bob_did = world.did(1);
    world.hand(alice, Event::RemoveEditor(bob_did.clone()));
    world.run(MOMENT);
    assert_eq!(world.devices[bob].replica.role(), Role::Reader);
    // A client that does not care goes on writing under Bob's name, in the very segment Alice already knows.
    let uri = world.uri(0);
    let before = world.devices[alice].view.clone();
    world.vandalise(&bob_did);
    world.run(WHILE);
    assert_eq!(world.devices[alice].view, before);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].view, "Bob's early words. ");
}

#[test]
fn a_link_to_nothing_is_said_to_be_one() {
    let mut world = World::new(8, 1);
    let uri = world.uri(0);
    let reader = world.open(&uri, None);
    world.run(MOMENT);
    assert_eq!(world.status(reader).document, Presence::NotFound);
    assert_eq!(world.status(reader).sentence(), "There is no document at this link");
}

#[test]
fn undo_takes_back_ones_own_words_only() {
    let (mut world, alice, bob) = two_people(9);
    world.type_at(alice, 0, 0, "mine ");
    world.run(MOMENT);
    world.type_at(bob, 5, 0, "theirs");
    world.run(MOMENT);
    world.hand(alice, Event::Undo);
    world.run(MOMENT);
    assert_eq!(world.texts().into_iter().collect::<Vec<_>>(), ["theirs"]);
    world.hand(alice, Event::Redo);
    world.run(MOMENT);
    assert_eq!(world.texts().into_iter().collect::<Vec<_>>(), ["mine theirs"]);
}
