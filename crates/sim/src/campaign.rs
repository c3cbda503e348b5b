//! Many schedules at once, and what came of them.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{Schedule, Tally, Violation, run};

/// Which schedules to play.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How many at once.
    pub threads: usize,
}

/// A schedule that broke something.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// What it broke.
    pub violation: Violation,
}

/// What came of a campaign.
#[derive(Debug, Clone)]
pub struct Report {
    /// How many schedules were played.
    pub schedules: u64,
    /// Events that replicas handled in all of them.
    pub events: u64,
    /// How often what was to be tried happened.
    pub tally: Tally,
    /// How long it took.
    pub took: Duration,
    /// What was broken, by seed.
    pub failures: Vec<Failure>,
}

impl Campaign {
    /// Plays them all. `progress` is told now and then how many are done.
    pub fn run(&self, progress: impl Fn(u64) + Sync) -> Report {
        let began = Instant::now();
        let (next, events) = (AtomicU64::new(0), AtomicU64::new(0));
        let (failures, tally) = (Mutex::new(Vec::new()), Mutex::new(Tally::default()));
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= self.seeds {
                            return;
                        }
                        let seed = self.from.wrapping_add(n);
                        let outcome = run(&Schedule::draw(seed), false);
                        events.fetch_add(outcome.events, Ordering::Relaxed);
                        tally.lock().expect("nobody panics while holding it").add(&outcome.tally);
                        if let Some(violation) = outcome.violation {
                            let mut failures = failures.lock().expect("nobody panics while holding it");
                            failures.push(Failure { seed, violation });
                        }
                        if n > 0 && n.is_multiple_of(1_000) {
                            progress(n);
                        }
                    }
                });
            }
        });
        let mut failures = failures.into_inner().expect("nobody panics while holding it");
        failures.sort_by_key(|failure| failure.seed);
        Report {
            schedules: self.seeds,
            events: events.into_inner(),
            tally: tally.into_inner().expect("nobody panics while holding it"),
            took: began.elapsed(),
            failures,
        }
    }
}
