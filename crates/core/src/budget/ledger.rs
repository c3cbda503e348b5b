//! Points spent, by the minute, never remembered as earlier than they were.

use std::{collections::BTreeMap, time::Duration};

use crate::time::Timestamp;

/// The grain of time in which spending is kept.
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// Points are given back this much later than the window says: our clock and the server's count differ by the time a request takes.
const MARGIN: Duration = MINUTE;
/// Older minutes than this are kept by the ten: they matter only to the day.
const FINE_MINUTES: u64 = 75;
/// Nothing older than this matters to any window.
const KEPT_MINUTES: u64 = 24 * 60 + 13;

/// Points spent by minute since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ledger(BTreeMap<u64, u32>);

impl Ledger {
    /// A ledger with these minutes.
    pub(super) fn from_minutes(minutes: impl IntoIterator<Item = (u64, u32)>) -> Ledger {
        let mut ledger = Ledger::default();
        for (minute, points) in minutes {
            ledger.put(minute, points);
        }
        ledger
    }

    /// Minutes with what was spent in them, oldest first.
    pub(super) fn minutes(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.0.iter().map(|(minute, points)| (*minute, *points))
    }

    pub(super) fn add(&mut self, now: Timestamp, points: u32) {
        self.put(minute_of(now), points);
    }

    /// Forgets what no longer matters and makes old minutes coarser; after the clock went `back`, what lies in the future
    /// is taken to be of now.
    pub(super) fn settle(&mut self, now: Timestamp, back: bool) {
        let minute = minute_of(now);
        if back {
            for (_, points) in self.0.split_off(&minute.saturating_add(1)) {
                self.put(minute, points);
            }
        }
        self.0 = self.0.split_off(&minute.saturating_sub(KEPT_MINUTES));
        let coarse_before = minute.saturating_sub(FINE_MINUTES) / 10 * 10;
        let fine = self.0.split_off(&coarse_before);
        for (minute, points) in std::mem::replace(&mut self.0, fine) {
            self.put(last_of_ten(minute), points);
        }
    }

    /// Points that were certainly spent at or after this time.
    pub(super) fn spent_since(&self, since: Timestamp) -> u32 {
        let first_whole = since.as_micros().div_ceil(micros(MINUTE));
        self.0.range(first_whole..).map(|(_, points)| points).sum()
    }

    /// When which points come back to a quota with a window of this length. For a window that outlasts the fine minutes they
    /// come by the ten from the beginning, so that what was foreseen is not put off later.
    pub(super) fn returns(&self, window: Duration) -> impl Iterator<Item = (Timestamp, u32)> + '_ {
        let coarse = window.as_secs() / 60 >= FINE_MINUTES;
        self.minutes().map(move |(minute, points)| {
            let minute = if coarse { last_of_ten(minute) } else { minute };
            let end = Timestamp::from_micros(minute.saturating_add(1).saturating_mul(micros(MINUTE)));
            (end.saturating_add(window).saturating_add(MARGIN), points)
        })
    }

    fn put(&mut self, minute: u64, points: u32) {
        let spent = self.0.entry(minute).or_insert(0);
        *spent = spent.saturating_add(points);
    }
}

fn last_of_ten(minute: u64) -> u64 {
    (minute / 10 * 10).saturating_add(9)
}

fn minute_of(at: Timestamp) -> u64 {
    at.as_micros() / micros(MINUTE)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("minutes fit")
}
