//! Somebody who never stops typing, for an hour and for a day of virtual time: what it costs, and how long a flush waits.

use std::time::Duration;

use serde_json::{Value, json};
use sheaf_core::{
    budget::{Priority, WriteBudget},
    time::Timestamp,
};

const PUT: u32 = 2;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(crate) fn measure() -> Value {
    json!({ "hour_flat_out": flat_out(HOUR), "day_flat_out": flat_out(DAY) })
}

/// Something is always waiting, so every flush leaves as soon as the budget lets it.
fn flat_out(length: Duration) -> Value {
    let start = Timestamp::from_millis(1_780_000_000_000);
    let end = start.saturating_add(length);
    let mut budget = WriteBudget::new("bench".parse().expect("a valid name"));
    let mut now = start;
    let mut writes: Vec<Timestamp> = Vec::new();
    while now < end {
        match budget.may_spend(now, PUT, Priority::Segment) {
            Ok(()) => {
                budget.spend(now, PUT);
                writes.push(now);
                now = now.saturating_add(budget.interval(PUT));
            }
            Err(at) => now = at.max(now.saturating_add(Duration::from_millis(1))),
        }
    }
    let mut waits: Vec<u64> =
        writes.windows(2).map(|pair| pair[1].saturating_since(pair[0]).as_millis() as u64).collect();
    waits.sort_unstable();
    let at = |part: f64| {
        waits.get(((waits.len().saturating_sub(1)) as f64 * part) as usize).copied().unwrap_or_default()
    };
    json!({
        "flushes": writes.len(),
        "points": writes.len() * PUT as usize,
        "most_points_in_an_hour": most_in(&writes, HOUR),
        "most_points_in_a_day": most_in(&writes, DAY),
        "window_p50_ms": at(0.5),
        "window_p95_ms": at(0.95),
        "window_max_ms": at(1.0),
    })
}

/// The most points in any window of this length, wherever a server's window happens to begin.
fn most_in(writes: &[Timestamp], window: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, at) in writes.iter().enumerate() {
        while at.saturating_since(writes[first]) >= window {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most * PUT as usize
}
