use sheaf_core::text::apply_splices;

use super::*;

fn merged(base: &str, edited: &str, text: &str) -> String {
    let mut merged = text.to_owned();
    apply_splices(&mut merged, &splices(base, edited, text)).expect("splices fit the text they are made for");
    merged
}

#[test]
fn changes_are_as_small_as_makes_sense() {
    let told = |before: &str, after: &str| -> Vec<(usize, usize, String)> {
        changes(before, after).into_iter().map(|c| (c.at.start, c.at.end, c.insert.to_owned())).collect()
    };
    let change = |from, to, insert: &str| (from, to, insert.to_owned());
    assert_eq!(told("the colour of it\n", "the color of it\n"), [change(8, 9, "")]);
    assert_eq!(told("a b c\n", "a x c\n"), [change(2, 3, "x")]);
    assert_eq!(told("one\ntwo\nthree\n", "one\nthree\n"), [change(4, 8, "")]);
    assert_eq!(told("", "all"), [change(0, 0, "all")]);
    assert_eq!(told("same", "same"), []);
    // A family is one character, and so is a letter with its accent.
    assert_eq!(told("a 👩‍👩‍👧 b", "a 👩‍👩‍👦 b"), [change(2, 20, "👩‍👩‍👦")]);
    assert_eq!(told("cafe", "cafe\u{301}"), [change(3, 4, "e\u{301}")]);
    assert_eq!(told("a\nb\n", "a\r\nb\r\n"), [change(1, 2, "\r\n"), change(3, 4, "\r\n")]);
}

#[test]
fn both_sides_changes_are_merged() {
    let base = "# Notes\n\nThe quick fox.\nA last line.\n";
    let edited = "# Notes\n\nThe quick red fox.\nA last line.\nOne more.\n";
    let text = "# Our notes\n\nThe quick fox jumps.\nA last line.\n";
    assert_eq!(
        merged(base, edited, text),
        "# Our notes\n\nThe quick red fox jumps.\nA last line.\nOne more.\n"
    );
    // The same on both sides is made once.
    assert_eq!(merged("a b", "a x b", "a x b"), "a x b");
    assert_eq!(merged("a b c", "a x b c", "a x b c d"), "a x b c d");
    // What they have put into what was taken out here stays.
    assert_eq!(merged("one two three", "one three", "one two and a half three"), "one and a half three");
    // Both have taken out what overlaps.
    assert_eq!(merged("a b c d e", "a e", "a b e"), "a e");
    // Text on both sides where there was none.
    assert_eq!(merged("", "mine\n", "theirs\n"), "theirs\nmine\n");
}

/// SplitMix64, as everywhere in these tests.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// Some edits of a text: a few words put in, some taken out.
    fn edit(&mut self, text: &str, mark: &str) -> String {
        const WORDS: [&str; 12] =
            ["a ", "word ", "\n", "\r\n", "é", "e\u{301}", "👩‍👩‍👧", "😀", "🇨🇭", "שלום ", "مرحبا", "汉字"];
        let mut text = text.to_owned();
        for n in 0..1 + self.below(5) {
            let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let from = self.below(borders.len());
            let to = if self.below(3) == 0 { (from + self.below(9)).min(borders.len() - 1) } else { from };
            let mut insert: String = (0..self.below(4)).map(|_| WORDS[self.below(WORDS.len())]).collect();
            if !mark.is_empty() && self.below(2) == 0 {
                insert += &format!("\n{mark}{n}\n");
            }
            text.replace_range(borders[from]..borders[to], &insert);
        }
        text
    }
}

/// Runs a case for each seed; a failure says which.
fn for_each_seed(case: impl Fn(u64, &mut Chance)) {
    let asked = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let first = asked("SHEAF_TEST_SEED").unwrap_or(1);
    for seed in first..first + asked("SHEAF_TEST_CASES").unwrap_or(3_000) {
        case(seed, &mut Chance(seed));
    }
}

#[test]
fn one_sides_changes_alone_are_all_there_is() {
    for_each_seed(|seed, chance| {
        let base = chance.edit("A first line.\nAnd a second, with 😀 and e\u{301}.\r\n", "");
        let edited = chance.edit(&base, "mine");
        assert_eq!(merged(&base, &edited, &base), edited, "SHEAF_TEST_SEED={seed}");
        assert_eq!(merged(&base, &base, &edited), edited, "SHEAF_TEST_SEED={seed}");
        assert_eq!(merged(&base, &edited, &edited), edited, "SHEAF_TEST_SEED={seed}");
    });
}

#[test]
fn no_line_that_either_side_put_in_is_lost() {
    for_each_seed(|seed, chance| {
        let base = chance.edit("A first line.\nAnd a second, with 😀 and e\u{301}.\r\nThe last.\n", "");
        let (edited, text) = (chance.edit(&base, "mine"), chance.edit(&base, "theirs"));
        let merged = merged(&base, &edited, &text);
        // Such as `mine2`, unless its own side has cut it in two since.
        let marks = |text: &str, mark: &str| -> Vec<String> {
            (0..5).map(|n| format!("\n{mark}{n}")).filter(|mark| text.contains(mark)).collect()
        };
        for mark in marks(&edited, "mine").into_iter().chain(marks(&text, "theirs")) {
            let mark = mark.trim_start();
            assert!(merged.contains(mark), "SHEAF_TEST_SEED={seed}: {mark:?} is not in {merged:?}");
        }
    });
}

#[test]
fn large_texts_with_nothing_in_common_are_compared_in_reasonable_time() {
    let lines = |word: &str| (0..40_000).map(|n| format!("{word} {n} 🌾\n")).collect::<String>();
    let began = Instant::now();
    let (before, after) = (lines("before"), lines("after"));
    assert_eq!(merged(&before, &after, &before), after);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
