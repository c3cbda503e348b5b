//! Who a change is from, inside the CRDT: client ids that are bound to an account, a document and a replica.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Client ids have 53 bits, so that JavaScript can count them.
const BITS: u32 = 53;

/// The id under which one replica writes into one document: at least 1 and below 2^53.
///
/// It derives from its owner, so that nobody can write in another's name: see [`ClientId::derive`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct ClientId(NonZeroU64);

impl ClientId {
    /// The lowest client id there is.
    pub const MIN: ClientId = ClientId(NonZeroU64::MIN);
    /// The highest client id there is.
    pub const MAX: ClientId = ClientId(NonZeroU64::new((1 << BITS) - 1).expect("2^53 - 1 is not zero"));

    /// The client id with this number; `None` for zero and from 2^53 on.
    pub fn new(number: u64) -> Option<ClientId> {
        NonZeroU64::new(number).filter(|_| number < 1 << BITS).map(ClientId)
    }

    /// The number, as Yjs writes it.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The client id of the `replica` of the account `did` in the document with this at-URI: the first 53 bits of the
    /// SHA-256 of a fixed label and the three, each led by its length. (Should they all be zero, 1.)
    ///
    /// ```
    /// use sheaf_core::client_id::{ClientId, ReplicaId};
    /// let replica: ReplicaId = "k3x9".parse().unwrap();
    /// let document = "at://did:plc:alice/dev.sheaf.document/3mabc";
    /// let client = ClientId::derive("did:plc:alice", document, &replica);
    /// assert_ne!(client, ClientId::derive("did:plc:bob", document, &replica));
    /// ```
    pub fn derive(did: &str, document: &str, replica: &ReplicaId) -> ClientId {
        let mut hash = Sha256::new();
        hash.update(b"dev.sheaf client id v1\0");
        for part in [did, document, replica.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let first = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        ClientId(NonZeroU64::new(first >> (64 - BITS)).unwrap_or(NonZeroU64::MIN))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({self})")
    }
}

impl From<ClientId> for u64 {
    fn from(client: ClientId) -> u64 {
        client.get()
    }
}

impl TryFrom<u64> for ClientId {
    type Error = ClientIdError;

    fn try_from(number: u64) -> Result<ClientId, ClientIdError> {
        ClientId::new(number).ok_or(ClientIdError)
    }
}

/// A number that is no client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client id is at least 1 and below 2^53")]
pub struct ClientIdError;

/// The name of one replica of an account in a document: a device, or a tab. 1 to 24 of `a-z` and `0-9`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicaId(String);

impl ReplicaId {
    /// The longest replica id, in bytes.
    pub const MAX_LEN: usize = 24;

    /// Reads a replica id.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters than `a-z` and `0-9`.
    pub fn parse(text: &str) -> Result<ReplicaId, ReplicaIdError> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return Ok(ReplicaId(text.to_owned()));
        }
        Err(ReplicaIdError)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ReplicaId {
    type Err = ReplicaIdError;

    fn from_str(text: &str) -> Result<ReplicaId, ReplicaIdError> {
        ReplicaId::parse(text)
    }
}

impl TryFrom<String> for ReplicaId {
    type Error = ReplicaIdError;

    fn try_from(text: String) -> Result<ReplicaId, ReplicaIdError> {
        ReplicaId::parse(&text)
    }
}

impl From<ReplicaId> for String {
    fn from(replica: ReplicaId) -> String {
        replica.0
    }
}

/// A text that is no replica id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a replica id is 1 to 24 of the characters a-z and 0-9")]
pub struct ReplicaIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn replica_ids_are_short_and_plain() {
        for good in ["a", "0", "k3x9", "abcdefghijklmnopqrstuvwx"] {
            assert_eq!(good.parse::<ReplicaId>().unwrap().to_string(), good);
        }
        for bad in ["", "A", "a-b", "a:b", "é", "a ", "abcdefghijklmnopqrstuvwxy"] {
            assert_eq!(bad.parse::<ReplicaId>(), Err(ReplicaIdError), "{bad:?}");
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn client_ids_depend_on_each_part_and_on_where_it_ends() {
        let id = |did, document, replica: &str| ClientId::derive(did, document, &replica.parse().unwrap());
        let all = [
            id("a", "b", "c"),
            id("b", "a", "c"),
            id("ab", "", "c"),
            id("", "ab", "c"),
            id("a", "bc", "c"),
            id("a", "b", "d"),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(one.get() > 0 && one.get() < 1 << 53);
            assert!(!all[..index].contains(one), "{index}");
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn the_derivation_never_changes() {
        // Computed independently (Python's hashlib): documents out there depend on it.
        let client = ClientId::derive(
            "did:plc:alice",
            "at://did:plc:alice/dev.sheaf.document/3mabc",
            &"k3x9".parse().unwrap(),
        );
        assert_eq!(client.get(), 6_224_492_382_177_602);
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn numbers_out_of_range_are_no_client_ids() {
        assert_eq!(ClientId::new(0), None);
        assert_eq!(ClientId::new(1 << 53), None);
        assert_eq!(ClientId::new((1 << 53) - 1).map(ClientId::get), Some((1 << 53) - 1));
    }
}
