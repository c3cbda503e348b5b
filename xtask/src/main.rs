//! `cargo xtask`: everything there is to do with this repository, each as one command.
//!
//! Results go to standard output, everything else to standard error. A failure is one sentence that says what to do,
//! and a non-zero exit code.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a command line: printing is how it speaks"
)]

mod alike;
mod bench;
mod demo;
mod dist;
mod first_part;
mod fuzz;
mod parts;
mod serve;
mod sim;
mod step;
mod test;
mod tools;
mod wasm_tests;
mod web;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

/// Builds, shows, tests and packs Sheaf.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the app and serves it with a real network of its own on this machine.
    Demo(demo::Options),
    /// Runs every test, after setting up what they need.
    Test(test::Options),
    /// Checks format, lints and docs, then runs every test: what must hold before a change goes in.
    Ci(test::CiOptions),
    /// Measures what the project stands by, on the real servers, and prints one JSON object.
    Bench(bench::Options),
    /// Plays schedules of the simulator: everyone's replicas in a world that is out to break them.
    Sim(sim::Options),
    /// Looks for bytes that break something which reads them, with libFuzzer.
    Fuzz(fuzz::Options),
    /// Makes the app as a folder of static files, and the `sheaf` binary.
    Dist(dist::Options),
    /// Records anew which functions of the engine can come later than the first document: after changes to what runs until it is shown.
    FirstPart,
    /// What `test` has Cargo run each crate's WebAssembly tests with.
    #[command(hide = true)]
    RunWasmTests(wasm_tests::RunnerOptions),
}

fn main() -> ExitCode {
    LazyLock::force(&wasm_tests::XTASK);
    let done = match Arguments::parse().command {
        Command::Demo(options) => demo::run(options),
        Command::Test(options) => test::run(&options),
        Command::Ci(options) => test::ci(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Dist(options) => dist::run(&options),
        Command::FirstPart => first_part::record(),
        Command::RunWasmTests(options) => wasm_tests::run_one(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a directory of the repository")
}

/// Cargo's target directory.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |target| root().join(target))
}
