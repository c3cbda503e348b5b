//! The editing trace: a paper, keystroke by keystroke (see `testdata/README.md` for its author and licence).

use std::path::Path;

use anyhow::{Context as _, Result};
use miniz_oxide::inflate::decompress_to_vec;
use serde::Deserialize;
use sheaf_core::text::{Splice, Utf16Offset};

#[derive(Deserialize)]
struct Trace {
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    patches: Vec<(usize, usize, String)>,
}

/// The first `count` transactions as splices, and the text they give. The trace's text is ASCII, so that its code points are
/// UTF-16 units.
pub(crate) fn splices(count: usize) -> Result<(Vec<Splice>, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/automerge-paper.json.gz");
    let gzip = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    // A gzip file without optional fields: ten bytes before the deflated data.
    let name_end = gzip[10..].iter().position(|b| *b == 0).unwrap_or(0);
    let start = if gzip[3] & 8 == 0 { 10 } else { 10 + name_end + 1 };
    let json = decompress_to_vec(&gzip[start..])
        .map_err(|e| anyhow::anyhow!("the trace cannot be inflated: {e}"))?;
    let trace: Trace = serde_json::from_slice(&json).context("the trace cannot be read")?;
    let mut text = String::new();
    let mut splices = Vec::new();
    for (at, deleted, inserted) in trace.txns.into_iter().take(count).flat_map(|txn| txn.patches) {
        anyhow::ensure!(inserted.is_ascii(), "the trace has a character beyond ASCII");
        text.replace_range(at..at + deleted, &inserted);
        splices.push(Splice { at: Utf16Offset(at as u32), delete: deleted as u32, insert: inserted });
    }
    Ok((splices, text))
}
