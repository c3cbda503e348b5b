//! `cargo xtask bench`: the figures the project stands by, as one JSON object on standard output.

use anyhow::Result;
use clap::Args;

use crate::step::{Program, Step};
use crate::web;

#[derive(Args)]
pub(crate) struct Options {
    /// Measures only this key of the object.
    #[arg(long, value_name = "KEY")]
    only: Option<String>,
}

/// Builds what is measured as it is shipped: the app for a public host, the clients optimised.
pub(crate) fn run(options: &Options) -> Result<()> {
    let app = web::build(web::Flavour::Public)?;
    {
        let _step = Step::begin("compiling the benchmarks");
        Program::cargo().args(["build", "--quiet", "--release", "--package", "sheaf-bench"]).show()?;
    }
    let bench =
        Program::new(crate::target().join("release/sheaf-bench")).args(["--app".as_ref(), app.as_os_str()]);
    let bench = match &options.only {
        Some(key) => bench.args(["--only", key]),
        None => bench,
    };
    println!("{}", bench.read_seeing_errors()?);
    Ok(())
}
