//! The live channel in the small world: what is typed is there before any repo shows it, and is in the repos in the end.

mod document_support;
mod world;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use sheaf_core::{
    live::{EndpointId, Frame},
    replica::{Event, FetchFailure, WriteFailure},
};
use world::{
    World,
    beginnings::{AT_ONCE, WHILE, live_people, nobody_writes},
};

/// As long as it takes at most until what others say is on the device's disk.
const A_WHILE: Duration = Duration::from_millis(300);

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
    for n in people {
        assert_eq!(world.status(n).live.provisional, 0, "in the end all is proved");
    }
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
