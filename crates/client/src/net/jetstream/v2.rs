//! Jetstream's second version, `network.bsky.jetstream.subscribeEvents`.
//!
//! Messages are framed as `xrpc.v1.json`: `{"$type":"message","payload":{"$type":"…#commit", …}}`, or
//! `{"$type":"error", …}` before the end. A position is the sequence number of that very instance, and the event at it
//! comes again. Whoever says anything to it is cut off, so that another list of repos takes another connection.

use std::borrow::Cow;

use serde::Deserialize;
use sheaf_core::replica::Doorbell;
use sheaf_repo::did::Did;

use super::{Heard, NotAnEvent, Wanted, commit};
use crate::net::{
    doorbell::bell::{Bell, Reading, Unread},
    origin,
    socket::Message,
};

/// The path that tells it from the first version.
pub const PATH: &str = "/xrpc/network.bsky.jetstream.subscribeEvents";
/// Greater positions are taken for a time by the server, so no event of its has one.
const MAX_POSITION: u64 = 1_000_000_000_000_000;
/// The longest of a server's words passed on, in characters.
const MAX_WORDS: usize = 100;

/// A Jetstream of the second version.
#[derive(Debug, Clone)]
pub(crate) struct V2 {
    /// Where, without a query.
    pub(crate) address: String,
}

impl Bell for V2 {
    fn address(&self) -> &str {
        &self.address
    }

    fn subscription(&self, wanted: &Wanted, from: Option<u64>) -> String {
        let collections = wanted.collections.iter().map(|collection| ("collections", *collection));
        let dids = wanted.dids.iter().map(|did| ("dids", did.as_str()));
        let from = from.filter(|from| *from < MAX_POSITION).map(|from| from.to_string());
        let from = from.as_deref().map(|from| ("cursor", from));
        format!("{}{}", self.address, origin::query(collections.chain(dids).chain(from)))
    }

    fn read(&self, message: &Message, wanted: &Wanted) -> Result<Reading, Unread> {
        let Message::Text(text) = message else { return Ok(Reading::default()) };
        let heard = parse(text, wanted)?;
        let position = Some(heard.position).filter(|at| (1..MAX_POSITION).contains(at));
        Ok(Reading { position, doorbell: heard.doorbell })
    }
}

/// Reads one message. The position is 0 where it has none.
///
/// # Errors
/// [`NotAnEvent`].
pub fn parse(message: &str, wanted: &Wanted) -> Result<Heard, NotAnEvent> {
    #[derive(Deserialize)]
    struct Frame<'a> {
        #[serde(rename = "$type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        payload: Option<Event<'a>>,
        #[serde(borrow)]
        error: Option<Cow<'a, str>>,
    }
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "$type", borrow)]
        kind: Cow<'a, str>,
        seq: Option<u64>,
        #[serde(borrow)]
        did: Option<Cow<'a, str>>,
        #[serde(borrow)]
        rev: Option<Cow<'a, str>>,
        #[serde(borrow)]
        collection: Option<Cow<'a, str>>,
        #[serde(borrow)]
        rkey: Option<Cow<'a, str>>,
    }
    let frame: Frame<'_> =
        serde_json::from_str(message).map_err(|e| NotAnEvent::Unreadable(e.to_string()))?;
    let event = match (&*frame.kind, frame.payload) {
        ("message", Some(event)) => event,
        ("error", _) => {
            let words = frame.error.as_deref().unwrap_or("no reason given");
            return Err(NotAnEvent::Ended(words.chars().take(MAX_WORDS).collect()));
        }
        _ => return Err(NotAnEvent::Unreadable("it has no payload".into())),
    };
    let did = event.did.as_deref().and_then(|did| did.parse::<Did>().ok());
    let did = did.filter(|did| wanted.dids.contains(did));
    // The type is the method's name with the kind behind it.
    let kind = event.kind.split_once('#').map_or("", |(_, kind)| kind);
    let doorbell = did.and_then(|did| match (kind, &event.rev, &event.collection, &event.rkey) {
        ("commit", Some(rev), Some(collection), Some(rkey)) => commit(wanted, did, rev, collection, rkey),
        ("identity" | "account" | "sync", ..) => Some(Doorbell { did, rev: None, path: None, car: None }),
        _ => None,
    });
    Ok(Heard { position: event.seq.unwrap_or(0), doorbell })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    const SEGMENT: &str = sheaf_core::record::SEGMENT;

    fn wanted() -> Wanted {
        Wanted { dids: [ALICE.parse().unwrap()].into(), collections: vec![SEGMENT] }
    }

    fn event(kind: &str, did: &str, more: &str) -> String {
        format!(
            r#"{{"$type":"message","payload":{{"$type":"network.bsky.jetstream.subscribeEvents#{kind}","seq":42,"did":"{did}",
            "time":"2026-11-25T12:00:00.000000Z"{more}}}}}"#
        )
    }

    fn commit(did: &str, collection: &str) -> String {
        let more = format!(
            r#","rev":"3jzfcijpj2z2a","operation":"create","collection":"{collection}","rkey":"3jz:r1:00000000",
            "record":{{"deep":[[[]]],"$type":"message","did":7}},"cid":"bafy""#
        );
        event("commit", did, &more)
    }

    #[test]
    fn a_commit_says_where_to_look() {
        let heard = parse(&commit(ALICE, SEGMENT), &wanted()).unwrap();
        assert_eq!(heard.position, 42);
        let doorbell = heard.doorbell.unwrap();
        assert_eq!(doorbell.did.as_str(), ALICE);
        assert_eq!(doorbell.rev.unwrap().to_string(), "3jzfcijpj2z2a");
        assert_eq!(doorbell.path.unwrap(), format!("{SEGMENT}/3jz:r1:00000000"));
        assert!(doorbell.car.is_none());
    }

    #[test]
    fn what_was_not_asked_for_does_not_ring_but_moves_the_position() {
        for message in [
            commit("did:web:mallory.example", SEGMENT),
            commit(ALICE, "app.bsky.feed.post"),
            commit("not a did", SEGMENT),
            commit(ALICE, SEGMENT).replace("3jz:r1", &"k".repeat(600)),
            event("commit", ALICE, ""),
            event("something-new", ALICE, ""),
        ] {
            let heard = parse(&message, &wanted()).unwrap();
            assert!(heard.doorbell.is_none() && heard.position == 42, "{message}");
        }
    }

    #[test]
    fn everything_that_happens_to_an_account_rings() {
        for kind in ["identity", "account", "sync"] {
            let more = format!(r#","{kind}":{{"did":"{ALICE}","seq":7}}"#);
            assert!(parse(&event(kind, ALICE, &more), &wanted()).unwrap().doorbell.is_some(), "{kind}");
        }
    }

    #[test]
    fn notices_are_no_events_and_errors_end_the_stream() {
        let info = r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"OutdatedCursor"}}"#;
        let heard = parse(info, &wanted()).unwrap();
        assert!(heard.doorbell.is_none() && heard.position == 0);
        let error = format!(r#"{{"$type":"error","error":"{}","message":"x"}}"#, "é".repeat(10_000));
        match parse(&error, &wanted()) {
            Err(NotAnEvent::Ended(words)) => assert_eq!(words.chars().count(), MAX_WORDS),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let deep = format!(r#"{{"$type":"message","payload":{}"#, "[".repeat(100_000));
        for message in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"$type":"message"}"#,
            r#"{"$type":"message","payload":7}"#,
            r#"{"$type":"message","payload":{"$type":"x#commit","seq":-1}}"#,
            r#"{"$type":"message","payload":{"$type":"x#commit","seq":1.5}}"#,
            r#"{"did":"x","time_us":1,"kind":"commit"}"#,
            &deep,
        ] {
            assert!(
                matches!(parse(message, &wanted()), Err(NotAnEvent::Unreadable(_))),
                "{}",
                &message[..message.len().min(80)]
            );
        }
        let whole = commit(ALICE, SEGMENT);
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            assert!(parse(&whole[..end], &wanted()).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn filters_and_position_go_into_the_address_under_this_versions_names() {
        let bell = V2 { address: format!("wss://jet.example{PATH}") };
        let all = format!("wss://jet.example{PATH}?collections={SEGMENT}&dids={ALICE}");
        assert_eq!(bell.subscription(&wanted(), None), all);
        assert_eq!(bell.subscription(&wanted(), Some(7)), format!("{all}&cursor=7"));
        assert_eq!(bell.subscription(&wanted(), Some(u64::MAX)), all, "that would be a time");
        let far = commit(ALICE, SEGMENT).replace("42", "18446744073709551615");
        assert_eq!(bell.read(&Message::Text(far), &wanted()).unwrap().position, None);
    }
}
