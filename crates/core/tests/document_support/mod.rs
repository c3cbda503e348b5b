//! What the document's tests share: chance from a seed, and text that is hard on editors.
#![allow(dead_code)] // Each test binary uses its own part.

use sheaf_core::client_id::ClientId;
use sheaf_core::text::{Splice, Utf16Offset, utf16_len};

/// A small random generator (SplitMix64), so that a seed gives the same run everywhere.
#[derive(Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

pub(crate) fn client(number: u64) -> ClientId {
    ClientId::new(number).expect("test clients are small numbers")
}

/// Pieces of text of every troublesome kind.
const PIECES: [&str; 16] = [
    "a",
    "word ",
    "\n",
    "\r\n",
    "é",
    "e\u{301}",
    "n\u{303}\u{323}",
    "😀",
    "👩‍👩‍👧‍👦",
    "🇨🇭",
    "👍🏽",
    "שלום ",
    "مرحبا",
    "\u{202e}x\u{202c}",
    "𝒳",
    "\u{fffd}",
];

pub(crate) fn random_text(chance: &mut Chance, most_pieces: usize) -> String {
    (0..=chance.below(most_pieces)).map(|_| *chance.pick(&PIECES)).collect()
}

/// A place in `text` between two characters.
pub(crate) fn random_boundary(chance: &mut Chance, text: &str) -> u32 {
    let skip = chance.below(text.chars().count() + 1);
    text.chars().take(skip).map(|character| character.len_utf16() as u32).sum()
}

/// A splice that fits `text`: mostly typing, some deleting, some of both.
pub(crate) fn random_splice(chance: &mut Chance, text: &str) -> Splice {
    let at = random_boundary(chance, text);
    let byte: usize = byte_at(text, at);
    let delete = if chance.one_in(2) {
        text[byte..].chars().take(chance.below(6)).map(|character| character.len_utf16() as u32).sum()
    } else {
        0
    };
    let insert = if delete > 0 && chance.one_in(2) { String::new() } else { random_text(chance, 3) };
    Splice { at: Utf16Offset(at), delete, insert }
}

pub(crate) fn byte_at(text: &str, at: u32) -> usize {
    let mut units = 0;
    for (byte, character) in text.char_indices() {
        if units == at {
            return byte;
        }
        units += character.len_utf16() as u32;
    }
    assert_eq!(utf16_len(text), at, "an offset inside of a character");
    text.len()
}

/// A number that the environment may ask for. (On wasm32 there is no environment to ask.)
#[allow(clippy::disallowed_methods)] // Core has no environment; its tests do.
pub(crate) fn asked_for(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

/// How many cases to run: `default`, or what the environment variable asks for.
pub(crate) fn cases(default: u64) -> u64 {
    // On wasm32, where nobody can ask and everything takes several times as long, a tenth shows what differs there.
    let default = if cfg!(target_arch = "wasm32") { default.div_ceil(10) } else { default };
    asked_for("SHEAF_TEST_CASES").unwrap_or(default)
}

/// The seed of the first case: fixed, or what the environment variable asks for, to run one again.
pub(crate) fn first_seed() -> u64 {
    asked_for("SHEAF_TEST_SEED").unwrap_or(1)
}

/// Runs `case` with one seed after another; a failure says which.
pub(crate) fn for_each_seed(default: u64, case: impl Fn(u64, &mut Chance)) {
    let first = first_seed();
    for seed in first..first + cases(default) {
        let guard = SayOnPanic(seed);
        case(seed, &mut Chance::new(seed));
        std::mem::forget(guard);
    }
}

struct SayOnPanic(u64);

impl Drop for SayOnPanic {
    #[allow(clippy::print_stderr)] // A failing test's seed.
    fn drop(&mut self) {
        eprintln!("failed with SHEAF_TEST_SEED={} SHEAF_TEST_CASES=1", self.0);
    }
}

/// A neighbour: a client's number and a clock.
pub(crate) type Neighbour = (u64, u32);

/// One run of a hand-made update.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Text(Option<Neighbour>, Option<Neighbour>, String),
    Deleted(Option<Neighbour>, Option<Neighbour>, u32),
    Hole(u32),
}

/// Writes an update of one client by hand, good or bad. The deletions: client, clock, length.
pub(crate) fn make_update(author: u64, clock: u32, runs: &[Made], deletions: &[(u64, u32, u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, u64::from(!runs.is_empty()));
    if !runs.is_empty() {
        number(&mut out, runs.len() as u64);
        number(&mut out, author);
        number(&mut out, u64::from(clock));
    }
    for run in runs {
        match run {
            Made::Hole(len) => {
                out.push(10);
                number(&mut out, u64::from(*len));
            }
            Made::Text(origin, right, text) => {
                place(&mut out, 4, *origin, *right);
                string(&mut out, text);
            }
            Made::Deleted(origin, right, len) => {
                place(&mut out, 1, *origin, *right);
                number(&mut out, u64::from(*len));
            }
        }
    }
    let mut clients: Vec<u64> = deletions.iter().map(|&(client, ..)| client).collect();
    clients.sort_unstable();
    clients.dedup();
    number(&mut out, clients.len() as u64);
    for client in clients.into_iter().rev() {
        let ranges: Vec<_> = deletions.iter().filter(|&&(of, ..)| of == client).collect();
        number(&mut out, client);
        number(&mut out, ranges.len() as u64);
        for &&(_, clock, len) in &ranges {
            number(&mut out, u64::from(clock));
            number(&mut out, u64::from(len));
        }
    }
    out
}

fn place(out: &mut Vec<u8>, kind: u8, origin: Option<Neighbour>, right: Option<Neighbour>) {
    out.push(kind | if origin.is_some() { 0x80 } else { 0 } | if right.is_some() { 0x40 } else { 0 });
    for (client, clock) in [origin, right].into_iter().flatten() {
        number(out, client);
        number(out, u64::from(clock));
    }
    if origin.is_none() && right.is_none() {
        number(out, 1);
        string(out, "text");
    }
}

pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
