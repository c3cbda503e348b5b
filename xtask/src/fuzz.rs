//! `cargo xtask fuzz`: looks for inputs that break what a reader of outside bytes promises (see `crates/hostile`).

use anyhow::{Context as _, Result};
use clap::Args;

use crate::step::Program;

#[derive(Args)]
pub(crate) struct Options {
    /// Which: door, car, mst, frame, jetstream, records, identity, live, archive or names.
    target: String,
    /// How long to look.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let corpus = format!("fuzz/corpus/{}", options.target);
    let seeds = ["run", "--quiet", "--package", "sheaf-hostile", "--", &options.target, &corpus];
    Program::cargo().args(seeds).show()?;
    let fuzz = || Program::new("rustup").args(["run", "nightly", "cargo", "fuzz"]);
    fuzz().args(["--version"]).read().context(
        "fuzzing needs a nightly compiler and cargo-fuzz: `rustup toolchain install nightly` and `cargo install cargo-fuzz`",
    )?;
    let time = format!("-max_total_time={}", options.seconds);
    fuzz().args(["run", &options.target, "--", &time, "-max_len=16384", "-print_final_stats=1"]).show()
}
