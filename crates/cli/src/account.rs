//! `login`, `logout`, `whoami`.

use std::{
    io::{BufRead as _, IsTerminal as _},
    process::{Command, Stdio},
};

use serde_json::json;
use sheaf_client::{
    platform,
    session::{self, Authed as _, OAuth, Password},
};

use crate::{
    arguments::{Login, Patience},
    device::Device,
    documents::changes,
    failure::Failure,
    output,
};

pub(crate) async fn login(device: &Device, login: Login) -> Result<(), Failure> {
    let given = std::env::var("SHEAF_APP_PASSWORD").ok().filter(|password| !password.is_empty());
    let handle = login.handle.map_or_else(ask_handle, Ok)?;
    let signed_in_as = if given.is_some() || login.app_password {
        let password = given.map_or_else(ask_password, Ok)?;
        let signing_in = Password::sign_in(&device.config, &handle, &password, device.sessions());
        let signed_in = platform::within(login.patience.deadline().left(), signing_in).await;
        signed_in.map_err(|_| Failure::Away("the network did not answer in time".into()))??.handle()
    } else {
        OAuth::sign_in(&device.config, &handle, device.sessions(), show).await?.handle()
    };
    device.say(&format!("Signed in as {}.", signed_in_as.unwrap_or(handle)));
    Ok(())
}

fn ask_handle() -> Result<String, Failure> {
    let mut input = std::io::stdin().lock();
    if !input.is_terminal() {
        return Err(Failure::Usage("say whose account it is: `sheaf login HANDLE`".into()));
    }
    output::say("Your handle, such as alice.example:");
    let mut handle = String::new();
    let read = input.read_line(&mut handle);
    read.map_err(|error| Failure::Other(format!("the handle cannot be read: {error}")))?;
    Ok(handle.trim().to_owned())
}

fn ask_password() -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "there is no terminal to ask for the app password: set SHEAF_APP_PASSWORD".into(),
        ));
    }
    rpassword::prompt_password("App password: ")
        .map_err(|error| Failure::Other(format!("the app password cannot be read: {error}")))
}

/// Opens the server's page. The address is said even where only failures are wanted: without a desktop it is the only way.
fn show(address: &str) {
    output::say(&format!("Sign in on this page; it should open by itself:\n{address}"));
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    // Where there is no desktop the address above is what there is.
    let _ = Command::new(opener)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

pub(crate) async fn logout(device: &Device, patience: &Patience) -> Result<(), Failure> {
    let waiting = match device.session().await {
        Ok(None) => {
            device.say("Nobody was signed in.");
            return Ok(());
        }
        Ok(Some(_)) => {
            device.client().await?.documents().await?.iter().map(|entry| entry.waiting).sum::<usize>()
        }
        // A session that cannot be read is signed out of all the more.
        Err(_) => 0,
    };
    // It is gone from this device at once; only telling the server takes its time.
    let signing_out = session::sign_out(&device.config, device.sessions());
    platform::within(patience.deadline().left(), signing_out).await.unwrap_or(Ok(()))?;
    device.say("Signed out.");
    if waiting > 0 {
        device.say(&format!(
            "{} not published yet; they stay on this device for when you sign in again.",
            changes(waiting)
        ));
    }
    Ok(())
}

pub(crate) async fn whoami(device: &Device, as_json: bool) -> Result<(), Failure> {
    let session = device.session().await?.ok_or_else(Failure::not_signed_in)?;
    let (did, handle) = (session.did().to_string(), session.handle());
    if as_json {
        return output::line(&json!({ "did": did, "handle": handle, "pds": session.pds() }).to_string());
    }
    output::line(handle.as_deref().unwrap_or(&did))
}
