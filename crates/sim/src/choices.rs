//! Everything that is left to chance comes from here, and from one seed.

/// A seeded source of choices: the same seed makes the same ones.
#[derive(Debug, Clone)]
pub struct Choices(u64);

impl Choices {
    /// Choices of this seed, and of this purpose: different purposes do not disturb each other.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut choices = Choices(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93) | 1,
        );
        for _ in 0..4 {
            choices.next();
        }
        choices
    }

    /// Any number. (xorshift64*)
    #[allow(clippy::should_implement_trait)] // it never ends, so it is no iterator
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`; 0 when `n` is.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 16) % n.max(1) as u64) as usize
    }

    /// A number of this range, both ends included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + (self.next() >> 16) % (to.saturating_sub(from) + 1)
    }

    /// Whether something happens that does so `permille` times in a thousand.
    pub fn chance(&mut self, permille: u32) -> bool {
        (self.next() >> 16) % 1_000 < u64::from(permille)
    }

    /// One of these.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// As many letters, with nothing in them to deflate.
    pub fn letters(&mut self, units: u32) -> String {
        (0..units).map(|_| char::from(b'!' + self.below(90) as u8)).collect()
    }

    /// Text as people write it: emoji, combining marks, right-to-left, line ends of both kinds.
    pub fn words(&mut self) -> String {
        const PIECES: [&str; 14] = [
            "a",
            "the ",
            "é",
            "e\u{301}",
            "👩‍👩‍👧",
            "😀",
            "שלום",
            "مرحبا",
            "\n",
            "\r\n",
            "汉字",
            "z",
            "\u{1F1E9}\u{1F1EA}",
            "-",
        ];
        (0..1 + self.below(4)).map(|_| *self.one(&PIECES)).collect()
    }
}
