//! Namespaced identifiers: what a collection is called.
//!
//! Spec: <https://atproto.com/specs/nsid>

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A collection, such as `app.bsky.feed.post`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nsid(String);

/// Why something is no NSID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid NSID")]
pub struct NsidError;

/// The longest there may be, in bytes.
pub const MAX_BYTES: usize = 317;

impl Nsid {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Nsid {
    type Err = NsidError;

    fn from_str(text: &str) -> Result<Self, NsidError> {
        if text.len() > MAX_BYTES {
            return Err(NsidError);
        }
        let segments: Vec<&str> = text.split('.').collect();
        let domain = |label: &&str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let valid = segments.len() >= 3
            && segments[..segments.len() - 1].iter().all(domain)
            && segments[0].starts_with(|c: char| c.is_ascii_alphabetic())
            && segments.last().is_some_and(|name| {
                (1..=63).contains(&name.len())
                    && name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric())
            });
        if valid { Ok(Nsid(text.to_owned())) } else { Err(NsidError) }
    }
}

impl TryFrom<String> for Nsid {
    type Error = NsidError;

    fn try_from(text: String) -> Result<Self, NsidError> {
        text.parse()
    }
}

impl From<Nsid> for String {
    fn from(value: Nsid) -> String {
        value.0
    }
}

impl fmt::Display for Nsid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
