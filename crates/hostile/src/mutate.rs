//! Bytes that are nearly right: real values with something bent, lost, doubled, or taken from another.

/// A small random generator (SplitMix64), so that a seed gives the same run everywhere.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The generator that this seed starts.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next 64 bits.
    pub fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_bits() % bound as u64) as usize
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Bytes that mean something in one of the formats: small counts, heads of CBOR, ends of varints, quotes and brackets.
const TELLING: [u8; 32] = [
    0, 1, 2, 3, 4, 7, 10, 0x18, 0x1a, 0x1b, 0x1f, 0x44, 0x58, 0x5f, 0x60, 0x7f, 0x80, 0x81, 0x84, 0x9f, 0xa0,
    0xa1, 0xbf, 0xc4, 0xd8, 0xf6, 0xff, b'"', b'{', b'[', b':', b'/',
];

/// Longer ones of that kind.
const WORDS: [&[u8]; 14] = [
    b"null",
    b"\"\"",
    b"[[[[[[[[",
    b"{\"a\":",
    b"$type",
    b"$link",
    b"$bytes",
    b"\xd8\x2a\x58\x25\x00\x01\x71\x12\x20",
    b"\0next\0",
    b"\\u0000",
    b"did:",
    b"%3A",
    "e\u{301}\u{202e}👩‍👩‍👧".as_bytes(),
    b"\xed\xa0\x80",
];

/// One of the seeds with one to five changes, at most `longest` bytes long.
pub fn mutate(chance: &mut Chance, seeds: &[Vec<u8>], longest: usize) -> Vec<u8> {
    let mut bytes = chance.pick(seeds).clone();
    for _ in 0..=chance.below(5) {
        change(chance, &mut bytes, seeds);
    }
    bytes.truncate(longest);
    bytes
}

fn change(chance: &mut Chance, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = chance.below(bytes.len() + 1);
    let few = (at + chance.below(12)).min(bytes.len());
    match chance.below(12) {
        0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        1 if at < bytes.len() => bytes[at] = chance.next_bits() as u8,
        2 if at < bytes.len() => bytes[at] = *chance.pick(&TELLING),
        3 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(*chance.pick(&[1, 255])),
        4 => drop(bytes.drain(at..few)),
        5 => bytes.insert(at, *chance.pick(&TELLING)),
        6 => drop(bytes.splice(at..at, chance.pick(&WORDS).iter().copied())),
        7 => bytes.truncate(at),
        8 => drop(bytes.splice(at..few, number(chance))),
        9 => {
            let other = chance.pick(seeds);
            let from = chance.below(other.len() + 1);
            let to = from + chance.below(other.len() - from + 1);
            drop(bytes.splice(at..few, other[from..to].iter().copied()));
        }
        10 => {
            // The same once more: keys, sections and entries that should be there once.
            let again = bytes[at..few].to_vec();
            drop(bytes.splice(few..few, again));
        }
        _ => {
            // The rest of another: half of this, half of that.
            let other = chance.pick(seeds);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[at.min(other.len())..]);
        }
    }
}

/// A number of any size, as one of the formats writes it.
fn number(chance: &mut Chance) -> Vec<u8> {
    const EDGES: [u64; 8] = [0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 53) - 1, 1 << 53, u64::MAX];
    let mut number = match chance.below(2) {
        0 => *chance.pick(&EDGES),
        _ => chance.next_bits() >> chance.below(64),
    };
    match chance.below(3) {
        0 => number.to_string().into_bytes(),
        1 => {
            let major = *chance.pick(&[0u8, 1, 2, 3, 4, 5]);
            [&[major << 5 | 27][..], &number.to_be_bytes()].concat()
        }
        _ => {
            let mut varint = Vec::new();
            while number >= 0x80 {
                varint.push(number as u8 | 0x80);
                number >>= 7;
            }
            varint.push(number as u8);
            varint
        }
    }
}
