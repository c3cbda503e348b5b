//! Builds the app: the engine to WebAssembly, its face for JavaScript, and the pages.
//!
//! Cargo knows when the engine is out of date; the rest is skipped when what it is made from has not changed.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sheaf_devnet::setup::install_packages;
use wasm_bindgen_cli_support::Bindgen;

use crate::step::{Program, Step, Steps};
use crate::tools::{self, WASM_TARGET};
use crate::{root, target};

/// What the app is built for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Flavour {
    /// A network on this machine, over plain HTTP.
    Local,
    /// Any static host: the page may talk to nothing but https and wss.
    Public,
}

/// Builds the app and returns the directory to serve.
pub(crate) fn build(flavour: Flavour) -> Result<PathBuf> {
    tools::wasm_target()?;
    tools::node()?;
    tools::clang()?;
    // Two builds at once would write the same files.
    let work = target().join("xtask");
    fs::create_dir_all(&work)?;
    let alone = File::create(work.join("web.lock"))?;
    alone.lock()?;

    install()?;
    engine()?;
    pages(flavour)
}

/// The packages of `web/`, as its lockfile has them.
fn install() -> Result<()> {
    let steps = Steps::default();
    install_packages(&root().join("web"), "installing the app's packages from npm", &steps.progress())
}

/// `web/src/wasm/`: the engine and the live channel's transport, each with its TypeScript face. They are modules of their own, so
/// that a page has to wait for the first alone.
fn engine() -> Result<()> {
    module("sheaf-web", &root().join("web/src/wasm"), "the engine")?;
    module("sheaf-live", &root().join("web/src/wasm/live"), "the live channel")
}

/// Compiles one crate to WebAssembly, and makes its face.
fn module(package: &str, out: &Path, what: &str) -> Result<()> {
    let name = package.replace('-', "_");
    {
        let _step = Step::begin(format!("compiling {what} to WebAssembly"));
        let package = ["build", "--quiet", "--package", package];
        Program::cargo().args(package).args(["--profile", "wasm", "--target", WASM_TARGET]).show()?;
    }
    let compiled = target().join(WASM_TARGET).join("wasm").join(format!("{name}.wasm"));
    let wasm = out.join(format!("{name}_bg.wasm"));
    let made = [wasm.clone(), out.join(format!("{name}.js")), out.join(format!("{name}.d.ts"))];
    // The tools are as much a part of it: the lockfiles say which wasm-opt and which wasm-bindgen.
    let locks = [root().join("web/package-lock.json"), root().join("Cargo.lock")];
    let inputs = [compiled.as_path(), &locks[0], &locks[1]];
    let stamp = Stamp::of(&out.join(".made-from"), &inputs, &WASM_OPT.join(" "))?;
    if stamp.holds(&made) {
        return Ok(());
    }

    let _step = Step::begin(format!("making the face of {what} for JavaScript, and it smaller"));
    fs::create_dir_all(out)?;
    Bindgen::new()
        .input_path(&compiled)
        .web(true)?
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .out_name(&name)
        .generate(out)
        .with_context(|| format!("wasm-bindgen could not read {what}"))?;
    Program::new("node")
        .args([root().join("web/node_modules/binaryen/bin/wasm-opt").as_os_str()])
        .args(WASM_OPT)
        .args([wasm.as_os_str(), "-o".as_ref(), wasm.as_os_str()])
        .read()
        .with_context(|| format!("wasm-opt could not make {what} smaller"))?;
    stamp.write()
}

/// The suite that the browser's store must pass, as a module for a page of the browser tests. Compiled as the engine is, so
/// that what they share is there already. Returns its directory.
pub(crate) fn store_conformance() -> Result<PathBuf> {
    let _step = Step::begin("compiling the store's conformance suite to WebAssembly");
    let package = ["build", "--quiet", "--package", "sheaf-web", "--example", "store_conformance"];
    Program::cargo().args(package).args(["--profile", "wasm", "--target", WASM_TARGET]).show()?;
    let out = target().join("xtask/store-conformance");
    Bindgen::new()
        .input_path(target().join(WASM_TARGET).join("wasm/examples/store_conformance.wasm"))
        .web(true)?
        .typescript(false)
        .out_name("store_conformance")
        .generate(&out)
        .context("wasm-bindgen could not read the store's conformance suite")?;
    Ok(out)
}

/// What rustc's wasm32 target uses by default, and no more: with every feature on, engines refuse the result.
const WASM_OPT: [&str; 9] = [
    "-Os",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-call-indirect-overlong",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

fn pages(flavour: Flavour) -> Result<PathBuf> {
    let web = root().join("web");
    let (out, mode) = match flavour {
        Flavour::Local => (web.join("dist"), "production"),
        Flavour::Public => (target().join("xtask/app"), "dist"),
    };
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&web)?.flatten() {
        // What is made, what others made, and what only tests read.
        if !["dist", "node_modules", "e2e", "test"].iter().any(|name| entry.file_name() == *name) {
            files_under(&entry.path(), &mut inputs)?;
        }
    }
    inputs.sort();
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    let stamp = Stamp::of(&out.join(".made-from"), &inputs, mode)?;
    if stamp.holds(&[out.join("index.html"), out.join("assets")]) {
        return Ok(out);
    }
    let _step = Step::begin("building the pages");
    let arguments = ["run", "--silent", "build", "--", "--logLevel", "warn", "--emptyOutDir", "--mode", mode];
    Program::npm(&web).args(arguments).args(["--outDir".as_ref(), out.as_os_str()]).read()?;
    stamp.write()?;
    Ok(out)
}

fn files_under(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            files_under(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}

/// A note beside something made, of what it was made from.
struct Stamp {
    path: PathBuf,
    now: String,
}

impl Stamp {
    /// What something would be made from now: these files, by these means.
    fn of(path: &Path, inputs: &[&Path], means: &str) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        hasher.write(means.as_bytes());
        for input in inputs {
            hasher.write(input.as_os_str().as_encoded_bytes());
            let bytes = fs::read(input).with_context(|| format!("{} cannot be read", input.display()))?;
            hasher.write_usize(bytes.len());
            hasher.write(&bytes);
        }
        Ok(Self { path: path.to_owned(), now: format!("{:016x}", hasher.finish()) })
    }

    /// Whether all of `made` is there and was made from the same.
    fn holds(&self, made: &[PathBuf]) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|before| before == self.now)
            && made.iter().all(|made| made.exists())
    }

    fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.now).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_holds_for_the_same_inputs_means_and_outputs() {
        let folder = tempfile::tempdir().unwrap();
        let [stamp, input, output] = ["stamp", "input", "output"].map(|name| folder.path().join(name));
        fs::write(&input, "1").unwrap();
        fs::write(&output, "made").unwrap();
        let made = [output.clone()];
        let now = |means| Stamp::of(&stamp, &[&input], means).unwrap();
        assert!(!now("tool 1").holds(&made), "nothing was made");
        now("tool 1").write().unwrap();
        assert!(now("tool 1").holds(&made));
        assert!(!now("tool 2").holds(&made));
        fs::write(&input, "2").unwrap();
        assert!(!now("tool 1").holds(&made));
        fs::write(&input, "1").unwrap();
        fs::remove_file(&output).unwrap();
        assert!(!now("tool 1").holds(&made), "what was made is gone");
    }
}
