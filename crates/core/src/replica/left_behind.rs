//! What closed replicas have left in the device's store, for whoever opens or erases the document next.

use std::collections::BTreeMap;

use super::{Replica, store_keys};
use crate::{client_id::ReplicaId, document_uri::DocumentUri, segment::SegmentLog};

/// What is kept of a document on this device and is nowhere else yet, read from the store alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftBehind {
    /// What each replica has left that ever wrote.
    pub replicas: BTreeMap<ReplicaId, Leftover>,
}

/// What one replica has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leftover {
    /// Edits that are not published.
    pub edits: u64,
    /// The owner's changes of title and editors that are not published.
    pub intents: u64,
    /// Its edits cannot be read.
    pub is_damaged: bool,
}

impl Leftover {
    /// How much of it is nowhere else.
    pub fn unpublished(&self) -> u64 {
        self.edits + self.intents
    }
}

impl LeftBehind {
    /// How much there is of this document that is not published.
    pub fn unpublished(&self) -> usize {
        let all = self.replicas.values().map(Leftover::unpublished).sum::<u64>();
        usize::try_from(all).unwrap_or(usize::MAX)
    }

    /// Whether there are changes of title and editors among it.
    pub fn has_intents(&self) -> bool {
        self.replicas.values().any(|leftover| leftover.intents > 0)
    }
}

impl Replica {
    /// The prefixes under which the store holds what [`Replica::left_behind`] wants to be given.
    pub fn left_behind_prefixes(document: &DocumentUri) -> Vec<String> {
        let prefix = store_keys::document_prefix(document);
        vec![format!("{prefix}replica/"), format!("{prefix}intent/")]
    }

    /// Reads what is left from what is stored under [`Replica::left_behind_prefixes`].
    pub fn left_behind(document: &DocumentUri, stored: Vec<(String, Vec<u8>)>) -> LeftBehind {
        let prefix = store_keys::document_prefix(document);
        let mut left = LeftBehind::default();
        let mut logs: BTreeMap<ReplicaId, Vec<(String, Vec<u8>)>> = BTreeMap::new();
        for (key, value) in stored {
            match key.strip_prefix(&prefix).and_then(store_keys::parse) {
                Some(store_keys::Key::Intent { replica, .. }) => {
                    if let Ok(replica) = replica.parse() {
                        left.replicas.entry(replica).or_default().intents += 1;
                    }
                }
                Some(store_keys::Key::Own { replica, suffix }) => {
                    if let Ok(replica) = replica.parse() {
                        logs.entry(replica).or_default().push((suffix.to_owned(), value));
                    }
                }
                _ => {}
            }
        }
        for (replica, stored) in logs {
            let entries = stored.len() as u64;
            let leftover = left.replicas.entry(replica.clone()).or_default();
            match SegmentLog::load(replica, stored) {
                Ok(log) => leftover.edits = log.pending(),
                // Whatever it is, it is something that only this device has.
                Err(_) => (leftover.edits, leftover.is_damaged) = (entries, true),
            }
        }
        left
    }

    /// Whether everything this replica has asked to be stored is stored.
    pub fn is_stored(&self) -> bool {
        self.storing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{editors::IntentKey, time::Timestamp};

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn what_is_left_is_counted_by_replica() {
        let document: DocumentUri =
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap();
        let id = |name: &str| name.parse::<ReplicaId>().unwrap();
        let mut stored = Vec::new();
        let mut keep = |replica: &str, suffix: &str, value: Vec<u8>| {
            stored.push((store_keys::own(&document, &id(replica), suffix), value));
        };
        // Nothing but an empty update is canonical without a document; what it says does not matter here.
        let mut log = SegmentLog::new(id("waiting"));
        for _ in 0..3 {
            for (suffix, value) in log.append(Timestamp::from_millis(1), &[0, 0]) {
                keep("waiting", &suffix, value.unwrap());
            }
        }
        let mut log = SegmentLog::new(id("done"));
        log.append(Timestamp::from_millis(1), &[0, 0]);
        let plan = log.plan(1).unwrap();
        for (suffix, value) in log.was_published(&plan) {
            if let Some(value) = value {
                keep("done", &suffix, value);
            }
        }
        keep("torn", "entry/0000000000000000", b"torn".to_vec());
        let intent = IntentKey { replica: id("renamed"), n: 4 };
        stored.push((store_keys::intent(&document, &intent), b"{}".to_vec()));

        let left = Replica::left_behind(&document, stored);
        let expected = [
            (id("waiting"), Leftover { edits: 3, ..Leftover::default() }),
            (id("done"), Leftover::default()),
            (id("torn"), Leftover { edits: 1, is_damaged: true, ..Leftover::default() }),
            (id("renamed"), Leftover { intents: 1, ..Leftover::default() }),
        ];
        assert_eq!(left.replicas, expected.into());
        assert_eq!((left.has_intents(), left.unpublished()), (true, 5));
        assert_eq!(LeftBehind::default().unpublished(), 0);
    }
}
