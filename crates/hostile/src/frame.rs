//! Frames of a PDS's own stream, and what a view of a repo makes of the blocks they bring.

use sheaf_client::net::{
    firehose::{self, FrameError},
    jetstream::Wanted,
};
use sheaf_core::record::COLLECTIONS;
use sheaf_repo::{Ipld, cbor, cid::Cid};

use crate::history::{DID, history};

/// The longest words of a server that are passed on, in characters.
pub(crate) const LONGEST_WORDS: usize = 100;

/// What this device listens for.
pub(crate) fn wanted() -> Wanted {
    Wanted { dids: [history().did.clone()].into(), collections: COLLECTIONS.to_vec() }
}

/// A frame moves nobody but the account it is about, and that one only to a state that is truly signed.
pub(crate) fn read(input: &[u8]) -> bool {
    match firehose::parse(input, &wanted()) {
        Ok(Some(bell)) => {
            assert_eq!(bell.did, history().did);
            history().ring(&bell);
            true
        }
        Ok(None) => false,
        Err(FrameError::Ended(words)) => {
            assert!(words.chars().count() <= LONGEST_WORDS);
            false
        }
        Err(FrameError::Unreadable(_)) => false,
    }
}

fn map(fields: Vec<(&str, Ipld)>) -> Ipld {
    Ipld::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn text(text: &str) -> Ipld {
    Ipld::String(text.to_owned())
}

fn frame(kind: Option<&str>, body: Vec<(&str, Ipld)>) -> Vec<u8> {
    let header = match kind {
        Some(kind) => vec![("op", Ipld::Integer(1)), ("t", text(kind))],
        None => vec![("op", Ipld::Integer(-1))],
    };
    [cbor::encode(&map(header)), cbor::encode(&map(body))].concat()
}

/// A commit as the reference PDS tells it.
fn commit(rev: &str, head: &Cid, path: &str, blocks: Vec<u8>) -> Vec<u8> {
    let op = map(vec![("action", text("create")), ("cid", Ipld::Link(*head)), ("path", text(path))]);
    let body = vec![
        ("seq", Ipld::Integer(12_345)),
        ("repo", text(DID)),
        ("rev", text(rev)),
        ("since", Ipld::Null),
        ("commit", Ipld::Link(*head)),
        ("rebase", Ipld::Bool(false)),
        ("tooBig", Ipld::Bool(false)),
        ("blocks", Ipld::Bytes(blocks)),
        ("ops", Ipld::List(vec![op])),
        ("blobs", Ipld::List(vec![])),
        ("time", text("2026-06-01T00:00:00.000Z")),
    ];
    frame(Some("#commit"), body)
}

/// The account's commits with their blocks, and the other kinds of frames.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let history = history();
    let mut seeds: Vec<Vec<u8>> = (1..history.repos.len())
        .rev()
        .map(|n| {
            let repo = &history.repos[n];
            let before: Vec<&str> = history.repos[n - 1].paths().collect();
            let path = repo.paths().find(|path| !before.contains(path)).expect("each commit adds a record");
            commit(repo.rev().as_str(), repo.head(), path, history.commit_car(n))
        })
        .collect();
    let newest = history.newest();
    seeds.push(commit(newest.rev().as_str(), newest.head(), "app.example.note/3jz", vec![]));
    seeds.push(commit(
        newest.rev().as_str(),
        newest.head(),
        &history.document.document_path(),
        newest.export_car(),
    ));
    let about =
        || vec![("seq", Ipld::Integer(1)), ("did", text(DID)), ("time", text("2026-06-01T00:00:00.000Z"))];
    for kind in ["#identity", "#account", "#sync", "#info"] {
        seeds.push(frame(Some(kind), about()));
    }
    seeds
        .push(frame(None, vec![("error", text("FutureCursor")), ("message", text("Cursor in the future."))]));
    seeds
}
