//! A wall clock that never goes back.

use std::{cell::RefCell, time::Duration};

use sheaf_core::time::Timestamp;

/// What the two clocks of a device show at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    /// The time of day, which people and NTP set, back as well as forth.
    pub(super) wall: Timestamp,
    /// How long something has been running that nobody sets. It may stand still while the device sleeps.
    pub(super) running: Duration,
}

/// A jump of the wall clock by less than this is the noise of two clocks read one after the other, or NTP at work.
const JUMP: Duration = Duration::from_secs(1);

thread_local! {
    static TIME: RefCell<Option<SteadyTime>> = const { RefCell::new(None) };
}

pub(super) fn now(clocks: Clocks) -> Timestamp {
    TIME.with_borrow_mut(|time| time.get_or_insert_with(|| SteadyTime::begin(clocks)).at(clocks))
}

/// The wall clock as it was at the beginning, and what has passed since. Where the wall clock leaps ahead of the running
/// one, as it does when the device wakes up, so does this; where it is set back, this goes on.
#[derive(Debug)]
struct SteadyTime {
    /// What is added to the running clock.
    base: Duration,
    /// By how much the wall clock was ahead of the running one before its next jump.
    ahead: i128,
}

impl SteadyTime {
    fn begin(clocks: Clocks) -> Self {
        let base = Duration::from_micros(clocks.wall.as_micros()).saturating_sub(clocks.running);
        Self { base, ahead: ahead(clocks) }
    }

    fn at(&mut self, clocks: Clocks) -> Timestamp {
        let jump = ahead(clocks) - self.ahead;
        if jump.unsigned_abs() >= JUMP.as_micros() {
            self.ahead = ahead(clocks);
            if let Ok(forward) = u64::try_from(jump) {
                self.base = self.base.saturating_add(Duration::from_micros(forward));
            }
        }
        let micros = self.base.saturating_add(clocks.running).as_micros();
        Timestamp::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

fn ahead(clocks: Clocks) -> i128 {
    i128::from(clocks.wall.as_micros()) - clocks.running.as_micros().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    /// When the device thinks it is when the program starts, in seconds.
    const START: i64 = 1_800_000_000;

    /// A device whose clocks are moved by hand.
    struct Device {
        clocks: Clocks,
        time: SteadyTime,
    }

    impl Device {
        fn new() -> Self {
            let wall = Timestamp::from_millis(START.unsigned_abs() * 1000);
            let clocks = Clocks { wall, running: Duration::from_secs(77) };
            Self { clocks, time: SteadyTime::begin(clocks) }
        }

        /// Lets so many seconds pass on each clock and says how many have passed since the start.
        fn after(&mut self, wall: i64, running: u64) -> i64 {
            let now = self.clocks.wall.as_millis().cast_signed() + wall * 1000;
            self.clocks.wall = Timestamp::from_millis(now.unsigned_abs());
            self.clocks.running += Duration::from_secs(running);
            let shown = self.time.at(self.clocks).as_millis() / 1000;
            shown.cast_signed() - START
        }
    }

    #[test]
    fn time_passes_as_on_the_wall() {
        let mut device = Device::new();
        assert_eq!(device.after(0, 0), 0);
        assert_eq!(device.after(5, 5), 5);
        assert_eq!(device.after(HOUR, 3_600), HOUR + 5);
    }

    #[test]
    fn a_clock_set_back_is_not_followed() {
        let mut device = Device::new();
        assert_eq!(device.after(5, 5), 5);
        assert_eq!(device.after(-3 * HOUR, 1), 6);
        assert_eq!(device.after(10, 10), 16, "and time goes on from there");
    }

    #[test]
    fn sleep_passes_even_where_the_running_clock_stood_still() {
        let mut device = Device::new();
        assert_eq!(device.after(8 * HOUR, 1), 8 * HOUR);
        assert_eq!(device.after(1, 1), 8 * HOUR + 1);
        // After the clock was set back, too.
        assert_eq!(device.after(-2 * HOUR, 0), 8 * HOUR + 1);
        assert_eq!(device.after(HOUR, 0), 9 * HOUR + 1);
        assert_eq!(device.after(HOUR, 3_600), 10 * HOUR + 1, "the running clock ran meanwhile");
    }

    #[test]
    fn noise_between_the_two_clocks_does_not_add_up() {
        let mut device = Device::new();
        for step in 0..10_000_i64 {
            // The wall clock is read in whole, uneven steps, as browsers have it.
            let uneven = if step % 2 == 0 { 900_000 } else { 0 };
            let wall = START.unsigned_abs() * 1_000_000 + step.unsigned_abs() * 1_000 + uneven;
            let running = Duration::from_secs(77) + Duration::from_millis(step.unsigned_abs());
            let shown = device.time.at(Clocks { wall: Timestamp::from_micros(wall), running });
            assert_eq!(shown.as_micros(), START.unsigned_abs() * 1_000_000 + step.unsigned_abs() * 1_000);
        }
    }

    #[test]
    fn the_devices_own_time_never_goes_back() {
        let mut before = super::super::now();
        assert!(before > Timestamp::from_millis(1_700_000_000_000), "it is the time of day");
        for _ in 0..10_000 {
            let now = super::super::now();
            assert!(now >= before);
            before = now;
        }
    }
}
