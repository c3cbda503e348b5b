//! The real program where there is no network: what it says, where it says it, and how it leaves.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
/// Nothing listens here.
const NOWHERE: &str = "http://localhost:1";

fn sheaf(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
    for name in ["SHEAF_APP_PASSWORD", "SHEAF_JETSTREAM", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
        .env("SHEAF_PLC", NOWHERE)
        .env("SHEAF_HANDLE_RESOLVER", NOWHERE)
        .env("SHEAF_DATA_DIR", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = sheaf(folder).args(arguments).spawn().unwrap();
    // A command that fails early does not read its input; that is its right.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Somebody who signed in while there was a network.
fn signed_in() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let session = serde_json::json!({
        "did": DID, "handle": "alice.test", "pds": NOWHERE,
        "tokens": { "kind": "password", "access": "secret-access", "refresh": "secret-refresh" },
    });
    std::fs::write(folder.path().join("session.json"), session.to_string()).unwrap();
    folder
}

#[test]
fn help_tells_the_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--help"], "");
    assert_eq!(output.status.code(), Some(0));
    for code in 0..=6 {
        assert!(out(&output).contains(&format!("\n  {code}  ")), "{code}: {}", out(&output));
    }
    assert!(run(folder.path(), &["--version"], "").stdout.starts_with(b"sheaf "));
}

#[test]
fn every_failure_is_a_sentence_and_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = format!("at://{DID}/dev.sheaf.document/3jzfcijpj2z2a");
    let cases: &[(&[&str], i32, &str)] = &[
        (&[], 2, "Usage"),
        (&["cat"], 2, "<DOCUMENT>"),
        (&["cat", "notes.md"], 2, "no link to a document"),
        (&["cat", "https://sheaf.example/#/d/did:plc:ewvi"], 2, "cut off"),
        (&["cat", "--wait", "0", &nothing], 2, "--wait"),
        (&["whoami", "--plc", "http://plc.example"], 2, "plc"),
        (&["login"], 2, "sheaf login HANDLE"),
        (&["login", "alice.test", "--app-password"], 2, "SHEAF_APP_PASSWORD"),
        (&["login", "alice.test"], 6, "alice.test cannot be looked up now"),
        (&["login", "not a handle"], 2, "not a handle"),
        (&["whoami"], 3, "sheaf login"),
        (&["list"], 3, "sheaf login"),
        (&["new", "A title"], 3, "sheaf login"),
        (&["append", &nothing], 3, "sheaf login"),
        (&["share", &nothing, "bob.test"], 3, "sheaf login"),
        (&["new", "A title", "--from", "no-such-file.md"], 1, "no-such-file.md"),
        (&["cat", "--wait", "20", &nothing], 6, "not on this device"),
    ];
    for (arguments, code, says) in cases {
        let output = run(folder.path(), arguments, "text");
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
        assert!(err(&output).contains(says), "{arguments:?}: {output:?}");
        // The argument parser shows the usage too; what we say ourselves is one line.
        if err(&output).starts_with("sheaf: ") {
            assert_eq!(err(&output).lines().count(), 1, "{arguments:?}: {output:?}");
        }
    }
}

#[test]
fn what_is_written_without_a_network_waits_on_this_device() {
    let folder = signed_in();
    let who = run(folder.path(), &["whoami", "--json"], "");
    let who: serde_json::Value = serde_json::from_str(out(&who)).unwrap();
    assert_eq!((&who["did"], &who["handle"]), (&DID.into(), &"alice.test".into()));

    let file = folder.path().join("notes.md");
    let notes = "# Notes 🌾\r\ne\u{301} שלום\n";
    std::fs::write(&file, notes).unwrap();
    let made = run(folder.path(), &["new", "Away", "--wait", "1", "--from", file.to_str().unwrap()], "");
    assert_eq!(made.status.code(), Some(6), "{made:?}");
    assert!(err(&made).contains("saved on this device; "), "{made:?}");
    let uri = out(&made).strip_suffix('\n').unwrap();
    assert!(uri.starts_with(&format!("at://{DID}/dev.sheaf.document/")), "{uri}");

    // By its address and by a link; more can be added; a second program sees what the first one wrote.
    let link = uri.replace("at://", "http://127.0.0.1:4700/#/d/").replace("/dev.sheaf.document", "");
    let added = run(folder.path(), &["--quiet", "append", "--wait", "1", &link], "More.\n");
    assert_eq!(added.status.code(), Some(6), "{added:?}");
    assert_eq!(err(&added).lines().count(), 1, "{added:?}");
    let read = run(folder.path(), &["cat", "--json", uri], "");
    assert_eq!(read.status.code(), Some(6), "{read:?}");
    let read: serde_json::Value = serde_json::from_str(out(&read)).unwrap();
    assert_eq!(read["text"], format!("{notes}More.\n"));
    assert_eq!((&read["title"], &read["complete"]), (&"Away".into(), &false.into()));
    assert!(read["waiting"].as_u64().unwrap() >= 2, "{read}");

    let list = run(folder.path(), &["list", "--json"], "");
    assert_eq!(list.status.code(), Some(6), "{list:?}");
    let entry: serde_json::Value = serde_json::from_str(out(&list)).unwrap();
    assert_eq!((entry["uri"].as_str(), &entry["shared"]), (Some(uri), &false.into()));

    // Only its owner shares a document, which needs no asking.
    let other = format!("at://{}/dev.sheaf.document/3jzfcijpj2z2a", DID.replace('e', "f"));
    assert_eq!(run(folder.path(), &["share", &other, "bob.test"], "").status.code(), Some(5));

    let bye = run(folder.path(), &["logout"], "");
    assert_eq!(bye.status.code(), Some(0), "{bye:?}");
    assert!(err(&bye).contains("not published yet"), "{bye:?}");
    assert!(!folder.path().join("session.json").exists());
    assert_eq!(run(folder.path(), &["cat", "--wait", "20", uri], "").status.code(), Some(6));
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let folder = signed_in();
    let mut child = sheaf(folder.path()).arg("whoami").spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[cfg(unix)]
#[test]
fn what_is_kept_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = signed_in();
    let kept = folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    std::fs::rename(folder.path().join("session.json"), kept.join("session.json")).unwrap();
    run(&kept, &["new", "Away", "--wait", "1"], "");
    let account = kept.join(DID.replace(':', "+"));
    for (path, mode) in [(account.clone(), 0o700), (account.join("store.sqlite"), 0o600)] {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
}
