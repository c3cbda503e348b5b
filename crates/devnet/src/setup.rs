//! Installs what the network runs on: the npm packages of `network/` and the Jetstream binaries of `jetstream/` and
//! `jetstream-v2/`.
//!
//! Both are pinned by lockfiles, done once, and done again only when a lockfile changes. Several processes may ask at
//! the same time: the first one works, the others wait for it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};

/// What [`setup`] is doing now, one short line a step.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// The programs a network is made of.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The Node runtime that the PDS needs, from the lockfile; the machine's own may be older.
    pub(crate) node: PathBuf,
    /// The script that runs the servers.
    pub(crate) script: PathBuf,
    /// The Jetstream binary, or why there is none.
    pub(crate) jetstream: Result<PathBuf, String>,
}

impl Installed {
    /// The Node runtime that runs the scripts in `network/`.
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// Why there is no Jetstream, if there is none: a sentence for the user.
    pub fn jetstream_missing(&self) -> Option<&str> {
        self.jetstream.as_ref().err().map(String::as_str)
    }
}

/// Installs the servers if they are not there yet, telling `progress` of each long step.
///
/// # Errors
/// When Node or npm is missing or the packages cannot be installed. A missing Go is no error: see
/// [`Installed::jetstream_missing`].
pub async fn setup(progress: Progress) -> Result<Installed> {
    tokio::task::spawn_blocking(move || {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let network = here.join("network");
        let node = install_servers(&network, &progress)?;
        let jetstream = build_jetstream("jetstream", &progress)?;
        Ok(Installed { node, script: network.join("server.mjs"), jetstream })
    })
    .await
    .expect("setting up does not panic")
}

fn install_servers(network: &Path, progress: &Progress) -> Result<PathBuf> {
    let node = network.join("node_modules/node/bin/node");
    install_packages(network, "installing the PDS and PLC server from npm (about a minute, once)", progress)?;
    ensure!(node.exists(), "npm installed the packages but not the pinned Node runtime ({})", node.display());
    Ok(node)
}

/// Has npm install exactly what the lockfile in `directory` says, unless it has done so already. `step` is what
/// `progress` is told first.
///
/// # Errors
/// When npm is missing or fails; the message ends with what it said.
pub fn install_packages(directory: &Path, step: &str, progress: &Progress) -> Result<()> {
    let stamp = directory.join("node_modules/.installed-from");
    let lockfile = directory.join("package-lock.json");
    if is_stamped(&stamp, &[&lockfile]) {
        return Ok(());
    }
    let _alone = lock(&lockfile)?;
    if is_stamped(&stamp, &[&lockfile]) {
        return Ok(());
    }
    progress(step);
    run(Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(directory))
    .context(
        "npm could not install the packages: it needs Node 22.12 or newer with npm, and the npm registry",
    )?;
    write_stamp(&stamp, &[&lockfile])
}

/// Builds Jetstream's second version if it is not there yet: the binary, or why there is none. It wants a newer Go than
/// anything else here, so only what needs it asks for it.
///
/// # Errors
/// When the target directory cannot be written.
pub(crate) async fn jetstream_v2(progress: Progress) -> Result<Result<PathBuf, String>> {
    tokio::task::spawn_blocking(move || build_jetstream("jetstream-v2", &progress))
        .await
        .expect("setting up does not panic")
}

/// Builds the binary that the module of this name pins.
fn build_jetstream(name: &str, progress: &Progress) -> Result<Result<PathBuf, String>> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let inputs = [module.join("go.mod"), module.join("go.sum")];
    let inputs = [inputs[0].as_path(), inputs[1].as_path()];
    let cache = target_directory().join("devnet");
    fs::create_dir_all(&cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    let binary = cache.join(name);
    let stamp = cache.join(format!("{name}.built-from"));
    if is_stamped(&stamp, &inputs) && binary.exists() {
        return Ok(Ok(binary));
    }
    let _alone = lock(&cache.join(format!("{name}.lock")))?;
    if is_stamped(&stamp, &inputs) && binary.exists() {
        return Ok(Ok(binary));
    }
    if Command::new("go").arg("version").output().is_err() {
        return Ok(Err(
            "Go is not installed, so there is no Jetstream: the PDS's own firehose does its work".into(),
        ));
    }
    progress("building Jetstream with Go (about two minutes, once)");
    let built = run(Command::new("go")
        .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"])
        .args([binary.as_os_str(), OsStr::new("github.com/bluesky-social/jetstream/cmd/jetstream")])
        // Where this Go is too old, say so rather than fetch another one.
        .env("GOTOOLCHAIN", "local")
        .current_dir(module));
    if let Err(error) = built {
        return Ok(Err(format!(
            "Jetstream could not be built, so the PDS's own firehose does its work: {error:#}"
        )));
    }
    write_stamp(&stamp, &inputs)?;
    Ok(Ok(binary))
}

/// Cargo's target directory: what is built once is kept there, and `cargo clean` clears it.
fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => directory.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
    }
}

/// Where Node keeps the servers' compiled code between runs.
pub(crate) fn compile_cache() -> PathBuf {
    target_directory().join("devnet/node-compile-cache")
}

/// A stamp holds its inputs' very bytes: no hash to trust, and a half-written one matches nothing.
fn is_stamped(stamp: &Path, inputs: &[&Path]) -> bool {
    match (fs::read(stamp), contents(inputs)) {
        (Ok(stamped), Ok(now)) => stamped == now,
        _ => false,
    }
}

fn write_stamp(stamp: &Path, inputs: &[&Path]) -> Result<()> {
    fs::write(stamp, contents(inputs)?).with_context(|| format!("{} cannot be written", stamp.display()))
}

fn contents(inputs: &[&Path]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for input in inputs {
        all.extend(fs::read(input).with_context(|| format!("{} cannot be read", input.display()))?);
    }
    Ok(all)
}

/// Waits until no other process holds this lock; it is let go when the file is dropped.
fn lock(path: &Path) -> Result<File> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(_) => File::create(path).with_context(|| format!("{} cannot be written", path.display()))?,
    };
    file.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
    Ok(file)
}

/// Runs to the end, quietly: what it printed is only shown when it fails.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!("`{name}` is not installed"),
        Err(error) => bail!("`{name}` cannot be run: {error}"),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = said.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        bail!("`{name}` failed ({}):\n{tail}", output.status);
    }
    Ok(())
}
