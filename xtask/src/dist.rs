//! `cargo xtask dist`: the app as static files for any host, and the release binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::step::{Program, Step};
use crate::{root, target, web};

#[derive(Args)]
pub(crate) struct Options {
    /// The address the app will be at, such as `https://sheaf.example` or `https://example.org/sheaf`: OAuth needs to know.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Where to put the folder `app` and the binary `sheaf`; `dist` in the repository if not said.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let origin = options.origin.as_deref().map(checked).transpose()?;
    let built = web::build(web::Flavour::Public)?;
    {
        // In one go: what both are made of is compiled once.
        let _step = Step::begin("compiling the sheaf binary");
        let both =
            ["--package", "sheaf", "--bin", "sheaf", "--package", "sheaf-core", "--example", "oauth_scope"];
        Program::cargo().args(["build", "--quiet", "--release"]).args(both).show()?;
    }
    let out = options.out.clone().unwrap_or_else(|| root().join("dist"));
    let app = out.join("app");
    if app.exists() {
        fs::remove_dir_all(&app).with_context(|| format!("{} cannot be replaced", app.display()))?;
    }
    copy(&built, &app)?;
    // The public network is the default; this file is where a host would name other servers.
    let mut config = json!({});
    if let Some(origin) = &origin {
        config["clientId"] = format!("{origin}/client-metadata.json").into();
        write(&app.join("client-metadata.json"), &client_metadata(origin, &scope()?))?;
    }
    write(&app.join("config.json"), &config)?;
    let binary = out.join(format!("sheaf{}", std::env::consts::EXE_SUFFIX));
    fs::copy(target().join("release").join(binary.file_name().expect("it was just named")), &binary)
        .context("the sheaf binary was not found where Cargo puts it")?;

    println!("{}\n{}", app.display(), binary.display());
    if origin.is_none() {
        eprintln!(
            "Without --origin there is no client-metadata.json, so nobody can sign in from a public address."
        );
    }
    Ok(())
}

/// The address without a slash at its end.
fn checked(origin: &str) -> Result<String> {
    let rest = origin.strip_prefix("https://").unwrap_or_default();
    let plain = !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@', ' ', '"', '\\']);
    ensure!(plain, "--origin {origin}: it must be an https:// address without query or fragment");
    Ok(origin.trim_end_matches('/').to_owned())
}

/// Who we are, for the servers people sign in at: a public client that runs in browsers.
fn client_metadata(origin: &str, scope: &str) -> serde_json::Value {
    json!({
        "client_id": format!("{origin}/client-metadata.json"),
        "client_name": "Sheaf",
        "client_uri": format!("{origin}/"),
        "redirect_uris": [format!("{origin}/")],
        "scope": scope,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "web",
        "dpop_bound_access_tokens": true,
    })
}

/// The scope as the engine says it.
fn scope() -> Result<String> {
    Program::new(target().join("release/examples/oauth_scope")).read()
}

fn write(path: &Path, json: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(json).expect("JSON can be written") + "\n";
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// Copies a folder, leaving out what is hidden.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_public_and_at_its_origin() {
        let origin = checked("https://example.org/sheaf/").unwrap();
        let metadata = client_metadata(&origin, "atproto repo:dev.example.note");
        assert_eq!(metadata["client_id"], "https://example.org/sheaf/client-metadata.json");
        assert_eq!(metadata["redirect_uris"], json!(["https://example.org/sheaf/"]));
        assert_eq!(metadata["dpop_bound_access_tokens"], true);
    }

    #[test]
    fn an_origin_is_https_and_plain() {
        for wrong in
            ["http://example.org", "https://", "https:///x", "https://a@b", "https://a/?x", "example.org", ""]
        {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }
}
