//! Steps that take a while: said when they begin, while they last, and when they end; and the programs they run.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sheaf_devnet::setup::Progress;

/// How long a step may be silent.
const REMINDER: Duration = Duration::from_secs(15);

/// A step under way. Dropping it ends it and says how long it took.
pub(crate) struct Step {
    name: String,
    began: Instant,
    reminder: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Step {
    pub(crate) fn begin(name: impl Into<String>) -> Self {
        let name = name.into();
        let began = Instant::now();
        eprintln!("· {name}");
        let (ended, wait) = mpsc::channel();
        let reminded = name.clone();
        let reminder = std::thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = wait.recv_timeout(REMINDER) {
                eprintln!("  … {reminded} ({} s)", began.elapsed().as_secs());
            }
        });
        Self { name, began, reminder: Some((ended, reminder)) }
    }
}

/// Shows the steps of somebody else's work: each ends when the next begins, the last when this is dropped.
#[derive(Default)]
pub(crate) struct Steps(Arc<Mutex<Option<Step>>>);

impl Steps {
    pub(crate) fn progress(&self) -> Progress {
        let steps = Arc::clone(&self.0);
        Arc::new(move |name| {
            let mut step = steps.lock().expect("no holder of this lock panics");
            step.take();
            *step = Some(Step::begin(name));
        })
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.0.lock().expect("no holder of this lock panics").take();
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some((ended, reminder)) = self.reminder.take() {
            drop(ended);
            let _ = reminder.join();
        }
        let took = self.began.elapsed();
        if took >= Duration::from_secs(1) {
            eprintln!("  {}: {:.1} s", self.name, took.as_secs_f64());
        }
    }
}

/// A program to run, in the repository's root unless told otherwise.
pub(crate) struct Program(Command);

impl Program {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(crate::root()).stdin(Stdio::null());
        // These describe the run of xtask itself, and would make a Cargo within, or within what this runs, take what is built for
        // something else and build it anew.
        let of_this_run = |name: &str| {
            ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_NAME", "CARGO_CRATE_NAME"]
                .iter()
                .any(|of| name.starts_with(of))
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_this_run)) {
            command.env_remove(name);
        }
        Self(command)
    }

    /// The Cargo that runs us.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn npm(directory: &Path) -> Self {
        let mut npm = Self::new("npm");
        npm.0.current_dir(directory);
        npm
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it with its output in sight: on standard error, for standard output is ours.
    pub(crate) fn show(mut self) -> Result<()> {
        let stderr = std::io::stderr();
        let status = match stderr.as_fd().try_clone_to_owned() {
            Ok(stderr) => self.0.stdout(stderr).status(),
            Err(_) => self.0.stdout(Stdio::null()).status(),
        };
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => bail!("`{}` failed ({status})", self.line()),
            Err(error) => bail!(self.cannot_run(&error)),
        }
    }

    /// Runs it with its output where it belongs: what it prints is the result that was asked for.
    pub(crate) fn show_results(mut self) -> Result<()> {
        match self.0.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => bail!("`{}` failed ({status})", self.line()),
            Err(error) => bail!(self.cannot_run(&error)),
        }
    }

    /// Runs it and returns what it printed on standard output, with its standard error in sight.
    pub(crate) fn read_seeing_errors(mut self) -> Result<String> {
        match self.0.stderr(Stdio::inherit()).output() {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            Ok(output) => bail!("`{}` failed ({})", self.line(), output.status),
            Err(error) => bail!(self.cannot_run(&error)),
        }
    }

    /// Runs it and returns what it printed on standard output; its errors are shown only when it fails.
    pub(crate) fn read(mut self) -> Result<String> {
        match self.0.output() {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            Ok(output) => bail!(
                "`{}` failed ({})\n{}{}",
                self.line(),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => bail!(self.cannot_run(&error)),
        }
    }

    fn cannot_run(&self, error: &std::io::Error) -> String {
        let program = self.0.get_program().to_string_lossy();
        match error.kind() {
            ErrorKind::NotFound => format!("`{program}` is not installed"),
            _ => format!("`{program}` cannot be run: {error}"),
        }
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}
