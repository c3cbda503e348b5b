//! `cargo xtask test` and `cargo xtask ci`.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::{
    tools::{self, cargo, command, run, step},
    web,
};

/// Which tests.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out the tests that need the network's servers or a browser
    #[arg(long)]
    fast: bool,
}

/// The wasm facade only makes sense in a browser; everything else is tested natively.
const NATIVE: [&str; 3] = ["--workspace", "--exclude", "sheaf-web"];

type Group = (&'static str, fn() -> Result<()>);

/// Runs all groups, says at the end which failed, and fails if any did.
pub(crate) fn run_tests(options: &Options) -> Result<()> {
    let fast: [Group; 3] = [("unit and property", unit), ("wasm", wasm), ("front end", front_end)];
    let slow: [Group; 2] = [("network", network), ("browser", browser)];
    let mut groups = fast.to_vec();
    if !options.fast {
        // What is missing should be said before ten minutes of tests, not after.
        tools::chromium()?;
        groups.extend(slow);
    }
    let mut results = Vec::new();
    for (name, group) in groups {
        eprintln!("\n=== {name} tests");
        let start = Instant::now();
        let result = group();
        if let Err(error) = &result {
            eprintln!("error: {error:#}");
        }
        results.push((name, result.is_ok(), start.elapsed().as_secs()));
    }
    eprintln!();
    for (name, passed, seconds) in &results {
        eprintln!("{} {name} ({seconds} s)", if *passed { "ok    " } else { "FAILED" });
    }
    let failed = results.iter().filter(|(_, passed, _)| !passed).count();
    println!("{} passed, {failed} failed", results.len() - failed);
    if failed > 0 { bail!("{failed} of {} groups of tests failed", results.len()) } else { Ok(()) }
}

fn unit() -> Result<()> {
    run(cargo().arg("test").args(NATIVE))
}

/// The pure crates again, as the browser runs them.
fn wasm() -> Result<()> {
    tools::wasm_target()?;
    let runner = tools::wasm_bindgen("wasm-bindgen-test-runner")?;
    run(cargo()
        .args(["test", "--package", "sheaf-repo", "--package", "sheaf-core", "--lib", "--target", "wasm32-unknown-unknown"])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner))
}

fn front_end() -> Result<()> {
    tools::wasm_target()?;
    tools::npm_packages("web")?;
    web::engine()?;
    for script in ["check", "lint", "test"] {
        step(&format!("npm run {script}"), || run(command("npm", "web").args(["run", "--silent", script])))?;
    }
    Ok(())
}

/// The tests against the reference servers, one crate after the other: each starts servers of its own.
fn network() -> Result<()> {
    let features = "sheaf-devnet/network-tests,sheaf-client/network-tests,sheaf/network-tests";
    run(cargo().args(["test", "-p", "sheaf-devnet", "-p", "sheaf-client", "-p", "sheaf", "--tests", "--features", features]))
}

fn browser() -> Result<()> {
    let chromium = tools::chromium()?;
    web::build(web::Mode::Demo)?;
    run(command("npm", "web").args(["run", "--silent", "e2e"]).env("CHROMIUM", chromium))
}

/// Formatting, lints and docs with warnings denied, then every test.
pub(crate) fn ci() -> Result<()> {
    step("formatting", || run(cargo().args(["fmt", "--all", "--check"])))?;
    step("clippy", || {
        run(cargo().arg("clippy").args(NATIVE).args(["--all-targets", "--all-features", "--", "-D", "warnings"]))
    })?;
    step("docs", || run(cargo().args(["doc", "--no-deps"]).args(NATIVE).env("RUSTDOCFLAGS", "-D warnings")))?;
    run_tests(&Options { fast: false })
}
