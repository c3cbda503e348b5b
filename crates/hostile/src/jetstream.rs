//! Messages of a Jetstream, of both versions, and where they make a view of a repo look.

use sheaf_client::net::jetstream::{Heard, NotAnEvent, v1, v2};
use sheaf_core::record::SEGMENT;

use crate::frame::{LONGEST_WORDS, wanted};
use crate::history::{DID, history};

/// A message says where to look, among what was asked for; the view that looks there finds the truth.
pub(crate) fn read(input: &[u8]) -> bool {
    let Ok(message) = std::str::from_utf8(input) else { return false };
    let wanted = wanted();
    let versions = [v1::parse(message, &wanted), v2::parse(message, &wanted)];
    let mut let_in = false;
    for heard in versions {
        match heard {
            Ok(Heard { doorbell: Some(bell), .. }) => {
                assert!(wanted.dids.contains(&bell.did));
                assert!(bell.car.is_none());
                if let Some((collection, _)) = bell.path.as_deref().and_then(|path| path.split_once('/')) {
                    assert!(wanted.collections.contains(&collection));
                }
                history().ring(&bell);
                let_in = true;
            }
            Ok(Heard { doorbell: None, .. }) | Err(NotAnEvent::Unreadable(_)) => {}
            Err(NotAnEvent::Ended(words)) => assert!(words.chars().count() <= LONGEST_WORDS),
        }
    }
    let_in
}

/// Events of every kind and both versions, about this account and another.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let newest = history().newest();
    let commit = |did: &str, collection: &str, operation: &str, rkey: &str| {
        serde_json::json!({
            "did": did,
            "time_us": 1_725_911_162_329_308u64,
            "kind": "commit",
            "commit": {
                "rev": newest.rev().as_str(),
                "operation": operation,
                "collection": collection,
                "rkey": rkey,
                "record": { "$type": collection, "text": "e\u{301} 👩‍👩‍👧 \" \\ \r\n", "deep": [[[{}]]] },
                "cid": newest.head().to_string(),
            },
        })
    };
    let about = |kind: &str| {
        serde_json::json!({
            "did": DID,
            "time_us": 1_725_911_162_329_309u64,
            "kind": kind,
            (kind): { "did": DID, "seq": 1, "active": true, "handle": "alice.test" },
        })
    };
    let rkey = "3jzfcijpj2z2a:laptop:00000001";
    let second = |kind: &str, did: &str| {
        serde_json::json!({
            "$type": "message",
            "payload": {
                "$type": format!("network.bsky.jetstream.subscribeEvents#{kind}"),
                "seq": 42,
                "did": did,
                "time": "2026-11-25T12:00:00.000000Z",
                "rev": newest.rev().as_str(),
                "operation": "create",
                "collection": SEGMENT,
                "rkey": rkey,
                "record": { "$type": "message", "did": 7, "deep": [[[{}]]] },
                "cid": newest.head().to_string(),
            },
        })
    };
    [
        commit(DID, SEGMENT, "create", rkey),
        second("commit", DID),
        second("identity", DID),
        second("sync", DID),
        second("commit", "did:web:mallory.example"),
        serde_json::json!({ "$type": "error", "error": "CursorTooOld", "message": "e\u{301} 👩‍👩‍👧" }),
        commit(DID, SEGMENT, "update", rkey),
        commit(DID, "dev.sheaf.document", "delete", "3jzfcijpj2z2a"),
        commit(DID, "app.bsky.feed.post", "create", rkey),
        commit("did:web:mallory.example", SEGMENT, "create", rkey),
        about("identity"),
        about("account"),
    ]
    .iter()
    .map(|message| message.to_string().into_bytes())
    .collect()
}
