//! `cargo xtask bench`: the figures the project stands by, as one JSON object.

use anyhow::{Context as _, Result, bail};

use crate::{
    tools::cargo,
    web,
};

/// Which figures.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this key of the JSON object
    #[arg(long, value_name = "KEY")]
    only: Option<String>,
}

/// Builds the app, whose size is one of the figures, and runs the benchmarks.
pub(crate) fn run(options: &Options) -> Result<()> {
    let app = web::build(web::Mode::Dist)?;
    let mut bench = cargo();
    bench.args(["run", "--quiet", "--release", "--package", "sheaf-bench", "--", "--app"]).arg(app);
    if let Some(key) = &options.only {
        bench.args(["--only", key]);
    }
    let status = bench.status().context("the benchmarks cannot be run")?;
    if !status.success() {
        bail!("the benchmarks failed ({status})");
    }
    Ok(())
}
