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

/// Makes sure of npm and a Node that the app's build runs on: 22.12 or newer, or a late 20.
pub(crate) fn node() -> Result<()> {
    const ADVICE: &str = "install Node.js 22.12 or newer, with npm (https://nodejs.org)";
    let version = Program::new("node").args(["--version"]).read().with_context(|| ADVICE.to_owned())?;
    if !is_new_enough(&version) {
        bail!("Node.js {version} is too old: {ADVICE}");
    }
    Program::new("npm").args(["--version"]).read().map(drop).with_context(|| ADVICE.to_owned())
}

/// Makes sure of a C compiler that makes WebAssembly: the live channel's cryptography has parts in C.
pub(crate) fn clang() -> Result<()> {
    let compiler = std::env::var_os("CC_wasm32_unknown_unknown").unwrap_or_else(|| "clang".into());
    let targets = Program::new(compiler).args(["--print-targets"]).read();
    if !targets.context(CLANG)?.contains("wasm32") {
        bail!("this clang makes no WebAssembly: {CLANG}");
    }
    Ok(())
}

const CLANG: &str = "install clang (on Debian `apt install clang`; on macOS `brew install llvm`, and name its clang in \
    $CC_wasm32_unknown_unknown)";

/// What Vite asks for: `^20.19.0 || >=22.12.0`.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches('v').split('.').map(|number| number.parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major == 20 && minor >= 19) || (major, minor) >= (22, 12),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_cannot_build_the_app_is_told_from_one_that_can() {
        for version in ["v20.19.0", "v20.20.1", "v22.12.0", "v22.23.3\n", "v23.0.0", "v24.1.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["v18.20.0", "v20.18.3", "v21.7.0", "v22.11.0", "", "node"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
