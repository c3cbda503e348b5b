//! Record keys: what a record is called within its collection.
//!
//! Spec: <https://atproto.com/specs/record-key>

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A record key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordKey(String);

/// Why something is no record key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid record key")]
pub struct RecordKeyError;

/// The longest there may be, in bytes.
pub const MAX_BYTES: usize = 512;

impl RecordKey {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RecordKey {
    type Err = RecordKeyError;

    fn from_str(text: &str) -> Result<Self, RecordKeyError> {
        let valid = (1..=MAX_BYTES).contains(&text.len())
            && !matches!(text, "." | "..")
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'~'));
        if valid { Ok(RecordKey(text.to_owned())) } else { Err(RecordKeyError) }
    }
}

impl TryFrom<String> for RecordKey {
    type Error = RecordKeyError;

    fn try_from(text: String) -> Result<Self, RecordKeyError> {
        text.parse()
    }
}

impl From<RecordKey> for String {
    fn from(value: RecordKey) -> String {
        value.0
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
