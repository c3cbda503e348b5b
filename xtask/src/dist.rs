//! `cargo xtask dist`: the app as static files for any host, and the release binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::serve::Site;
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
    make(options, Profile::Release)
}

/// How the binary is compiled.
#[derive(Clone, Copy)]
enum Profile {
    Release,
    /// As for the tests, for which all of it has been compiled already.
    Dev,
}

impl Profile {
    /// The binary, and what tells the scope to ask for: in one go, so that what both are made of is compiled once.
    fn selection(self) -> &'static [&'static str] {
        match self {
            Profile::Release => &[
                "--release",
                "--package",
                "sheaf",
                "--bin",
                "sheaf",
                "--package",
                "sheaf-core",
                "--example",
                "oauth_scope",
            ],
            // Of a part of the workspace alone, dependencies would be compiled anew with fewer features.
            Profile::Dev => &["--workspace", "--bin", "sheaf", "--example", "oauth_scope"],
        }
    }

    fn folder(self) -> PathBuf {
        target().join(match self {
            Profile::Release => "release",
            Profile::Dev => "debug",
        })
    }
}

fn make(options: &Options, profile: Profile) -> Result<()> {
    let origin = options.origin.as_deref().map(checked).transpose()?;
    let built = web::build(web::Flavour::Public)?;
    {
        let _step = Step::begin("compiling the sheaf binary");
        Program::cargo().args(["build", "--quiet"]).args(profile.selection()).show()?;
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
        write(&app.join("client-metadata.json"), &client_metadata(origin, &scope(profile)?))?;
    }
    write(&app.join("config.json"), &config)?;
    let binary = out.join(format!("sheaf{}", std::env::consts::EXE_SUFFIX));
    fs::copy(profile.folder().join(binary.file_name().expect("it was just named")), &binary)
        .context("the sheaf binary was not found where Cargo puts it")?;

    println!("{}\n{}", app.display(), binary.display());
    if origin.is_none() {
        eprintln!(
            "Without --origin there is no client-metadata.json, so nobody can sign in from a public address."
        );
    }
    Ok(())
}

/// Makes what is to be shipped, and looks at it as a static host would serve it from a subfolder.
pub(crate) fn check() -> Result<()> {
    let out = target().join("xtask/dist-checked");
    let origin = "https://example.org/sheaf";
    make(&Options { origin: Some(origin.into()), out: Some(out.clone()) }, Profile::Dev)?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("app/client-metadata.json"))?)?;
    let config: serde_json::Value = serde_json::from_slice(&fs::read(out.join("app/config.json"))?)?;
    ensure!(metadata["redirect_uris"] == json!([format!("{origin}/")]), "the metadata are of another place");
    ensure!(metadata["client_id"] == config["clientId"], "the app and its metadata disagree about who it is");
    let version = Program::new(out.join("sheaf")).args(["--version"]).read()?;
    ensure!(version.starts_with("sheaf "), "the binary says {version:?}");

    let site = Site { folder: out.clone(), config: String::new() };
    let (_, index) = site.find("/app/").context("the app has no index.html")?;
    let mut wanted = named_in(&String::from_utf8_lossy(&index));
    ensure!(!wanted.is_empty(), "index.html names no files");
    wanted.extend(["config.json", "client-metadata.json", "sw.js"].map(str::to_owned));
    for name in wanted {
        let relative = !name.starts_with('/') && !name.contains("://");
        ensure!(relative, "index.html names {name}, which is elsewhere when the app lives in a subfolder");
        let path = format!("/app/{}", name.trim_start_matches("./"));
        ensure!(site.find(&path).is_some(), "index.html names {name}, which is not there");
    }
    let keeper = fs::read_to_string(out.join("app/sw.js"))?;
    for file in files(&out.join("app"))? {
        let kind = file.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        let is_static =
            ["css", "html", "ico", "js", "json", "png", "svg", "txt", "wasm", "webmanifest", "woff2"];
        ensure!(is_static.contains(&kind), "{} is no file for a static host", file.display());
        let name = file.strip_prefix(out.join("app"))?.to_string_lossy().replace('\\', "/");
        let said_by_the_host = ["sw.js", "config.json", "client-metadata.json"].contains(&name.as_str());
        let keeps = keeper.contains(&format!("\"{name}\":")) || keeper.contains(&format!("`{name}`:"));
        ensure!(
            keeps != said_by_the_host,
            "{name}: the service worker must keep the app's files and no other"
        );
        if matches!(kind, "css" | "js") {
            let text = fs::read_to_string(&file)?;
            let absolute = ["\"/assets/", "'/assets/", "`/assets/", "(/assets/"];
            ensure!(!absolute.iter().any(|a| text.contains(a)), "{} has absolute paths", file.display());
        }
    }
    Ok(())
}

/// The files that a page names, but for its own places and addresses of data.
fn named_in(html: &str) -> Vec<String> {
    let named = ["src=\"", "href=\""].into_iter().flat_map(|attribute| {
        html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned))
    });
    named.filter(|name| !name.is_empty() && !name.starts_with('#') && !name.starts_with("data:")).collect()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
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
fn scope(profile: Profile) -> Result<String> {
    Program::new(profile.folder().join("examples/oauth_scope")).read()
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
    fn what_a_page_names_is_found() {
        let html = r##"<script src="./assets/a.js"></script><link href="/b.css"><a href="#top"></a>"##;
        assert_eq!(named_in(html), ["./assets/a.js", "/b.css"]);
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
