//! How much a peer may send: a steady rate, and a burst for what has gathered.

use std::time::Duration;

use crate::time::Timestamp;

/// In bytes: a steady rate a second, and the most at once. Twenty people typing are some 10 KB a second.
const BYTES: (u64, u64) = (256 * 1024, 4 * 1024 * 1024);
/// In frames.
const FRAMES: (u64, u64) = (400, 4_000);

/// What is left of it, in thousandths: what a millisecond brings is a whole number of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    bytes: u64,
    frames: u64,
    filled: Timestamp,
}

impl Allowance {
    pub(super) fn new(now: Timestamp) -> Allowance {
        Allowance { bytes: BYTES.1 * 1_000, frames: FRAMES.1 * 1_000, filled: now }
    }

    /// Takes a frame of this length off; `false` when it is more than is left.
    pub(super) fn take(&mut self, now: Timestamp, len: usize) -> bool {
        let passed = now.saturating_since(self.filled);
        let whole = passed.as_millis().min(u128::from(u32::MAX)) as u64;
        // The rest of a millisecond counts the next time.
        self.filled = self.filled.min(now).saturating_add(Duration::from_millis(whole));
        let fill = |left: u64, (rate, most): (u64, u64)| (left + whole * rate).min(most * 1_000);
        self.bytes = fill(self.bytes, BYTES);
        self.frames = fill(self.frames, FRAMES);
        let len = len as u64 * 1_000;
        if len > self.bytes || self.frames < 1_000 {
            return false;
        }
        self.bytes -= len;
        self.frames -= 1_000;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn a_burst_is_taken_and_a_flood_is_not() {
        let mut now = Timestamp::from_millis(1_000);
        let mut allowance = Allowance::new(now);
        let burst = (0..).take_while(|_| allowance.take(now, 100)).count();
        assert_eq!(burst as u64, FRAMES.1);
        // However seldom the clock moves between frames, the steady rate is what comes through.
        let mut taken = 0;
        for _ in 0..10_000 {
            now = now.saturating_add(Duration::from_micros(100));
            taken += u64::from(allowance.take(now, 100));
        }
        assert!((FRAMES.0 * 9 / 10..=FRAMES.0).contains(&taken), "{taken}");
        assert!(!Allowance::new(now).take(now, BYTES.1 as usize + 1));
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn a_clock_that_was_set_back_keeps_nobody_out() {
        let mut now = Timestamp::from_millis(10_000_000);
        let mut allowance = Allowance::new(now);
        while allowance.take(now, 100) {}
        now = Timestamp::from_millis(1_000);
        allowance.take(now, 100);
        assert!(allowance.take(now.saturating_add(Duration::from_secs(1)), 100));
    }
}
