//! Random texts and changes of them, from seeds that are printed.

use sheaf_core::text::{Splice, Utf16Offset, utf16_len};

/// SplitMix64.
pub(crate) struct Chance(u64);

const PIECES: [&str; 12] =
    ["a", "word ", "\n", "\r\n", "😀", "👩‍👩‍👧", "e\u{301}", "שלום", "مرحبا", "é", "𝒳", "# "];

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    pub(crate) fn text(&mut self, most: usize) -> String {
        let pieces = self.below(most + 1);
        (0..pieces).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    /// Up to four splices that go through the text once.
    pub(crate) fn splices(&mut self, text: &str) -> Vec<Splice> {
        let places: Vec<u32> =
            text.char_indices().map(|(byte, _)| utf16_len(&text[..byte])).chain([utf16_len(text)]).collect();
        let mut cuts: Vec<u32> = (0..2 * self.below(5)).map(|_| places[self.below(places.len())]).collect();
        cuts.sort_unstable();
        let mut drift = 0i64;
        cuts.chunks(2)
            .map(|pair| {
                let delete = if self.below(3) == 0 { 0 } else { pair[1] - pair[0] };
                let insert = if self.below(3) == 0 { String::new() } else { self.text(2) };
                let at = u32::try_from(i64::from(pair[0]) + drift).expect("what went was there");
                drift += i64::from(utf16_len(&insert)) - i64::from(delete);
                Splice { at: Utf16Offset(at), delete, insert }
            })
            .collect()
    }
}

/// As many seeds as there are to be cases; `SHEAF_TEST_SEED` begins elsewhere, `SHEAF_TEST_CASES` says how many.
#[allow(clippy::disallowed_methods)] // Core has no environment; its tests do.
pub(crate) fn seeds(cases: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number("SHEAF_TEST_SEED").unwrap_or(1);
    first..first + number("SHEAF_TEST_CASES").unwrap_or(cases)
}
