//! Real values that were bent, by the thousand: no reader of them breaks a promise.
//!
//! `SHEAF_TEST_CASES` asks for more of them, or for fewer; `SHEAF_TEST_SEED` runs the one again that a failure names.

use sheaf_hostile::{
    Target, check,
    mutate::{Chance, mutate},
    target,
};

const CASES: u64 = 20_000;
/// Most of what is made up is short: this is the kilobyte of which a hostile sender should get no more than 16 MB.
const SHORT: usize = 1_024;
const LONG: usize = 32 * 1_024;

fn asked_for(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

struct SayOnPanic<'a>(u64, &'a [u8]);

impl Drop for SayOnPanic<'_> {
    #[allow(clippy::print_stderr)] // A failing test's seed.
    fn drop(&mut self) {
        let hex: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("failed with SHEAF_TEST_SEED={} SHEAF_TEST_CASES=1, by the input {hex}", self.0);
    }
}

fn try_out(target: &Target, seed: u64, input: &[u8]) -> bool {
    let guard = SayOnPanic(seed, input);
    let let_in = check(target, input);
    std::mem::forget(guard);
    let_in
}

fn mutated(name: &str) {
    let target = target(name).expect("a target of this name");
    let seeds = (target.seeds)();
    assert!(try_out(target, 0, &seeds[0]), "the first seed is let in");
    for seed in &seeds {
        try_out(target, 0, seed);
    }
    let (first, cases) =
        (asked_for("SHEAF_TEST_SEED").unwrap_or(1), asked_for("SHEAF_TEST_CASES").unwrap_or(CASES));
    let mut let_in = 0u64;
    for seed in first..first + cases {
        let mut chance = Chance::new(seed);
        let longest = if seed % 4 == 0 { LONG } else { SHORT };
        let input = mutate(&mut chance, &seeds, longest);
        let_in += u64::from(try_out(target, seed, &input));
    }
    // That few get in is the point; that some do shows that the changes reach the inside.
    assert!(let_in > 0 || cases < CASES, "nothing was let in");
    say(name, let_in, cases);
}

#[allow(clippy::print_stderr)] // Figures for whoever runs it with `--nocapture`.
fn say(name: &str, let_in: u64, cases: u64) {
    eprintln!("{name}: {let_in} of {cases} were let in");
}

#[test]
fn updates_are_refused_or_converge() {
    mutated("door");
}

#[test]
fn cars_are_refused_or_true() {
    mutated("car");
}

#[test]
fn trees_are_refused_or_canonical() {
    mutated("mst");
}

#[test]
fn frames_move_nobody_to_what_is_not_signed() {
    mutated("frame");
}

#[test]
fn jetstream_messages_only_say_where_to_look() {
    mutated("jetstream");
}

#[test]
fn records_are_refused_or_read_back() {
    mutated("records");
}

#[test]
fn did_documents_are_refused_or_lead_where_one_may_go() {
    mutated("identity");
}

#[test]
fn names_are_refused_or_read_as_written() {
    mutated("names");
}

#[test]
fn archives_are_refused_or_prove_only_what_was_signed() {
    mutated("archive");
}

#[test]
fn live_frames_are_refused_or_say_only_what_was_signed() {
    mutated("live");
}
