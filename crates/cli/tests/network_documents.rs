//! The real program against real servers, as a script would use it.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use sheaf_devnet::{Account, Network};

struct Person<'a> {
    network: &'a Network,
    folder: tempfile::TempDir,
}

impl Person<'_> {
    async fn new<'a>(network: &'a Network, account: &Account) -> Person<'a> {
        let person = Person { network, folder: tempfile::tempdir().unwrap() };
        let output = person.run_with(&["login", &account.handle], "", Some(&account.password));
        assert!(output.status.success(), "{output:?}");
        person
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        self.run_with(arguments, input, None)
    }

    fn run_with(&self, arguments: &[&str], input: &str, password: Option<&str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
        command
            .args(arguments)
            .env_remove("SHEAF_APP_PASSWORD")
            .env("SHEAF_PLC", self.network.plc_url())
            .env("SHEAF_HANDLE_RESOLVER", self.network.handle_resolver_url())
            .env("SHEAF_DATA_DIR", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(password) = password {
            command.env("SHEAF_APP_PASSWORD", password);
        }
        let mut child = command.spawn().unwrap();
        // A command that fails early does not read its input; that is its right.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn says(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments, "text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.lines().count() >= 1 && said.len() < 2_000, "{said}");
        said
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_made_shared_read_and_written_from_a_terminal() {
    let network = Network::builder().start().await.unwrap();
    let alice_account = network.create_account("alice.test").await.unwrap();
    let bob_account = network.create_account("bob.test").await.unwrap();
    let alice = Person::new(&network, &alice_account).await;
    let bob = Person::new(&network, &bob_account).await;
    let nobody = Person { network: &network, folder: tempfile::tempdir().unwrap() };

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
    let wrong = alice.run_with(&["login", "alice.test"], "", Some("not the password"));
    assert_eq!(wrong.status.code(), Some(3), "{wrong:?}");

    // The server goes away: what is written waits on this device and goes out when it is back.
    network.pds(0).stop().await.unwrap();
    let away = alice.run(&["append", "--wait", "10", uri], "Written meanwhile.\n");
    assert_eq!(away.status.code(), Some(6), "{away:?}");
    network.pds(0).start().await.unwrap();
    alice.says(&["append", uri], "And after.\n");
    let whole = format!("{notes}Bob was here.\nWritten meanwhile.\nAnd after.\n");
    assert_eq!(nobody.says(&["cat", uri], ""), whole);

    alice.says(&["logout"], "");
    alice.fails(&["whoami"], 3);
    network.stop().await.unwrap();
}
