//! `sheaf-sim --seeds N [--from SEED | --live]` or `sheaf-sim --seed S [--trace]`; called by `cargo xtask sim`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks")]

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use sheaf_sim::{Campaign, FIRST_LIVE_SEED, Failure, Invariant, Schedule, run, shrink};

/// How long a failure is shrunk.
const SHRINKING: Duration = Duration::from_secs(30);
/// So many lines from the end of a trace are shown unless all of them are asked for.
const LAST_LINES: usize = 80;

#[derive(Default)]
struct Options {
    seeds: Option<u64>,
    from: u64,
    seed: Option<u64>,
    trace: bool,
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let options = match arguments(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(2);
        }
    };
    // A panic in a replica is a finding like any other; its words are in the report.
    std::panic::set_hook(Box::new(|_| {}));
    let fine = match options.seed {
        Some(seed) => one(&options, seed),
        None => many(&options),
    };
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(options: &Options) -> bool {
    let threads = options.threads.or(std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let campaign = Campaign { from: options.from, seeds: options.seeds.unwrap_or(2_000), threads };
    let report = campaign.run(|done| eprintln!("  … {done} schedules"));
    let seconds = report.took.as_secs_f64();
    println!(
        "{} schedules from seed {} in {seconds:.1} s: {:.0} a second, {} events, {} failures",
        report.schedules,
        options.from,
        report.schedules as f64 / seconds,
        report.events,
        report.failures.len(),
    );
    println!("{}", report.tally);
    let mut by_promise: BTreeMap<Invariant, Vec<&Failure>> = BTreeMap::new();
    for failure in &report.failures {
        by_promise.entry(failure.violation.invariant).or_default().push(failure);
    }
    for (invariant, failures) in &by_promise {
        let seeds: Vec<String> = failures.iter().take(10).map(|failure| failure.seed.to_string()).collect();
        println!("{invariant:?}: {} times, seeds {}", failures.len(), seeds.join(" "));
    }
    match report.failures.first() {
        Some(first) => {
            one(options, first.seed);
            false
        }
        None => true,
    }
}

/// Plays one schedule and, if it breaks something, shows the least that does.
fn one(options: &Options, seed: u64) -> bool {
    let whole = options.trace;
    let schedule = Schedule::draw(seed);
    let outcome = run(&schedule, whole);
    let Some(violation) = outcome.violation else {
        print!("{schedule}");
        outcome.trace.iter().for_each(|line| println!("{line}"));
        println!("seed {seed}: {} events, nothing broken", outcome.events);
        return true;
    };
    println!("\nseed {seed} breaks {violation}\n");
    let small = shrink(&schedule, violation.invariant, SHRINKING);
    let outcome = run(&small, true);
    println!("shrunk from {} acts to {}:\n{small}", schedule.acts.len(), small.acts.len());
    let skipped = if whole { 0 } else { outcome.trace.len().saturating_sub(LAST_LINES) };
    if skipped > 0 {
        println!(
            "the last {LAST_LINES} lines of its trace (--seed {seed} --trace shows all {}):",
            outcome.trace.len()
        );
    }
    outcome.trace.iter().skip(skipped).for_each(|line| println!("{line}"));
    if let Some(violation) = outcome.violation {
        println!("\n{violation}");
    }
    false
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(name) = given.next() {
        if name == "--live" {
            options.from = FIRST_LIVE_SEED;
            continue;
        }
        if name == "--trace" {
            options.trace = true;
            continue;
        }
        let value = given.next().ok_or(format!("{name} takes a number"))?;
        let number: u64 = value.parse().map_err(|_| format!("{name} takes a number, not {value}"))?;
        match name.as_str() {
            "--seeds" => options.seeds = Some(number),
            "--from" => options.from = number,
            "--seed" => options.seed = Some(number),
            "--threads" => options.threads = usize::try_from(number).ok(),
            other => return Err(format!("there is no option {other}")),
        }
    }
    Ok(options)
}
