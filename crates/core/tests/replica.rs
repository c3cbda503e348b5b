//! Replicas in a small world of signed repos: what people are promised, on virtual time.

mod document_support;
mod world;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use document_support::for_each_seed;
use sheaf_core::{
    replica::{Doorbell, Event, Presence, Role, Stalled, WriteFailure},
    text::{Splice, Utf16Offset},
};
use world::{
    World,
    beginnings::{MOMENT, WHILE, two_people},
};

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
    for_each_seed(40, |seed, _| {
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
        assert_eq!(world.texts().len(), 1, "{:?}", world.texts());
        let uri = world.uri(0);
        let newcomer = world.open(&uri, None);
        world.run(WHILE);
        assert_eq!(world.devices[newcomer].view, world.devices[alice].view, "a newcomer reads the same");
        for who in [alice, bob, alices_phone] {
            assert_eq!(world.status(who).waiting, 0, "everything is published");
        }
    });
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
fn a_device_that_saw_more_of_a_removed_editor_shows_what_everybody_shows() {
    let (mut world, alice, bob) = two_people(10);
    let uri = world.uri(0);
    world.hand(alice, Event::AddEditor(world.did(2)));
    world.run(MOMENT);
    let carol = world.open(&uri, Some(2));
    world.type_at(bob, 0, 0, "early 🌱 ");
    world.run(MOMENT);
    // Alice hears nothing for a while; Carol sees what Bob goes on writing, and writes in the midst of it.
    world.set_online(alice, false);
    world.type_at(bob, 9, 0, "late words");
    world.type_at(bob, 0, 6, "");
    world.run(MOMENT);
    assert_eq!(world.devices[carol].view, "🌱 late words");
    world.type_at(carol, 8, 0, "(Carol's) ");
    world.run(MOMENT);
    world.hand(alice, Event::RemoveEditor(world.did(1)));
    world.set_online(alice, true);
    world.run(WHILE);
    let expected = "early 🌱 (Carol's) ";
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.texts().into_iter().collect::<Vec<_>>(), [expected], "wherever one looks");
    world.restart(carol);
    assert_eq!(world.devices[carol].view, expected, "after reopening, too");
    // Undo of one's own goes on working after the text was made anew.
    world.type_at(carol, 0, 0, "x");
    world.hand(carol, Event::Undo);
    assert_eq!(world.devices[carol].view, expected);

    world.hand(alice, Event::AddEditor(world.did(1)));
    world.run(WHILE);
    let all = "🌱 late (Carol's) words";
    assert_eq!(world.devices[newcomer].view, all, "whoever comes back is back with all they wrote");
    assert_eq!(world.texts().into_iter().collect::<Vec<_>>(), [all]);
}

#[test]
fn an_editor_who_rewrites_their_own_history_cannot_make_texts_differ() {
    let (mut world, alice, bob) = two_people(11);
    let uri = world.uri(0);
    world.type_at(bob, 0, 0, "yes");
    world.run(MOMENT);
    world.type_at(alice, 3, 0, ", of course");
    world.run(MOMENT);
    world.rewrite(&world.did(1), "no!");
    world.run(WHILE);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].view, "no!, of course");
    assert_eq!(world.devices[alice].view, "no!, of course");
    let told =
        world.status(alice).editors.iter().any(|e| e.quarantined.iter().any(|why| why.contains("two")));
    assert!(told, "{:?}", world.status(alice).editors);
    world.restart(alice);
    assert_eq!(world.devices[alice].view, "no!, of course");
}

#[test]
fn text_that_has_lost_its_ground_waits_and_nothing_is_written_over_it() {
    let (mut world, alice, bob) = two_people(12);
    world.type_at(bob, 0, 0, "yes");
    world.run(MOMENT);
    world.type_at(alice, 3, 0, ", of course");
    world.run(MOMENT);
    // Bob takes back more than he gave: what Alice's words stand beside has never been.
    world.rewrite(&world.did(1), "n");
    world.run(WHILE);
    assert_eq!(world.devices[alice].view, "n");
    assert_eq!(world.status(alice).stalled, Some(Stalled::TextMissing));
    world.devices[alice].view.push('!');
    world.hand(alice, Event::Edit(vec![Splice::insert(1, "!")]));
    assert_eq!(world.devices[alice].view, "n", "her clocks are taken by words that wait");
}

#[test]
fn an_edit_that_is_not_taken_is_taken_back_on_the_screen() {
    let (mut world, alice, _) = two_people(13);
    world.type_at(alice, 0, 0, "a 🦊 here");
    world.run(MOMENT);
    let uri = world.uri(0);
    let reader = world.open(&uri, None);
    world.run(MOMENT);
    let splices = [Splice::delete(2, 2), Splice::insert(0, "Not ")];
    sheaf_core::text::apply_splices(&mut world.devices[reader].view, &splices).unwrap();
    world.hand(reader, Event::Edit(splices.to_vec()));
    assert_eq!(world.devices[reader].view, "a 🦊 here");
    world.run(WHILE);
    assert_eq!(world.texts().into_iter().collect::<Vec<_>>(), ["a 🦊 here"]);
}

#[test]
fn a_store_that_refuses_and_then_takes_leaves_no_hole() {
    let (mut world, alice, bob) = two_people(14);
    world.devices[alice].store_fails = true;
    world.type_at(alice, 0, 0, "one ");
    while world.deliver_one() {}
    world.devices[alice].store_fails = false;
    world.type_at(alice, 4, 0, "two ");
    while world.deliver_one() {}
    // The process dies before the first change is offered again.
    world.restart(alice);
    assert_eq!(world.devices[alice].view, "", "what was never saved is gone, all of it");
    assert_eq!(world.status(alice).role, Role::Owner);
    world.type_at(alice, 0, 0, "three");
    world.run(WHILE);
    assert_eq!(world.devices[bob].view, "three");
}

#[test]
fn whoever_has_written_under_ever_so_many_names_can_be_removed() {
    let (mut world, alice, bob) = two_people(15);
    world.type_at(bob, 0, 0, "as one");
    world.run(MOMENT);
    let bob_did = world.did(1);
    world.write_as_many(&bob_did, 230);
    world.run(WHILE);
    world.hand(alice, Event::RemoveEditor(bob_did.clone()));
    world.run(WHILE);
    let uri = world.uri(0);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].replica.editors(), [world.did(0)], "the removal was published");
    assert_eq!(world.status(alice).waiting, 0);
    assert_eq!(world.texts().len(), 1);
}

#[test]
fn what_is_done_to_a_deleted_document_costs_nothing() {
    let (mut world, alice, bob) = two_people(16);
    world.type_at(alice, 0, 0, "kept");
    world.run(MOMENT);
    world.delete_document();
    world.run(WHILE);
    let owner = world.did(0);
    let points = world.accounts[&owner].points.len();
    world.hand(alice, Event::SetTitle("Another".into()));
    world.run(Duration::from_secs(3_600));
    assert_eq!(world.accounts[&owner].points.len(), points);
    for device in [alice, bob] {
        world.restart(device);
        assert_eq!(world.devices[device].view, "kept");
        assert_eq!(world.status(device).document, Presence::Deleted);
    }
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let (mut world, alice, bob) = two_people(17);
    world.now = world.now.saturating_add(Duration::from_secs(3 * 3_600));
    world.type_at(alice, 0, 0, "early");
    world.run(MOMENT);
    world.now = world.now.saturating_sub(Duration::from_secs(3 * 3_600));
    world.type_at(alice, 5, 0, " and late");
    world.run(WHILE);
    assert_eq!(world.devices[bob].view, "early and late");
    assert_eq!(world.status(alice).waiting, 0);
}

#[test]
fn a_clock_that_is_set_back_does_not_prolong_what_the_server_asked_for() {
    let (mut world, alice, bob) = two_people(32);
    let owner = world.did(0);
    let slow_down = WriteFailure::RateLimited { retry_after: Some(Duration::from_secs(60)) };
    world.accounts.get_mut(&owner).unwrap().writes_fail = Some(slow_down);
    world.type_at(alice, 0, 0, "patience");
    world.run(MOMENT);
    world.accounts.get_mut(&owner).unwrap().writes_fail = None;
    world.now = world.now.saturating_sub(Duration::from_secs(3 * 3_600));
    world.hand(alice, Event::Tick);
    world.run(Duration::from_secs(50));
    assert_eq!(world.status(alice).waiting, 1, "the minute is not over");
    world.run(Duration::from_secs(30));
    assert_eq!(world.devices[bob].view, "patience");
}

#[test]
fn who_only_reads_while_another_types_announces_nothing() {
    let (mut world, alice, bob) = two_people(18);
    world.type_at(alice, 0, 0, "the end");
    world.hand(alice, Event::Select { anchor: Utf16Offset(7), head: Utf16Offset(7) });
    world.run(WHILE);
    let owner = world.did(0);
    let before = world.accounts[&owner].points.len();
    for _ in 0..100 {
        world.type_at(bob, 0, 0, "x");
        world.run(Duration::from_millis(300));
        // The view's caret goes along with the text it stands in.
        let end = Utf16Offset(sheaf_core::text::utf16_len(&world.devices[alice].view));
        world.hand(alice, Event::Select { anchor: end, head: end });
    }
    assert!(world.accounts[&owner].points.len() - before <= 1, "but for one that says she is still here");
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
fn what_a_removed_editor_publishes_unknowingly_leaves_their_screen() {
    let (mut world, alice, bob) = two_people(36);
    let (owner, bob_did) = (world.did(0), world.did(1));
    // He hears of the owner's repo only.
    world.doorbells = false;
    let long: String = (0..6_000).map(|_| char::from(b'!' + world.choices.below(90) as u8)).collect();
    world.type_at(bob, 0, 0, &long);
    // It is under way when the news of the removal comes, before the answer.
    let sent = |event: &Event| matches!(event, Event::Written { .. });
    while !world.devices[bob].inbox.iter().any(sent) {
        assert!(world.deliver_one(), "the long text is never written");
    }
    let at = world.devices[bob].inbox.iter().position(sent).expect("found just above");
    let answer = world.devices[bob].inbox.remove(at).expect("it is there");
    world.hand(alice, Event::RemoveEditor(bob_did));
    world.run(MOMENT);
    let bell = Doorbell { did: owner, rev: None, path: Some(world.uri(0).document_path()), car: None };
    world.hand(bob, Event::Doorbell(bell));
    world.run(MOMENT);
    assert_eq!(world.status(bob).role, Role::Reader);
    world.devices[bob].inbox.push_back(answer);
    // After every event the world looks whether the view is what the replica has.
    world.run(WHILE);
    assert_eq!(world.texts().len(), 1, "what came after the removal shows nowhere");
}

#[test]
fn what_a_former_editor_writes_is_taken_back_and_they_are_told_what_it_was() {
    let (mut world, alice, bob) = two_people(37);
    world.type_at(bob, 0, 0, "Bob's words. ");
    world.run(MOMENT);
    world.hand(alice, Event::RemoveEditor(world.did(1)));
    world.run(MOMENT);
    assert_eq!(world.devices[bob].not_taken, "");
    world.type_at(bob, 13, 0, "Too late 😀");
    world.type_at(bob, 0, 6, "");
    world.type_at(bob, 0, 3, "Nobody");
    assert_eq!(world.devices[bob].view, "Bob's words. ");
    assert_eq!(world.devices[bob].not_taken, "Too late 😀Nobody");
    world.run(WHILE);
    assert_eq!(world.texts().into_iter().collect::<Vec<_>>(), ["Bob's words. "]);
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

#[test]
fn an_answer_that_comes_after_an_older_state_was_read_drops_nobody() {
    let (mut world, alice, _) = two_people(31);
    world.doorbells = false;
    let (owner, bob, carol) = (world.did(0), world.did(1), world.did(2));
    // The view is behind: what its answer tells is older than what the next answers to writes have told.
    world.hand(alice, Event::SetTitle("one".into()));
    world.run(MOMENT);
    let bell = Doorbell { did: owner, rev: None, path: Some(world.uri(0).document_path()), car: None };
    world.hand(alice, Event::Doorbell(bell));
    let late = world.devices[alice].inbox.pop_back().expect("the answer to its look");
    assert!(matches!(late, Event::Fetched { .. }), "{late:?}");
    world.hand(alice, Event::AddEditor(carol.clone()));
    world.run(MOMENT);
    world.hand(alice, Event::SetTitle("three".into()));
    while !world.devices[alice].inbox.iter().any(|event| matches!(event, Event::Written { .. })) {
        assert!(world.deliver_one(), "the title is never written");
    }
    world.devices[alice].inbox.push_front(late);
    world.run(MOMENT);
    world.hand(alice, Event::SetTitle("four".into()));
    world.run(WHILE);
    let record = world.accounts[&world.did(0)].repo.get(&world.uri(0).document_path()).unwrap().1.to_vec();
    let record = sheaf_core::record::DocumentRecord::parse(&record).unwrap();
    assert_eq!((record.title.as_str(), record.editors), ("four", vec![bob, carol]));
}

#[test]
fn an_older_state_that_is_read_after_a_write_of_ones_own_changes_nothing_for_a_moment() {
    let (mut world, alice, _) = two_people(33);
    world.doorbells = false;
    let carol = world.did(2);
    let bell = Doorbell { did: world.did(0), rev: None, path: Some(world.uri(0).document_path()), car: None };
    world.hand(alice, Event::SetTitle("one".into()));
    world.run(MOMENT);
    world.hand(alice, Event::Doorbell(bell));
    let late = world.devices[alice].inbox.pop_back().expect("the answer to its look");
    assert!(matches!(late, Event::Fetched { .. }), "{late:?}");
    world.hand(alice, Event::AddEditor(carol.clone()));
    world.run(MOMENT);
    let may_write = |world: &World| world.status(alice).editors.iter().any(|editor| editor.did == carol);
    let head = |world: &World| world.status(alice).editors[0].rev.clone();
    let (is_admitted, before) = (may_write(&world), head(&world));
    assert!(is_admitted);
    world.hand(alice, late);
    assert!(head(&world) > before, "it was read, and is newer than what had been");
    assert!(may_write(&world), "and older than what was written");
    world.run(WHILE);
    assert!(may_write(&world));
}

#[test]
fn an_answer_that_comes_late_is_not_taken_for_the_newest_title() {
    let (mut world, alice, _) = two_people(32);
    let uri = world.uri(0);
    let other = world.open(&uri, Some(0));
    world.run(MOMENT);
    world.hand(alice, Event::SetTitle("first".into()));
    let is_answer = |event: &Event| matches!(event, Event::Written { .. });
    while !world.devices[alice].inbox.iter().any(is_answer) {
        assert!(world.deliver_one(), "the title is never written");
    }
    let at = world.devices[alice].inbox.iter().position(is_answer).unwrap();
    let late = world.devices[alice].inbox.remove(at).unwrap();
    world.run(MOMENT);
    world.hand(other, Event::SetTitle("second".into()));
    world.run(MOMENT);
    world.hand(alice, late);
    world.run(WHILE);
    for device in &world.devices {
        assert_eq!(device.replica.title(), "second");
    }
}

#[test]
fn a_document_that_does_not_exist_is_not_looked_for_for_ever_the_second_time_either() {
    let mut world = World::new(8, 2);
    let uri = world.uri(0);
    let reader = world.open(&uri, Some(1));
    world.run(WHILE);
    assert_eq!(world.status(reader).document, Presence::NotFound);
    world.restart(reader);
    world.run(WHILE);
    assert_eq!(world.status(reader).document, Presence::NotFound);
}
