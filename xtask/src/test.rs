//! `cargo xtask test` and `cargo xtask ci`: groups of checks, all of them run, then told in a few lines.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::step::Program;
use crate::tools::{self, WASM_TARGET};
use crate::{root, wasm_tests, web};

#[derive(Args)]
pub(crate) struct Options {
    /// Leaves out the tests that start a network or a browser.
    #[arg(long)]
    fast: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut groups = Groups::default();
    tests(&mut groups, options.fast);
    groups.report()
}

#[derive(Args)]
pub(crate) struct CiOptions {
    /// Only format, lints and docs.
    #[arg(long)]
    without_tests: bool,
}

pub(crate) fn ci(options: &CiOptions) -> Result<()> {
    let mut groups = Groups::default();
    groups.run("format", || Program::cargo().args(["fmt", "--all", "--check"]).show());
    groups.run("lints", || {
        let all = [
            "clippy",
            "--workspace",
            "--exclude",
            "sheaf-web",
            "--all-targets",
            "--features",
            "network-tests",
        ];
        Program::cargo().args(all).args(["--", "-D", "warnings"]).show()?;
        tools::wasm_target()?;
        let wasm = ["clippy", "--package", "sheaf-web", "--target", WASM_TARGET, "--", "-D", "warnings"];
        Program::cargo().args(wasm).show()
    });
    groups.run("docs", || {
        let docs = ["doc", "--no-deps", "--workspace", "--exclude", "sheaf-web"];
        Program::cargo().args(docs).env("RUSTDOCFLAGS", "-D warnings").show()
    });
    if !options.without_tests {
        tests(&mut groups, false);
    }
    groups.report()
}

fn tests(groups: &mut Groups, fast: bool) {
    groups.run("Rust tests", || {
        Program::cargo().args(["test", "--workspace", "--exclude", "sheaf-web"]).show()
    });
    groups.run("WebAssembly tests", wasm_tests::run);
    groups.run("app: types, lints, unit tests", || {
        web::build(web::Flavour::Local)?;
        for script in ["check", "lint", "test"] {
            Program::npm(&root().join("web")).args(["run", "--silent", script]).show()?;
        }
        Ok(())
    });
    if fast {
        return;
    }
    groups.run("network tests", || {
        // Each network is a few servers: more than two at a time only wait for each other.
        let network = ["test", "--workspace", "--exclude", "sheaf-web", "--features", "network-tests"];
        Program::cargo().args(network).args(["--test", "network*", "--", "--test-threads", "2"]).show()
    });
    groups.run("browser tests", || {
        let chromium = tools::chromium()?;
        web::build(web::Flavour::Local)?;
        Program::npm(&root().join("web")).args(["run", "--silent", "e2e"]).env("CHROMIUM", chromium).show()
    });
}

/// What was run and how it went.
#[derive(Default)]
struct Groups(Vec<(&'static str, Duration, Result<()>)>);

impl Groups {
    fn run(&mut self, name: &'static str, check: impl FnOnce() -> Result<()>) {
        eprintln!("\n=== {name}");
        let began = Instant::now();
        let result = check();
        if let Err(error) = &result {
            eprintln!("error: {error:#}");
        }
        self.0.push((name, began.elapsed(), result));
    }

    fn report(self) -> Result<()> {
        eprintln!();
        let mut failed = Vec::new();
        for (name, took, result) in &self.0 {
            let verdict = if result.is_ok() { "passed" } else { "FAILED" };
            eprintln!("{verdict}  {name} ({:.0} s)", took.as_secs_f64());
            if result.is_err() {
                failed.push(*name);
            }
        }
        if !failed.is_empty() {
            bail!("{} of {} groups failed: {}", failed.len(), self.0.len(), failed.join("; "));
        }
        Ok(())
    }
}
