//! The project's chores: `cargo xtask demo`, `test`, `ci`, `bench` and `dist`.
//!
//! Each installs what it needs and says so; a missing tool is one sentence that says what to do.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command line speaks

mod bench;
mod demo;
mod dist;
mod serve;
mod test;
mod tools;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the Sheaf repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Builds the app, starts a real atproto network on this machine, and serves the app to try.
    Demo(demo::Options),
    /// Runs every test: unit, property, wasm, network and browser.
    Test(test::Options),
    /// What has to hold before a change lands: formatting, lints, docs, then every test.
    Ci,
    /// Measures what the project stands by and prints one JSON object.
    Bench(bench::Options),
    /// Makes the app as a folder of static files for any host, and the release binary.
    Dist(dist::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Test(options) => test::run_tests(&options),
        Chore::Ci => test::ci(),
        Chore::Bench(options) => bench::run(&options),
        Chore::Dist(options) => dist::run_dist(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
