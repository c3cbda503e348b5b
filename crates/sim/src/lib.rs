//! Sheaf in a world that is out to break it.
//!
//! A [`Schedule`] is drawn from a seed: some accounts and their devices, what people do on them, and what goes wrong.
//! [`run`] plays it: real replicas of `sheaf-core`, repos of `sheaf-repo` that are truly signed, and between them disks,
//! clocks, networks and servers that fail, on virtual time. On the way and in the end it looks at what must hold
//! ([`Invariant`]). The same seed gives the same run, to the last byte. A schedule that breaks something is [`shrink`]ed
//! to the acts that are needed for it.
//!
//! ```
//! use sheaf_sim::{Schedule, run};
//!
//! let outcome = run(&Schedule::draw(7), false);
//! assert_eq!(outcome.violation, None);
//! ```
//!
//! What is modelled, and what is not: `docs/simulation.md`.

mod campaign;
mod choices;
mod deeds;
mod device;
mod forger;
mod invariants;
mod ledger;
mod liar;
mod live;
mod mischief;
mod network;
mod pds;
mod schedule;
mod settling;
mod shrinking;
mod tally;
mod trace;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::{
    campaign::{Campaign, Failure, Report},
    choices::Choices,
    invariants::{Invariant, Violation},
    schedule::{Act, Bell, Cast, Deed, FIRST_LIVE_SEED, Hostility, Lateness, Lie, Schedule, Seat},
    shrinking::shrink,
    tally::{Occurrence, Tally},
};

/// What came of a schedule.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The first promise that was broken, if any.
    pub violation: Option<Violation>,
    /// Events that replicas handled.
    pub events: u64,
    /// How often what was to be tried happened.
    pub tally: Tally,
    /// What happened, line by line, when that was asked for.
    pub trace: Vec<String>,
}

/// Plays a schedule, writing down what happens if `recording`.
pub fn run(schedule: &Schedule, recording: bool) -> Outcome {
    let mut world = world::World::new(schedule, recording);
    let played = catch_unwind(AssertUnwindSafe(|| world.play()));
    let mut violation = world.violation.take();
    if let Err(panic) = played {
        let words =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        violation = Some(Violation::new(Invariant::NoPanic, words.unwrap_or("a panic without words")));
    }
    Outcome { violation, events: world.events, tally: world.tally, trace: world.trace.into_lines() }
}
