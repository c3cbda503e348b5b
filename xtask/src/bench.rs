//! `cargo xtask bench`: the figures the project stands by, as one JSON object on standard output.

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Map, Value};
use sheaf_devnet::setup::install_packages;

use crate::step::{Program, Step, Steps};
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
/// The way to another's screen while others type too, which `web/e2e/crowd.mjs` measures in two browsers.
const LIVE: &str = "live";
/// More of them: how it feels at a keyboard, which `web/e2e/feel.mjs` measures in a browser.
const FEEL: [&str; 3] = ["keypress_to_paint", "warm_open", "tabs"];

fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter().chain(FEEL).chain([LIVE])
}

#[derive(Args)]
pub(crate) struct Options {
    /// Measures only this key of the object.
    #[arg(long, value_name = "KEY", value_parser = clap::builder::PossibleValuesParser::new(keys()))]
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
    let program = crate::target().join("release/sheaf-bench");
    let mut figures = Map::new();
    if only.is_none_or(|key| KEYS.contains(&key)) {
        let mut bench = Program::new(&program);
        if let Some(app) = &app {
            bench = bench.args(["--app".as_ref(), app.as_os_str()]);
        }
        if let Some(key) = only {
            bench = bench.args(["--only", key]);
        }
        figures =
            serde_json::from_str(&bench.read_seeing_errors()?).context("the benchmarks printed no JSON")?;
    }
    if let Some(Value::Array(paths)) = figures.get_mut("keystroke_to_remote") {
        let measured = in_browsers("keystroke_to_remote", |script| script("latency.mjs"))?;
        paths.extend(measured.and_then(|mut all| all.as_array_mut().map(std::mem::take)).unwrap_or_default());
    }
    let feel: Vec<&str> = FEEL.into_iter().filter(|key| only.is_none_or(|only| only == *key)).collect();
    if !feel.is_empty() {
        let measured =
            in_browsers(&feel.join(", "), |script| script("feel.mjs").args([&program]).args(&feel))?;
        if let Some(Value::Object(measured)) = measured {
            figures.extend(measured);
        }
    }
    if only.is_none_or(|key| key == LIVE) {
        let steps = Steps::default();
        let beside = root().join("crates/bench/y_websocket");
        install_packages(&beside, "installing y-websocket from npm", &steps.progress())?;
        let measured = in_browsers(LIVE, |script| script("crowd.mjs").args([&program]))?;
        figures.extend(measured.map(|measured| (LIVE.to_owned(), measured)));
    }
    let figures = Value::Object(figures);
    println!("{figures}");
    Ok(())
}

/// What a script of `web/e2e` measures in real browsers, if there is one here.
fn in_browsers(
    what: &str,
    program: impl FnOnce(&dyn Fn(&str) -> Program) -> Program,
) -> Result<Option<Value>> {
    let chromium = match tools::chromium() {
        Ok(chromium) => chromium,
        Err(missing) => {
            eprintln!("· {what} not measured in browsers: {missing}");
            return Ok(None);
        }
    };
    eprintln!("· measuring {what} in browsers …");
    let script = |name: &str| Program::new("node").args([root().join("web/e2e").join(name)]);
    let printed = program(&script).env("CHROMIUM", chromium).read_seeing_errors()?;
    serde_json::from_str(&printed).context("the measurement in browsers printed no JSON").map(Some)
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
