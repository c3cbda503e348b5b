//! The real program where there is no network: what it says, where it says it, and how it leaves.

use std::{
    io::{BufRead as _, Write as _},
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
        (&["log", "--wait", "20", &nothing], 6, "not on this device"),
        (&["show", &nothing], 2, "--at"),
        (&["show", &nothing, "--at", "yesterday"], 2, "a time is such as"),
        (&["cat", "no-such-file.sheaf"], 1, "no-such-file.sheaf"),
        (&["sync", &nothing], 2, "which file"),
        (&["sync", "no link", "notes.md"], 2, "no link to a document"),
        (&["sync", "folder"], 3, "sheaf login"),
        (&["edit", &nothing], 3, "sheaf login"),
        (&["status"], 3, "sheaf login"),
        (&["publish"], 3, "sheaf login"),
        (&["import", "x.html"], 2, "only written"),
        (&["completions", "tcsh"], 2, "tcsh"),
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

/// A document that somebody made without a network, with this text.
fn made(folder: &Path, title: &str, text: &str) -> String {
    let file = folder.join("made of this.md");
    std::fs::write(&file, text).unwrap();
    let made = run(folder, &["new", title, "--wait", "1", "--from", file.to_str().unwrap()], "");
    assert_eq!(made.status.code(), Some(6), "{made:?}");
    out(&made).trim().to_owned()
}

/// Runs what is done on this device and cannot be published.
fn away(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(folder, arguments, input);
    assert_eq!(output.status.code(), Some(6), "{arguments:?}: {output:?}");
    out(&output).to_owned()
}

#[test]
fn what_was_written_is_told_without_a_network_too() {
    let folder = signed_in();
    let uri = made(folder.path(), "Away", "One 👩‍👩‍👧.\n");
    away(folder.path(), &["append", "--wait", "1", &uri], "Two e\u{301}.\n");
    let log = away(folder.path(), &["log", "--json", &uri], "");
    let sitting: serde_json::Value = serde_json::from_str(&log).unwrap();
    let written = "One 👩‍👩‍👧.\nTwo e\u{301}.\n".encode_utf16().count();
    assert_eq!((&sitting["author"], &sitting["inserted"]), (&DID.into(), &written.into()));
    assert!(away(folder.path(), &["log", &uri], "").contains(DID));
    assert_eq!(away(folder.path(), &["show", &uri, "--at", "0s"], ""), "One 👩‍👩‍👧.\nTwo e\u{301}.\n");
    assert_eq!(away(folder.path(), &["show", &uri, "--at", "2020-01-01"], ""), "");
    let page = away(folder.path(), &["export", &uri, "--as", "html"], "");
    assert!(page.contains("<title>Away</title>") && page.contains("<p>One 👩‍👩‍👧."), "{page}");
    // What nobody has signed cannot be archived.
    let archived = run(folder.path(), &["export", &uri, "-o", "x.sheaf"], "");
    assert_eq!(archived.status.code(), Some(1), "{archived:?}");
    assert!(err(&archived).contains("signed record"), "{archived:?}");
}

#[test]
fn a_file_and_a_document_are_brought_in_step_without_a_network() {
    let folder = signed_in();
    let uri = made(folder.path(), "Away", "One.\nTwo.\nThree.\n");
    let file = folder.path().join("notes.md");
    let path = file.to_str().unwrap();
    let step = || away(folder.path(), &["sync", "--once", "--wait", "1", &uri, path], "");
    let cat = || away(folder.path(), &["cat", &uri], "");
    let held = || std::fs::read_to_string(&file).unwrap();
    step();
    assert_eq!(held(), "One.\nTwo.\nThree.\n");
    // Changes on both sides while nothing ran.
    std::fs::write(&file, "One 😀.\nThree.\n").unwrap();
    away(folder.path(), &["append", "--wait", "1", &uri], "Four e\u{301}.\n");
    step();
    assert_eq!(
        (held(), cat()),
        ("One 😀.\nThree.\nFour e\u{301}.\n".into(), "One 😀.\nThree.\nFour e\u{301}.\n".into())
    );
    // Line ends of another system are the file's own.
    std::fs::write(&file, held().replace('\n', "\r\n") + "Five.\r\n").unwrap();
    step();
    assert_eq!(cat(), "One 😀.\nThree.\nFour e\u{301}.\nFive.\n");
    away(folder.path(), &["append", "--wait", "1", &uri], "Six.\n");
    step();
    assert!(held().ends_with("Five.\r\nSix.\r\n"), "{:?}", held());
    // What cannot be meant changes nothing.
    let text = cat();
    for (wrong, says) in [(&b""[..], "is empty"), (&b"\xff\xfe"[..], "not UTF-8")] {
        std::fs::write(&file, wrong).unwrap();
        let output = run(folder.path(), &["sync", "--once", &uri, path], "");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(err(&output).contains(says), "{output:?}");
        assert_eq!(cat(), text);
    }
    std::fs::remove_file(&file).unwrap();
    step();
    assert!(held().ends_with("Six.\r\n") && cat() == text);
    // A file that has nothing to do with the document is not written over.
    std::fs::write(folder.path().join("other.md"), "Something else.\n").unwrap();
    let other = folder.path().join("other.md").display().to_string();
    let output = run(folder.path(), &["sync", "--once", &uri, &other], "");
    assert!(output.status.code() == Some(1) && err(&output).contains("never in step"), "{output:?}");
    // In a folder every document has a file, and what is written into it is taken up.
    made(folder.path(), "A/B: c?", "Other.\n");
    let all = folder.path().join("all");
    let sync_all = || away(folder.path(), &["sync", "--once", "--wait", "1", all.to_str().unwrap()], "");
    sync_all();
    assert_eq!(std::fs::read_to_string(all.join("A-B- c-.md")).unwrap(), "Other.\n");
    std::fs::write(all.join("Away.md"), text.clone() + "From the folder.\n").unwrap();
    sync_all();
    assert_eq!(cat(), text + "From the folder.\n");
}

#[cfg(unix)]
#[test]
fn a_file_that_goes_away_while_it_is_kept_in_step_takes_nothing_with_it() {
    let folder = signed_in();
    let uri = made(folder.path(), "Away", "One.\n");
    let file = folder.path().join("notes.md");
    let mut sync =
        sheaf(folder.path()).args(["sync", "--wait", "1", &uri, file.to_str().unwrap()]).spawn().unwrap();
    let mut said = std::io::BufReader::new(sync.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("are in step")), "it ended before that");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "One.\n");
    std::fs::remove_file(&file).unwrap();
    let rest: String = said.collect();
    assert!(rest.contains("is gone"), "{rest}");
    assert_eq!(sync.wait().unwrap().code(), Some(1));
    assert_eq!(away(folder.path(), &["cat", &uri], ""), "One.\n");
}

#[cfg(unix)]
#[test]
fn a_document_is_written_in_with_ones_own_editor() {
    let folder = signed_in();
    let uri = made(folder.path(), "My notes", "One.\n");
    let edit = |script: &str| {
        let mut command = sheaf(folder.path());
        command.env("VISUAL", script).args(["edit", "--wait", "1", &uri]).output().unwrap()
    };
    let added = edit("sh -c 'echo Two. >> \"$1\"; basename \"$1\"' --");
    assert_eq!(added.status.code(), Some(6), "{added:?}");
    assert_eq!(out(&added), "My notes.md\n");
    assert_eq!(away(folder.path(), &["cat", &uri], ""), "One.\nTwo.\n");
    let unchanged = edit("true");
    assert!(unchanged.status.success() && err(&unchanged).contains("Nothing was changed"), "{unchanged:?}");
    // What went wrong is kept, and an empty file empties nothing.
    for script in ["sh -c 'echo Lost? >> \"$1\"; exit 3' --", "truncate -s 0"] {
        let failed = edit(script);
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
        let (_, kept) = err(&failed).trim().split_once("what you wrote is in ").unwrap();
        assert!(Path::new(kept).exists(), "{failed:?}");
    }
    assert_eq!(away(folder.path(), &["cat", &uri], ""), "One.\nTwo.\n");
}

#[test]
fn what_waits_is_told_and_not_forgotten_by_mistake() {
    let folder = signed_in();
    assert!(err(&run(folder.path(), &["status"], "")).contains("Everything on this device is published"));
    let uri = made(folder.path(), "Away", "One.\n");
    let status = run(folder.path(), &["status", "--json"], "");
    let status: serde_json::Value = serde_json::from_str(out(&status)).unwrap();
    assert_eq!((&status["uri"], &status["waiting"]), (&uri.as_str().into(), &2.into()));
    assert_eq!(run(folder.path(), &["publish", "--wait", "1"], "").status.code(), Some(6));
    let refused = run(folder.path(), &["rm", &uri], "");
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    assert!(err(&refused).contains("--even-unpublished"), "{refused:?}");
    assert_eq!(away(folder.path(), &["cat", &uri], ""), "One.\n");
    assert!(run(folder.path(), &["rm", "--even-unpublished", &uri], "").status.success());
    assert!(out(&run(folder.path(), &["status"], "")).is_empty());
    assert_eq!(run(folder.path(), &["cat", &uri, "--wait", "5"], "").status.code(), Some(6));
}

#[test]
fn a_file_that_is_no_archive_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.sheaf");
    for bytes in [&b""[..], b"# Notes", b"\x0a\xa1", &[0xff; 4_000]] {
        std::fs::write(&file, bytes).unwrap();
        for command in ["cat", "log", "verify"] {
            let output = run(folder.path(), &[command, file.to_str().unwrap()], "");
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(out(&output).is_empty() && err(&output).contains("as an archive"), "{output:?}");
        }
    }
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let man = run(folder.path(), &["man"], "");
    assert!(man.status.success() && out(&man).starts_with(".ie"), "{}", &out(&man)[..200]);
    for command in ["sync", "edit", "log", "show", "verify", "export", "import", "rm", "publish", "status"] {
        assert!(out(&man).contains(&format!("SHEAF {}", command.to_uppercase())), "{command}");
        for shell in ["bash", "zsh", "fish"] {
            let script = run(folder.path(), &["completions", shell], "");
            assert!(script.status.success() && out(&script).contains(command), "{shell}: {command}");
        }
        let help = run(folder.path(), &[command, "--help"], "");
        assert!(help.status.success() && !out(&help).contains('\u{1b}'), "{help:?}");
    }
}
