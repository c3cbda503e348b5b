//! Jetstream's first version, `/subscribe`.
//!
//! It can resume at a position, and is not asked to. It then first reads the whole network's events again from there, at its
//! own pace and filtering as it goes, and an event that happens as it changes over to new ones is told to nobody whose own
//! events are rare (read in its source; seen as a bell that did not ring). Nothing is lost by beginning with what is new:
//! every repo is looked at after connecting.

use serde::Deserialize;
use sheaf_core::replica::Doorbell;
use sheaf_repo::did::Did;

use super::{Heard, NotAnEvent, Wanted, commit};
use crate::net::{
    doorbell::bell::{Bell, Reading, Unread},
    origin,
    socket::Message,
};

/// A Jetstream of the first version.
#[derive(Debug, Clone)]
pub(crate) struct V1 {
    /// Where, without a query.
    pub(crate) address: String,
}

impl Bell for V1 {
    fn address(&self) -> &str {
        &self.address
    }

    fn subscription(&self, wanted: &Wanted, _from: Option<u64>) -> String {
        let collections = wanted.collections.iter().map(|collection| ("wantedCollections", *collection));
        let dids = wanted.dids.iter().map(|did| ("wantedDids", did.as_str()));
        format!("{}{}", self.address, origin::query(collections.chain(dids)))
    }

    fn read(&self, message: &Message, wanted: &Wanted) -> Result<Reading, Unread> {
        let Message::Text(text) = message else { return Ok(Reading::default()) };
        let heard = parse(text, wanted)?;
        Ok(Reading { position: None, doorbell: heard.doorbell })
    }
}

/// Reads one message.
///
/// # Errors
/// [`NotAnEvent::Unreadable`] when it is not an event at all; the stream goes on.
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
    let event: Event<'_> =
        serde_json::from_str(message).map_err(|e| NotAnEvent::Unreadable(e.to_string()))?;
    let did = event.did.parse::<Did>().ok().filter(|did| wanted.dids.contains(did));
    let doorbell = did.and_then(|did| match (event.kind, event.commit) {
        ("commit", Some(c)) => commit(wanted, did, c.rev, c.collection, &c.rkey),
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
            commit(ALICE, SEGMENT).replace("3jz:r1", &"k".repeat(600)),
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
    fn filters_go_into_the_address_and_a_position_does_not() {
        let bell = V1 { address: "wss://jet.example/subscribe".into() };
        let expected = format!("wss://jet.example/subscribe?wantedCollections={SEGMENT}&wantedDids={ALICE}");
        assert_eq!(bell.subscription(&wanted(), Some(10_000_000)), expected);
    }
}
