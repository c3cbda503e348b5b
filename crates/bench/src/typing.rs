//! The rhythm of somebody writing fast for hours: bursts, hesitations, and pauses to think.
//!
//! Fitted to what traces with times show of their busiest hour. Flushed at once after a pause and then no sooner than
//! 250 ms, 500 ms, 1 s and 5 s later, an hour of it takes about 2,600, 1,770, 1,090 and 345 flushes; the traces took up to
//! 2,635, 1,718, 1,086 and 330.

use std::time::Duration;

/// Where the sequence begins; the same in every run, so that figures can be compared.
const SEED: u64 = 0x5EAF;
/// Of a thousand keystrokes, those before which somebody thinks …
const THOUGHTS: u64 = 32;
/// … and those before which they hesitate.
const HESITATIONS: u64 = 165;

/// The times between keystrokes, without end.
pub(crate) struct Rhythm(u64);

impl Rhythm {
    pub(crate) fn new() -> Rhythm {
        Rhythm(SEED)
    }

    /// SplitMix64: plenty for a rhythm.
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// At least `least`, and on average `more` longer.
    fn about(&mut self, least: f64, more: f64) -> Duration {
        let chance = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        Duration::from_secs_f64(least - more * (1.0 - chance).ln())
    }
}

impl Iterator for Rhythm {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(match self.next_u64() % 1_000 {
            n if n < THOUGHTS => self.about(2.5, 22.5),
            n if n < THOUGHTS + HESITATIONS => self.about(0.4, 0.6),
            _ => self.about(0.07, 0.125),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flushes an hour, over ten of them, with a window that never changes.
    fn flushes(window: f64) -> f64 {
        let (mut now, mut flushed) = (0.0_f64, -window);
        let mut flushes = 0;
        for gap in Rhythm::new() {
            now += gap.as_secs_f64();
            if now >= 36_000.0 {
                break;
            }
            // A flush that is still to come takes this keystroke along.
            if now > flushed {
                flushed = now.max(flushed + window);
                flushes += 1;
            }
        }
        f64::from(flushes) / 10.0
    }

    #[test]
    fn it_is_about_as_busy_as_real_typing() {
        for (window, real) in [(0.25, 2_635.0), (0.5, 1_718.0), (1.0, 1_086.0), (5.0, 330.0)] {
            let ratio = flushes(window) / real;
            assert!((0.9..1.1).contains(&ratio), "{window} s: {ratio} of the traces");
        }
    }
}
