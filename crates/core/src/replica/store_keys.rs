//! Where a replica keeps what in the device's store: the one place that knows.
//!
//! ```text
//! doc/{document}/document                     the owner's document record as last verified
//! doc/{document}/intent/{replica}/{n}         the owner's changes to it that are not published yet
//! doc/{document}/deleted                      there, once the owner has deleted the document
//! doc/{document}/repo/{did}                   what is verified of an editor's repo (head, entries)
//! doc/{document}/proof/{did}                  the head's commit and the tree's nodes that prove those entries, as a CAR
//! doc/{document}/segment/{did}/{rkey}/{cid}   a verified segment record, byte for byte: the evidence for the text
//! doc/{document}/replica/{replica}/…          one replica's own unpublished and active entries
//! doc/{document}/mark/{view}                  the last change of a view that is in the text: it is not taken in twice
//! doc/{document}/session/{did}/{replica}/{key} the proof of a session: who signs with which key on the live channel
//! doc/{document}/live/{did}/{replica}/{n}     an update that its author has signed and their repo does not hold yet
//! account/{did}/budget/{replica}              what this replica has spent of the account's write quota
//! ```

use sheaf_repo::{
    cid::{self, Cid},
    did::Did,
};

use crate::{client_id::ReplicaId, document_uri::DocumentUri, editors::IntentKey, live::Author};

/// Prefix of everything kept for one document.
pub(crate) fn document_prefix(document: &DocumentUri) -> String {
    format!("doc/{document}/")
}

/// Prefix of the account's budget, shared by all its documents on this device.
pub(crate) fn budget_prefix(account: &Did) -> String {
    format!("account/{account}/budget/")
}

pub(crate) fn budget(account: &Did, replica: &ReplicaId) -> String {
    format!("account/{account}/budget/{replica}")
}

pub(crate) fn document_record(document: &DocumentUri) -> String {
    format!("doc/{document}/document")
}

pub(crate) fn intent(document: &DocumentUri, key: &IntentKey) -> String {
    format!("doc/{document}/intent/{}/{:016}", key.replica, key.n)
}

pub(crate) fn deleted(document: &DocumentUri) -> String {
    format!("doc/{document}/deleted")
}

pub(crate) fn repo(document: &DocumentUri, did: &Did) -> String {
    format!("doc/{document}/repo/{did}")
}

pub(crate) fn proof(document: &DocumentUri, did: &Did) -> String {
    format!("doc/{document}/proof/{did}")
}

pub(crate) fn segment(document: &DocumentUri, did: &Did, rkey: &str, cid: &Cid) -> String {
    format!("doc/{document}/segment/{did}/{rkey}/{}", cid::text(cid))
}

pub(crate) fn own(document: &DocumentUri, replica: &ReplicaId, suffix: &str) -> String {
    format!("doc/{document}/replica/{replica}/{suffix}")
}

pub(crate) fn mark(document: &DocumentUri, view: &str) -> String {
    format!("doc/{document}/mark/{view}")
}

pub(crate) fn session(document: &DocumentUri, author: &Author) -> String {
    format!("doc/{document}/session/{}/{}/{}", author.did, author.replica, author.key.to_did_key())
}

pub(crate) fn live(document: &DocumentUri, did: &Did, replica: &ReplicaId, n: u64) -> String {
    format!("doc/{document}/live/{did}/{replica}/{n:016}")
}

/// What a key under the document's prefix says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    Document,
    Deleted,
    Intent { replica: &'a str, n: u64 },
    Repo(&'a str),
    Proof(&'a str),
    Segment { did: &'a str, rkey: &'a str, cid: &'a str },
    Own { replica: &'a str, suffix: &'a str },
    Mark(&'a str),
    Session,
    Live { did: &'a str, replica: &'a str, n: u64 },
}

/// Reads the part of a key after the document's prefix.
pub(crate) fn parse(rest: &str) -> Option<Key<'_>> {
    let (kind, rest) = rest.split_once('/').unwrap_or((rest, ""));
    match kind {
        "document" if rest.is_empty() => Some(Key::Document),
        "deleted" if rest.is_empty() => Some(Key::Deleted),
        "intent" => {
            let (replica, n) = rest.split_once('/')?;
            Some(Key::Intent { replica, n: n.parse().ok()? })
        }
        "repo" => Some(Key::Repo(rest)),
        "proof" => Some(Key::Proof(rest)),
        "segment" => {
            let mut parts = rest.splitn(3, '/');
            Some(Key::Segment { did: parts.next()?, rkey: parts.next()?, cid: parts.next()? })
        }
        "replica" => rest.split_once('/').map(|(replica, suffix)| Key::Own { replica, suffix }),
        "mark" => Some(Key::Mark(rest)),
        "session" => Some(Key::Session),
        "live" => {
            let mut parts = rest.splitn(3, '/');
            let (did, replica) = (parts.next()?, parts.next()?);
            Some(Key::Live { did, replica, n: parts.next()?.parse().ok()? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_back() {
        let document: DocumentUri =
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap();
        let did: Did = "did:web:bob.example".parse().unwrap();
        let replica: ReplicaId = "r1".parse().unwrap();
        let prefix = document_prefix(&document);
        let rest = |key: String| key.strip_prefix(&prefix).unwrap().to_owned();
        assert_eq!(parse(&rest(document_record(&document))), Some(Key::Document));
        assert_eq!(parse(&rest(deleted(&document))), Some(Key::Deleted));
        assert_eq!(parse(&rest(proof(&document, &did))), Some(Key::Proof("did:web:bob.example")));
        let key = IntentKey { replica: replica.clone(), n: 7 };
        assert_eq!(parse(&rest(intent(&document, &key))), Some(Key::Intent { replica: "r1", n: 7 }));
        assert_eq!(parse(&rest(repo(&document, &did))), Some(Key::Repo("did:web:bob.example")));
        assert_eq!(
            parse(&rest(own(&document, &replica, "entry/1"))),
            Some(Key::Own { replica: "r1", suffix: "entry/1" })
        );
        assert_eq!(
            parse("segment/did:web:bob.example/3jz:r1:00000000/bafy"),
            Some(Key::Segment { did: "did:web:bob.example", rkey: "3jz:r1:00000000", cid: "bafy" })
        );
        assert_eq!(parse(&rest(mark(&document, "tab 1"))), Some(Key::Mark("tab 1")));
        assert_eq!(
            parse(&rest(live(&document, &did, &replica, 7))),
            Some(Key::Live { did: "did:web:bob.example", replica: "r1", n: 7 })
        );
        assert_eq!(parse("something else"), None);
    }
}
