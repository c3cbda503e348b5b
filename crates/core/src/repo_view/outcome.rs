//! What a view says: where a repo stands, what it wants asked, and what is proved by the answers.

use serde::{Deserialize, Serialize};
use sheaf_repo::{cid::Cid, tid::Tid};

use crate::replica::{FetchId, FetchWhat};

/// A head that was verified, signature and ranges both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The commit.
    #[serde(with = "crate::as_text::cid")]
    pub commit: Cid,
    /// Its revision; only ever grows.
    #[serde(with = "crate::as_text::strict")]
    pub rev: Tid,
    /// The root of its tree.
    #[serde(with = "crate::as_text::cid")]
    pub data: Cid,
}

/// What a view wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Look the account up; `fresh` past every cache.
    Resolve {
        /// Whether a signature has just failed.
        fresh: bool,
    },
    /// Get blocks from the account's PDS.
    Fetch {
        /// To answer with.
        id: FetchId,
        /// The PDS's origin.
        pds: String,
        /// What.
        what: FetchWhat,
    },
}

/// What a completed pursuit found out, all of it proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// New or overwritten records in the ranges: path, CID and bytes.
    pub changed: Vec<(String, Cid, Vec<u8>)>,
    /// Paths that are no longer there.
    pub gone: Vec<String>,
}

/// What came of an input.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What to do next.
    pub asks: Vec<Ask>,
    /// What is now proved.
    pub advance: Option<Advance>,
}

impl Advance {
    /// This and then a newer one, as one.
    pub(super) fn then(mut self, newer: Advance) -> Advance {
        self.changed.retain(|(path, ..)| {
            !newer.gone.contains(path) && !newer.changed.iter().any(|(p, ..)| p == path)
        });
        self.gone.retain(|path| !newer.changed.iter().any(|(p, ..)| p == path));
        self.changed.extend(newer.changed);
        self.gone.extend(newer.gone);
        self
    }
}

impl Outcome {
    pub(super) fn add(&mut self, later: Outcome) {
        self.asks.extend(later.asks);
        self.advance = match (self.advance.take(), later.advance) {
            (Some(advance), Some(newer)) => Some(advance.then(newer)),
            (one, other) => one.or(other),
        };
    }
}
