//! What a browser loads before the first page shows, gzipped.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use miniz_oxide::deflate::compress_to_vec;
use serde_json::{Value, json};

/// What gzip puts around the deflated data.
const GZIP_FRAME: usize = 18;

/// The scripts that `index.html` names or preloads, the worker's, with what those import at once, and the first part of the engine; and
/// what is loaded once nothing waits any more: the engine's second part and the live channel.
pub(crate) fn measure(app: &Path) -> Result<Value> {
    let index = fs::read_to_string(app.join("index.html")).context("the app has no index.html")?;
    let mut wanted: Vec<String> = quoted(&index).filter(|s| s.ends_with(".js")).map(file_name).collect();
    let mut scripts = BTreeSet::new();
    let mut js = 0;
    while let Some(name) = wanted.pop() {
        if !scripts.insert(name.clone()) {
            continue;
        }
        let path = app.join("assets").join(&name);
        let script = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        js += gzipped(&script);
        let script = String::from_utf8_lossy(&script);
        wanted.extend(static_imports(&script));
        wanted.extend(workers(&script));
    }
    let (mut wasm, mut later) = (0, 0);
    for entry in fs::read_dir(app.join("assets")).context("the app has no assets")? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "wasm") {
            continue;
        }
        let is_first =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("sheaf_web_bg"));
        *(if is_first { &mut wasm } else { &mut later }) += gzipped(&fs::read(&path)?);
    }
    ensure!(scripts.iter().any(|name| name.starts_with("worker")), "no script begins the engine's worker");
    ensure!(js > 0 && wasm > 0, "the app's scripts or engine were not found in {}", app.display());
    Ok(json!({ "js_gz_bytes": js, "wasm_gz_bytes": wasm, "later_wasm_gz_bytes": later }))
}

/// `import … from "./name.js"` and `import "./name.js"`, not `import("./name.js")`, which is loaded when it is needed.
fn static_imports(script: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in script.match_indices("\"./").chain(script.match_indices("'./")) {
        let before = script[..at].trim_end();
        if !(before.ends_with("from") || before.ends_with("import")) {
            continue;
        }
        let rest = &script[at + 1..];
        if let Some(end) = rest.find(['"', '\'']) {
            names.push(file_name(&rest[..end]));
        }
    }
    names
}

/// `new Worker(new URL("…/name.js", …))`: the engine runs in one, so nothing is there before it is.
fn workers(script: &str) -> Vec<String> {
    let after = script.match_indices("new Worker(").map(|(at, _)| &script[at..]);
    after.filter_map(|rest| rest.split(['"', '`', '\'']).nth(1)).map(file_name).collect()
}

fn quoted(html: &str) -> impl Iterator<Item = &str> {
    html.split('"').skip(1).step_by(2)
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn gzipped(bytes: &[u8]) -> usize {
    compress_to_vec(bytes, 9).len() + GZIP_FRAME
}
