//! Kills whoever is writing, at any moment, and looks for what was written.
//!
//! Two kinds of rounds take turns. In one somebody types through the same client and store that the command line uses, and
//! says of each keystroke when it is on screen and when it is durable. In the other a file is written while `sheaf sync` runs.
//! Either is killed with SIGKILL after a random while. Then the real program prints the document: every keystroke that was
//! called durable, or had been on screen for a second, is in it, in its order and once.
//!
//! 30 rounds by default; `SHEAF_KILLS=1000` asks for more, `SHEAF_TEST_SEED` for others.

#[cfg(unix)]
mod killed_support;

#[cfg(unix)]
fn main() {
    killed_support::main();
}

#[cfg(not(unix))]
fn main() {}
