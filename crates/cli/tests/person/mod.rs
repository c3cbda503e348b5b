//! Somebody at a terminal of their own: the real program, with a folder to keep things in.

use std::{
    io::Write as _,
    process::{Child, Command, Output, Stdio},
};

use sheaf_devnet::{Account, Network};

pub(crate) struct Person<'a> {
    network: &'a Network,
    pub(crate) folder: tempfile::TempDir,
}

impl Person<'_> {
    /// Somebody who has not signed in.
    pub(crate) fn nobody(network: &Network) -> Person<'_> {
        Person { network, folder: tempfile::tempdir().unwrap() }
    }

    /// Somebody who has.
    pub(crate) fn signed_in<'a>(network: &'a Network, account: &Account) -> Person<'a> {
        let person = Person::nobody(network);
        let output = person.signs_in(&account.handle, &account.password);
        assert!(output.status.success(), "{output:?}");
        person
    }

    pub(crate) fn signs_in(&self, handle: &str, password: &str) -> Output {
        let mut command = self.command(&["login", handle]);
        command.env("SHEAF_APP_PASSWORD", password).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
        for name in ["SHEAF_APP_PASSWORD", "SHEAF_JETSTREAM", "RUST_LOG"] {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .env("SHEAF_PLC", self.network.plc_url())
            .env("SHEAF_HANDLE_RESOLVER", self.network.handle_resolver_url())
            .env("SHEAF_DATA_DIR", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts a command and hands it its input.
    pub(crate) fn starts(&self, arguments: &[&str], input: &str) -> Child {
        let mut child = self.command(arguments).spawn().unwrap();
        // A command that fails early does not read its input; that is its right.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child
    }

    pub(crate) fn runs(&self, arguments: &[&str], input: &str) -> Output {
        self.starts(arguments, input).wait_with_output().unwrap()
    }

    /// What a command prints that goes well.
    pub(crate) fn says(&self, arguments: &[&str], input: &str) -> String {
        let output = self.runs(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command complains of that leaves with this code and prints nothing.
    pub(crate) fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.runs(arguments, "text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.lines().count() >= 1 && said.len() < 2_000, "{said}");
        said
    }
}
