//! Making a schedule that breaks something as small as it can be.

use std::time::{Duration, Instant};

use crate::{invariants::Invariant, run, schedule::Schedule};

/// The smallest schedule found in the time given that still breaks the same promise.
pub fn shrink(schedule: &Schedule, invariant: Invariant, patience: Duration) -> Schedule {
    let began = Instant::now();
    let breaks =
        |candidate: &Schedule| run(candidate, false).violation.is_some_and(|v| v.invariant == invariant);
    let mut best = schedule.clone();
    let mut length = best.acts.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        let mut smaller = false;
        while from < best.acts.len() {
            if began.elapsed() > patience {
                return best;
            }
            let mut candidate = best.clone();
            candidate.acts.drain(from..(from + length).min(candidate.acts.len()));
            if breaks(&candidate) {
                best = candidate;
                smaller = true;
            } else {
                from += length;
            }
        }
        // One by one again as long as that helps: what one act hid, another may have needed.
        length = if length == 1 && smaller { 1 } else { length / 2 };
    }
    for plainer in [straighten_clocks, quieten, end_early] {
        let mut candidate = best.clone();
        plainer(&mut candidate);
        if began.elapsed() <= patience && breaks(&candidate) {
            best = candidate;
        }
    }
    best
}

fn straighten_clocks(schedule: &mut Schedule) {
    schedule.cast.seats.iter_mut().for_each(|seat| seat.skew = 0);
}

fn quieten(schedule: &mut Schedule) {
    schedule.cast.latency = (1, 1);
}

fn end_early(schedule: &mut Schedule) {
    schedule.cast.ends_at = schedule.acts.last().map_or(0, |act| act.at + 1_000);
}
