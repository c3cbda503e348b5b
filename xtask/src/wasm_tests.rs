//! Runs the engine's tests as the browser would: compiled to WebAssembly, by Node.
//!
//! Cargo hands each test binary to a runner. The usual one, of `wasm-bindgen-cli`, brings a web server and an HTTP client
//! for tests in browsers: some ninety crates to compile. Ours need neither, so xtask is their runner too.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use clap::Args;
use wasm_bindgen_cli_support::Bindgen;

use crate::step::Program;
use crate::tools::{self, WASM_TARGET};

/// What Cargo calls its runner with.
#[derive(Args)]
pub(crate) struct RunnerOptions {
    /// The compiled tests.
    binary: PathBuf,
    /// Runs only tests whose name contains this.
    filter: Option<String>,
}

/// Where this program is. Asked for when it starts: once its own tests are compiled there is another in its place, and the
/// system would say that this one was deleted.
pub(crate) static XTASK: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::current_exe().ok());

/// Has Cargo compile the tests and call [`run_one`] with each binary.
pub(crate) fn run() -> Result<()> {
    tools::wasm_target()?;
    tools::node()?;
    let xtask = XTASK.as_ref().context("xtask does not know where it is")?;
    // Written as TOML; JSON strings are TOML strings.
    let runner = serde_json::to_string(&[xtask.to_string_lossy().as_ref(), "run-wasm-tests"])?;
    for tests in TESTS {
        Program::cargo()
            .args(["test"])
            .args(tests)
            .args(["--target", WASM_TARGET, "--config", &format!("target.{WASM_TARGET}.runner={runner}")])
            .show()?;
    }
    Ok(())
}

/// What runs on WebAssembly: the engine and its proofs, but for what reads files or takes memory's measure.
const TESTS: [&[&str]; 2] = [
    &["--package", "sheaf-repo", "--test", "suite"],
    &[
        "--package",
        "sheaf-core",
        "--lib",
        "--test",
        "budget",
        "--test",
        "document_convergence",
        "--test",
        "document_waiting",
        "--test",
        "document_yjs",
        "--test",
        "door",
        "--test",
        "live",
        "--test",
        "live_peers",
        "--test",
        "replica",
        "--test",
        "replica_segments",
        "--test",
        "repo_view",
        "--test",
        "segment_log",
    ],
];

/// Runs one binary's tests.
pub(crate) fn run_one(options: &RunnerOptions) -> Result<()> {
    let directory = Scratch::make()?;
    Bindgen::new()
        .input_path(&options.binary)
        .nodejs(true)?
        .debug(true)
        .export_wasm(true)
        .emit_start(false)
        .out_name("tests")
        .generate(&directory.0)
        .context(
            "wasm-bindgen found no tests it can read: does the crate mark them with `wasm_bindgen_test`?",
        )?;
    let script = directory.0.join("run.cjs");
    fs::write(&script, SCRIPT)?;
    let filter = options.filter.as_deref().unwrap_or_default();
    Program::new("node").args([script.as_os_str(), filter.as_ref()]).show()
}

/// wasm-bindgen-test exports each test under a name that begins with `__wbgt_`, and a context that runs them and prints
/// as Rust's own tests do. No tests at all are a mistake, not a success.
const SCRIPT: &str = r#"
const wasm = require("./tests.js");
// The context, not the console, shows what a failing test printed.
for (const method of ["debug", "log", "info", "warn", "error"]) {
  const original = console[method];
  global[`__wbgtest_og_console_${method}`] = original;
  console[method] = (...args) => (wasm[`__wbgtest_console_${method}`] ?? original)(args);
}
global.__wbg_test_invoke = (test) => test();
const say = global.__wbgtest_og_console_error;

async function main(filter) {
  const exported = wasm.__wasm ?? {};
  const tests = Object.keys(exported).filter((name) => name.startsWith("__wbgt_"));
  if (tests.length === 0) throw new Error("there are no WebAssembly tests in this crate");
  const wanted = tests.filter((name) => name.includes(filter));
  const context = new wasm.WasmBindgenTestContext(false);
  context.include_ignored(false);
  context.filtered_count(tests.length - wanted.length);
  return context.run(wanted.map((name) => exported[name]));
}

main(process.argv[2] ?? "").then(
  (passed) => process.exit(passed ? 0 : 1),
  (error) => {
    say(error);
    process.exit(1);
  },
);
"#;

/// A directory of this process's own, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self> {
        let path = crate::target().join(format!("xtask/wasm-tests-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        let _ = fs::remove_dir_all(path);
    }
}
