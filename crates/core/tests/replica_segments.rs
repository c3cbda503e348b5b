//! Segments over time: what is sealed is folded, what others carry is believed on their word only, and a write that comes
//! late does no harm.

mod world;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use sheaf_core::{
    record::SegmentRecord,
    replica::{Event, FetchFailure, Presence, WriteFailure},
    repo_view::Trouble,
};
use sheaf_repo::did::Did;
use world::{
    World,
    beginnings::{MOMENT, WHILE, two_people},
};

/// Types until so many more segments are sealed; letters that hardly deflate.
fn type_much(world: &mut World, device: usize, segments: usize) {
    for _ in 0..segments * 12 {
        let letters: String = (0..330).map(|_| char::from(b'!' + world.choices.below(90) as u8)).collect();
        let end = sheaf_core::text::utf16_len(&world.devices[device].view);
        world.type_at(device, end, 0, &letters);
        world.run(Duration::from_millis(900));
    }
}

#[test]
fn what_is_sealed_is_folded_and_everybody_reads_the_same() {
    let (mut world, alice, bob) = two_people(19);
    let owner = world.did(0);
    type_much(&mut world, alice, 24);
    world.run(WHILE);
    assert!(world.accounts[&owner].folds >= 5, "{} folds", world.accounts[&owner].folds);
    assert!(world.segments(&owner).len() <= 8, "{:?}", world.segments(&owner));
    let stored = |world: &World, n: usize| {
        let keys = world.devices[n].store.keys();
        keys.filter(|key| key.contains("/segment/")).count()
    };
    assert!(stored(&world, alice) <= 9 && stored(&world, bob) <= 9, "devices keep no more than there is");
    let uri = world.uri(0);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.texts().len(), 1);
    assert_eq!(world.devices[newcomer].view, world.devices[alice].view);
    for device in [alice, bob] {
        assert!(world.status(device).editors.iter().all(|editor| editor.quarantined.is_empty()));
        let before = world.devices[device].view.clone();
        world.restart(device);
        assert_eq!(world.devices[device].view, before);
    }
}

#[test]
fn folding_gets_along_with_another_device_and_with_lost_answers() {
    for seed in 20..26 {
        let (mut world, alice, _) = two_people(seed);
        let (uri, owner) = (world.uri(0), world.did(0));
        let phone = world.open(&uri, Some(0));
        world.run(MOMENT);
        for turn in 0..16 {
            type_much(&mut world, [alice, phone][turn % 2], 1);
            if turn % 3 == 0 {
                world.accounts.get_mut(&owner).unwrap().lose_answers = 1;
            }
            if turn % 5 == 4 {
                let device = [alice, phone][world.choices.below(2)];
                world.restart(device);
            }
        }
        world.run(Duration::from_secs(600));
        assert_eq!(world.texts().len(), 1, "seed {seed}");
        let newcomer = world.open(&uri, None);
        world.run(WHILE);
        assert_eq!(world.devices[newcomer].view, world.devices[alice].view, "seed {seed}");
        assert!(
            world.accounts[&owner].folds >= 2,
            "seed {seed}: {} {:?}",
            world.accounts[&owner].folds,
            world.segments(&owner)
        );
        assert!(world.segments(&owner).len() <= 12, "seed {seed}: {:?}", world.segments(&owner));
        let told: Vec<String> =
            world.status(newcomer).editors.into_iter().flat_map(|editor| editor.quarantined).collect();
        assert!(told.is_empty(), "seed {seed}: {told:?} {:?}", world.segments(&owner));
    }
}

#[test]
fn a_segment_that_its_author_takes_out_stays_where_it_was_and_is_missed_by_newcomers() {
    let (mut world, alice, bob) = two_people(27);
    let bob_did = world.did(1);
    type_much(&mut world, bob, 3);
    let first = world.segments(&bob_did)[0].clone();
    world.withdraw(&bob_did, &first);
    world.run(WHILE);
    assert_eq!(world.devices[alice].view, world.devices[bob].view, "the text that others have stays");
    let told = |world: &World, n: usize| -> Vec<String> {
        world.status(n).editors.into_iter().flat_map(|editor| editor.quarantined).collect()
    };
    assert!(told(&world, alice)[0].contains("taken out"), "{:?}", told(&world, alice));
    let uri = world.uri(0);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert!(told(&world, newcomer)[0].contains("missing"), "{:?}", told(&world, newcomer));
}

#[test]
fn with_an_editors_server_gone_for_good_everybody_still_opens_the_whole_document() {
    // Once with little text, in the record itself, and once with much, in a blob.
    for segments in [1, 30] {
        let (mut world, alice, bob) = two_people(30);
        let (uri, bob_did) = (world.uri(0), world.did(1));
        world.type_at(alice, 0, 0, "Alice's words. ");
        type_much(&mut world, bob, segments);
        world.run(Duration::from_secs(180));
        let text = world.devices[alice].view.clone();
        assert_eq!(!world.accounts[&world.did(0)].blobs.is_empty(), segments > 1);
        world.accounts.get_mut(&bob_did).unwrap().reads_fail = Some(FetchFailure::Unreachable("gone".into()));

        let newcomer = world.open(&uri, None);
        world.run(WHILE);
        assert_eq!(world.devices[newcomer].view, text);
        let status = world.status(newcomer);
        let told = status.editors.iter().find(|editor| editor.did == bob_did).unwrap();
        assert!(
            matches!(told.trouble, Some(Trouble::Fetch(_))),
            "it is told whose server is missing: {told:?}"
        );
        assert!(told.rev.is_some(), "and up to where their words are known");

        // Nobody has to be believed for it: what is carried of Bob is under Bob's own signature.
        world.restart(newcomer);
        assert_eq!(world.devices[newcomer].view, text);
        world.accounts.get_mut(&bob_did).unwrap().reads_fail = None;
        world.type_at(bob, 0, 0, "Back again. ");
        world.run(Duration::from_secs(120));
        assert_eq!(world.texts().len(), 1);
        assert!(world.devices[newcomer].view.starts_with("Back again. "));
    }
}

#[test]
fn with_the_owners_server_gone_for_good_a_link_that_names_an_editor_still_leads_there() {
    for segments in [1, 30] {
        let (mut world, alice, bob) = two_people(33);
        let (uri, owner, bob_did) = (world.uri(0), world.did(0), world.did(1));
        type_much(&mut world, alice, segments);
        world.type_at(bob, 0, 0, "Bob's words. ");
        world.run(Duration::from_secs(180));
        let (text, title) = (world.devices[alice].view.clone(), world.devices[alice].replica.title());
        let link = world.devices[alice].replica.link();
        assert_eq!(link.via, std::slice::from_ref(&bob_did), "the link tells of Bob");
        world.accounts.get_mut(&owner).unwrap().reads_fail = Some(FetchFailure::Unreachable("gone".into()));

        let lost = world.open(&uri, None);
        let stranger = world.open_via(&uri, &[2]);
        let newcomer = world.open_via(&uri, &[2, 1]);
        world.run(WHILE);
        for n in [lost, stranger] {
            assert_eq!(world.devices[n].view, "");
            assert!(world.status(n).sentence().contains("gone"), "{}", world.status(n).sentence());
        }
        assert_eq!(world.devices[newcomer].view, text);
        assert_eq!(world.devices[newcomer].replica.title(), title);
        let status = world.status(newcomer);
        let told =
            |did: &Did| status.editors.iter().find(|editor| editor.did == *did).unwrap().trouble.clone();
        assert!(matches!(told(&owner), Some(Trouble::Fetch(_))), "it is told whose server is missing");
        assert_eq!(told(&bob_did), None);

        world.type_at(bob, 0, 0, "And on. ");
        world.run(MOMENT);
        assert_eq!(world.devices[newcomer].view, format!("And on. {text}"), "it is followed from there on");
        world.restart(newcomer);
        assert_eq!(world.devices[newcomer].view, format!("And on. {text}"));
    }
}

#[test]
fn who_is_named_by_a_link_and_is_no_editor_adds_nothing() {
    let (mut world, alice, _) = two_people(34);
    let (uri, owner, mallory) = (world.uri(0), world.did(0), world.did(2));
    world.type_at(alice, 0, 0, "true ");
    world.run(Duration::from_secs(180));
    // What Mallory writes under the document's name, and a repo of the owner's making that the owner never made.
    world.write_as_many(&mallory, 1);
    world.carry_forged(&mallory, &owner, "forged ");
    let before = world.open_via(&uri, &[2]);
    world.run(WHILE);
    world.accounts.get_mut(&owner).unwrap().reads_fail = Some(FetchFailure::Unreachable("gone".into()));
    let after = world.open_via(&uri, &[2]);
    world.run(WHILE);
    assert_eq!(world.devices[before].view, "true ");
    assert_eq!(world.devices[after].view, "");
    assert_eq!(world.status(after).document, Presence::Looking);
}

#[test]
fn what_somebody_carries_in_anothers_name_without_their_signature_is_not_shown() {
    let (mut world, alice, _) = two_people(31);
    let (uri, owner, bob_did) = (world.uri(0), world.did(0), world.did(1));
    world.type_at(alice, 0, 0, "true ");
    world.run(MOMENT);
    // The owner's program carries a repo of Bob's making that Bob never made.
    world.carry_forged(&owner, &bob_did, "forged ");
    world.accounts.get_mut(&bob_did).unwrap().reads_fail = Some(FetchFailure::Unreachable("gone".into()));
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].view, "true ");
    assert_eq!(world.devices[alice].view, "true ");
}

#[test]
fn snapshots_do_not_answer_each_other_for_ever() {
    let (mut world, alice, bob) = two_people(32);
    world.type_at(alice, 0, 0, "a");
    world.type_at(bob, 0, 0, "b");
    world.run(Duration::from_secs(300));
    let points = |world: &World| world.accounts.values().map(|account| account.points.len()).sum::<usize>();
    for device in [alice, bob] {
        world.hand(device, Event::Hidden(true));
    }
    let before = points(&world);
    world.run(Duration::from_secs(3_600));
    assert_eq!(points(&world), before);
}

/// What an account's repo holds under a segment's key.
fn segment_of(world: &World, did: &Did, rkey: &str) -> Vec<u8> {
    world.accounts[did].repo.get(&format!("dev.sheaf.segment/{rkey}")).expect("it is there").1.to_vec()
}

#[test]
fn a_write_that_arrives_after_a_newer_one_is_made_good() {
    let (mut world, alice, bob) = two_people(33);
    let (uri, bob_did) = (world.uri(0), world.did(1));
    world.type_at(bob, 0, 0, "early");
    world.run(MOMENT);
    let rkey = world.segments(&bob_did)[0].clone();
    let early = segment_of(&world, &bob_did, &rkey);
    world.type_at(bob, 5, 0, " and late");
    world.run(MOMENT);
    // What a process that is long gone had sent gets there only now.
    world.arrive_late(&bob_did, &rkey, early.clone());
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].view, "early and late");

    // Who sees it and dies before it is made good sees to it afterwards.
    world.accounts.get_mut(&bob_did).unwrap().writes_fail = Some(WriteFailure::Server { status: 503 });
    world.arrive_late(&bob_did, &rkey, early);
    world.run(MOMENT);
    world.accounts.get_mut(&bob_did).unwrap().writes_fail = None;
    world.restart(bob);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].view, "early and late");
    assert_eq!(world.devices[alice].view, "early and late");
}

#[test]
fn a_sealed_segment_that_an_older_write_replaces_is_put_back() {
    let (mut world, alice, bob) = two_people(34);
    let (uri, bob_did) = (world.uri(0), world.did(1));
    world.type_at(bob, 0, 0, "early");
    world.run(MOMENT);
    let rkey = world.segments(&bob_did)[0].clone();
    let early = segment_of(&world, &bob_did, &rkey);
    type_much(&mut world, bob, 2);
    world.run(MOMENT);
    assert!(world.segments(&bob_did).len() > 1, "{:?}", world.segments(&bob_did));
    world.arrive_late(&bob_did, &rkey, early);
    world.run(WHILE);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].view, world.devices[bob].view);
    assert_eq!(world.devices[alice].view, world.devices[bob].view);
}

#[test]
fn a_late_copy_of_what_was_read_before_is_noticed_all_the_same() {
    let (mut world, alice, bob) = two_people(36);
    let (uri, bob_did) = (world.uri(0), world.did(1));
    world.type_at(bob, 0, 0, "early ");
    // Bob reads his own repo when he polls.
    world.run(Duration::from_secs(120));
    let rkey = world.segments(&bob_did)[0].clone();
    let early = segment_of(&world, &bob_did, &rkey);
    // He writes on and cannot read; the copy, of a write that was repeated, is the last that his server gets.
    world.accounts.get_mut(&bob_did).unwrap().reads_fail = Some(FetchFailure::Unreachable("away".into()));
    type_much(&mut world, bob, 2);
    world.run(MOMENT);
    assert!(world.segments(&bob_did).len() > 1, "the early one is sealed by now");
    world.arrive_late(&bob_did, &rkey, early);
    world.accounts.get_mut(&bob_did).unwrap().reads_fail = None;
    world.run(Duration::from_secs(300));
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].view, world.devices[bob].view);
    assert_eq!(world.devices[alice].view, world.devices[bob].view);
}

#[test]
fn a_late_copy_that_is_read_before_the_answer_to_what_it_replaced_is_noticed_too() {
    let (mut world, alice, bob) = two_people(38);
    let (uri, bob_did) = (world.uri(0), world.did(1));
    world.type_at(bob, 0, 0, "early ");
    world.run(MOMENT);
    let rkey = world.segments(&bob_did)[0].clone();
    let early = segment_of(&world, &bob_did, &rkey);
    // So much that the segment is full, and so sealed.
    let much: String = (0..8_000).map(|_| char::from(b'!' + world.choices.below(90) as u8)).collect();
    world.type_at(bob, 6, 0, &much);
    let is_answer = |event: &Event| matches!(event, Event::Written { .. });
    while !world.devices[bob].inbox.iter().any(is_answer) {
        assert!(world.deliver_one(), "it is never written");
    }
    let at = world.devices[bob].inbox.iter().position(is_answer).unwrap();
    let answer = world.devices[bob].inbox.remove(at).unwrap();
    assert!(SegmentRecord::parse(&segment_of(&world, &bob_did, &rkey)).unwrap().sealed);
    world.arrive_late(&bob_did, &rkey, early);
    world.run(MOMENT);
    world.hand(bob, answer);
    world.run(WHILE);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].view, world.devices[bob].view);
    assert_eq!(world.devices[alice].view, world.devices[bob].view);
}

#[test]
fn a_former_editor_too_puts_back_what_others_have_built_on() {
    let (mut world, alice, bob) = two_people(37);
    let (uri, bob_did) = (world.uri(0), world.did(1));
    world.type_at(bob, 0, 0, "one ");
    world.run(MOMENT);
    let rkey = world.segments(&bob_did)[0].clone();
    let early = segment_of(&world, &bob_did, &rkey);
    world.type_at(bob, 4, 0, "two ");
    world.run(MOMENT);
    world.type_at(alice, 6, 0, "between ");
    world.run(MOMENT);
    world.hand(alice, Event::RemoveEditor(bob_did.clone()));
    world.run(MOMENT);
    world.arrive_late(&bob_did, &rkey, early);
    world.run(WHILE);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    assert_eq!(world.devices[newcomer].view, world.devices[alice].view);
    assert_eq!(world.devices[newcomer].view, "one twbetween o ");
}

#[test]
fn two_who_go_by_one_name_do_not_put_back_theirs_for_ever() {
    let (mut world, _, bob) = two_people(35);
    let bob_did = world.did(1);
    world.type_at(bob, 0, 0, "mine");
    world.run(MOMENT);
    world.rewrite(&bob_did, "another's");
    world.run(WHILE);
    let rkey = world.segments(&bob_did)[0].clone();
    let theirs = segment_of(&world, &bob_did, &rkey);
    world.run(Duration::from_secs(600));
    assert_eq!(segment_of(&world, &bob_did, &rkey), theirs);
}

#[test]
fn a_device_restored_from_a_backup_goes_on_from_where_its_repo_is() {
    for segments in [0, 2] {
        let (mut world, alice, bob) = two_people(39);
        let (uri, bob_did) = (world.uri(0), world.did(1));
        world.type_at(bob, 0, 0, "early ");
        world.run(MOMENT);
        let backup = world.devices[bob].store.clone();
        world.type_at(bob, 6, 0, "and late ");
        type_much(&mut world, bob, segments);
        world.run(WHILE);
        let whole = world.devices[alice].view.clone();
        assert_eq!(world.segments(&bob_did).len() > 1, segments > 0);

        world.devices[bob].store = backup;
        world.restart(bob);
        assert_eq!(world.devices[bob].view, "early ");
        world.run(MOMENT);
        assert_eq!(world.devices[bob].view, whole);
        world.type_at(bob, 0, 0, "later 🪴 ");
        world.run(WHILE);
        let newcomer = world.open(&uri, None);
        world.run(WHILE);
        for device in [alice, bob, newcomer] {
            assert_eq!(world.devices[device].view, format!("later 🪴 {whole}"));
        }
        world.restart(bob);
        assert_eq!(world.devices[bob].view, format!("later 🪴 {whole}"));
    }
}
