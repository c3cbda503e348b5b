//! What was written when and by whom, told from what the repos prove.

mod document_support;
mod world;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::{collections::BTreeMap, time::Duration};

use document_support::for_each_seed;
use sheaf_core::{
    history::{Fate, History},
    replica::Event,
    text::{apply_splices, utf16_len},
    time::Timestamp,
};
use world::{
    World,
    beginnings::{MOMENT, WHILE, two_people},
};

/// Longer than what is folded into one entry.
const LONG: Duration = Duration::from_secs(301);

fn history(world: &World, device: usize) -> History {
    world.devices[device].replica.history()
}

#[test]
fn each_moments_text_comes_back_with_its_authors() {
    let (mut world, alice, bob) = two_people(1);
    let (ada, ben) = (world.did(0), world.did(1));
    world.type_at(alice, 0, 0, "Hello 👩‍👩‍👧 e\u{301}\r\n");
    let first = world.now;
    world.run(LONG);
    world.type_at(bob, 6, 8, "שלום");
    let second = world.now;
    world.run(LONG);
    world.type_at(alice, 0, 5, "");
    let third = world.now;
    // The last is not even published, which the writer's own history tells all the same.
    let hers = history(&world, alice);
    let texts = [
        (first, "Hello 👩‍👩‍👧 e\u{301}\r\n"),
        (second, "Hello שלום e\u{301}\r\n"),
        (third, " שלום e\u{301}\r\n"),
    ];
    for (at, text) in texts {
        assert_eq!(hers.text_at(at), text);
        assert_ne!(hers.text_at(at.saturating_sub(Duration::from_secs(1))), text);
    }
    assert_eq!(hers.text_at(Timestamp::EPOCH), "");
    world.run(WHILE);
    let uri = world.uri(0);
    let newcomer = world.open(&uri, None);
    world.run(WHILE);
    let his = history(&world, newcomer);
    assert_eq!(his.written(), hers.written());
    let told: Vec<_> = his.written().iter().map(|w| (w.author.clone(), w.inserted, w.deleted)).collect();
    assert_eq!(told, [(ada.clone(), 19, 0), (ben.clone(), 4, 8), (ada.clone(), 0, 5)]);
    let authored = his.authored_at(third);
    let runs: Vec<_> = authored.iter().map(|a| (a.author.clone(), a.from.0..a.to.0)).collect();
    assert_eq!(runs, [(ada.clone(), 0..1), (ben, 1..5), (ada, 5..10)]);
    assert!(
        authored[0].made_at <= first
            && first.saturating_since(authored[0].made_at) < Duration::from_millis(1)
    );
    assert_eq!(his.waiting(), 0);
}

#[test]
fn the_last_moment_is_the_text_whatever_happened() {
    for_each_seed(25, |seed, _| {
        let (mut world, alice, bob) = two_people(seed);
        // Clocks that disagree, in both directions, and typing on both sides at once and without a network.
        for _ in 0..60 {
            let who = [alice, bob][world.choices.below(2)];
            match world.choices.below(10) {
                0 => world.hand(who, Event::Undo),
                1 => {
                    let online = !world.devices[who].online;
                    world.set_online(who, online);
                }
                2 => world.restart(who),
                3 => world.run(LONG),
                4 => {
                    // The device's clock is set back by some minutes: whatever it says, causes come first.
                    world.now =
                        world.now.saturating_sub(Duration::from_secs(world.choices.below(900) as u64));
                }
                _ => world.type_something(who),
            }
            for device in [alice, bob] {
                let history = history(&world, device);
                assert_eq!(history.text_at(Timestamp::MAX), world.devices[device].view);
                assert!(history.written().windows(2).all(|pair| pair[0].shown_at <= pair[1].shown_at));
            }
        }
        for who in [alice, bob] {
            world.set_online(who, true);
        }
        world.run(Duration::from_secs(180));
        let (hers, his) = (history(&world, alice), history(&world, bob));
        assert_eq!(hers.written(), his.written(), "everybody tells the same history");
        let moments = |history: &History| -> BTreeMap<Timestamp, String> {
            history.written().iter().map(|w| (w.shown_at, history.text_at(w.shown_at))).collect()
        };
        assert_eq!(moments(&hers), moments(&his));
        let authored = hers.authored_at(Timestamp::MAX);
        let end = utf16_len(&world.devices[alice].view);
        assert!(authored.windows(2).all(|pair| pair[0].to == pair[1].from), "{authored:?}");
        assert_eq!(authored.last().map_or(0, |last| last.to.0), end);
        // Turn by turn from nothing to what is there; and from there back to each.
        let (turns, mut reached) = (hers.turns(LONG, Duration::MAX), 0);
        for turn in &turns {
            assert_eq!(turn.entries.start, reached);
            reached = turn.entries.end;
            let texts = (hers.text_after(turn.entries.end), hers.text_after(turn.entries.start));
            assert_eq!(after_and_before(&hers, turn.entries.clone()), texts);
            let mut now = world.devices[alice].view.clone();
            apply_splices(&mut now, &hers.way_back(turn.entries.end)).expect("splices of the text");
            assert_eq!(now, texts.0);
            assert!(
                hers.passages(turn.entries.clone()).iter().all(|passage| match &passage.fate {
                    Fate::Kept => true,
                    Fate::Added => passage.author == turn.author,
                    Fate::Removed { by } => *by == turn.author,
                }),
                "a turn is one person's"
            );
        }
        assert_eq!(reached, hers.written().len());
        let middle = turns.len() / 2;
        if let Some(turn) = turns.get(middle) {
            // Of several turns at once the same holds.
            let entries = turn.entries.start..reached;
            let texts = (hers.text_after(entries.end), hers.text_after(entries.start));
            assert_eq!(after_and_before(&hers, entries), texts);
        }
        // What went in and did not come out again is what is there.
        let (inserted, deleted): (u64, u64) = hers
            .written()
            .iter()
            .fold((0, 0), |(i, d), w| (i + u64::from(w.inserted), d + u64::from(w.deleted)));
        assert_eq!(inserted - deleted, u64::from(end));
    });
}

/// The text after some entries and the one before them, as their passages tell them.
fn after_and_before(history: &History, entries: std::ops::Range<usize>) -> (String, String) {
    let (mut after, mut before) = (String::new(), String::new());
    for passage in history.passages(entries) {
        if passage.fate != Fate::Added {
            before.push_str(&passage.text);
        }
        if !matches!(passage.fate, Fate::Removed { .. }) {
            after.push_str(&passage.text);
        }
    }
    (after, before)
}

#[test]
fn a_turn_shows_what_came_and_what_went_and_by_whom() {
    let (mut world, alice, bob) = two_people(6);
    let (ada, ben) = (world.did(0), world.did(1));
    world.type_at(alice, 0, 0, "Hello 👩‍👩‍👧 e\u{301}.");
    world.run(MOMENT);
    world.type_at(bob, 6, 8, "שלום");
    world.run(LONG);
    world.type_at(alice, 0, 6, "");
    world.run(MOMENT);
    let history = history(&world, bob);
    let turns = history.turns(LONG, Duration::MAX);
    let told: Vec<_> = turns.iter().map(|t| (&t.author, t.inserted, t.deleted)).collect();
    assert_eq!(told, [(&ada, 18, 0), (&ben, 4, 8), (&ada, 0, 6)], "each as soon as the other has written");
    let passages = |turn: usize| -> Vec<_> {
        let passages = history.passages(turns[turn].entries.clone());
        passages.into_iter().map(|passage| (passage.text, passage.author, passage.fate)).collect()
    };
    let text = |text: &str, author: &_, fate| (text.to_owned(), Clone::clone(author), fate);
    assert_eq!(passages(0), [text("Hello 👩‍👩‍👧 e\u{301}.", &ada, Fate::Added)]);
    let by_ben = Fate::Removed { by: ben.clone() };
    assert_eq!(
        passages(1),
        [
            text("Hello ", &ada, Fate::Kept),
            text("👩‍👩‍👧", &ada, by_ben),
            text("שלום", &ben, Fate::Added),
            text(" e\u{301}.", &ada, Fate::Kept),
        ]
    );
    let by_ada = Fate::Removed { by: ada.clone() };
    assert_eq!(
        passages(2),
        [text("Hello ", &ada, by_ada), text("שלום", &ben, Fate::Kept), text(" e\u{301}.", &ada, Fate::Kept),]
    );
    let beside_itself = history.passages(9..12);
    assert!(beside_itself.iter().all(|passage| passage.fate == Fate::Kept), "there are only three entries");
    assert_eq!(beside_itself.iter().map(|p| p.text.as_str()).collect::<String>(), "שלום e\u{301}.");
}

#[test]
fn going_back_is_an_edit_that_can_be_taken_back() {
    let (mut world, alice, bob) = two_people(7);
    world.type_at(alice, 0, 0, "Kept, 👋 lost");
    world.run(MOMENT);
    world.type_at(bob, 9, 4, "and new");
    world.run(MOMENT);
    let now = world.devices[alice].replica.text();
    let back = history(&world, alice).way_back(1);
    assert!(back.iter().all(|splice| splice.at.0 >= 9), "what is in both stays: {back:?}");
    world.hand(alice, Event::Edit(back));
    world.devices[alice].view = world.devices[alice].replica.text();
    world.run(MOMENT);
    assert_eq!(world.devices[bob].view, "Kept, 👋 lost");
    let later = history(&world, bob);
    assert_eq!(later.turns(LONG, Duration::MAX).len(), 3, "nothing of what was is rewritten");
    world.hand(alice, Event::Undo);
    world.run(MOMENT);
    assert_eq!(world.devices[bob].view, now);
    assert_eq!(history(&world, alice).way_back(2), [], "it is that text already, whoever brought it back");
}

#[test]
fn what_a_removed_editor_writes_is_in_nobodys_history() {
    let (mut world, alice, bob) = two_people(3);
    let ben = world.did(1);
    world.type_at(bob, 0, 0, "Ben's. ");
    world.run(MOMENT);
    world.hand(alice, Event::RemoveEditor(ben.clone()));
    world.run(MOMENT);
    world.vandalise(&ben);
    world.run(LONG);
    let history = history(&world, alice);
    assert_eq!(history.text_at(Timestamp::MAX), "Ben's. ");
    assert_eq!(history.sittings(LONG).iter().map(|s| (s.inserted, s.deleted)).collect::<Vec<_>>(), [(7, 0)]);
}

#[test]
fn a_sitting_ends_with_a_pause_and_not_with_anothers_word() {
    let (mut world, alice, bob) = two_people(4);
    for _ in 0..3 {
        world.type_at(alice, 0, 0, "a");
        world.run(LONG);
        world.type_at(bob, 0, 0, "bb");
        world.run(LONG);
    }
    world.run(Duration::from_secs(7_200));
    world.type_at(alice, 0, 2, "");
    let sittings = history(&world, alice).sittings(Duration::from_secs(1_800));
    let told: Vec<_> = sittings.iter().map(|s| (&s.author, s.inserted, s.deleted)).collect();
    let (ada, ben) = (world.did(0), world.did(1));
    assert_eq!(told, [(&ada, 3, 0), (&ben, 6, 0), (&ada, 0, 2)]);
    assert!(sittings.windows(2).all(|pair| pair[0].from <= pair[1].from));
}

/// A real editing trace (see `testdata/README.md`) typed by two people in turns. All 259,778 edits take some minutes;
/// `SHEAF_TRACE=259778` asks for them, and for how long telling takes.
#[cfg(not(target_arch = "wasm32"))]
#[test]
#[allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stderr)] // It measures.
fn the_history_of_a_paper_is_told() {
    use std::io::Read as _;

    use sheaf_core::text::{Splice, Utf16Offset};

    let mut json = String::new();
    let packed: &[u8] = include_bytes!("../../../testdata/automerge-paper.json.gz");
    flate2::read::GzDecoder::new(packed).read_to_string(&mut json).expect("the trace is gzipped text");
    let trace: serde_json::Value = serde_json::from_str(&json).expect("the trace is JSON");
    let count = document_support::asked_for("SHEAF_TRACE").unwrap_or(2_000) as usize;
    let (mut world, alice, bob) = two_people(5);
    let mut halfway = (world.now, String::new());
    let patches = trace["txns"].as_array().expect("transactions").iter().take(count);
    for (n, transaction) in patches.enumerate() {
        let who = [alice, bob][n / 997 % 2];
        for patch in transaction["patches"].as_array().expect("patches") {
            let number = |n: usize| u32::try_from(patch[n].as_u64().expect("a number")).expect("a small one");
            let (at, deleted) = (number(0), number(1));
            let text = patch[2].as_str().expect("text");
            let splice = Splice { at: Utf16Offset(at), delete: deleted, insert: text.into() };
            world.hand(who, Event::Edit(vec![splice]));
        }
        // What one has written the other has before they go on.
        let step = if n % 997 == 996 { MOMENT } else { Duration::from_millis(150) };
        world.now = world.now.saturating_add(step);
        if n % 997 == 996 {
            // To read the whole text after each letter would take longer than everything else.
            world.devices[who].view = world.devices[who].replica.text();
            world.run(MOMENT);
        }
        if n == count / 2 / 997 * 997 + 996 {
            halfway = (world.now, world.devices[alice].replica.text());
            world.run(LONG); // What is written next is no part of the same entry.
        }
    }
    for device in [alice, bob] {
        world.devices[device].view = world.devices[device].replica.text();
    }
    world.run(WHILE);
    let began = std::time::Instant::now();
    let history = world.devices[bob].replica.history();
    let told = began.elapsed();
    assert_eq!(history.text_at(halfway.0), halfway.1);
    let woven = began.elapsed() - told;
    let authored = history.authored_at(Timestamp::MAX);
    let attributed = began.elapsed() - told - woven;
    let half = history.written().len() / 2;
    let passages = history.passages(half..half + 1);
    let compared = began.elapsed() - told - woven - attributed;
    assert!(passages.iter().any(|passage| passage.fate != Fate::Kept), "an entry changes something");
    assert_eq!(history.text_at(Timestamp::MAX), world.devices[alice].replica.text());
    assert!(authored.iter().map(|a| &a.author).collect::<std::collections::BTreeSet<_>>().len() == 2);
    eprintln!(
        "{count} edits, {} entries: listed in {told:?}, half-way woven in {woven:?}, attributed in {attributed:?}, \
         compared in {compared:?}",
        history.written().len()
    );
}
