//! The real program against real servers, as a script would use it.

mod person;

use sheaf_devnet::Network;

use crate::person::Person;

#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_made_shared_read_and_written_from_a_terminal() {
    let network = Network::builder().start().await.unwrap();
    let alice_account = network.create_account("alice.test").await.unwrap();
    let bob_account = network.create_account("bob.test").await.unwrap();
    let alice = Person::signed_in(&network, &alice_account);
    let bob = Person::signed_in(&network, &bob_account);
    let nobody = Person::nobody(&network);

    assert_eq!(alice.says(&["whoami"], ""), "alice.test\n");
    let who: serde_json::Value = serde_json::from_str(&alice.says(&["whoami", "--json"], "")).unwrap();
    assert_eq!(who["did"], alice_account.did);
    #[cfg(unix)]
    assert_eq!(mode(&alice.folder.path().join("session.json")), 0o600);

    let file = alice.folder.path().join("notes.md");
    let notes = "# Notes 🌾\r\ne\u{301} שלום\n";
    std::fs::write(&file, notes).unwrap();
    let uri = alice.says(&["new", "From a terminal", "--from", file.to_str().unwrap()], "");
    let uri = uri.strip_suffix('\n').unwrap();
    assert!(uri.starts_with(&format!("at://{}/", alice_account.did)), "{uri}");

    // Anyone reads; only editors write.
    assert_eq!(nobody.says(&["cat", uri], ""), notes);
    assert_eq!(bob.says(&["cat", uri], ""), notes);
    // Whoever reads in passing, an owner or editor too, is not said to be there.
    alice.says(&["cat", uri], "");
    let query = format!("repo={}&collection=dev.sheaf.awareness", alice_account.did);
    let present = alice_account.sign_in().await.unwrap().query("com.atproto.repo.listRecords", &query).await;
    let before = present.unwrap()["records"].clone();
    alice.says(&["cat", uri], "");
    let present = alice_account.sign_in().await.unwrap().query("com.atproto.repo.listRecords", &query).await;
    assert_eq!(present.unwrap()["records"], before);
    bob.fails(&["append", uri], 5);
    bob.fails(&["share", uri, "bob.test"], 5);
    nobody.fails(&["append", uri], 3);
    alice.says(&["share", uri, "bob.test"], "");
    bob.says(&["append", uri], "Bob was here.\n");
    assert_eq!(alice.says(&["cat", uri], ""), format!("{notes}Bob was here.\n"));

    let read: serde_json::Value = serde_json::from_str(&nobody.says(&["cat", "--json", uri], "")).unwrap();
    assert_eq!(read["title"], "From a terminal");
    assert_eq!(read["editors"].as_array().unwrap().len(), 2);
    let listed = bob.says(&["list", "--json"], "");
    let entry: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!((entry["uri"].as_str(), entry["shared"].as_bool()), (Some(uri), Some(true)));

    // A link of the app names a document as well as its address does; sharing twice is sharing once.
    let path = uri.strip_prefix("at://").unwrap().replace("/dev.sheaf.document", "");
    assert_eq!(
        nobody.says(&["cat", &format!("http://127.0.0.1:4700/#/d/{path}")], ""),
        nobody.says(&["cat", uri], "")
    );
    alice.says(&["share", uri, "@bob.test"], "");

    // Two programs of one account at once are two replicas: neither loses anything.
    let first = alice.starts(&["append", uri], "One.\n");
    let second = alice.starts(&["append", uri], "Two.\n");
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let text = nobody.says(&["cat", uri], "");
    assert!(text.contains("One.\n") && text.contains("Two.\n"), "{text}");

    // A large text becomes several records and comes back whole.
    let long = "A long line of a long file, with 😀 in it.\n".repeat(4_000);
    std::fs::write(&file, &long).unwrap();
    let large = alice.says(&["new", "Large", "--from", file.to_str().unwrap()], "");
    assert_eq!(nobody.says(&["cat", large.trim()], ""), long);

    // What goes wrong is told by a sentence and an exit code.
    alice.fails(&["share", uri, "nobody-of-that-name.test"], 4);
    alice.fails(&["cat", "not an address"], 2);
    alice.fails(&["cat", &format!("at://{}/dev.sheaf.document/3jzfcijpj2z2a", alice_account.did)], 4);
    alice.fails(&["new", "No file", "--from", "no-such-file.md"], 1);
    let wrong = alice.signs_in("alice.test", "not the password");
    assert_eq!(wrong.status.code(), Some(3), "{wrong:?}");

    alice.says(&["logout"], "");
    alice.fails(&["whoami"], 3);
    network.stop().await.unwrap();
}
