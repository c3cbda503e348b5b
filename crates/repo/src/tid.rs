//! Timestamp identifiers: revisions and record keys that sort by time.
//!
//! Spec: <https://atproto.com/specs/tid>

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Thirteen characters that hold microseconds since 1970 and a clock identifier, and sort as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tid(String);

/// Why something is no TID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid TID")]
pub struct TidError;

/// How long every TID is, in bytes.
pub const MAX_BYTES: usize = 13;

/// Base 32, in an order that sorts as bytes do.
const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

impl Tid {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The TID of a moment. Of `micros` the lower 53 bits count, of `clock` the lower ten.
    pub fn from_micros(micros: u64, clock: u16) -> Tid {
        let value = (micros & ((1 << 53) - 1)) << 10 | u64::from(clock & 1023);
        let text =
            (0..MAX_BYTES).rev().map(|n| char::from(ALPHABET[(value >> (5 * n)) as usize & 31])).collect();
        Tid(text)
    }

    /// The moment, in microseconds since 1970.
    pub fn micros(&self) -> u64 {
        let digit = |b: u8| ALPHABET.iter().position(|a| *a == b).unwrap_or_default() as u64;
        self.0.bytes().fold(0u64, |value, b| value << 5 | digit(b)) >> 10
    }
}

impl FromStr for Tid {
    type Err = TidError;

    fn from_str(text: &str) -> Result<Self, TidError> {
        let bytes = text.as_bytes();
        let valid = bytes.len() == MAX_BYTES
            && bytes.iter().all(|b| ALPHABET.contains(b))
            && ALPHABET[..8].contains(&bytes[0]);
        if valid { Ok(Tid(text.to_owned())) } else { Err(TidError) }
    }
}

impl TryFrom<String> for Tid {
    type Error = TidError;

    fn try_from(text: String) -> Result<Self, TidError> {
        text.parse()
    }
}

impl From<Tid> for String {
    fn from(value: Tid) -> String {
        value.0
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
