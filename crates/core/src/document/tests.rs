//! The document on its own, as the browser runs it too. The large, random tests are in `tests/document_*.rs`.

use std::time::Duration;

use super::*;
use crate::door::CLOCK_LIMIT;

fn client(number: u64) -> ClientId {
    ClientId::new(number).unwrap()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

/// Types at the end, without the trouble of counting.
fn type_at_end(document: &mut Document, now: Timestamp, text: &str) -> LocalChange {
    document.edit(now, &[Splice::insert(document.len_utf16(), text)]).unwrap()
}

fn deliver(change: &LocalChange, from: &Document, to: &mut Document) -> Vec<Splice> {
    let pass = |update: &VettedUpdate| scan(update.bytes(), Allowed::Author(from.client())).unwrap();
    change.updates.iter().flat_map(|update| to.apply(&pass(update))).collect()
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn two_replicas_write_one_text() {
    let (mut alice, mut bob) = (Document::new(client(2)), Document::new(client(1)));
    let hello = type_at_end(&mut alice, at(0), "Hello 👋🏽\r\n");
    assert_eq!(deliver(&hello, &alice, &mut bob), [Splice::insert(0, "Hello 👋🏽\r\n")]);
    // Both at once in the same place: Bob's client is the lower one, so his comes first.
    let hers = type_at_end(&mut alice, at(1), "שלום");
    let his = type_at_end(&mut bob, at(1), "cafe\u{301}");
    assert_eq!(deliver(&hers, &alice, &mut bob), [Splice::insert(17, "שלום")]);
    assert_eq!(deliver(&his, &bob, &mut alice), [Splice::insert(12, "cafe\u{301}")]);
    assert_eq!(alice.text(), "Hello 👋🏽\r\ncafe\u{301}שלום");
    assert_eq!(alice.text(), bob.text());
    let runs = [(client(2), 0..12, 0..12), (client(1), 0..5, 12..17), (client(2), 12..16, 17..21)];
    let runs = runs.map(|(client, clocks, text): (_, _, std::ops::Range<u32>)| AuthorRun {
        client,
        clocks,
        text: Utf16Offset(text.start)..Utf16Offset(text.end),
    });
    assert_eq!(bob.author_runs(), runs);
    assert_eq!(alice.encode_state(), bob.encode_state());
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn typing_is_undone_in_groups() {
    let mut document = Document::new(client(1));
    for (now, text) in [(0, "one"), (499, " word"), (998, " more"), (1_498, ", then"), (1_600, " again")] {
        type_at_end(&mut document, at(now), text);
    }
    document.break_undo_group();
    type_at_end(&mut document, at(1_601), "!");
    assert_eq!(document.text(), "one word more, then again!");
    let undone: Vec<String> = std::iter::from_fn(|| document.undo().map(|_| document.text())).collect();
    assert_eq!(undone, ["one word more, then again", "one word more", ""]);
    assert!(!document.can_undo());
    document.redo().unwrap();
    assert_eq!(document.text(), "one word more");
    // Typing after a step never joins it, and ends what could be redone.
    type_at_end(&mut document, at(1_601), "?");
    assert!(!document.can_redo());
    assert!(document.redo().is_none());
    document.undo().unwrap();
    assert_eq!(document.text(), "one word more");
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn a_clock_that_goes_back_does_not_break_undo() {
    let mut document = Document::new(client(1));
    type_at_end(&mut document, Timestamp::MAX, "a");
    type_at_end(&mut document, Timestamp::EPOCH, "b");
    document.undo().unwrap();
    assert!(document.text().len() <= 1);
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn deleted_text_comes_back_where_it_was() {
    let (mut own, mut other) = (Document::new(client(1)), Document::new(client(2)));
    let start = type_at_end(&mut own, at(0), "one 😀 two");
    deliver(&start, &own, &mut other);
    for (index, splice) in
        [Splice::delete(0, 4), Splice::delete(0, 3), Splice::delete(0, 3)].into_iter().enumerate()
    {
        let change = own.edit(at(1_000 * (index as u64 + 1)), &[splice]).unwrap();
        deliver(&change, &own, &mut other);
    }
    assert_eq!(own.text(), "");
    let theirs = other.edit(at(5_000), &[Splice::insert(0, "[theirs]")]).unwrap();
    deliver(&theirs, &other, &mut own);
    let mut texts = Vec::new();
    while let Some(change) = own.undo() {
        deliver(&change, &own, &mut other);
        assert_eq!(own.text(), other.text());
        texts.push(own.text().replace("[theirs]", ""));
    }
    assert_eq!(texts, ["two", "😀 two", "one 😀 two", ""]);
    assert_eq!(own.text(), "[theirs]");
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn what_others_deleted_is_not_undone() {
    let (mut own, mut other) = (Document::new(client(1)), Document::new(client(2)));
    let typed = type_at_end(&mut own, at(0), "mine");
    deliver(&typed, &own, &mut other);
    let deletion = other.edit(at(10), &[Splice::delete(0, 4)]).unwrap();
    deliver(&deletion, &other, &mut own);
    assert!(own.can_undo());
    assert!(own.undo().is_none(), "nothing of it shows any more");
    assert_eq!(own.text(), "");
    assert!(!own.can_undo() && !own.can_redo());
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn places_by_strangers_are_safe() {
    let mut document = Document::new(client(1));
    type_at_end(&mut document, at(0), "a😀b");
    for bias in [Bias::Before, Bias::After] {
        for number in [1, 2, (1 << 53) - 1] {
            for clock in [4, 5, 1 << 30, CLOCK_LIMIT - 1] {
                assert_eq!(document.resolve(&Sticky::Beside { client: client(number), clock, bias }), None);
            }
        }
        // Beside either half of a character is beside the character.
        let beside = |clock| document.resolve(&Sticky::Beside { client: client(1), clock, bias });
        assert_eq!(beside(1), beside(2));
        assert_eq!(beside(1), Some(Utf16Offset(if bias == Bias::Before { 3 } else { 1 })));
    }
    assert_eq!(document.sticky(Utf16Offset(99), Bias::After), Sticky::End);
    assert_eq!(document.resolve(&document.sticky(Utf16Offset(99), Bias::Before)), Some(Utf16Offset(4)));
    assert_eq!(Document::new(client(1)).resolve(&Sticky::End), Some(Utf16Offset(0)));
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn a_document_goes_on_from_its_state() {
    let mut before = Document::new(client(1));
    type_at_end(&mut before, at(0), "kept 🗒️");
    before.edit(at(1), &[Splice::delete(0, 5)]).unwrap();
    let mut after = Document::from_state(client(1), &before.encode_state()).unwrap();
    assert_eq!(after.text(), "🗒️");
    assert!(!after.can_undo());
    let change = type_at_end(&mut after, at(2), "!");
    assert_eq!(deliver(&change, &after, &mut before), [Splice::insert(3, "!")]);
    // A state with a part missing is none.
    let update = &change.updates[0];
    assert_eq!(Document::from_state(client(1), update.bytes()).map(|_| ()), Err(Refusal::Incomplete));
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn steps_that_are_long_ago_are_forgotten() {
    let mut document = Document::new(client(1));
    for second in 0..1_200 {
        document.edit(at(0).saturating_add(Duration::from_secs(second)), &[Splice::insert(0, "x")]).unwrap();
    }
    let steps = std::iter::from_fn(|| document.undo()).count();
    assert_eq!(steps, 1_000);
    assert_eq!(document.len_utf16(), 200);
}
