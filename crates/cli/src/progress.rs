//! What takes long says how far it has come: on a terminal, on standard error, in one line that goes away again.

use std::{
    cell::{Cell, RefCell},
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use crate::device::Device;

/// What is over sooner says nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest line, in characters: a line that wraps could not be taken away.
const MAX_LINE: usize = 72;

pub(crate) struct Progress {
    since: Instant,
    is_shown: bool,
    is_there: Cell<bool>,
    last: RefCell<String>,
}

impl Progress {
    pub(crate) fn begin(device: &Device) -> Progress {
        // A terminal that cannot take a line back is told nothing.
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let is_shown = !device.is_quiet() && !is_dumb && std::io::stderr().is_terminal();
        Progress { since: Instant::now(), is_shown, is_there: Cell::new(false), last: RefCell::default() }
    }

    /// Shows how far it is, once it takes long.
    pub(crate) fn show(&self, line: impl FnOnce() -> String) {
        if !self.is_shown || self.since.elapsed() < PATIENCE {
            return;
        }
        let line: String = line().chars().take(MAX_LINE).collect();
        if *self.last.borrow() != line {
            // Where nobody listens there is nobody to tell.
            let _ = write!(std::io::stderr().lock(), "\r\u{1b}[K{line}");
            self.is_there.set(true);
            self.last.replace(line);
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        if self.is_there.replace(false) {
            let _ = write!(std::io::stderr().lock(), "\r\u{1b}[K");
            self.last.borrow_mut().clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
