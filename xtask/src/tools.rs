//! The tools that chores use: finding them, installing what can be, running them, and not doing twice what is done.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the repository")
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Says what is being done, does it, and says how long it took. For steps that a person would otherwise wonder about.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("· {what} …");
    let start = Instant::now();
    let result = work()?;
    let seconds = start.elapsed().as_secs_f32();
    if seconds > 1.0 {
        eprintln!("  done in {seconds:.0} s");
    }
    Ok(result)
}

/// A command in a folder of the repository.
pub(crate) fn command(program: impl AsRef<OsStr>, folder: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root().join(folder));
    command
}

/// `cargo`, the very one that runs us.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), ".")
}

/// Runs a command with its output shown on standard error, so that standard output stays ours.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| missing(&name))?;
    if !status.success() {
        bail!("`{name} {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}

fn missing(name: &str) -> String {
    match name {
        "npm" | "node" => "Node.js is not installed: get version 20 or newer, with npm, from nodejs.org".into(),
        "rustup" => "rustup is not installed: get it from rustup.rs, or add the wasm32-unknown-unknown target by hand".into(),
        _ => format!("`{name}` cannot be run: is it installed?"),
    }
}


/// The browser for tests: `$CHROMIUM`, or the one installed.
pub(crate) fn chromium() -> Result<PathBuf> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from);
    let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    named.into_iter().chain(usual).find(|path| path.exists()).context(
        "Chromium is not installed, and the browser tests need it: `apt-get install chromium`, or name one in $CHROMIUM",
    )
}

/// Adds the wasm target unless it is there.
pub(crate) fn wasm_target() -> Result<()> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().context("`rustc` cannot be run")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.join("lib/rustlib/wasm32-unknown-unknown").exists() {
        return Ok(());
    }
    step("adding the wasm32 target", || run(command("rustup", ".").args(["target", "add", "wasm32-unknown-unknown"])))
}

/// The wasm-bindgen tools of exactly the version in `Cargo.lock`, built once.
pub(crate) fn wasm_bindgen(tool: &str) -> Result<PathBuf> {
    let version = locked_version("wasm-bindgen")?;
    let folder = target().join("tools").join(format!("wasm-bindgen-{version}"));
    let binary = folder.join("bin").join(tool);
    if !binary.exists() {
        step("building the wasm-bindgen tools (a few minutes, once)", || {
            run(cargo()
                .args(["install", "--locked", "--quiet", "wasm-bindgen-cli", "--version", &version, "--root"])
                .arg(&folder)
                .arg("--target-dir")
                .arg(target().join("tools/build")))
        })?;
        // Only the tools are needed again.
        let _ = fs::remove_dir_all(target().join("tools/build"));
    }
    Ok(binary)
}

fn locked_version(package: &str) -> Result<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("Cargo.lock cannot be read")?;
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = \"")).and_then(|v| v.strip_suffix('"'));
    Ok(version.with_context(|| format!("Cargo.lock names no {package}"))?.to_owned())
}

/// `npm ci` in a folder, unless its lockfile is the one last installed.
pub(crate) fn npm_packages(folder: &str) -> Result<()> {
    let stamp = Stamp::of(&format!("npm-{folder}"), &[root().join(folder).join("package-lock.json")])?;
    if stamp.is_fresh() && root().join(folder).join("node_modules").exists() {
        return Ok(());
    }
    step(&format!("installing the npm packages of {folder}/"), || {
        run(command("npm", folder).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]))
    })?;
    stamp.set()
}

/// Remembers that something was done with exactly these inputs.
pub(crate) struct Stamp {
    file: PathBuf,
    digest: String,
}

impl Stamp {
    /// The stamp of `name` for these files and folders as they are now.
    pub(crate) fn of(name: &str, inputs: &[PathBuf]) -> Result<Stamp> {
        let mut hasher = Sha256::new();
        for input in inputs {
            hash(input, &mut hasher)?;
        }
        let digest = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Stamp { file: target().join("xtask").join(name.replace('/', "-")), digest })
    }

    /// Whether it was set with these very inputs.
    pub(crate) fn is_fresh(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|digest| digest == self.digest)
    }

    /// Sets it.
    pub(crate) fn set(&self) -> Result<()> {
        let folder = self.file.parent().expect("it stands in a folder");
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        fs::write(&self.file, &self.digest).with_context(|| format!("{} cannot be written", self.file.display()))
    }
}

fn hash(path: &Path, hasher: &mut Sha256) -> Result<()> {
    let context = || format!("{} cannot be read", path.display());
    if path.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path).with_context(context)?.filter_map(|e| Some(e.ok()?.path())).collect();
        entries.sort();
        for entry in entries {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !matches!(name.as_str(), "node_modules" | "target" | "dist" | "wasm" | "tests" | "e2e") {
                hash(&entry, hasher)?;
            }
        }
        return Ok(());
    }
    hasher.update(path.to_string_lossy().as_bytes());
    hasher.update(fs::read(path).with_context(context)?);
    Ok(())
}
