//! Documents as files, against real servers: mirrored live, told about, put away with their proofs, and moved to another
//! account when the server is gone for good.

mod person;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sheaf_devnet::Network;

use crate::person::Person;

/// Waits for a file to hold what it should; how long it took is no matter, but not for ever.
async fn holds(path: &Path, expected: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if expected(&text) {
            return text;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{} holds {text:?}", path.display());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_a_file_and_outlives_its_server() {
    let network = Network::builder().pdses(2).start().await.unwrap();
    let alice_account = network.create_account("alice.test").await.unwrap();
    let bob_account = network.create_account("bob.test").await.unwrap();
    let alice = Person::signed_in(&network, &alice_account);
    let bob = Person::signed_in(&network, &bob_account);
    let nobody = Person::nobody(&network);
    let uri = alice.says(&["new", "Field notes"], "");
    let uri = uri.trim();
    alice.says(&["share", uri, "bob.test"], "");

    // A file that is kept in step while both write, one of them in an editor that saves by renaming.
    let file = alice.folder.path().join("notes.md");
    let path = file.to_str().unwrap();
    let mirror = alice.starts(&["sync", uri, path], "");
    holds(&file, |_| file.exists()).await;
    let saved = alice.folder.path().join("saved");
    std::fs::write(&saved, "# Notes 👩‍👩‍👧\n\nBy Alice.\n").unwrap();
    std::fs::rename(&saved, &file).unwrap();
    let began = Instant::now();
    while !nobody.says(&["cat", uri], "").contains("By Alice.") {
        assert!(began.elapsed() < Duration::from_secs(60), "what the file holds is not published");
    }
    bob.says(&["append", uri], "By Bob: e\u{301} שלום\n");
    holds(&file, |text| text.ends_with("By Bob: e\u{301} שלום\n")).await;
    let mut appended = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    std::io::Write::write_all(&mut appended, "Alice again.\n".as_bytes()).unwrap();
    drop(appended);
    let began = Instant::now();
    while !nobody.says(&["cat", uri], "").contains("Alice again.") {
        assert!(began.elapsed() < Duration::from_secs(60), "what the file holds is not published");
    }
    interrupt(&mirror);
    let left = mirror.wait_with_output().unwrap();
    assert!(left.status.success() && left.stdout.is_empty(), "{left:?}");
    let text = "# Notes 👩‍👩‍👧\n\nBy Alice.\nBy Bob: e\u{301} שלום\nAlice again.\n";
    assert_eq!(nobody.says(&["cat", uri], ""), text);

    // Changes on both sides while nothing ran are merged; others' own words are theirs in the log.
    std::fs::write(&file, text.replace("By Alice.", "By Alice, at her desk.")).unwrap();
    bob.says(&["append", uri], "Bob again.\n");
    alice.says(&["sync", "--once", uri, path], "");
    let text = text.replace("By Alice.", "By Alice, at her desk.") + "Bob again.\n";
    assert_eq!(nobody.says(&["cat", uri], ""), text);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let log = nobody.says(&["log", "--json", uri], "");
    let log: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |handle: &str| -> u64 {
        let of = log.iter().filter(|sitting| sitting["handle"] == handle);
        of.map(|sitting| sitting["inserted"].as_u64().unwrap() - sitting["deleted"].as_u64().unwrap()).sum()
    };
    let bobs = "By Bob: e\u{301} שלום\nBob again.\n".encode_utf16().count() as u64;
    assert_eq!((of("alice.test"), of("bob.test")), (text.encode_utf16().count() as u64 - bobs, bobs));
    assert!(nobody.says(&["log", uri], "").contains("bob.test"));
    assert_eq!(nobody.says(&["show", uri, "--at", "0s"], ""), text);
    assert_eq!(nobody.says(&["show", uri, "--at", "1w"], ""), "");
    let shown = nobody.says(&["show", uri, "--at", "0s", "--json"], "");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert!(shown["authored"].as_array().unwrap().iter().any(|run| run["handle"] == "bob.test"), "{shown}");

    // Where there is nothing there is nothing to tell.
    let nothing = format!("at://{}/dev.sheaf.document/3jzfcijpj2z2a", alice_account.did);
    bob.fails(&["log", &nothing], 4);
    bob.fails(&["sync", "--once", &nothing, path], 4);

    // A folder of all of one's documents.
    let folder = alice.folder.path().join("Notes");
    alice.says(&["sync", "--once", folder.to_str().unwrap()], "");
    assert_eq!(std::fs::read_to_string(folder.join("Field notes.md")).unwrap(), text);
    alice.says(&["new", "Field notes"], "");
    alice.says(&["sync", "--once", folder.to_str().unwrap()], "");
    assert!(folder.join("Field notes 2.md").exists());

    // A file that is given another name stays its document's, whether or not anything runs at that time.
    let (notes, folder_path) = (folder.join("Notes 🌾.md"), folder.to_str().unwrap());
    std::fs::rename(folder.join("Field notes.md"), &notes).unwrap();
    alice.says(&["sync", "--once", folder_path], "");
    assert!(!folder.join("Field notes.md").exists(), "it is not written anew under its old name");
    let mirror = alice.starts(&["sync", "--publish-new", folder_path], "");
    bob.says(&["append", uri], "Into the folder.\n");
    let text = text + "Into the folder.\n";
    holds(&notes, |held| held == text).await;
    let journal = folder.join("Journal.md");
    std::fs::rename(&notes, &journal).unwrap();
    holds(&folder.join(".sheaf"), |named| named.contains("Journal.md")).await;
    bob.says(&["append", uri], "And the journal.\n");
    let text = text + "And the journal.\n";
    holds(&journal, |held| held == text).await;
    assert!(!notes.exists());

    // A file that is no document becomes one where that is wished, and else is left alone.
    std::fs::write(folder.join("Found 🐚.md"), "Here e\u{301}\n").unwrap();
    holds(&folder.join(".sheaf"), |named| named.contains("Found 🐚.md")).await;
    interrupt(&mirror);
    let left = mirror.wait_with_output().unwrap();
    assert!(left.status.success(), "{left:?}");
    let listed = alice.says(&["list", "--json"], "");
    let found = listed.lines().find(|line| line.contains("Found 🐚")).expect("it is in the list");
    let found: serde_json::Value = serde_json::from_str(found).unwrap();
    assert_eq!(nobody.says(&["cat", found["uri"].as_str().unwrap()], ""), "Here e\u{301}\n");
    std::fs::write(folder.join("Private.md"), "Nobody's business.\n").unwrap();
    std::fs::write(folder.join("Journal.recovered-1.md"), "After a crash.\n").unwrap();
    let synced = alice.runs(&["sync", "--once", folder_path], "");
    assert!(String::from_utf8_lossy(&synced.stderr).contains("1 file is no document"), "{synced:?}");
    assert!(!alice.says(&["list", "--json"], "").contains("Private"));

    // An audit, and an archive that needs nobody.
    let audit = nobody.says(&["verify", "--json", uri], "");
    let audit: serde_json::Value = serde_json::from_str(&audit).unwrap();
    assert_eq!((audit["editors"].as_array().unwrap().len(), &audit["off"]), (2, &serde_json::json!([])));
    assert!(nobody.says(&["verify", uri], "").ends_with("Everything is in order.\n"));
    assert!(alice.says(&["verify", "--anew", uri], "").ends_with("Everything is in order.\n"));
    let archive = alice.folder.path().join("notes.sheaf");
    let archive = archive.to_str().unwrap();
    alice.says(&["export", uri, "-o", archive], "");
    nobody.fails(&["verify", "--anew", archive], 2);
    let confirmed = nobody.runs(&["verify", archive], "");
    assert!(String::from_utf8_lossy(&confirmed.stderr).contains("confirms 2 of 2 keys"), "{confirmed:?}");
    assert!(confirmed.status.success(), "{confirmed:?}");

    // The server is gone for good: the device has the document, the archive has it, and it moves to another account.
    let carol_account = network.pds(1).create_account("carol.test").await.unwrap();
    let carol = Person::signed_in(&network, &carol_account);
    bob.says(&["cat", uri], "");
    network.pds(0).stop().await.unwrap();
    assert_eq!(alice.runs(&["cat", "--wait", "5", uri], "").stdout, text.as_bytes());
    assert_eq!(nobody.says(&["cat", archive], ""), text);
    assert_eq!(nobody.says(&["log", "--json", archive], "").lines().count(), log.len());
    let again = bob.folder.path().join("again.sheaf");
    let kept = bob.runs(&["export", "--wait", "5", uri, "-o", again.to_str().unwrap()], "");
    assert_eq!(kept.status.code(), Some(6), "{kept:?}");
    assert_eq!(nobody.says(&["cat", again.to_str().unwrap()], ""), text);
    let moved = carol.says(&["import", archive], "");
    assert_eq!(nobody.says(&["cat", moved.trim()], ""), text);
    let listed = carol.says(&["list", "--json"], "");
    assert!(listed.contains("Field notes"), "{listed}");
    network.stop().await.unwrap();
}
