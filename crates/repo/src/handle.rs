//! Handles: what an account is called, a domain name.
//!
//! Spec: <https://atproto.com/specs/handle>

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A handle, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Handle(String);

/// Why something is no handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid handle")]
pub struct HandleError;

/// The longest there may be, in bytes.
pub const MAX_BYTES: usize = 253;

impl Handle {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Handle {
    type Err = HandleError;

    fn from_str(text: &str) -> Result<Self, HandleError> {
        let text = text.to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let valid = text.len() <= MAX_BYTES
            && text.split('.').count() >= 2
            && text.split('.').all(label)
            && text.rsplit('.').next().is_some_and(|top| top.starts_with(|c: char| c.is_ascii_lowercase()));
        if valid { Ok(Handle(text)) } else { Err(HandleError) }
    }
}

impl TryFrom<String> for Handle {
    type Error = HandleError;

    fn try_from(text: String) -> Result<Self, HandleError> {
        text.parse()
    }
}

impl From<Handle> for String {
    fn from(value: Handle) -> String {
        value.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
