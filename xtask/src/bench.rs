//! `cargo xtask bench`: the figures the project stands by, as one JSON object on standard output.

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use crate::step::{Program, Step};
use crate::{root, tools, web};

/// The keys of the object; `sheaf-bench` measures them.
const KEYS: [&str; 7] = [
    "first_load",
    "write_budget",
    "segments",
    "keystroke_to_remote",
    "cold_open",
    "one_keystroke_later",
    "after_a_week",
];
/// The one that is about the app, which takes npm and WebAssembly to build.
const OF_THE_APP: &str = "first_load";

#[derive(Args)]
pub(crate) struct Options {
    /// Measures only this key of the object.
    #[arg(long, value_name = "KEY", value_parser = KEYS)]
    only: Option<String>,
}

/// Builds what is measured as it is shipped: the app for a public host, the clients optimised.
pub(crate) fn run(options: &Options) -> Result<()> {
    let only = options.only.as_deref();
    let app = match only {
        None | Some(OF_THE_APP) => Some(web::build(web::Flavour::Public)?),
        Some(_) => None,
    };
    {
        let _step = Step::begin("compiling the benchmarks");
        Program::cargo().args(["build", "--quiet", "--release", "--package", "sheaf-bench"]).show()?;
    }
    let mut bench = Program::new(crate::target().join("release/sheaf-bench"));
    if let Some(app) = &app {
        bench = bench.args(["--app".as_ref(), app.as_os_str()]);
    }
    if let Some(key) = only {
        bench = bench.args(["--only", key]);
    }
    let mut figures: Value =
        serde_json::from_str(&bench.read_seeing_errors()?).context("the benchmarks printed no JSON")?;
    if let Some(Value::Array(paths)) = figures.get_mut("keystroke_to_remote") {
        paths.extend(in_browsers()?);
    }
    println!("{figures}");
    Ok(())
}

/// The same way of a keystroke, from one browser's keyboard to another's screen.
fn in_browsers() -> Result<Vec<Value>> {
    let chromium = match tools::chromium() {
        Ok(chromium) => chromium,
        Err(missing) => {
            eprintln!("· not measured in browsers: {missing}");
            return Ok(Vec::new());
        }
    };
    eprintln!("· measuring keystroke_to_remote in two browsers …");
    let script = root().join("web/e2e/latency.mjs");
    let printed = Program::new("node").args([script]).env("CHROMIUM", chromium).read_seeing_errors()?;
    serde_json::from_str(&printed).context("the measurement in browsers printed no JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_of_the_benchmarks() {
        let benchmarks = include_str!("../../crates/bench/src/main.rs");
        let list =
            benchmarks.split_once("const KEYS: [&str; 7] = [").and_then(|(_, rest)| rest.split_once("];"));
        let keys: Vec<&str> = list.map_or(vec![], |(list, _)| list.split('"').skip(1).step_by(2).collect());
        assert_eq!(keys, KEYS);
    }
}
