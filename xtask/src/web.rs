//! Builds the app: the engine as wasm, then the page around it.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::tools::{self, Stamp, cargo, command, run, step};

/// For whom the app is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// For this machine: its content policy lets the app talk to loopback.
    Demo,
    /// For the world: only `https` and `wss`.
    Dist,
}

/// What of WebAssembly may be used: what every browser of the last years has. Named one by one, for `--all-features` makes
/// files that engines refuse.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Builds what changed since the last time; gives the folder of static files.
pub(crate) fn build(mode: Mode) -> Result<PathBuf> {
    tools::wasm_target()?;
    tools::npm_packages("web")?;
    engine()?;
    page(mode)
}

/// The engine: Rust to wasm, the glue beside it, made small.
pub(crate) fn engine() -> Result<()> {
    let root = tools::root();
    let crates = ["crates/repo", "crates/core", "crates/client", "crates/web", "Cargo.toml", "Cargo.lock"];
    let stamp = Stamp::of("engine", &crates.map(|part| root.join(part)))?;
    let out = root.join("web/src/wasm");
    if stamp.is_fresh() && out.join("sheaf_web_bg.wasm").exists() {
        return Ok(());
    }
    step("building the engine for the browser", || {
        run(cargo().args(["build", "--package", "sheaf-web", "--profile", "wasm", "--target", "wasm32-unknown-unknown"]))
    })?;
    let bindgen = tools::wasm_bindgen("wasm-bindgen")?;
    step("making it small", || {
        run(command(bindgen, ".")
            .arg(tools::target().join("wasm32-unknown-unknown/wasm/sheaf_web.wasm"))
            .args(["--target", "web", "--out-name", "sheaf_web", "--out-dir"])
            .arg(&out))?;
        let wasm = out.join("sheaf_web_bg.wasm");
        run(command("node", "web")
            .arg(root.join("web/node_modules/binaryen/bin/wasm-opt"))
            .args(WASM_FEATURES)
            .arg("-Os")
            .arg("-o")
            .arg(&wasm)
            .arg(&wasm))
    })?;
    stamp.set()
}

fn page(mode: Mode) -> Result<PathBuf> {
    let web = tools::root().join("web");
    let sources = ["src", "index.html", "public", "package-lock.json", "vite.config.ts", "svelte.config.js", "src/wasm"];
    let wasm = fs::read_dir(web.join("src/wasm")).context("web/src/wasm cannot be read")?;
    let mut inputs: Vec<PathBuf> = sources.iter().map(|part| web.join(part)).filter(|p| p.exists()).collect();
    inputs.extend(wasm.filter_map(|entry| Some(entry.ok()?.path())));
    let stamp = Stamp::of(if mode == Mode::Dist { "page-dist" } else { "page-demo" }, &inputs)?;
    let out = tools::target().join("xtask").join(if mode == Mode::Dist { "app-dist" } else { "app-demo" });
    if stamp.is_fresh() && out.join("index.html").exists() {
        return Ok(out);
    }
    step("building the page", || {
        let mut build = command("npm", "web");
        build.args(["run", "--silent", "build", "--", "--emptyOutDir", "--outDir"]).arg(&out);
        if mode == Mode::Dist {
            build.args(["--mode", "dist"]);
        }
        run(&mut build)
    })?;
    stamp.set()?;
    Ok(out)
}
