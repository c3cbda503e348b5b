//! Builds the app: the engine to WebAssembly, its face for JavaScript, and the pages.
//!
//! Cargo knows when the engine is out of date; the rest is skipped when what it is made from has not changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sheaf_devnet::setup::install_packages;
use wasm_bindgen_cli_support::Bindgen;

use crate::step::{Program, Step, Steps};
use crate::tools::{self, WASM_TARGET};
use crate::{alike, parts, root, target};

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

/// `web/src/wasm/`: the engine in its two parts and the live channel's transport, each with its TypeScript face. They are modules of
/// their own, so that a page has to wait for the first alone.
fn engine() -> Result<()> {
    module("sheaf-web", &root().join("web/src/wasm"), "the engine", Form::InParts)?;
    module("sheaf-live", &root().join("web/src/wasm/live"), "the live channel", Form::Whole)
}

/// The engine whose functions note that they were called, and their names by those of the globals they note it in.
pub(crate) fn noting_engine() -> Result<(PathBuf, BTreeMap<String, String>)> {
    let out = target().join("xtask/noting");
    module("sheaf-web", &out, "the engine that notes its calls", Form::NotingCalls)?;
    let names = fs::read(out.join(NAMES)).context("the names of the engine's functions are gone")?;
    Ok((out.join("sheaf_web_bg.wasm"), serde_json::from_slice(&names)?))
}

/// What the names of an engine's functions are in, which are not in the engine itself.
const NAMES: &str = "names.json";

/// What becomes of a module once it is small.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Whole,
    /// Cut along the profile.
    InParts,
    NotingCalls,
}

/// The names of the functions that can come with the engine's second part.
pub(crate) fn second_part() -> PathBuf {
    root().join("crates/web/second_part.txt")
}

/// Compiles one crate to WebAssembly, and makes its face.
fn module(package: &str, out: &Path, what: &str, form: Form) -> Result<()> {
    let name = package.replace('-', "_");
    {
        let _step = Step::begin(format!("compiling {what} to WebAssembly"));
        let package = ["build", "--quiet", "--package", package];
        Program::cargo().args(package).args(["--profile", "wasm", "--target", WASM_TARGET]).show()?;
    }
    let compiled = target().join(WASM_TARGET).join("wasm").join(format!("{name}.wasm"));
    let wasm = out.join(format!("{name}_bg.wasm"));
    let second = out.join(format!("{name}_second.wasm"));
    let mut made = vec![wasm.clone(), out.join(format!("{name}.js")), out.join(format!("{name}.d.ts"))];
    // The tools are as much a part of it: the lockfiles say which wasm-opt and which wasm-bindgen.
    let mut inputs = vec![compiled.clone(), root().join("web/package-lock.json"), root().join("Cargo.lock")];
    let mut means = WASM_OPT.to_vec();
    means.push(include_str!("alike.rs"));
    if form != Form::Whole {
        means.extend(FOR_THE_CUT);
        means.push(include_str!("parts.rs"));
    }
    match form {
        Form::Whole => {}
        Form::InParts => {
            made.extend([second.clone(), out.join(NAMES)]);
            inputs.push(second_part());
        }
        Form::NotingCalls => made.push(out.join(NAMES)),
    }
    let stamp = Stamp::of(&out.join(".made-from"), &inputs, &means.join(" "))?;
    if stamp.holds(&made) {
        return Ok(());
    }

    let _step = Step::begin(format!("making the face of {what} for JavaScript, and it smaller"));
    fs::create_dir_all(out)?;
    Bindgen::new()
        .input_path(&compiled)
        .web(true)?
        .typescript(true)
        // The cut goes by functions' names.
        .remove_name_section(form == Form::Whole)
        .demangle(false)
        .remove_producers_section(true)
        .out_name(&name)
        .generate(out)
        .with_context(|| format!("wasm-bindgen could not read {what}"))?;
    Program::new("node")
        .args([root().join("web/node_modules/binaryen/bin/wasm-opt").as_os_str()])
        .args(WASM_OPT)
        .args(if form == Form::Whole { &[][..] } else { &FOR_THE_CUT })
        .args([wasm.as_os_str(), "-o".as_ref(), wasm.as_os_str()])
        .read()
        .with_context(|| format!("wasm-opt could not make {what} smaller"))?;
    match form {
        Form::Whole => fs::write(&wasm, alike::neighbours(&fs::read(&wasm)?)?)?,
        Form::InParts => {
            let profile =
                fs::read_to_string(second_part()).context("the profile of the engine's second part")?;
            let parts = parts::split(&fs::read(&wasm)?, &parts::Profile::parse(&profile))
                .with_context(|| format!("{what} could not be cut in two"))?;
            let (first, names) = parts::take_names(&alike::neighbours(&parts.first)?)?;
            fs::write(&wasm, first)?;
            fs::write(&second, parts::take_names(&alike::neighbours(&parts.second)?)?.0)?;
            fs::write(out.join(NAMES), serde_json::to_vec(&names)?)?;
        }
        Form::NotingCalls => {
            let (noting, names) = parts::noting_calls(&fs::read(&wasm)?)?;
            fs::write(&wasm, noting)?;
            fs::write(out.join(NAMES), serde_json::to_vec(&names)?)?;
        }
    }
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

/// What is to be cut keeps its functions' names, and its functions as they are written: what is put into its one caller would be in the
/// first part with it, however rarely it runs.
const FOR_THE_CUT: [&str; 2] = ["--debuginfo", "--one-caller-inline-max-function-size=100"];

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
    fn of(path: &Path, inputs: &[impl AsRef<Path>], means: &str) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        hasher.write(means.as_bytes());
        for input in inputs.iter().map(AsRef::as_ref) {
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
