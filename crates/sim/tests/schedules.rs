//! The simulator itself: that it repeats itself, that it sees what it should, and that a handful of schedules pass.

use std::time::Duration;

use sheaf_sim::{Act, Campaign, Deed, Schedule, run, shrink};

#[test]
fn the_same_seed_gives_the_same_run_to_the_last_line() {
    for seed in [1, 17, 4_242] {
        let (once, again) = (run(&Schedule::draw(seed), true), run(&Schedule::draw(seed), true));
        assert!(once.trace.len() > 100, "seed {seed} is no schedule to speak of");
        assert_eq!(once.trace, again.trace, "seed {seed}");
    }
    assert_ne!(run(&Schedule::draw(1), true).trace, run(&Schedule::draw(2), true).trace);
}

#[test]
fn writing_down_what_happens_changes_nothing() {
    for seed in 0..10 {
        let (quiet, loud) = (run(&Schedule::draw(seed), false), run(&Schedule::draw(seed), true));
        assert_eq!((quiet.events, quiet.violation), (loud.events, loud.violation), "seed {seed}");
    }
}

#[test]
fn a_handful_of_schedules_hold() {
    let report = Campaign { from: 0, seeds: 60, threads: 2 }.run(|_| {});
    assert_eq!(report.schedules, 60);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

#[test]
fn every_kind_of_fault_is_drawn() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..600 {
        for Act { deed, .. } in Schedule::draw(seed).acts {
            let name = format!("{deed:?}");
            kinds.insert(name.split([' ', '{']).next().unwrap_or_default().to_owned());
            if let Deed::Lie { lie, .. } = deed {
                kinds.insert(format!("{lie:?}"));
            }
        }
    }
    let wanted = "Crash DiskFull Offline Partition BadLink Deaf StreamDown Throttle HostFails SessionEnds ClockJumps \
         Forgery RotateKey Migrate Hostile LateWords Paste RollBack Withhold Flip AnotherRepo WrongKey Swap";
    for kind in wanted.split_whitespace() {
        assert!(kinds.contains(kind), "{kind} is never drawn: {kinds:?}");
    }
}

#[test]
fn shrinking_keeps_what_is_broken_and_little_else() {
    // A schedule that cannot end well: the owner's device never comes back.
    let mut schedule = Schedule::draw(3);
    let crash = Deed::Crash { device: 0, after: 0, down: 100_000_000, renamed: false };
    schedule.acts.push(Act { at: schedule.cast.ends_at, deed: crash });
    let broken = run(&schedule, false).violation.expect("nobody is settled who is not there");
    let small = shrink(&schedule, broken.invariant, Duration::from_secs(60));
    assert!(small.acts.len() <= 3, "{small}");
    assert_eq!(run(&small, false).violation.map(|v| v.invariant), Some(broken.invariant));
}
