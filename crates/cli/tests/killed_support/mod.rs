//! The rounds, and what is checked after each.

mod typist;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use self::typist::{Keystroke, TYPIST};

const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
/// Nothing listens here.
const NOWHERE: &str = "http://localhost:1";
/// What has been on screen for so long is not to be lost.
const ON_SCREEN: Duration = Duration::from_secs(1);
/// The longest that anybody lives.
const LONGEST_LIFE: u64 = 1_600;
/// After so many rounds another document is begun, so that the last rounds are no slower than the first.
const ROUNDS_A_DOCUMENT: u64 = 40;

/// SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[allow(clippy::print_stdout)] // What a test has to say.
pub(super) fn main() {
    if let Some(document) = std::env::var_os(TYPIST) {
        typist::types(&document.to_string_lossy());
        return;
    }
    // Like any other test it runs when all do, or when it is asked for by name.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !"killed".contains(&filter)) || std::env::args().any(|a| a == "--list") {
        return;
    }
    let asked = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (rounds, seed) = (asked("SHEAF_KILLS").unwrap_or(30), asked("SHEAF_TEST_SEED").unwrap_or(1));
    println!("killing {rounds} times, SHEAF_TEST_SEED={seed}");
    let folder = signed_in();
    let mut chance = Chance(seed);
    let mut tally = Tally::default();
    let mut uri = String::new();
    for round in 0..rounds {
        if round % ROUNDS_A_DOCUMENT == 0 {
            println!("{round} done, {} keystrokes and {} lines so far", tally.seen, tally.lines);
            uri = make(folder.path(), round);
        }
        if round % 3 == 2 {
            file_round(folder.path(), &uri, round, &mut chance, &mut tally);
        } else {
            typing_round(folder.path(), &uri, round, &mut chance, &mut tally);
        }
    }
    println!(
        "killed {rounds} times: {} keystrokes seen, {} of them durable or a second old; {} lines written into files; none lost",
        tally.seen, tally.owed, tally.lines
    );
    assert!(tally.owed > 0 || rounds < 10, "nobody was given the time to write anything");
}

#[derive(Default)]
struct Tally {
    seen: usize,
    owed: usize,
    lines: usize,
}

/// Somebody who signed in while there was a network.
fn signed_in() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let session = serde_json::json!({
        "did": DID, "handle": "alice.test", "pds": NOWHERE,
        "tokens": { "kind": "password", "access": "secret-access", "refresh": "secret-refresh" },
    });
    fs::write(folder.path().join("session.json"), session.to_string()).unwrap();
    folder
}

fn sheaf(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
    for name in ["SHEAF_APP_PASSWORD", "SHEAF_JETSTREAM", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("SHEAF_PLC", NOWHERE)
        .env("SHEAF_HANDLE_RESOLVER", NOWHERE)
        .env("SHEAF_DATA_DIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command that ends as commands do without a network: done here, and not published.
fn away(folder: &Path, arguments: &[&str]) -> Output {
    let output = sheaf(folder, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{arguments:?}: {output:?}");
    output
}

fn make(folder: &Path, round: u64) -> String {
    let made = away(folder, &["new", &format!("Round {round}"), "--wait", "1"]);
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn text(folder: &Path, uri: &str) -> String {
    String::from_utf8(away(folder, &["cat", uri, "--wait", "20"]).stdout).unwrap()
}

/// Somebody types, and is killed.
fn typing_round(folder: &Path, uri: &str, round: u64, chance: &mut Chance, tally: &mut Tally) {
    let before = text(folder, uri);
    let seed = chance.below(u64::MAX);
    let mut typist = Command::new(std::env::current_exe().unwrap())
        .env(TYPIST, uri)
        .env("SHEAF_DATA_DIR", folder)
        .env("SHEAF_TYPIST_SEED", seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = typist.stdout.take().unwrap();
    let (sender, said) = mpsc::channel();
    let listening = thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send((Instant::now(), line)).is_err() {
                break;
            }
        }
    });
    live(chance);
    let killed_at = Instant::now();
    kill(&mut typist);
    listening.join().unwrap();
    let (mut seen, mut owed) = (0, 0);
    for (at, line) in said {
        let (what, number) = line.split_once(' ').expect("it says what of which");
        let number: usize = number.parse().expect("a number");
        if what == "typed" {
            seen = seen.max(number);
        }
        if what == "durable" || killed_at.saturating_duration_since(at) >= ON_SCREEN {
            owed = owed.max(number);
        }
    }
    // Each state that the text went through; what is there now is one of those that hold all that is owed.
    let after = text(folder, uri);
    let mut state = before.clone();
    let mut strokes = Chance(seed);
    let mut found = (owed == 0 && state == after).then_some(0);
    for number in 1..=seen + 2 {
        Keystroke::next(&mut strokes, &state).press(&mut state);
        if number >= owed && state == after {
            found = Some(number);
        }
    }
    assert!(
        found.is_some(),
        "round {round}: {owed} of {seen} keystrokes are owed\nbefore: {before:?}\nafter:  {after:?}"
    );
    tally.seen += seen;
    tally.owed += owed;
}

/// A file is written while it is kept in step, and whoever keeps it is killed.
fn file_round(folder: &Path, uri: &str, round: u64, chance: &mut Chance, tally: &mut Tally) {
    let file = folder.join("kept in step.md");
    let path = file.to_str().unwrap().to_owned();
    if round % ROUNDS_A_DOCUMENT < 3 && file.exists() {
        fs::remove_file(&file).unwrap(); // That of the document before.
    }
    away(folder, &["sync", "--once", uri, &path, "--wait", "1"]);
    let mut expected = fs::read_to_string(&file).unwrap();
    let mut sync = sheaf(folder, &["sync", uri, &path, "--wait", "1"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_millis(chance.below(LONGEST_LIFE));
    let mut line = 0;
    while Instant::now() < until {
        // Now by renaming, as editors do, now in place, as scripts do.
        let new = format!("{round}.{line} e\u{301} 👩‍👩‍👧 שלום\n");
        expected += &new;
        if chance.below(2) == 0 {
            let saved = folder.join("saved");
            fs::write(&saved, &expected).unwrap();
            fs::rename(&saved, &file).unwrap();
        } else {
            let mut appended = fs::OpenOptions::new().append(true).open(&file).unwrap();
            appended.write_all(new.as_bytes()).unwrap();
        }
        line += 1;
        thread::sleep(Duration::from_millis(chance.below(300)));
    }
    kill(&mut sync);
    away(folder, &["sync", "--once", uri, &path, "--wait", "1"]);
    let (held, shown) = (fs::read_to_string(&file).unwrap(), text(folder, uri));
    assert_eq!(held, expected, "round {round}: the file");
    assert_eq!(shown, expected, "round {round}: the document");
    tally.lines += line;
}

fn live(chance: &mut Chance) {
    thread::sleep(Duration::from_millis(chance.below(LONGEST_LIFE)));
}

fn kill(child: &mut Child) {
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
}
