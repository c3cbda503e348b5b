//! The tools that must be on the machine, each looked for before any long step, and added where we can.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::step::{Program, Step};

pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Has rustup add the wasm target if the compiler does not have it.
pub(crate) fn wasm_target() -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let library = Program::new(rustc).args(["--print", "target-libdir", "--target", WASM_TARGET]).read()?;
    if Path::new(&library).exists() {
        return Ok(());
    }
    let _step = Step::begin(format!("adding the Rust target {WASM_TARGET}"));
    Program::new("rustup").args(["target", "add", WASM_TARGET]).read().map(drop).with_context(|| {
        format!("the Rust target {WASM_TARGET} is missing: add it with `rustup target add {WASM_TARGET}`")
    })
}

/// Makes sure of Node 20 or newer, and npm.
pub(crate) fn node() -> Result<()> {
    const ADVICE: &str = "install Node.js 20 or newer, with npm (https://nodejs.org)";
    let version = Program::new("node").args(["--version"]).read().with_context(|| ADVICE.to_owned())?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 20) {
        bail!("Node.js {version} is too old: {ADVICE}");
    }
    Program::new("npm").args(["--version"]).read().map(drop).with_context(|| ADVICE.to_owned())
}

/// Where Chromium is, for the browser tests: `$CHROMIUM` or the first of the usual names.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(chosen) = std::env::var_os("CHROMIUM") {
        return Ok(chosen.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |directory| directory.join(name)))
        .find(|candidate| candidate.exists())
        .context("the browser tests need Chromium: install it (on Debian `apt install chromium`), or name it in $CHROMIUM")
}
