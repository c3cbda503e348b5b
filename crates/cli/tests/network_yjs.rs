//! Real Yjs, from npm, and ours: it reads what we publish, we read what it writes, and it reads that again.

mod person;

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use serde_json::Value;
use sheaf_devnet::Network;

use crate::person::Person;

/// Asks `crates/devnet/network/yjs.mjs`.
fn yjs(node: &Path, arguments: &[&str], input: &[u8]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../devnet/network/yjs.mjs");
    let mut process = Command::new(node)
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the pinned Node runs");
    process.stdin.take().expect("it is piped").write_all(input).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{arguments:?}");
    serde_json::from_slice(&output.stdout).expect("it answers in JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn yjs_reads_our_records_and_we_its_documents() {
    let installed = sheaf_devnet::setup(Arc::new(|_| {})).await.unwrap();
    let node = installed.node();
    let network = Network::builder().start().await.unwrap();
    let alice_account = network.create_account("alice.test").await.unwrap();
    let bob_account = network.create_account("bob.test").await.unwrap();
    let alice = Person::signed_in(&network, &alice_account);
    let bob = Person::signed_in(&network, &bob_account);
    let file = |name: &str| alice.folder.path().join(name).display().to_string();

    for (seed, root) in [("1", "codemirror"), ("2", "text"), ("3", "ü 🌾")] {
        let theirs = yjs(node, &["write", root, seed], b"");
        let text = theirs["text"].as_str().unwrap();
        assert!(text.len() > 200, "seed {seed}: a text to speak of");
        let update = theirs["update"].as_str().unwrap();
        let path = file(&format!("Their {seed}.yjs"));
        std::fs::write(&path, hex(update)).unwrap();

        // Imported …
        let uri = alice.says(&["import", &path], "");
        let uri = uri.trim();
        assert_eq!(bob.says(&["cat", uri], ""), text, "seed {seed}");
        let read: Value = serde_json::from_str(&bob.says(&["cat", uri, "--json"], "")).unwrap();
        assert_eq!(read["title"], format!("Their {seed}"));
        // … edited by two …
        alice.says(&["share", uri, "bob.test"], "");
        bob.says(&["append", uri], "Bob e\u{301} 👩‍👩‍👧\r\n");
        alice.says(&["append", uri], "Alice שלום\n");
        let text = format!("{text}Bob e\u{301} 👩‍👩‍👧\r\nAlice שלום\n");
        // … read by Yjs from the records alone …
        let pds = network.pds(0).url();
        assert_eq!(yjs(node, &["records", &pds, uri], b"")["text"], text, "seed {seed}");
        // … exported and read back, by Yjs and by us.
        let exported = file(&format!("ours {seed}.yjs"));
        bob.says(&["export", uri, "--output", &exported], "");
        let bytes = std::fs::read(&exported).unwrap();
        assert_eq!(yjs(node, &["read", "text"], &bytes)["text"], text, "seed {seed}");
        let again = alice.says(&["import", &exported, "--title", "Again"], "");
        assert_eq!(bob.says(&["export", again.trim()], ""), text, "seed {seed}");
    }

    // What is no such document is refused with a sentence, and nothing is made.
    let wrong = file("wrong.yjs");
    std::fs::write(&wrong, b"\x01\x01").unwrap();
    let said = alice.fails(&["import", &wrong], 1);
    assert!(said.contains("is no Yjs document"), "{said}");
}

fn hex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex");
    (0..digits.len()).step_by(2).map(pair).collect()
}
