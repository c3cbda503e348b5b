//! What the door lets in, and what it says of everything else.

mod document_support;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use document_support::{Chance, Made, client, for_each_seed, make_update, number, random_splice, string};
use sheaf_core::document::Document;
use sheaf_core::door::{
    Allowed, CLOCK_LIMIT, MAX_UPDATE_BYTES, MergeError, Refusal, VettedUpdate, canonical, merge, scan,
};
use sheaf_core::text::{Splice, apply_splices};
use sheaf_core::time::Timestamp;

const HOSTILE_UPDATES: &str = include_str!("fixtures/hostile/yjs-v1-updates.txt");
const HOSTILE_BASE: &str = include_str!("fixtures/hostile/yjs-v1-base.hex");

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.trim().bytes().map(|byte| (byte as char).to_digit(16).expect("hex") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn any(bytes: &[u8]) -> Result<VettedUpdate, Refusal> {
    scan(bytes, Allowed::Any)
}

fn text(text: &str) -> Made {
    Made::Text(None, None, text.to_owned())
}

#[test]
fn updates_that_broke_the_library_are_refused() {
    let updates: Vec<&str> = HOSTILE_UPDATES
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim())
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(updates.len(), 3);
    let refusals: Vec<Refusal> = updates.iter().map(|update| any(&hex(update)).expect_err(update)).collect();
    assert_eq!(refusals[0], Refusal::CountTooLarge);
    assert_eq!(refusals[1], Refusal::ForeignContent(2));
    assert_eq!(refusals[2], Refusal::ForeignContent(7));
    // The document that the third was made for holds maps and formatting: not a plain text either.
    assert!(matches!(any(&hex(HOSTILE_BASE)), Err(Refusal::ForeignContent(_))));
}

#[test]
fn each_refusal_has_its_reason() {
    let ok = make_update(1, 0, &[text("hi")], &[]);
    assert!(any(&ok).is_ok());
    let with = |at: usize, byte: u8| {
        let mut bytes = ok.clone();
        bytes[at] = byte;
        bytes
    };
    let root_named = |name: &str| {
        let mut bytes = vec![1, 1, 1, 0, 4, 1];
        string(&mut bytes, name);
        string(&mut bytes, "hi");
        bytes.push(0);
        bytes
    };
    let own = |clock| Some((1, clock));
    let beside = |origin, right| Made::Text(origin, right, "x".to_owned());
    let limit = CLOCK_LIMIT;
    let cases: Vec<(&str, Vec<u8>, Refusal)> = vec![
        ("nothing", vec![], Refusal::Truncated),
        ("cut short", ok[..ok.len() - 1].to_vec(), Refusal::Truncated),
        ("a string longer than the rest", with(11, 100), Refusal::Truncated),
        ("a byte too many", [&ok[..], &[0]].concat(), Refusal::TrailingBytes(1)),
        ("many sections promised", vec![0xff, 0xff, 0x7f, 1, 1, 1, 1], Refusal::CountTooLarge),
        ("many runs promised", with(1, 100), Refusal::CountTooLarge),
        ("many deletions promised", [&ok[..ok.len() - 1], &[1, 1, 9, 0, 1]].concat(), Refusal::CountTooLarge),
        (
            "a number of 54 bits",
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f],
            Refusal::NumberTooLarge,
        ),
        ("a number without end", vec![0x80; 40], Refusal::NumberTooLarge),
        ("client 0", with(2, 0), Refusal::ClientOutOfRange),
        (
            "a neighbour by client 0",
            make_update(1, 0, &[beside(Some((0, 0)), None)], &[]),
            Refusal::ClientOutOfRange,
        ),
        ("a clock at the limit", make_update(1, limit, &[text("x")], &[]), Refusal::ClockOutOfRange),
        ("a run past the limit", make_update(1, limit - 2, &[text("xx")], &[]), Refusal::ClockOutOfRange),
        ("a deletion past the limit", make_update(1, 0, &[], &[(1, limit - 1, 5)]), Refusal::ClockOutOfRange),
        ("bytes that are no text", with(12, 0xff), Refusal::NotUtf8),
        (
            "half a character",
            {
                let mut bytes = ok.clone();
                bytes.splice(11..14, [3, 0xed, 0xa0, 0x80]);
                bytes
            },
            Refusal::NotUtf8,
        ),
        ("empty text", make_update(1, 0, &[text("")], &[]), Refusal::EmptyRun),
        ("an empty hole", make_update(1, 0, &[text("x"), Made::Hole(0), text("y")], &[]), Refusal::EmptyRun),
        ("an empty deletion", make_update(1, 0, &[], &[(1, 0, 0)]), Refusal::EmptyRun),
        ("an embedded object", with(4, 5), Refusal::ForeignContent(5)),
        ("formatting", with(4, 6), Refusal::ForeignContent(6)),
        ("a nested type", with(4, 7), Refusal::ForeignContent(7)),
        ("a value", with(4, 8), Refusal::ForeignContent(8)),
        ("a kind there is not", with(4, 31), Refusal::ForeignContent(31)),
        ("a hole with bits of a run", with(4, 10 | 0x80), Refusal::ForeignContent(10)),
        ("a collected run", vec![1, 1, 1, 0, 0, 5, 0], Refusal::Collected),
        ("a key", with(4, 4 | 0x20), Refusal::Keyed),
        ("another root", root_named("tex"), Refusal::ForeignParent),
        ("a root of no name", root_named(""), Refusal::ForeignParent),
        ("inside of something", vec![1, 1, 1, 5, 4, 0, 1, 1, 2, b'h', b'i', 0], Refusal::ForeignParent),
        ("a hole first", make_update(1, 0, &[Made::Hole(1), text("x")], &[]), Refusal::StrayHole),
        ("a hole last", make_update(1, 0, &[text("x"), Made::Hole(1)], &[]), Refusal::StrayHole),
        (
            "two holes",
            make_update(1, 0, &[text("x"), Made::Hole(1), Made::Hole(1), text("x")], &[]),
            Refusal::StrayHole,
        ),
        ("a section of nothing", vec![1, 0, 1, 0, 0, 0, 0], Refusal::StrayHole),
        ("beside itself", make_update(1, 3, &[beside(own(3), None)], &[]), Refusal::PointsAhead),
        ("before itself", make_update(1, 3, &[beside(None, own(3))], &[]), Refusal::PointsAhead),
        (
            "beside what comes later",
            make_update(1, 3, &[beside(own(4), None), text("y")], &[]),
            Refusal::PointsAhead,
        ),
        ("a number written long", [&[0x81, 0], &ok[1..]].concat(), Refusal::NotCanonical),
        ("deletions out of order", make_update(1, 0, &[], &[(1, 5, 1), (1, 0, 1)]), Refusal::NotCanonical),
        ("deletions that touch", make_update(1, 0, &[], &[(1, 0, 1), (1, 1, 1)]), Refusal::NotCanonical),
        ("deletions that overlap", make_update(1, 0, &[], &[(1, 0, 3), (1, 1, 1)]), Refusal::NotCanonical),
        ("deletions by ascending client", vec![0, 2, 1, 1, 0, 1, 2, 1, 0, 1], Refusal::NotCanonical),
        ("deletions of nothing", vec![0, 2, 2, 0, 1, 2, 0, 1, 5, 1], Refusal::NotCanonical),
    ];
    for (what, bytes, refusal) in cases {
        assert_eq!(any(&bytes), Err(refusal), "{what}");
    }
    let long = vec![0; MAX_UPDATE_BYTES + 1];
    let too_large = Refusal::TooLarge { len: long.len(), max: MAX_UPDATE_BYTES };
    assert_eq!(scan(&long, Allowed::Author(client(1))), Err(too_large));
}

/// Sections of several clients, one after another.
fn sections(sections: &[(u64, u32, Vec<Made>)]) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, sections.len() as u64);
    for (author, clock, runs) in sections {
        let single = make_update(*author, *clock, runs, &[]);
        out.extend_from_slice(&single[1..single.len() - 1]);
    }
    out.push(0);
    out
}

#[test]
fn sections_of_several_clients_are_in_order_and_without_circles() {
    let beside = |origin| vec![Made::Text(Some(origin), None, "x".to_owned())];
    let cases: Vec<(&str, Vec<u8>, Result<(), Refusal>)> = vec![
        ("descending", sections(&[(2, 0, vec![text("b")]), (1, 0, vec![text("a")])]), Ok(())),
        (
            "ascending",
            sections(&[(1, 0, vec![text("a")]), (2, 0, vec![text("b")])]),
            Err(Refusal::NotCanonical),
        ),
        (
            "twice",
            sections(&[(1, 0, vec![text("a")]), (1, 1, vec![text("b")])]),
            Err(Refusal::DuplicateClient(client(1))),
        ),
        ("one beside the other", sections(&[(2, 0, beside((1, 0))), (1, 0, vec![text("a")])]), Ok(())),
        (
            "each beside the other",
            sections(&[(2, 0, beside((1, 0))), (1, 0, beside((2, 0)))]),
            Err(Refusal::Circular),
        ),
        (
            "each beside what the other had",
            sections(&[(2, 5, beside((1, 4))), (1, 5, beside((2, 4)))]),
            Ok(()),
        ),
        (
            "to and fro",
            sections(&[
                (2, 0, vec![text("b"), Made::Text(Some((1, 1)), None, "x".to_owned())]),
                (1, 0, vec![text("a"), Made::Text(Some((2, 0)), None, "y".to_owned())]),
            ]),
            Ok(()),
        ),
        (
            "a circle of three",
            sections(&[(3, 0, beside((2, 0))), (2, 0, beside((1, 0))), (1, 0, beside((3, 0)))]),
            Err(Refusal::Circular),
        ),
    ];
    for (what, bytes, expected) in cases {
        assert_eq!(any(&bytes).map(drop), expected, "{what}");
    }
}

#[test]
fn only_the_author_may_add_but_anyone_may_delete() {
    let update = make_update(7, 0, &[text("x")], &[(9, 0, 4)]);
    assert!(scan(&update, Allowed::Author(client(7))).is_ok());
    assert_eq!(scan(&update, Allowed::Author(client(9))), Err(Refusal::ForeignClient(client(7))));
    let others = [client(1), client(2)].into();
    assert_eq!(scan(&update, Allowed::AnyOf(&others)), Err(Refusal::ForeignClient(client(7))));
    let all = [client(1), client(7)].into();
    assert!(scan(&update, Allowed::AnyOf(&all)).is_ok());
    let deletion = make_update(7, 0, &[], &[(9, 0, 4)]);
    let deletion = scan(&deletion, Allowed::Author(client(1))).expect("anyone may delete");
    assert_eq!(deletion.author(), Some(client(1)));
}

#[test]
fn an_update_says_what_it_builds_on() {
    let runs = [
        Made::Text(Some((2, 8)), Some((3, 0)), "ab".to_owned()),
        Made::Text(Some((1, 5)), Some((2, 3)), "c".to_owned()),
    ];
    let update = any(&make_update(1, 4, &runs, &[(2, 0, 4), (1, 0, 7), (5, 2, 2)])).expect("well formed");
    let required: Vec<(u64, u32)> =
        update.requires().iter().map(|(client, &clock)| (client.get(), clock)).collect();
    assert_eq!(required, [(1, 4), (2, 9), (3, 1), (5, 4)]);
    assert_eq!(update.provides().iter().collect::<Vec<_>>(), [(&client(1), &(4..7))]);
    assert_eq!(update.author(), Some(client(1)));
    // Deleting more than it has itself waits for more of itself.
    let ahead = any(&make_update(1, 0, &[text("x")], &[(1, 0, 3)])).expect("well formed");
    assert_eq!(ahead.requires().get(&client(1)), Some(&3));
}

#[test]
fn what_passes_is_unchanged_by_being_made_canonical() {
    for_each_seed(100, |_, chance| {
        let mut document = Document::new(client(1 + chance.below(1 << 20) as u64));
        for update in random_updates(chance, &mut document, 20) {
            assert_eq!(canonical(update.bytes()).as_deref(), Ok(update.bytes()));
            assert_eq!(scan(update.bytes(), Allowed::Author(document.client())), Ok(update));
        }
    });
}

fn random_updates(chance: &mut Chance, document: &mut Document, count: usize) -> Vec<VettedUpdate> {
    let mut updates = Vec::new();
    for _ in 0..count {
        let splice = random_splice(chance, &document.text());
        updates.extend(document.edit(Timestamp::EPOCH, &[splice]).expect("it fits").updates);
    }
    updates
}

#[test]
fn merged_and_split_updates_make_the_same_document() {
    for_each_seed(200, |_, chance| {
        let mut document = Document::new(client(1));
        let updates = random_updates(chance, &mut document, 30);
        let merged = merge(&updates).expect("one author's, in order");
        for parts in [vec![merged.clone()], merged.split(64), merged.split(100), updates.clone()] {
            let mut other = Document::new(client(2));
            let mut view = String::new();
            for part in &parts {
                let part = scan(part.bytes(), Allowed::Author(client(1))).expect("parts pass the door");
                apply_splices(&mut view, &other.apply(&part)).expect("splices fit");
            }
            assert_eq!(view, document.text());
            assert_eq!(other.encode_state(), document.encode_state());
        }
        for part in merged.split(64) {
            assert!(part.bytes().len() <= 64, "a part of {} bytes", part.bytes().len());
        }
        assert_eq!(merge(&merged.split(64)).as_ref(), Ok(&merged), "parts merge to the whole");
    });
}

#[test]
fn only_consecutive_updates_of_one_author_merge() {
    let update = |author, clock| any(&make_update(author, clock, &[text("x")], &[])).expect("well formed");
    assert_eq!(merge(&[update(1, 0), update(2, 0)]), Err(MergeError::DifferentAuthors));
    assert_eq!(merge(&[update(1, 0), update(1, 2)]), Err(MergeError::NotConsecutive));
    assert_eq!(merge(&[update(1, 1), update(1, 0)]), Err(MergeError::NotConsecutive));
    assert!(merge(&[]).is_ok_and(|update| update.is_empty()));
    let long = "x".repeat(MAX_UPDATE_BYTES / 2);
    let long = |clock| any(&make_update(1, clock, &[text(&long)], &[])).expect("well formed");
    assert_eq!(merge(&[long(0), long(MAX_UPDATE_BYTES as u32 / 2)]), Err(MergeError::TooLarge));
}

#[test]
fn a_large_paste_leaves_in_parts_that_pass_the_door() {
    let mut document = Document::new(client(1));
    let paste = "Zeile ✍🏽\r\n".repeat(60_000);
    let change = document.edit(Timestamp::EPOCH, &[Splice::insert(0, paste.clone())]).expect("it fits");
    assert!(change.updates.len() > 1);
    let mut other = Document::new(client(2));
    for update in &change.updates {
        other.apply(&scan(update.bytes(), Allowed::Author(client(1))).expect("a part passes the door"));
    }
    assert_eq!(other.text(), paste);
}
