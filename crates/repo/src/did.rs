//! Decentralised identifiers: who an account is, whatever it is called.
//!
//! Spec: <https://atproto.com/specs/did>

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An account: `did:plc:…` or `did:web:…`, or another method by its syntax alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Did(String);

/// Why something is no DID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid DID")]
pub struct DidError;

/// The longest there may be, in bytes.
pub const MAX_BYTES: usize = 2048;

impl Did {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The method, such as `plc`.
    pub fn method(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }
}

impl FromStr for Did {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        let valid = text.len() <= MAX_BYTES
            && text.strip_prefix("did:").and_then(|rest| rest.split_once(':')).is_some_and(|(method, id)| {
                !method.is_empty()
                    && method.bytes().all(|b| b.is_ascii_lowercase())
                    && !id.is_empty()
                    && id
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'%' | b'-'))
                    && !id.ends_with([':', '%'])
            });
        if valid { Ok(Did(text.to_owned())) } else { Err(DidError) }
    }
}

impl TryFrom<String> for Did {
    type Error = DidError;

    fn try_from(text: String) -> Result<Self, DidError> {
        text.parse()
    }
}

impl From<Did> for String {
    fn from(value: Did) -> String {
        value.0
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
