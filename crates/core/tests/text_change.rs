//! Changes that cross, against CodeMirror's own and against chance.

use serde_json::Value;
use sheaf_core::text::{
    Splice, Utf16Offset, apply_splices,
    change::{Change, Comes, Misfit},
    differences, utf16_len,
};

mod document_support;
use document_support::{Chance, for_each_seed, random_boundary, random_text};

/// Up to four splices that go through the text once.
fn random_pass(chance: &mut Chance, text: &str) -> Vec<Splice> {
    let mut cuts: Vec<u32> = (0..2 * chance.below(5)).map(|_| random_boundary(chance, text)).collect();
    cuts.sort_unstable();
    let mut drift = 0i64;
    cuts.chunks(2)
        .map(|pair| {
            let delete = if chance.one_in(3) { 0 } else { pair[1] - pair[0] };
            let insert = if chance.one_in(3) { String::new() } else { random_text(chance, 2) };
            let at = u32::try_from(i64::from(pair[0]) + drift).expect("what went was there");
            drift += i64::from(utf16_len(&insert)) - i64::from(delete);
            Splice { at: Utf16Offset(at), delete, insert }
        })
        .collect()
}

fn splices(of: &Value) -> Vec<Splice> {
    serde_json::from_value(of.clone()).expect("the fixture's splices")
}

/// `web/test/codemirror_changes.test.ts` makes the fixture with `@codemirror/state`, and holds it to the version in use.
#[test]
fn changes_cross_as_in_codemirror() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("fixtures/codemirror_changes.json")).unwrap();
    assert!(cases.len() >= 300);
    for (n, case) in cases.iter().enumerate() {
        let length = u32::try_from(case["length"].as_u64().unwrap()).unwrap();
        let (a, b) = (splices(&case["a"]), splices(&case["b"]));
        let (a, b) = (Change::of(&a, length).unwrap(), Change::of(&b, length).unwrap());
        let after = a.map(&b, Comes::After).unwrap();
        let before = b.map(&a, Comes::Before).unwrap();
        assert_eq!(after.splices(), splices(&case["aAfterB"]), "case {n}: {case}");
        assert_eq!(before.splices(), splices(&case["bBeforeA"]), "case {n}: {case}");
        // Once more over a third: what a mapped change is made of counts too.
        let c = Change::of(&splices(&case["c"]), b.len_after()).unwrap();
        let again = after.map(&c, Comes::After).unwrap();
        assert_eq!(again.splices(), splices(&case["aAfterBAndC"]), "case {n}: {case}");
        let places: Vec<u32> = (0..=length).map(|at| a.place(at)).collect();
        assert_eq!(serde_json::json!(places), case["placesInA"], "case {n}: {case}");
    }
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn two_changes_of_one_text_lead_to_one_text() {
    for_each_seed(2_000, |seed, chance| {
        let text = random_text(chance, 20);
        let (a, b) = (random_pass(chance, &text), random_pass(chance, &text));
        let (one, other) =
            (Change::of(&a, utf16_len(&text)).unwrap(), Change::of(&b, utf16_len(&text)).unwrap());
        let (mut left, mut right) = (text.clone(), text.clone());
        apply_splices(&mut left, &one.splices()).unwrap();
        apply_splices(&mut left, &other.map(&one, Comes::Before).unwrap().splices()).unwrap();
        apply_splices(&mut right, &other.splices()).unwrap();
        apply_splices(&mut right, &one.map(&other, Comes::After).unwrap().splices()).unwrap();
        assert_eq!(left, right, "seed {seed}: {text:?} {a:?} {b:?}");
        assert_eq!(one.len_after() as usize, {
            let mut after = text.clone();
            apply_splices(&mut after, &a).unwrap();
            utf16_len(&after) as usize
        });
    });
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn the_differences_of_random_texts_lead_from_one_to_the_other() {
    for_each_seed(500, |seed, chance| {
        let before = random_text(chance, 60);
        let mut after = before.clone();
        for _ in 0..chance.below(4) {
            let splices = random_pass(chance, &after);
            apply_splices(&mut after, &splices).unwrap();
        }
        let mut text = before.clone();
        apply_splices(&mut text, &differences(&before, &after)).unwrap();
        assert_eq!(text, after, "seed {seed}");
    });
}

#[test]
#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
fn what_is_no_change_of_a_text_is_refused() {
    assert_eq!(Change::of(&[Splice::delete(3, 2)], 4), Err(Misfit::PastEnd));
    assert_eq!(Change::of(&[Splice::delete(u32::MAX, u32::MAX)], 4), Err(Misfit::PastEnd));
    assert_eq!(Change::of(&[Splice::insert(3, "x"), Splice::insert(0, "y")], 4), Err(Misfit::Backwards));
    let (short, long) = (Change::of(&[], 3).unwrap(), Change::of(&[Splice::insert(0, "x")], 4).unwrap());
    assert_eq!(short.map(&long, Comes::After), Err(Misfit::Lengths));
    assert_eq!(long.map(&short, Comes::Before), Err(Misfit::Lengths));
}
