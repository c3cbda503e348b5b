//! The live channel in the small world: what is typed is there before any repo shows it, and nobody can abuse that.

mod document_support;
mod world;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use sheaf_core::{
    live::{EndpointId, Frame, SessionKey},
    replica::{Event, FetchFailure, Reading, WriteFailure},
};
use world::{World, beginnings::WHILE, live::endpoint};

/// Shorter than any flush.
const AT_ONCE: Duration = Duration::from_millis(1);
/// As long as it takes at most until what others say is on the device's disk.
const A_WHILE: Duration = Duration::from_millis(300);

/// Alice's document with these people in it, all live.
fn live_people(seed: u64, people: usize) -> (World, Vec<usize>) {
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

fn nobody_writes(world: &mut World) {
    for account in world.accounts.values_mut() {
        account.writes_fail = Some(WriteFailure::Unreachable("away".into()));
    }
}

#[test]
fn what_is_typed_is_there_at_once_and_then_proved() {
    let (mut world, people) = live_people(1, 3);
    let (alice, bob, carol) = (people[0], people[1], people[2]);
    assert_eq!(world.status(alice).live.linked, 2, "{:?}", world.status(alice).live);
    nobody_writes(&mut world);
    world.type_at(alice, 0, 0, "Hello 👩‍👩‍👧 e\u{301}\r\n");
    world.run(AT_ONCE);
    world.type_at(bob, 0, 0, "שלום ");
    world.run(AT_ONCE);
    for n in [alice, bob, carol] {
        assert_eq!(world.devices[n].view, "שלום Hello 👩‍👩‍👧 e\u{301}\r\n");
    }
    assert!(world.status(carol).live.provisional >= 2);
    for account in world.accounts.values_mut() {
        account.writes_fail = None;
    }
    world.run(WHILE * 10);
    for n in [alice, bob, carol] {
        assert_eq!(world.status(n).live.provisional, 0, "what their repos show is proved");
        assert_eq!(world.status(n).waiting, 0);
    }
    assert_eq!(world.devices[carol].view, "שלום Hello 👩‍👩‍👧 e\u{301}\r\n");
}

#[test]
fn what_was_said_live_outlives_a_restart() {
    let (mut world, people) = live_people(2, 2);
    nobody_writes(&mut world);
    world.type_at(people[0], 0, 0, "only");
    world.run(A_WHILE);
    world.restart(people[1]);
    assert_eq!(world.devices[people[1]].view, "only");
    world.live_up(people[1]);
    world.run(A_WHILE);
    // With an answer to it, it is stored at once.
    world.type_at(people[0], 4, 0, " said");
    world.run(AT_ONCE);
    world.type_at(people[1], 9, 0, " and answered");
    world.run(AT_ONCE);
    world.live_down(people[0]);
    world.set_online(people[1], false);
    world.restart(people[1]);
    assert_eq!(world.devices[people[1]].view, "only said and answered");
}

#[test]
fn who_builds_on_a_vanished_authors_words_carries_them() {
    let (mut world, people) = live_people(3, 2);
    let (alice, bob) = (people[0], people[1]);
    let alice_did = world.did(0);
    world.accounts.get_mut(&alice_did).unwrap().writes_fail = Some(WriteFailure::Unreachable("away".into()));
    world.type_at(alice, 0, 0, "begun by Alice");
    world.run(AT_ONCE);
    // She is gone, and her words are in no repo.
    world.live_down(alice);
    world.set_online(alice, false);
    world.type_at(bob, 14, 0, ", ended by Bob");
    world.run(WHILE);
    assert_eq!(world.status(bob).waiting, 0);
    // Somebody who was never linked with either of them reads the repos alone.
    let uri = world.uri(0);
    let reader = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[reader].view, "begun by Alice, ended by Bob");
    assert_eq!(world.status(reader).live.provisional, 1);
    // It is theirs also after a restart without any network.
    world.set_online(reader, false);
    world.restart(reader);
    assert_eq!(world.devices[reader].view, "begun by Alice, ended by Bob");
    world.set_online(reader, true);
    // When she is back, what she wrote is hers.
    world.accounts.get_mut(&alice_did).unwrap().writes_fail = None;
    world.set_online(alice, true);
    world.run(WHILE * 3);
    assert_eq!(world.status(reader).live.provisional, 0);
    assert_eq!(world.devices[reader].view, "begun by Alice, ended by Bob");
    // And Bob's next words bring nothing along any more.
    world.type_at(bob, 0, 0, "x");
    world.run(WHILE);
    let carried = world.carried_by(1);
    assert_eq!(carried, 0, "{carried} updates are still carried");
}

#[test]
fn a_forged_carry_is_refused_and_its_carrier_told_of() {
    let (mut world, people) = live_people(4, 2);
    let (alice, bob) = (people[0], people[1]);
    world.type_at(bob, 0, 0, "true ");
    world.run(WHILE);
    let (alice_did, bob_did) = (world.did(0), world.did(1));
    // Alice's own proof of a session, which is public, and a signature that is not hers.
    world.carry_forged_update(&bob_did, &alice_did, "r1", "FORGED");
    world.run(WHILE);
    let uri = world.uri(0);
    let reader = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[alice].view, "true ");
    assert_eq!(world.devices[reader].view, "true ");
    let status = world.status(reader);
    let bob = status.editors.iter().find(|editor| editor.did == bob_did).unwrap();
    assert!(bob.quarantined.iter().any(|why| why.contains("carries")), "{:?}", bob.quarantined);
}

#[test]
fn whoever_is_not_at_the_endpoint_of_their_record_is_hung_up_on() {
    let (mut world, people) = live_people(5, 2);
    let alice = people[0];
    let (bob_did, document) = (world.did(1), world.uri(0));
    let proof = world.session_proof(1);
    let stranger = EndpointId([200; 32]);
    // Somebody else claims to be Bob, with the true proof of who he is.
    let link = world.play_peer(alice, stranger);
    world.play(
        alice,
        link,
        &Frame::Hello { document: document.clone(), did: Some(bob_did), proof: Some(proof) },
    );
    assert!(!world.is_held(alice, link));
    // And is not listened to at all for a while.
    let link = world.play_peer(alice, stranger);
    assert!(!world.is_held(alice, link));
    // Nor is somebody who is about another document, or says nothing that can be read.
    let other = "at://did:web:eve.example/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap();
    for (n, frame) in [Frame::Hello { document: other, did: None, proof: None }, Frame::Links(vec![])]
        .into_iter()
        .enumerate()
    {
        let link = world.play_peer(alice, EndpointId([201 + n as u8; 32]));
        world.play(alice, link, &frame);
        assert!(!world.is_held(alice, link), "{frame:?}");
    }
    // Whoever says nothing at all is let go of after a while.
    let silent = world.play_peer(alice, EndpointId([210; 32]));
    world.run(WHILE);
    assert!(!world.is_held(alice, silent));
}

#[test]
fn a_reader_follows_and_is_not_listened_to() {
    let (mut world, people) = live_people(6, 2);
    let (alice, document) = (people[0], world.uri(0));
    let link = world.play_peer(alice, EndpointId([200; 32]));
    world.play(alice, link, &Frame::Hello { document: document.clone(), did: None, proof: None });
    world.play(alice, link, &Frame::Have(Default::default()));
    assert_eq!(world.status(alice).live.readers, 1);
    assert_eq!(world.status(alice).live.reading, [], "they do not say who they are");
    // Two who say they are the same, and one who says they are Alice herself.
    for (n, did) in [world.did(2), world.did(2), world.did(0)].into_iter().enumerate() {
        let link = world.play_peer(alice, EndpointId([220 + n as u8; 32]));
        world.play(alice, link, &Frame::Hello { document: document.clone(), did: Some(did), proof: None });
    }
    let carol = Reading { did: world.did(2), handle: None };
    assert_eq!(world.status(alice).live.reading, [carol], "as they say, and each once");
    world.type_at(alice, 0, 0, "for all");
    world.run(AT_ONCE);
    let heard = &world.live.played[&(alice, link)];
    assert!(heard.iter().any(|frame| matches!(frame, Frame::Update { .. })), "{heard:?}");
    // With a key of their own they sign in the name of somebody who is no editor, or of one who is.
    for n in [1, 2] {
        let key = SessionKey::new(&[99; 32], document.clone(), world.did(n), "r9".parse().unwrap()).unwrap();
        let link = world.play_peer(alice, EndpointId([201 + n as u8; 32]));
        world.play(alice, link, &Frame::Hello { document: document.clone(), did: None, proof: None });
        let frame = world.word_by(&key, "VANDALISM");
        world.play(alice, link, &frame);
        assert!(!world.is_held(alice, link));
    }
    assert_eq!(world.devices[alice].view, "for all");
}

#[test]
fn an_editor_cannot_speak_for_another_replay_harms_nobody_and_two_texts_become_one() {
    let (mut world, people) = live_people(7, 3);
    let (alice, bob, carol) = (people[0], people[1], people[2]);
    nobody_writes(&mut world);
    world.type_at(bob, 0, 0, "true ");
    world.run(AT_ONCE);
    // Bob's device is taken over by a test: it goes on under his endpoint and session key.
    world.live_down(bob);
    let key = world.session_key(bob);
    let (document, bob_did) = (world.uri(0), world.did(1));
    let proof = world.session_proof(1);
    let hello = Frame::Hello { document: document.clone(), did: Some(bob_did), proof: Some(proof) };
    let play = |world: &mut World, n: usize| {
        let link = world.play_peer(n, endpoint(bob));
        world.play(n, link, &hello);
        assert!(world.is_held(n, link));
        link
    };
    let to_alice = play(&mut world, alice);
    // What is not signed by whom it names.
    let carol_did = world.did(2);
    let as_carol = SessionKey::new(&[bob as u8 + 1; 32], document, carol_did, "r3".parse().unwrap()).unwrap();
    let forged = world.word_by(&as_carol, "VANDALISM");
    world.play(alice, to_alice, &forged);
    assert!(!world.is_held(alice, to_alice), "whoever passes that on is hung up on");
    world.run(WHILE * 12);
    let to_alice = play(&mut world, alice);
    let to_carol = play(&mut world, carol);
    // The same again and again.
    let frames_before = world.live.frames;
    let again = world.word_by(&key, "once ");
    for _ in 0..50 {
        world.play(alice, to_alice, &again);
    }
    world.run(AT_ONCE);
    assert!(world.live.frames - frames_before < 20);
    // And another text under the same clocks, to somebody else.
    let other = world.word_by(&key, "twice ");
    world.play(carol, to_carol, &other);
    world.run(AT_ONCE);
    world.play(alice, to_alice, &other);
    world.play(carol, to_carol, &again);
    world.run(AT_ONCE);
    assert_eq!(world.devices[alice].view, world.devices[carol].view);
    assert!(!world.devices[alice].view.contains("VANDALISM"));
    // His repo has the last word.
    for account in world.accounts.values_mut() {
        account.writes_fail = None;
    }
    world.run(WHILE * 10);
    assert_eq!(world.devices[alice].view, "true ");
    assert_eq!(world.devices[carol].view, "true ");
}

#[test]
fn nobody_is_moved_by_a_caret_that_they_have_not_signed() {
    let (mut world, people) = live_people(21, 3);
    let (alice, bob, carol) = (people[0], people[1], people[2]);
    world.type_at(alice, 0, 0, "some words");
    world.run(AT_ONCE);
    world.live_down(bob);
    let (document, proof) = (world.uri(0), world.session_proof(1));
    let link = world.play_peer(alice, endpoint(bob));
    let hello = Frame::Hello { document: document.clone(), did: Some(world.did(1)), proof: Some(proof) };
    world.play(alice, link, &hello);
    assert!(world.is_held(alice, link));
    let hers = world.session_key(carol).author().clone();
    let forger = SessionKey::new(&[99; 32], document, hers.did.clone(), hers.replica.clone()).unwrap();
    let signed = forger.sign_caret(u64::MAX, None);
    world.play(alice, link, &Frame::Caret { did: hers.did.clone(), replica: hers.replica, signed });
    assert!(!world.is_held(alice, link), "whoever passes that on is hung up on");
    // Hers counts as before.
    let at = sheaf_core::text::Utf16Offset(4);
    world.hand(carol, Event::Select { anchor: at, head: at });
    world.run(Duration::from_secs(1));
    let here = world.devices[alice].replica.people();
    let seen = here.iter().find(|person| person.did == hers.did).and_then(|person| person.caret);
    assert_eq!(seen.map(|caret| caret.head.0), Some(4));
}

#[test]
fn a_flood_is_cut_off() {
    let (mut world, people) = live_people(8, 2);
    let (alice, document) = (people[0], world.uri(0));
    let link = world.play_peer(alice, EndpointId([200; 32]));
    world.play(alice, link, &Frame::Hello { document, did: None, proof: None });
    let mut sent = 0;
    while world.is_held(alice, link) {
        world.play(alice, link, &Frame::Links(vec![]));
        sent += 1;
        assert!(sent < 10_000);
    }
    world.type_at(alice, 0, 0, "unharmed");
    world.run(AT_ONCE);
    assert_eq!(world.devices[people[1]].view, "unharmed");
}

#[test]
fn presence_is_quiet_in_the_repos_while_everyone_is_live() {
    let (mut world, people) = live_people(9, 2);
    world.type_at(people[0], 0, 0, "some words to walk about in");
    world.run(WHILE * 4);
    let points = |world: &World| world.accounts.values().map(|account| account.points.len()).sum::<usize>();
    let before = points(&world);
    for n in 0..600u32 {
        let at = sheaf_core::text::Utf16Offset(n % 20);
        world.hand(people[(n % 2) as usize], Event::Select { anchor: at, head: at });
        world.run(Duration::from_millis(200));
    }
    let writes = points(&world) - before;
    assert!(writes <= 2, "{writes} writes in two minutes of moving about");
    let caret = world.devices[people[1]].replica.people()[1].caret.expect("a caret is seen");
    assert_eq!(caret.head.0, 598 % 20);
}

#[test]
fn whoever_types_says_with_it_where_they_are_and_seldom_beside_it() {
    let (mut world, people) = live_people(20, 2);
    let (alice, bob) = (people[0], people[1]);
    let link = world.play_peer(alice, EndpointId([200; 32]));
    world.play(alice, link, &Frame::Hello { document: world.uri(0), did: None, proof: None });
    let carets = |world: &World| {
        let heard = &world.live.played[&(alice, link)];
        heard.iter().filter(|frame| matches!(frame, Frame::Caret { .. })).count()
    };
    let seen = |world: &World| {
        let here = world.devices[bob].replica.people();
        here.iter().find(|person| !person.is_self).and_then(|person| person.caret).map(|caret| caret.head.0)
    };
    let before = carets(&world);
    for n in 0..100u32 {
        world.type_at(alice, n, 0, "k");
        let at = sheaf_core::text::Utf16Offset(n + 1);
        world.hand(alice, Event::Select { anchor: at, head: at });
        world.run(Duration::from_millis(120));
        assert_eq!(seen(&world), Some(n + 1), "after every key");
    }
    let told = carets(&world) - before;
    assert!(told <= 2, "{told} carets in 12 s of typing");
    // Where they go without writing is told at once.
    world.run(Duration::from_secs(5));
    let at = sheaf_core::text::Utf16Offset(7);
    world.hand(alice, Event::Select { anchor: at, head: at });
    world.run(Duration::from_millis(500));
    assert_eq!(seen(&world), Some(7));
}

#[test]
fn what_is_typed_while_everyone_is_live_is_published_less_often_and_in_a_hurry_once_someone_leaves() {
    let (mut world, people) = live_people(10, 2);
    let did = world.did(0);
    world.run(WHILE);
    let type_for = |world: &mut World, keys: u32| {
        let before = world.accounts[&did].points.len();
        for _ in 0..keys {
            world.type_at(people[0], 0, 0, "k");
            world.run(Duration::from_millis(200));
        }
        world.accounts[&did].points.len() - before
    };
    let relaxed = type_for(&mut world, 100);
    assert!((3..=9).contains(&relaxed), "{relaxed} writes in 20 s");
    world.live_down(people[1]);
    let hurried = type_for(&mut world, 100);
    assert!(hurried > 3 * relaxed, "{hurried} after {relaxed}");
}

#[test]
fn many_who_write_at_once_publish_seldom_and_not_all_at_once() {
    let (mut world, people) = live_people(12, 12);
    world.run(WHILE);
    let began = world.now;
    for n in 0..64 {
        for device in people.iter().skip(n % 4).step_by(4) {
            world.type_at(*device, 0, 0, "k");
        }
        world.run(Duration::from_millis(250));
    }
    let written = |world: &World| -> Vec<Duration> {
        let all = world.accounts.values().flat_map(|account| &account.points);
        all.filter(|(at, _)| *at > began).map(|(at, _)| at.saturating_since(began)).collect()
    };
    let all = written(&world);
    assert!((12..=24).contains(&all.len()), "{} writes in 16 s", all.len());
    let within_a_second = |from: &Duration| {
        let second = *from..*from + Duration::from_secs(1);
        all.iter().filter(|at| second.contains(at)).count()
    };
    let at_once = all.iter().map(within_a_second).max().expect("there are some");
    assert!(at_once <= 4, "{at_once} of {} at once", all.len());
    // Who asks for it does not wait.
    let before = all.len();
    world.hand(people[5], Event::FlushNow);
    world.run(Duration::from_secs(1));
    assert!(written(&world).len() > before);
    world.run(WHILE);
    assert_eq!(world.texts().len(), 1);
}

#[test]
fn more_people_than_a_mesh_holds_still_hear_each_other() {
    let (mut world, people) = live_people(11, 27);
    nobody_writes(&mut world);
    world.type_at(people[3], 0, 0, "to all 😀");
    world.run(Duration::from_millis(50));
    for n in &people {
        assert_eq!(world.devices[*n].view, "to all 😀", "device {n}");
        assert!(world.status(*n).live.linked <= 24, "{}", world.status(*n).live.linked);
    }
    let before = world.live.frames;
    world.type_at(people[8], 0, 0, "x");
    world.run(Duration::from_millis(50));
    let frames = world.live.frames - before;
    assert!(frames < 27 * 16, "{frames} frames for one key");
    assert_eq!(world.texts().len(), 2, "but for the device that is closed");
}

#[test]
fn writers_whose_server_is_down_for_the_whole_session_lose_nothing() {
    let (mut world, people) = live_people(12, 3);
    let (alice, bob, carol) = (people[0], people[1], people[2]);
    let did = world.did(0);
    world.accounts.get_mut(&did).unwrap().writes_fail = Some(WriteFailure::Unreachable("down".into()));
    world.accounts.get_mut(&did).unwrap().reads_fail = Some(FetchFailure::Unreachable("down".into()));
    for n in 0..300u32 {
        world.type_at(alice, n, 0, "a");
        if n % 10 == 0 {
            // Others write into her words.
            let at = world.devices[bob].view.len() as u32 / 2;
            world.type_at(bob, at, 0, "b");
        }
        world.run(Duration::from_millis(100));
    }
    world.run(WHILE);
    assert_eq!(world.devices[bob].view, world.devices[alice].view);
    assert_eq!(world.devices[carol].view, world.devices[alice].view);
    let (typed, view) = (300 + 30, world.devices[alice].view.clone());
    assert_eq!(view.len(), typed);
    // Whoever comes later, with her server still down, reads all that somebody has built on.
    world.live_down(alice);
    world.set_online(alice, false);
    world.run(WHILE * 3);
    let last = world.devices[bob].view.len() as u32;
    world.type_at(bob, last, 0, "!");
    world.run(WHILE * 3);
    world.live_down(bob);
    world.live_down(carol);
    let uri = world.uri(0);
    world.accounts.get_mut(&did).unwrap().writes_fail = None;
    world.accounts.get_mut(&did).unwrap().reads_fail = None;
    let reader = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[reader].view, format!("{view}!"), "it is all in Bob's repo");
    world.set_online(alice, true);
    world.run(WHILE * 5);
    assert_eq!(world.status(alice).waiting, 0);
    assert_eq!(world.status(reader).live.provisional, 0, "and in her own once her server is back");
    assert_eq!(world.devices[reader].view, format!("{view}!"));
}

#[test]
fn what_a_removed_editor_had_only_said_stays_and_what_they_say_later_does_not_come() {
    let (mut world, people) = live_people(13, 3);
    let (alice, bob, carol) = (people[0], people[1], people[2]);
    let bob_did = world.did(1);
    world.accounts.get_mut(&bob_did).unwrap().writes_fail = Some(WriteFailure::Unreachable("away".into()));
    world.type_at(bob, 0, 0, "Bob was here. ");
    world.run(AT_ONCE);
    world.hand(alice, Event::RemoveEditor(bob_did.clone()));
    world.run(AT_ONCE);
    world.type_at(bob, 0, 0, "LATER ");
    world.run(WHILE);
    let uri = world.uri(0);
    let reader = world.open(&uri, None);
    world.run(WHILE);
    for n in [alice, carol, reader] {
        assert_eq!(world.devices[n].view, "Bob was here. ", "device {n}");
    }
    world.accounts.get_mut(&bob_did).unwrap().writes_fail = None;
    world.run(WHILE * 5);
    for n in [alice, carol, reader] {
        assert_eq!(world.devices[n].view, "Bob was here. ", "device {n}");
    }
}

#[test]
fn what_somebody_said_who_vanished_is_carried_though_nobody_writes() {
    let (mut world, people) = live_people(14, 3);
    let did = world.did(0);
    world.accounts.get_mut(&did).unwrap().writes_fail = Some(WriteFailure::Unreachable("away".into()));
    world.type_at(people[0], 0, 0, "last words");
    world.run(AT_ONCE);
    world.live_down(people[0]);
    world.set_online(people[0], false);
    world.run(WHILE * 20);
    let uri = world.uri(0);
    let reader = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[reader].view, "last words");
    let carried = world.carried_by(1) + world.carried_by(2);
    assert_eq!(carried, 1, "one of them is enough");
}

#[test]
fn nothing_is_said_before_it_is_durable() {
    let (mut world, people) = live_people(15, 2);
    world.devices[people[0]].store_fails = true;
    world.type_at(people[0], 0, 0, "not yet kept");
    world.run(Duration::from_secs(1));
    assert_eq!(world.devices[people[1]].view, "");
    world.devices[people[0]].store_fails = false;
    world.run(Duration::from_secs(5));
    assert_eq!(world.devices[people[1]].view, "not yet kept");
}

#[test]
fn an_editor_who_names_anothers_endpoint_gains_nothing() {
    let (mut world, people) = live_people(16, 3);
    let (alice, bob, carol) = (people[0], people[1], people[2]);
    // Carol's repo says that she is to be reached where Bob is, with a key of her own.
    world.live_down(carol);
    let (carol_did, document) = (world.did(2), world.uri(0));
    world.claims_endpoint(&carol_did, endpoint(bob), &[77; 32]);
    world.live_cut(bob);
    world.run(WHILE);
    world.type_at(bob, 0, 0, "Bob's. ");
    world.run(AT_ONCE);
    assert_eq!(world.devices[alice].view, "Bob's. ", "he is still taken for who he is");
    assert_eq!(world.status(alice).live.linked, 1);
    // Whoever says they are Carol has to be there, and it is Bob who is.
    let proof = world.session_proof(2);
    let link = world.play_peer(alice, EndpointId([220; 32]));
    let hello = Frame::Hello { document: document.clone(), did: Some(carol_did.clone()), proof: Some(proof) };
    world.play(alice, link, &hello);
    assert!(!world.is_held(alice, link));
    // With the key that her repo names she speaks for herself, whoever passes it on, and for nobody else.
    let hers = SessionKey::new(&[77; 32], document.clone(), carol_did, "r3".parse().unwrap()).unwrap();
    let as_bob = SessionKey::new(&[77; 32], document, world.did(1), "r2".parse().unwrap()).unwrap();
    assert_ne!(hers.author(), as_bob.author());
    let link = world.play_peer(alice, EndpointId([221; 32]));
    let forged = world.word_by(&as_bob, "FORGED");
    world.play(alice, link, &forged);
    assert!(!world.is_held(alice, link));
    assert_eq!(world.devices[alice].view, "Bob's. ");
}

#[test]
fn who_is_let_in_while_they_read_along_is_heard_from_then_on() {
    let (mut world, people) = live_people(17, 2);
    let (alice, bob) = (people[0], people[1]);
    let uri = world.uri(0);
    let carol = world.open_live(&uri, Some(2));
    world.run(WHILE);
    assert_eq!(world.status(alice).live.readers, 1);
    let reading = world.status(alice).live.reading;
    assert_eq!(reading.iter().map(|one| &one.did).collect::<Vec<_>>(), [&world.did(2)]);
    // Alice's and Bob's devices know it at other times than Carol's.
    let did = world.did(2);
    world.set_online(bob, false);
    world.hand(alice, Event::AddEditor(did));
    world.run(WHILE);
    world.type_at(carol, 0, 0, "let in ");
    world.run(AT_ONCE);
    assert_eq!(world.devices[alice].view, "let in ");
    world.set_online(bob, true);
    world.run(WHILE);
    nobody_writes(&mut world);
    world.type_at(carol, 0, 0, "and heard ");
    world.run(AT_ONCE);
    assert_eq!(world.devices[bob].view, "and heard let in ");
}

#[test]
fn strangers_leave_room_for_editors() {
    let (mut world, people) = live_people(18, 2);
    let alice = people[0];
    world.live_cut(people[1]);
    let held = |world: &World| world.live.played.len();
    for n in 0..60u8 {
        world.play_peer(alice, EndpointId([100 + n; 32]));
    }
    assert!((10..30).contains(&held(&world)), "{}", held(&world));
    world.run(Duration::from_secs(5));
    assert_eq!(world.status(alice).live.linked, 1, "Bob is linked all the same");
}

#[test]
fn what_does_not_fit_in_a_segment_is_not_tried_again_and_again() {
    let (mut world, people) = live_people(19, 2);
    let (alice, bob) = (people[0], people[1]);
    let did = world.did(0);
    world.accounts.get_mut(&did).unwrap().writes_fail = Some(WriteFailure::Unreachable("away".into()));
    for _ in 0..40 {
        // As good as random, so that it hardly deflates.
        let noise: String = (0..3_000).map(|_| char::from(33 + (world.choices.next() % 90) as u8)).collect();
        world.type_at(alice, 0, 0, &noise);
        world.run(Duration::from_millis(100));
    }
    assert_eq!(world.devices[bob].view.len(), 120_000);
    world.live_down(alice);
    world.set_online(alice, false);
    world.run(WHILE * 20);
    assert!(world.carried_by(1) > 5, "{} updates are carried", world.carried_by(1));
    let bobs = world.did(1);
    // Whoever has done nothing for half an hour is announced no more: all that is written then is for this.
    world.run(WHILE * 60);
    let before = world.accounts[&bobs].points.len();
    world.run(WHILE * 60);
    assert_eq!(world.accounts[&bobs].points.len() - before, 0);
}
