//! `at://` URIs that name a record.
//!
//! Spec: <https://atproto.com/specs/at-uri-scheme>

use std::{fmt, str::FromStr};

use crate::{did::Did, nsid::Nsid, record_key::RecordKey};

/// A record's address. The authority is a DID: a handle may change hands, and an address must not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AtUri {
    /// Whose repo.
    pub did: Did,
    /// The collection.
    pub collection: Nsid,
    /// The record key.
    pub rkey: RecordKey,
}

/// Why something is no address of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AtUriError {
    /// Not `at://authority/collection/rkey`.
    #[error("not an at:// address of a record")]
    Shape,
    /// The authority is no DID.
    #[error("the address names no DID")]
    Did,
    /// The collection is no NSID.
    #[error("the address names no valid collection")]
    Collection,
    /// The record key is none.
    #[error("the address names no valid record key")]
    RecordKey,
}

impl FromStr for AtUri {
    type Err = AtUriError;

    fn from_str(text: &str) -> Result<AtUri, AtUriError> {
        let rest = text.strip_prefix("at://").ok_or(AtUriError::Shape)?;
        let mut parts = rest.split('/');
        let (Some(did), Some(collection), Some(rkey), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AtUriError::Shape);
        };
        Ok(AtUri {
            did: did.parse().map_err(|_| AtUriError::Did)?,
            collection: collection.parse().map_err(|_| AtUriError::Collection)?,
            rkey: rkey.parse().map_err(|_| AtUriError::RecordKey)?,
        })
    }
}

impl fmt::Display for AtUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at://{}/{}/{}", self.did, self.collection, self.rkey)
    }
}
