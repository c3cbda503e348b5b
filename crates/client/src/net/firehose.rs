//! A PDS's own stream, `com.atproto.sync.subscribeRepos`: everything that host's accounts commit, as DAG-CBOR frames that
//! carry their blocks along.
//!
//! Where the blocks verify, core needs no fetch at all; where they do not, the frame is a doorbell like any other.

use std::collections::BTreeSet;

use serde::Deserialize;
use sheaf_core::replica::Doorbell;
use sheaf_repo::did::Did;

use super::{
    doorbell::bell::{Bell, Reading, Unread},
    jetstream::Wanted,
    origin,
    socket::Message,
};

/// The stream of one PDS.
#[derive(Debug, Clone)]
pub(crate) struct Firehose {
    address: String,
}

impl Firehose {
    /// Of the PDS with this origin.
    pub(crate) fn of(pds: &str) -> Self {
        Self { address: format!("{}/xrpc/com.atproto.sync.subscribeRepos", origin::socket_origin(pds)) }
    }
}

impl Bell for Firehose {
    fn address(&self) -> &str {
        &self.address
    }

    /// From now on: resuming would bring all that this host's other accounts did meanwhile.
    fn subscription(&self, _wanted: &Wanted, _from: Option<u64>) -> String {
        self.address.clone()
    }

    fn carries_everything(&self) -> bool {
        true
    }

    fn read(&self, message: &Message, wanted: &Wanted) -> Result<Reading, Unread> {
        let Message::Binary(frame) = message else { return Ok(Reading::default()) };
        Ok(Reading { position: None, doorbell: parse(frame, wanted)? })
    }
}

/// Why a frame is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It cannot be read; the stream goes on.
    #[error("it is not a frame of events: {0}")]
    Unreadable(String),
    /// The server ends the stream with an error; connect anew.
    #[error("the stream ended: {0}")]
    Ended(String),
}

#[derive(Deserialize)]
struct Header<'a> {
    op: i64,
    #[serde(borrow, default)]
    t: Option<&'a str>,
}

#[derive(Deserialize)]
struct Commit<'a> {
    #[serde(borrow)]
    repo: &'a str,
    #[serde(borrow)]
    rev: &'a str,
    #[serde(borrow)]
    blocks: &'a serde_bytes::Bytes,
    #[serde(borrow)]
    ops: Vec<Op<'a>>,
}

#[derive(Deserialize)]
struct Op<'a> {
    #[serde(borrow)]
    path: &'a str,
}

#[derive(Deserialize)]
struct About<'a> {
    #[serde(borrow)]
    did: &'a str,
}

#[derive(Deserialize)]
struct Ended {
    error: String,
}

/// Reads one frame. `None`: nothing in it is of interest.
///
/// # Errors
/// [`FrameError`].
pub fn parse(frame: &[u8], wanted: &Wanted) -> Result<Option<Doorbell>, FrameError> {
    let mut reader = serde_ipld_dagcbor::de::Deserializer::from_slice(frame);
    let unreadable = |e: &dyn std::fmt::Display| FrameError::Unreadable(e.to_string());
    let header = Header::deserialize(&mut reader).map_err(|e| unreadable(&e))?;
    if header.op == -1 {
        let words =
            Ended::deserialize(&mut reader).map_or_else(|_| "no reason given".into(), |ended| ended.error);
        return Err(FrameError::Ended(words.chars().take(100).collect()));
    }
    match header.t {
        Some("#commit") => {
            let commit = Commit::deserialize(&mut reader).map_err(|e| unreadable(&e))?;
            let Some(did) = known(commit.repo, &wanted.dids) else { return Ok(None) };
            let of_interest =
                |path: &str| path.split_once('/').is_some_and(|(c, _)| wanted.collections.contains(&c));
            // A commit too big for the stream lists no operations and no blocks: look.
            let path = commit.ops.iter().map(|op| op.path).find(|path| of_interest(path));
            if path.is_none() && !commit.ops.is_empty() {
                return Ok(None);
            }
            let car = Some(commit.blocks.to_vec()).filter(|car| !car.is_empty());
            Ok(Some(Doorbell { did, rev: commit.rev.parse().ok(), path: path.map(str::to_owned), car }))
        }
        Some("#identity" | "#account" | "#sync") => {
            let about = About::deserialize(&mut reader).map_err(|e| unreadable(&e))?;
            Ok(known(about.did, &wanted.dids).map(|did| Doorbell { did, rev: None, path: None, car: None }))
        }
        _ => Ok(None),
    }
}

/// Most frames of a large host are about strangers; comparing comes before parsing.
fn known(did: &str, wanted: &BTreeSet<Did>) -> Option<Did> {
    wanted.iter().find(|wanted| wanted.as_str() == did).cloned()
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    const ALICE: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    const SEGMENT: &str = sheaf_core::record::SEGMENT;

    fn wanted() -> Wanted {
        Wanted { dids: [ALICE.parse().unwrap()].into(), collections: vec![SEGMENT] }
    }

    #[derive(Serialize)]
    struct SentHeader {
        op: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        t: Option<&'static str>,
    }

    #[derive(Serialize)]
    struct SentCommit {
        seq: i64,
        repo: &'static str,
        rev: &'static str,
        since: Option<&'static str>,
        #[serde(with = "serde_bytes")]
        blocks: Vec<u8>,
        ops: Vec<SentOp>,
    }

    #[derive(Serialize)]
    struct SentOp {
        action: &'static str,
        path: String,
    }

    fn frame(op: i64, t: Option<&'static str>, body: &impl Serialize) -> Vec<u8> {
        let mut frame = serde_ipld_dagcbor::to_vec(&SentHeader { op, t }).unwrap();
        frame.extend(serde_ipld_dagcbor::to_vec(body).unwrap());
        frame
    }

    fn commit(repo: &'static str, collections: &[&str]) -> Vec<u8> {
        let ops = collections.iter().map(|c| SentOp { action: "create", path: format!("{c}/3jz") }).collect();
        let commit =
            SentCommit { seq: 1, repo, rev: "3jzfcijpj2z2a", since: None, blocks: vec![1, 2, 3], ops };
        frame(1, Some("#commit"), &commit)
    }

    #[test]
    fn a_commit_brings_its_blocks() {
        let doorbell = parse(&commit(ALICE, &["app.bsky.feed.post", SEGMENT]), &wanted()).unwrap().unwrap();
        assert_eq!(doorbell.did.as_str(), ALICE);
        assert_eq!(doorbell.path.unwrap(), format!("{SEGMENT}/3jz"));
        assert_eq!(doorbell.car.unwrap(), [1, 2, 3]);
    }

    #[test]
    fn strangers_and_other_collections_do_not_ring() {
        assert!(parse(&commit("did:web:mallory.example", &[SEGMENT]), &wanted()).unwrap().is_none());
        assert!(parse(&commit(ALICE, &["app.bsky.feed.post"]), &wanted()).unwrap().is_none());
        assert!(parse(&commit(ALICE, &[]), &wanted()).unwrap().is_some(), "too big to list: look");
    }

    #[test]
    fn a_changed_identity_rings() {
        let about = serde_json::json!({ "seq": 1, "did": ALICE, "time": "2026-01-01T00:00:00Z" });
        assert!(parse(&frame(1, Some("#identity"), &about), &wanted()).unwrap().is_some());
        assert!(
            parse(&frame(1, Some("#labels"), &about), &wanted()).unwrap().is_none(),
            "unknown kinds are skipped"
        );
    }

    #[test]
    fn an_error_frame_ends_the_stream() {
        let body = serde_json::json!({ "error": "FutureCursor", "message": "Cursor in the future." });
        assert_eq!(
            parse(&frame(-1, None, &body), &wanted()).unwrap_err(),
            FrameError::Ended("FutureCursor".into())
        );
    }

    #[test]
    fn every_cut_of_a_frame_is_refused_or_nothing() {
        let whole = commit(ALICE, &[SEGMENT]);
        for end in 0..whole.len() {
            assert!(parse(&whole[..end], &wanted()).is_err(), "cut at {end}");
        }
    }
}
