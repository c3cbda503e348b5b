//! The write budget against a model of a PDS's quota, in virtual time.

use std::time::Duration;

use sheaf_core::{
    budget::{Priority, RateLimits, WriteBudget},
    client_id::ReplicaId,
    time::Timestamp,
};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A PDS's two fixed windows: each starts with the first write after the one before has ended.
struct Pds {
    windows: [Window; 2],
}

struct Window {
    length: Duration,
    limit: u32,
    used: u32,
    ends: Timestamp,
}

impl Pds {
    /// A PDS whose windows began that long before `now`, with something of them used.
    fn new(now: Timestamp, hour_began: Duration, day_began: Duration) -> Pds {
        let window = |length: Duration, limit, began: Duration| Window {
            length,
            limit,
            used: 0,
            ends: now.saturating_add(length).saturating_sub(began),
        };
        Pds { windows: [window(HOUR, 5_000, hour_began), window(DAY, 35_000, day_began)] }
    }

    /// Whether the write is accepted.
    fn write(&mut self, now: Timestamp, points: u32) -> bool {
        for window in &mut self.windows {
            if now >= window.ends {
                window.used = 0;
                window.ends = now.saturating_add(window.length);
            }
            window.used += points;
        }
        self.windows.iter().all(|window| window.used <= window.limit)
    }

    /// The headers it would answer with: those of the tightest window.
    fn limits(&self) -> RateLimits {
        let tightest =
            self.windows.iter().min_by_key(|w| w.limit.saturating_sub(w.used)).expect("two windows");
        RateLimits {
            limit: tightest.limit,
            remaining: tightest.limit.saturating_sub(tightest.used),
            reset: tightest.ends,
            window: tightest.length,
        }
    }
}

fn start() -> Timestamp {
    Timestamp::from_millis(1_795_401_012_345)
}

fn replica(name: &str) -> ReplicaId {
    name.parse().expect("a replica id")
}

/// Steele, Lea and Flood's SplitMix64: enough randomness for a test, the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

#[derive(Debug)]
struct Figures {
    flushes: usize,
    points: u32,
    p50: Duration,
    p95: Duration,
    max: Duration,
    in_first_hour: usize,
}

/// Writes whenever the flush window and the quota let it, with some seconds on the way to the server, for that long.
fn flat_out(
    length: Duration,
    hour_began: Duration,
    day_began: Duration,
    seed: u64,
    headers: bool,
) -> Figures {
    let mut random = Random(seed);
    let begin = start();
    let mut pds = Pds::new(begin, hour_began, day_began);
    let mut budget = WriteBudget::new(replica("r1"));
    let mut now = begin;
    let mut at_server = begin;
    let mut waits = Vec::new();
    let mut points = 0;
    let mut in_first_hour = 0;
    while now < begin.saturating_add(length) {
        budget.spend(now, 2);
        points += 2;
        in_first_hour += usize::from(now < begin.saturating_add(HOUR));
        // A write arrives up to three seconds after it was counted, in order.
        at_server = at_server.max(now.saturating_add(Duration::from_millis(random.below(3_000))));
        assert!(pds.write(at_server, 2), "429 after {} writes, seed {seed}", waits.len());
        if headers {
            budget.limits(now, &pds.limits());
        }
        let next = now.saturating_add(budget.interval(2));
        let next = budget.allowed_at(2, Priority::Segment).map_or(next, |at| next.max(at));
        waits.push(next.saturating_since(now));
        now = next;
    }
    let flushes = waits.len();
    waits.sort_unstable();
    Figures {
        flushes,
        points,
        p50: waits[flushes / 2],
        p95: waits[flushes * 95 / 100],
        max: waits[flushes - 1],
        in_first_hour,
    }
}

#[test]
fn writing_flat_out_for_an_hour_never_meets_the_limit() {
    for phase in (0..60).step_by(7) {
        let figures =
            flat_out(HOUR, Duration::from_secs(phase * 60), Duration::from_secs(phase * 1_400), phase, false);
        println!("an hour flat out, windows begun {phase} minutes before: {figures:?}");
        assert!(figures.max <= Duration::from_secs(10), "{figures:?}");
        assert!(figures.flushes >= 2_000, "{figures:?}");
    }
}

#[test]
fn writing_flat_out_for_two_days_never_meets_a_limit_nor_starves() {
    for seed in 0..6 {
        let mut random = Random(seed);
        let hour_began = Duration::from_secs(random.below(3_600));
        let day_began = Duration::from_secs(random.below(86_400));
        let figures = flat_out(2 * DAY, hour_began, day_began, seed, seed % 2 == 1);
        println!("two days flat out, windows begun {hour_began:?} and {day_began:?} before: {figures:?}");
        assert!(figures.max <= Duration::from_secs(12), "{figures:?}");
    }
}
