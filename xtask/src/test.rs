//! `cargo xtask test` and `cargo xtask ci`: groups of checks, all of them run, then told in a few lines.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::step::Program;
use crate::tools::{self, WASM_TARGET};
use crate::{dist, root, sim, wasm_tests, web};

#[derive(Args)]
pub(crate) struct Options {
    /// Leaves out the tests that start a network or a browser.
    #[arg(long)]
    fast: bool,
    /// Runs only the groups whose name contains this, such as `browser`.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut groups = Groups { only: options.only.clone(), ..Groups::default() };
    tests(&mut groups, options.fast);
    if groups.ran.is_empty() {
        bail!("no group of tests is called so");
    }
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
        let all = ["clippy", "--workspace", "--exclude", "sheaf-web", "--all-targets", "--test", "network*"];
        Program::cargo().args(all).args(["--", "-D", "warnings"]).show()?;
        tools::wasm_target()?;
        tools::clang()?;
        // Both modules of the browser's, each with the features it has there.
        let wasm = ["clippy", "--package", "sheaf-web", "--package", "sheaf-live", "--target", WASM_TARGET];
        Program::cargo().args(wasm).args(["--", "-D", "warnings"]).show()
    });
    groups.run("docs", || {
        let docs = ["doc", "--no-deps", "--workspace", "--exclude", "sheaf-web"];
        Program::cargo().args(docs).env("RUSTDOCFLAGS", "-D warnings").show()?;
        tools::wasm_target()?;
        let wasm = ["doc", "--no-deps", "--package", "sheaf-web", "--target", WASM_TARGET];
        Program::cargo().args(wasm).env("RUSTDOCFLAGS", "-D warnings").show()
    });
    if !options.without_tests {
        tests(&mut groups, false);
    }
    groups.report()
}

fn tests(groups: &mut Groups, fast: bool) {
    groups.run("Rust tests", || {
        // With the part of sheaf-web that is the same everywhere, its example included.
        Program::cargo().args(["test", "--workspace"]).show()
    });
    groups.run("simulation", sim::quick);
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
        let network = ["test", "--workspace", "--test", "network*", "--", "--test-threads", "2"];
        Program::cargo().args(network).show()
    });
    groups.run("what is shipped", dist::check);
    groups.run("browser tests", || {
        let chromium = tools::chromium()?;
        web::build(web::Flavour::Local)?;
        let conformance = web::store_conformance()?;
        Program::npm(&root().join("web"))
            .args(["run", "--silent", "e2e"])
            .env("CHROMIUM", chromium)
            .env("SHEAF_STORE_CONFORMANCE", conformance)
            .show()
    });
}

/// What was run and how it went.
#[derive(Default)]
struct Groups {
    only: Option<String>,
    ran: Vec<(&'static str, Duration, Result<()>)>,
}

impl Groups {
    fn run(&mut self, name: &'static str, check: impl FnOnce() -> Result<()>) {
        if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            return;
        }
        eprintln!("\n=== {name}");
        let began = Instant::now();
        let result = check();
        if let Err(error) = &result {
            eprintln!("error: {error:#}");
        }
        self.ran.push((name, began.elapsed(), result));
    }

    fn report(self) -> Result<()> {
        eprintln!();
        let mut failed = Vec::new();
        for (name, took, result) in &self.ran {
            let verdict = if result.is_ok() { "passed" } else { "FAILED" };
            eprintln!("{verdict}  {name} ({:.0} s)", took.as_secs_f64());
            if result.is_err() {
                failed.push(*name);
            }
        }
        if !failed.is_empty() {
            bail!("{} of {} groups failed: {}", failed.len(), self.ran.len(), failed.join("; "));
        }
        Ok(())
    }
}
