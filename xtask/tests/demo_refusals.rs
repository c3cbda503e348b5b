//! What `cargo xtask demo` cannot do is one sentence that says what to do, at once.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
};

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["demo", "--no-open"]).args(arguments);
    command
}

fn sentence(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
    said
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = sentence(&demo(&["--port", &port]).output().unwrap());
    assert!(said.contains(&format!("port {port} cannot be used")) && said.contains("--port"), "{said}");
}

#[test]
fn a_tool_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    // A compiler that has the wasm target, and nothing else on the machine.
    let rustc = folder.path().join("rustc");
    fs::write(&rustc, "#!/bin/sh\necho /\n").unwrap();
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = demo(&["--port", "0"]);
    let said = sentence(&command.env("PATH", folder.path()).env("RUSTC", &rustc).output().unwrap());
    assert!(said.contains("`node` is not installed") && said.contains("install Node.js 22.12"), "{said}");
}
