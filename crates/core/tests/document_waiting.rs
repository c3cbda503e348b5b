//! Updates that come before what they build on.

mod document_support;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use document_support::{Made, client, make_update};
use sheaf_core::document::{Document, Missing, Readiness, WaitingRoom, WaitingRoomFull};
use sheaf_core::door::{Allowed, VettedUpdate, scan};
use sheaf_core::text::Splice;
use sheaf_core::time::Timestamp;

fn update(author: u64, clock: u32, runs: &[Made], deletions: &[(u64, u32, u32)]) -> VettedUpdate {
    scan(&make_update(author, clock, runs, deletions), Allowed::Author(client(author))).expect("well formed")
}

fn text(text: &str) -> Made {
    Made::Text(None, None, text.to_owned())
}

fn after(neighbour: (u64, u32), text: &str) -> Made {
    Made::Text(Some(neighbour), None, text.to_owned())
}

#[test]
fn what_waits_says_for_what() {
    let document = Document::new(client(9));
    let waits = |update: &VettedUpdate| match document.readiness(update) {
        Readiness::Waiting(Missing { client, clock }) => Some((client.get(), clock)),
        Readiness::Ready | Readiness::Known => None,
    };
    assert_eq!(waits(&update(1, 0, &[text("x")], &[])), None);
    assert_eq!(waits(&update(1, 4, &[text("x")], &[])), Some((1, 4)));
    assert_eq!(waits(&update(1, 0, &[after((2, 3), "x")], &[])), Some((2, 4)));
    assert_eq!(waits(&update(1, 0, &[], &[(3, 1, 2)])), Some((3, 3)));
    let nothing = scan(&[0, 0], Allowed::Author(client(1))).expect("well formed");
    assert_eq!(document.readiness(&nothing), Readiness::Known);
}

#[test]
fn a_chain_that_comes_backwards_is_applied_at_once() {
    let (mut document, mut waiting) = (Document::new(client(9)), WaitingRoom::new());
    // By two authors in turn, each letter after the other's last.
    let mut chain = vec![update(1, 0, &[text("a")], &[])];
    for (index, letter) in ["b", "c", "d", "e", "f"].into_iter().enumerate() {
        let (author, other, before) =
            if index % 2 == 0 { (2, 1, index as u32 / 2) } else { (1, 2, index as u32 / 2) };
        let clock = if author == 2 { before } else { before + 1 };
        chain.push(update(author, clock, &[after((other, before), letter)], &[]));
    }
    for update in chain[1..].iter().rev() {
        assert_eq!(waiting.offer(&mut document, update.clone()), Ok(Vec::new()));
    }
    assert_eq!(waiting.len(), 5);
    assert_eq!(waiting.missing().get(&client(1)), Some(&3));
    let splices = waiting.offer(&mut document, chain[0].clone()).expect("there is room");
    assert_eq!(splices.len(), 6);
    assert_eq!(document.text(), "abcdef");
    assert!(waiting.is_empty());
}

#[test]
fn holes_do_not_keep_back_what_comes_before_them() {
    let (mut document, mut waiting) = (Document::new(client(9)), WaitingRoom::new());
    let with_hole = update(1, 0, &[text("ab"), Made::Hole(1), after((1, 2), "d")], &[(1, 0, 1)]);
    let splices = waiting.offer(&mut document, with_hole).expect("there is room");
    assert_eq!(splices, [Splice::insert(0, "ab"), Splice::delete(0, 1)]);
    assert_eq!(waiting.len(), 1);
    let splices =
        waiting.offer(&mut document, update(1, 2, &[after((1, 1), "c")], &[])).expect("there is room");
    assert_eq!(splices, [Splice::insert(1, "c"), Splice::insert(2, "d")]);
    assert_eq!(document.text(), "bcd");
    assert!(waiting.is_empty());
}

#[test]
fn who_fills_the_room_keeps_nobody_else_out() {
    let (mut document, mut waiting) = (Document::new(client(9)), WaitingRoom::new());
    let long = "x".repeat(100_000);
    let mut offered = 0;
    let full = loop {
        let endless = update(1, 5 + 200_000 * offered, &[text(&long)], &[]);
        match waiting.offer(&mut document, endless) {
            Ok(splices) => assert!(splices.is_empty()),
            Err(full) => break full,
        }
        offered += 1;
    };
    assert_eq!(full, WaitingRoomFull);
    assert!(waiting.bytes() < 5_000_000, "{}", waiting.bytes());
    let held = waiting.bytes();
    // Again the same: it waits already.
    assert_eq!(waiting.offer(&mut document, update(1, 5, &[text(&long)], &[])), Err(WaitingRoomFull));
    assert_eq!(waiting.bytes(), held);
    // The author's own, when it need not wait, and another's that does.
    assert_eq!(
        waiting.offer(&mut document, update(1, 0, &[text("a")], &[])),
        Ok(vec![Splice::insert(0, "a")])
    );
    assert_eq!(waiting.offer(&mut document, update(2, 1, &[after((2, 0), "c")], &[])), Ok(Vec::new()));
    let splices =
        waiting.offer(&mut document, update(2, 0, &[after((1, 0), "b")], &[])).expect("there is room");
    assert_eq!(splices, [Splice::insert(1, "b"), Splice::insert(2, "c")]);
    assert_eq!(document.text(), "abc");
}

#[test]
fn an_update_waits_once_however_often_it_comes() {
    let (mut document, mut waiting) = (Document::new(client(9)), WaitingRoom::new());
    for _ in 0..10 {
        let early = update(1, 1, &[after((1, 0), "b")], &[]);
        assert_eq!(waiting.offer(&mut document, early), Ok(Vec::new()));
    }
    assert_eq!(waiting.len(), 1);
    let splices = waiting.offer(&mut document, update(1, 0, &[text("a")], &[])).expect("there is room");
    assert_eq!(splices.len(), 2);
    assert_eq!(waiting.bytes(), 0);
}

#[test]
#[should_panic(expected = "waits for")]
fn applying_too_early_is_a_mistake_of_ours() {
    let mut document = Document::new(client(9));
    document.apply(&update(1, 5, &[text("x")], &[]));
}

#[test]
fn edits_that_do_not_fit_change_nothing() {
    use sheaf_core::document::MAX_TEXT_LEN;
    use sheaf_core::text::{SpliceError, Utf16Offset};
    let mut document = Document::new(client(1));
    document.edit(Timestamp::EPOCH, &[Splice::insert(0, "a😀b")]).expect("it fits");
    let cut = |at| Err(SpliceError::CutsCharacter { at: Utf16Offset(at) });
    let cases: Vec<(Vec<Splice>, Result<(), SpliceError>)> = vec![
        (vec![Splice::insert(2, "x")], cut(2)),
        (vec![Splice::delete(0, 2)], cut(2)),
        (vec![Splice::delete(2, 1)], cut(2)),
        (vec![Splice::insert(0, "x"), Splice::delete(3, 1)], cut(3)),
        (vec![Splice::insert(0, "😀"), Splice::insert(1, "x")], cut(1)),
        (vec![Splice::insert(5, "x")], Err(SpliceError::PastEnd { end: 5, len: 4 })),
        (
            vec![Splice::delete(3, u32::MAX)],
            Err(SpliceError::PastEnd { end: 3 + u64::from(u32::MAX), len: 4 }),
        ),
        (vec![Splice::insert(0, "x"), Splice::delete(0, 6)], Err(SpliceError::PastEnd { end: 6, len: 5 })),
        (vec![Splice::insert(0, "x".repeat(MAX_TEXT_LEN as usize))], Err(SpliceError::TooLong)),
    ];
    let before = document.encode_state();
    for (splices, expected) in cases {
        assert_eq!(document.edit(Timestamp::EPOCH, &splices).map(drop), expected, "{:?}", splices[0].at);
        assert_eq!(document.encode_state(), before);
    }
    let nothing = document.edit(Timestamp::EPOCH, &[Splice::insert(1, "")]).expect("it fits");
    assert!(nothing.updates.is_empty());
    assert!(document.undo().is_some());
    assert!(!document.can_undo(), "what changed nothing is nothing to undo");
}

#[test]
fn deletions_that_wait_count_for_their_author() {
    let (mut document, mut waiting) = (Document::new(client(9)), WaitingRoom::new());
    let mut clock = 0;
    loop {
        clock += 3;
        let endless =
            scan(&make_update(1, 0, &[], &[(7, clock, 1)]), Allowed::Author(client(1))).expect("well formed");
        if waiting.offer(&mut document, endless).is_err() {
            break;
        }
    }
    let others =
        scan(&make_update(2, 0, &[], &[(7, 0, 1)]), Allowed::Author(client(2))).expect("well formed");
    assert_eq!(waiting.offer(&mut document, others), Ok(Vec::new()));
}
