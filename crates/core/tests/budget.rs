//! The write budget against a model of a PDS's quota, in virtual time.

#![allow(clippy::print_stdout)] // Figures, for whoever asks with --nocapture.

mod document_support;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use document_support::{Chance, for_each_seed};

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

#[derive(Debug)]
struct Figures {
    flushes: usize,
    points: u32,
    p50: Duration,
    p95: Duration,
    max: Duration,
    in_first_hour: usize,
}

impl Figures {
    fn print(&self, of: &str) {
        let Figures { flushes, points, p50, p95, max, in_first_hour } = self;
        println!(
            "{of}: {flushes} flushes ({in_first_hour} in the first hour), {points} points, \
             interval p50 {p50:.2?} p95 {p95:.2?} max {max:.2?}"
        );
    }
}

/// Writes whenever the flush window and the quota let it, with some seconds on the way to the server, for that long.
fn flat_out(
    length: Duration,
    hour_began: Duration,
    day_began: Duration,
    seed: u64,
    headers: bool,
) -> Figures {
    let mut chance = Chance::new(seed);
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
        at_server = at_server.max(now.saturating_add(Duration::from_millis(chance.next() % 3_000)));
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
        figures.print(&format!("an hour flat out, windows begun {phase} minutes before"));
        assert!(figures.max <= Duration::from_secs(10), "{figures:?}");
        assert!(figures.flushes >= 1_700, "{figures:?}");
    }
}

#[test]
fn writing_flat_out_for_two_days_never_meets_a_limit_nor_starves() {
    for seed in 0..6 {
        let mut chance = Chance::new(seed);
        let hour_began = Duration::from_secs(chance.next() % 3_600);
        let day_began = Duration::from_secs(chance.next() % 86_400);
        let figures = flat_out(2 * DAY, hour_began, day_began, seed, seed % 2 == 1);
        figures.print(&format!("two days flat out, windows begun {hour_began:?} and {day_began:?} before"));
        assert!(figures.max <= Duration::from_secs(13), "{figures:?}");
    }
}

#[test]
fn the_first_write_after_a_pause_leaves_at_once() {
    let mut budget = WriteBudget::new(replica("r1"));
    let mut now = start();
    assert_eq!(budget.allowed_at(2, Priority::Segment), None);
    for _ in 0..1_500 {
        budget.spend(now, 2);
        now = now.saturating_add(budget.interval(2));
    }
    let last = now;
    let pause = Duration::from_secs(30);
    assert!(budget.interval(2) < pause, "the window after the last write is over");
    assert_eq!(budget.may_spend(last.saturating_add(pause), 2, Priority::Segment), Ok(()));
}

#[test]
fn the_more_is_spent_the_longer_the_window() {
    for_each_seed(20, |_, chance| {
        let mut budget = WriteBudget::new(replica("r1"));
        let mut now = start();
        for _ in 0..chance.below(3_000) {
            budget.spend(now, 2);
            now = now
                .saturating_add(budget.interval(2))
                .saturating_add(Duration::from_millis(chance.next() % 2_000));
        }
        budget.settle(now);
        let mut last = budget.interval(2);
        while budget.may_spend(now, 2, Priority::Segment).is_ok() {
            budget.spend(now, 2);
            assert!(budget.interval(2) >= last, "{last:?}, then {:?}", budget.interval(2));
            last = budget.interval(2);
        }
        assert!(last >= Duration::from_secs(5), "{last:?}");
    });
}

#[test]
fn a_busy_hour_of_a_person_is_hardly_slowed() {
    // The busiest hour measured on real typing has 1,718 flushes with a window of 500 ms; here for three hours on end.
    let mut budget = WriteBudget::new(replica("r1"));
    let mut now = start();
    let rhythm = Duration::from_micros(3_600_000_000 / 1_718);
    let (mut windows, mut flushes) = (Vec::new(), 0);
    while now < start().saturating_add(3 * HOUR) {
        budget.spend(now, 2);
        let window = budget.interval(2);
        windows.push(window);
        flushes += 1;
        now = now.saturating_add(rhythm.max(window));
    }
    windows.sort_unstable();
    let [half, most] = [50, 95].map(|percent| windows[windows.len() * percent / 100]);
    assert!(most <= Duration::from_millis(500), "{half:?}, {most:?}");
    assert!(flushes >= 5_000, "{flushes} of {}", 3 * 1_718);
}

#[test]
fn priorities_yield_in_their_order() {
    let mut budget = WriteBudget::new(replica("r1"));
    let now = start();
    let mut stopped = Vec::new();
    for spent in (0..5_000).step_by(2) {
        for priority in [Priority::Awareness, Priority::Segment, Priority::Membership] {
            if budget.may_spend(now, 2, priority).is_err() && !stopped.iter().any(|(p, _)| *p == priority) {
                stopped.push((priority, spent));
            }
        }
        budget.spend(now, 2);
    }
    assert_eq!(stopped, [(Priority::Awareness, 2_500), (Priority::Segment, 4_900)]);
    let until = budget.may_spend(now, 2, Priority::Membership).expect_err("all is spent");
    let wait = until.saturating_since(now);
    assert!((HOUR..HOUR + Duration::from_secs(180)).contains(&wait), "{wait:?}");
    assert_eq!(budget.may_spend(until, 2, Priority::Membership), Ok(()));
}

#[test]
fn the_budget_survives_restarts_wherever_they_fall() {
    for_each_seed(4, |seed, chance| {
        let begin = start();
        let mut pds = Pds::new(begin, Duration::from_secs(chance.next() % 3_600), Duration::ZERO);
        let mut budget = WriteBudget::new(replica("r1"));
        let mut now = begin;
        while now < begin.saturating_add(3 * HOUR) {
            if chance.one_in(20) {
                budget.settle(now);
                let kept = budget.encode();
                budget = WriteBudget::load(now, &replica("r1"), [kept.as_slice()]);
                assert_eq!(budget.warnings(), []);
                assert_eq!(budget.encode(), kept, "a part that is read and written again is the same");
            }
            if chance.one_in(400) {
                now = now.saturating_add(Duration::from_secs(chance.next() % 900));
            }
            budget.spend(now, 2);
            assert!(pds.write(now, 2), "429 with seed {seed}");
            let next = now.saturating_add(budget.interval(2));
            now = budget.allowed_at(2, Priority::Segment).map_or(next, |at| next.max(at));
        }
    });
}

#[test]
fn what_other_replicas_of_the_device_spent_counts_once() {
    let now = start();
    let mut parts = Vec::new();
    for name in ["a", "b", "c"] {
        let mut budget = WriteBudget::new(replica(name));
        for _ in 0..500 {
            budget.spend(now, 2);
        }
        parts.push(budget.encode());
    }
    for _ in 0..3 {
        let budget = WriteBudget::load(now, &replica("a"), parts.iter().map(Vec::as_slice));
        assert_eq!(budget.points_left(now), 2_000);
        parts[0] = budget.encode();
    }
    let stranger = WriteBudget::load(now, &replica("d"), parts.iter().map(Vec::as_slice));
    assert_eq!(stranger.points_left(now), 2_000);
}

#[test]
fn a_clock_that_was_set_back_before_a_restart_does_not_prolong_what_is_to_be_waited_for() {
    let now = start();
    let (wait, earlier) = (Duration::from_secs(15), now.saturating_sub(Duration::from_secs(40 * 60)));
    let mut budget = WriteBudget::new(replica("a"));
    budget.settle(now);
    budget.throttled(now, Some(wait));
    let stored = budget.encode();
    let budget = WriteBudget::load(earlier, &replica("a"), [stored.as_slice()]);
    assert_eq!(budget.allowed_at(2, Priority::Segment), Some(earlier.saturating_add(wait)));
    let budget = WriteBudget::load(now, &replica("a"), [stored.as_slice()]);
    assert_eq!(budget.allowed_at(2, Priority::Segment), Some(now.saturating_add(wait)));
}

#[test]
fn an_unreadable_part_is_told_and_assumed_to_have_spent_much() {
    let now = start();
    let good = WriteBudget::new(replica("a")).encode();
    for bad in [&b""[..], b"{}", b"\0\0\0", &good[..good.len() - 1], br#"{"replica":"a","spent":[[1,200000]],"hour":{"limit":1,"foreign":null},"day":{"limit":1,"foreign":null},"blocked_until":null}"#] {
        let budget = WriteBudget::load(now, &replica("a"), [bad]);
        assert_eq!(budget.warnings().len(), 1, "{}", budget.warnings()[0]);
        assert_eq!(budget.points_left(now), 2_000);
        assert_eq!(budget.may_spend(now, 2, Priority::Segment), Ok(()), "text still leaves");
        assert!(budget.interval(2) > Duration::from_millis(500));
    }
    // The server knows better, and is believed.
    let mut budget = WriteBudget::load(now, &replica("a"), [&b"?"[..]]);
    budget.spend(now, 2);
    budget.limits(
        now,
        &RateLimits { limit: 5_000, remaining: 4_990, reset: now.saturating_add(HOUR), window: HOUR },
    );
    assert_eq!(budget.points_left(now), 4_988);
}

#[test]
fn other_devices_are_learned_of_from_the_server() {
    // Two devices write flat out, each with only the headers to know of the other.
    let begin = start();
    let mut pds = Pds::new(begin, Duration::ZERO, Duration::ZERO);
    let mut devices = [WriteBudget::new(replica("a")), WriteBudget::new(replica("b"))];
    let mut due = [begin, begin.saturating_add(Duration::from_millis(170))];
    let mut refused = 0;
    let mut longest = Duration::ZERO;
    while due.iter().min().expect("two") < &begin.saturating_add(2 * HOUR) {
        let n = usize::from(due[1] < due[0]);
        let (now, budget) = (due[n], &mut devices[n]);
        budget.spend(now, 2);
        refused += usize::from(!pds.write(now, 2));
        budget.limits(now, &pds.limits());
        let next = now.saturating_add(budget.interval(2));
        due[n] = budget.allowed_at(2, Priority::Segment).map_or(next, |at| next.max(at));
        longest = longest.max(due[n].saturating_since(now));
    }
    println!("two devices flat out for two hours: {refused} refused, longest wait {longest:?}");
    assert_eq!(refused, 0);
}

#[test]
fn a_429_is_waited_out_and_a_silly_wait_is_not() {
    let now = start();
    let mut budget = WriteBudget::new(replica("a"));
    budget.throttled(now, Some(Duration::from_secs(90)));
    let until = now.saturating_add(Duration::from_secs(90));
    assert_eq!(budget.may_spend(now, 2, Priority::Membership), Err(until));
    assert_eq!(budget.may_spend(until, 2, Priority::Membership), Ok(()));
    budget.throttled(now, None);
    assert_eq!(budget.may_spend(now, 2, Priority::Segment), Err(until), "the longer wait holds");
    let kept = budget.encode();
    let budget = WriteBudget::load(now, &replica("a"), [kept.as_slice()]);
    assert_eq!(budget.may_spend(now, 2, Priority::Segment), Err(until), "over a restart too");
    let mut budget = WriteBudget::new(replica("a"));
    budget.throttled(now, Some(Duration::MAX));
    assert_eq!(budget.may_spend(now, 2, Priority::Segment), Err(now.saturating_add(HOUR)));
}

#[test]
fn a_smaller_quota_is_kept_to_and_a_larger_one_is_not_believed() {
    let now = start();
    let mut budget = WriteBudget::new(replica("a"));
    let small = RateLimits { limit: 100, remaining: 100, reset: now.saturating_add(HOUR), window: HOUR };
    budget.limits(now, &small);
    assert_eq!(budget.points_left(now), 100);
    let mut writes = 0;
    while budget.may_spend(now, 2, Priority::Segment).is_ok() {
        budget.spend(now, 2);
        writes += 1;
    }
    assert_eq!(writes, 49);
    let large =
        RateLimits { limit: 1_000_000, remaining: 1_000_000, reset: now.saturating_add(HOUR), window: HOUR };
    let mut budget = WriteBudget::new(replica("a"));
    budget.limits(now, &large);
    assert_eq!(budget.points_left(now), 5_000);
}

#[test]
fn a_limit_on_requests_is_heeded_only_near_its_end() {
    let now = start();
    let minutes = Duration::from_secs(300);
    let reset = now.saturating_add(Duration::from_secs(200));
    let requests = |remaining| RateLimits { limit: 3_000, remaining, reset, window: minutes };
    let mut budget = WriteBudget::new(replica("a"));
    budget.limits(now, &requests(2_000));
    assert_eq!(budget.may_spend(now, 2, Priority::Segment), Ok(()));
    assert_eq!(budget.interval(2), Duration::from_millis(250));
    budget.limits(now, &requests(3));
    assert_eq!(budget.may_spend(now, 2, Priority::Segment), Err(reset));
}

#[test]
fn a_clock_that_jumps_neither_frees_nor_freezes() {
    let now = start();
    let mut budget = WriteBudget::new(replica("a"));
    for _ in 0..2_450 {
        budget.spend(now, 2);
    }
    assert!(budget.may_spend(now, 2, Priority::Segment).is_err());
    // Set back by a year: what was spent is taken to be of now, and is free again an hour later.
    let year = Duration::from_secs(365 * 86_400);
    let back = now.saturating_sub(year);
    budget.settle(back);
    let until = budget.may_spend(back, 2, Priority::Segment).expect_err("still spent");
    assert!(until.saturating_since(back) < 2 * HOUR, "{until}");
    // Absurd headers, from a server or a device whose clock is wrong.
    for reset in [Timestamp::EPOCH, Timestamp::MAX, now.saturating_sub(year)] {
        let mut budget = WriteBudget::new(replica("a"));
        budget.limits(now, &RateLimits { limit: 5_000, remaining: 0, reset, window: HOUR });
        let until = budget.may_spend(now, 2, Priority::Membership).expect_err("nothing remains");
        assert!(until.saturating_since(now) <= HOUR + Duration::from_secs(60), "{until}");
    }
}

#[test]
fn what_is_kept_stays_small() {
    let mut budget = WriteBudget::new(replica("a"));
    let mut now = start();
    for _ in 0..20_000 {
        budget.spend(now, 2);
        now = now.saturating_add(budget.interval(2));
    }
    let kept = budget.encode().len();
    println!("kept after a day flat out: {kept} bytes");
    assert!(kept < 8_000, "{kept} bytes");
}
