//! Jetstream: a JSON stream of everybody's commits, filtered by the server to the repos and collections asked for.
//!
//! Nothing a Jetstream says is believed. What is read of an event is where to look: whose repo, which revision, which
//! record. The record it carries along is not even parsed.
//!
//! There are two versions with different messages, parameters and positions: [`v1`] and [`v2`]. Which one an address
//! speaks is told by its path alone, see [`Version::of`].

use std::collections::BTreeSet;

use sheaf_core::replica::Doorbell;
use sheaf_repo::did::Did;

pub mod v1;
pub mod v2;

/// The repos and collections to hear about. Never empty: to a Jetstream, no filter means everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose repos.
    pub dids: BTreeSet<Did>,
    /// Which collections.
    pub collections: Vec<&'static str>,
}

/// Which Jetstream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `/subscribe`, as it has been since 2024.
    V1,
    /// `/xrpc/network.bsky.jetstream.subscribeEvents`, since 2026.
    V2,
}

impl Version {
    /// The version that an address speaks: the second where the path ends in its method's name, else the first. A host of
    /// the second version serves both.
    pub fn of(address: &str) -> Self {
        if address.ends_with(v2::PATH) { Version::V2 } else { Version::V1 }
    }
}

/// An event, as far as it is of interest.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its place in the stream where one can resume there, else 0.
    pub position: u64,
    /// Where to look, if it concerns a repo and a collection we want.
    pub doorbell: Option<Doorbell>,
}

/// Why a message is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvent {
    /// It cannot be read; the stream goes on.
    #[error("it is not a Jetstream event: {0}")]
    Unreadable(String),
    /// The server ends the stream with an error; connect anew.
    #[error("the stream ended: {0}")]
    Ended(String),
}

/// The longest record key there is.
const MAX_RKEY: usize = 512;

/// The bell for a change of one record, if its repo and collection are wanted.
fn commit(wanted: &Wanted, did: Did, rev: &str, collection: &str, rkey: &str) -> Option<Doorbell> {
    let fits = wanted.collections.contains(&collection) && rkey.len() <= MAX_RKEY;
    let path = || Some(format!("{collection}/{rkey}"));
    fits.then(|| Doorbell { did, rev: rev.parse().ok(), path: path(), car: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_the_version() {
        for (address, version) in [
            ("wss://jet.example/subscribe", Version::V1),
            ("wss://jet.example/behind/a/proxy/subscribe", Version::V1),
            ("wss://jet.example/xrpc/network.bsky.jetstream.subscribeEvents", Version::V2),
            ("ws://localhost:1/xrpc/network.bsky.jetstream.subscribeEvents", Version::V2),
        ] {
            assert_eq!(Version::of(address), version, "{address}");
        }
    }
}
