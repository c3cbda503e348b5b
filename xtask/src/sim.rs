//! `cargo xtask sim`: schedules of the simulator, many of them or one.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::step::Program;
use crate::target;

/// How many schedules are part of every test run, without the live channel and with it.
const IN_EVERY_TEST: u64 = 1_000;

#[derive(Args)]
pub(crate) struct Options {
    /// How many schedules.
    #[arg(long, default_value_t = IN_EVERY_TEST, conflicts_with = "seed")]
    seeds: u64,
    /// The first one's seed.
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    from: u64,
    /// Plays the one schedule of this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Optimises the simulator first: worth its build from some ten thousand schedules on.
    #[arg(long)]
    release: bool,
    /// Shows everything that happened, line by line.
    #[arg(long)]
    trace: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut arguments = match options.seed {
        Some(seed) => vec!["--seed".to_owned(), seed.to_string()],
        None => vec!["--seeds".into(), options.seeds.to_string(), "--from".into(), options.from.to_string()],
    };
    arguments.extend(options.trace.then(|| "--trace".to_owned()));
    let simulator = simulator(if options.release { "sim" } else { "dev" })?;
    Program::new(simulator).args(arguments).show_results()
}

/// The schedules that are part of every test run.
pub(crate) fn quick() -> Result<()> {
    let simulator = simulator("dev")?;
    for live in [&[][..], &["--live"]] {
        Program::new(&simulator).args(["--seeds", &IN_EVERY_TEST.to_string()]).args(live).show()?;
    }
    Ok(())
}

/// Compiles the simulator; where it is then. With the whole workspace, as its tests are: of the simulator's package alone,
/// dependencies would be compiled anew with fewer features.
fn simulator(profile: &str) -> Result<PathBuf> {
    let build = ["build", "--quiet", "--workspace", "--bin", "sheaf-sim", "--profile", profile];
    Program::cargo().args(build).show()?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target().join(folder).join("sheaf-sim"))
}
