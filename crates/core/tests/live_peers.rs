//! Who is believed on the live channel in the small world, and that nobody can abuse it.

mod document_support;
mod world;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use sheaf_core::{
    live::{EndpointId, Frame, SessionKey},
    replica::{Event, Reading, WriteFailure},
};
use world::{
    World,
    beginnings::{AT_ONCE, WHILE, live_people, nobody_writes},
    live::endpoint,
};

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
