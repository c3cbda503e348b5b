//! Jetstream v1: a JSON stream of everybody's commits, filtered by the server to the repos and collections asked for.
//!
//! Nothing a Jetstream says is believed. What is read of an event is where to look: whose repo, which revision, which
//! record. The record it carries along is not even parsed.

use std::{collections::BTreeSet, time::Duration};

use serde::Deserialize;
use sheaf_core::replica::Doorbell;
use sheaf_repo::did::Did;

use super::origin;

/// How far before the saved stream position listening resumes: events are not strictly in order.
pub const OVERLAP: Duration = Duration::from_secs(5);

/// The repos and collections to hear about. Never empty: to a Jetstream, no filter means everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose repos.
    pub dids: BTreeSet<Did>,
    /// Which collections.
    pub collections: Vec<&'static str>,
}

/// The address to listen at: filters, and where to resume (µs since 1970) if that is known. A position that is too old is
/// no harm, for every repo is rung once after connecting.
pub fn subscription(address: &str, wanted: &Wanted, position: Option<u64>) -> String {
    let collections = wanted.collections.iter().map(|collection| ("wantedCollections", *collection));
    let dids = wanted.dids.iter().map(|did| ("wantedDids", did.as_str()));
    let from = position.map(|at| at.saturating_sub(OVERLAP.as_micros() as u64).to_string());
    let from = from.as_deref().map(|from| ("cursor", from));
    format!("{address}{}", origin::query(collections.chain(dids).chain(from)))
}

/// The message that changes the filters without reconnecting.
pub fn options_update(wanted: &Wanted) -> String {
    serde_json::json!({
        "type": "options_update",
        "payload": {
            "wantedCollections": wanted.collections,
            "wantedDids": wanted.dids.iter().map(Did::as_str).collect::<Vec<_>>(),
        },
    })
    .to_string()
}

/// An event, as far as it is of interest.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its place in the stream, µs since 1970.
    pub position: u64,
    /// Where to look, if it concerns a repo and a collection we want.
    pub doorbell: Option<Doorbell>,
}

/// Why a message is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a Jetstream event: {0}")]
pub struct NotAnEvent(String);

/// Reads one message.
///
/// # Errors
/// [`NotAnEvent`] when it is not an event at all; the stream goes on.
pub fn parse(message: &str, wanted: &Wanted) -> Result<Heard, NotAnEvent> {
    #[derive(Deserialize)]
    struct Event<'a> {
        did: &'a str,
        time_us: u64,
        kind: &'a str,
        #[serde(borrow)]
        commit: Option<Commit<'a>>,
    }
    #[derive(Deserialize)]
    struct Commit<'a> {
        rev: &'a str,
        collection: &'a str,
        rkey: std::borrow::Cow<'a, str>,
    }
    let event: Event<'_> = serde_json::from_str(message).map_err(|e| NotAnEvent(e.to_string()))?;
    let did = event.did.parse::<Did>().ok().filter(|did| wanted.dids.contains(did));
    let doorbell = did.and_then(|did| match (event.kind, event.commit) {
        ("commit", Some(commit)) if wanted.collections.contains(&commit.collection) => Some(Doorbell {
            did,
            rev: commit.rev.parse().ok(),
            path: Some(format!("{}/{}", commit.collection, commit.rkey)),
            car: None,
        }),
        ("identity" | "account", _) => Some(Doorbell { did, rev: None, path: None, car: None }),
        _ => None,
    });
    Ok(Heard { position: event.time_us, doorbell })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    const SEGMENT: &str = sheaf_core::record::SEGMENT;

    fn wanted() -> Wanted {
        Wanted { dids: [ALICE.parse().unwrap()].into(), collections: vec![SEGMENT] }
    }

    fn commit(did: &str, collection: &str) -> String {
        format!(
            r#"{{"did":"{did}","time_us":1725911162329308,"kind":"commit","commit":{{"rev":"3jzfcijpj2z2a","operation":"create",
            "collection":"{collection}","rkey":"3jz:r1:00000000","record":{{"deep":[[[]]]}},"cid":"bafy"}}}}"#
        )
    }

    #[test]
    fn a_commit_says_where_to_look() {
        let heard = parse(&commit(ALICE, SEGMENT), &wanted()).unwrap();
        assert_eq!(heard.position, 1_725_911_162_329_308);
        let doorbell = heard.doorbell.unwrap();
        assert_eq!(doorbell.did.as_str(), ALICE);
        assert_eq!(doorbell.rev.unwrap().to_string(), "3jzfcijpj2z2a");
        assert_eq!(doorbell.path.unwrap(), format!("{SEGMENT}/3jz:r1:00000000"));
        assert!(doorbell.car.is_none());
    }

    #[test]
    fn what_was_not_asked_for_does_not_ring() {
        for message in [
            commit("did:web:mallory.example", SEGMENT),
            commit(ALICE, "app.bsky.feed.post"),
            commit("not a did", SEGMENT),
        ] {
            assert!(parse(&message, &wanted()).unwrap().doorbell.is_none(), "{message}");
        }
    }

    #[test]
    fn a_changed_identity_rings() {
        for kind in ["identity", "account"] {
            let message =
                format!(r#"{{"did":"{ALICE}","time_us":1,"kind":"{kind}","{kind}":{{"did":"{ALICE}"}}}}"#);
            assert!(parse(&message, &wanted()).unwrap().doorbell.is_some());
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for message in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"did":1,"time_us":1,"kind":"commit"}"#,
            r#"{"did":"x","time_us":-1,"kind":"x"}"#,
        ] {
            assert!(parse(message, &wanted()).is_err(), "{message}");
        }
    }

    #[test]
    fn filters_go_into_the_address_and_change_by_message() {
        let address = subscription("wss://jet.example/subscribe", &wanted(), Some(10_000_000));
        assert_eq!(
            address,
            format!(
                "wss://jet.example/subscribe?wantedCollections={SEGMENT}&wantedDids={ALICE}&cursor=5000000"
            )
        );
        let message: serde_json::Value = serde_json::from_str(&options_update(&wanted())).unwrap();
        assert_eq!(message["payload"]["wantedDids"][0], ALICE);
        assert_eq!(message["type"], "options_update");
    }
}
