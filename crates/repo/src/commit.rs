//! Commits, version 3: the signed roots of repos.
//!
//! Spec: <https://atproto.com/specs/repository#commit-objects>

use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;

use crate::{
    cbor::{self, CborError},
    cid::{self, Cid},
    did::Did,
    key::{SigningKey, VerifyingKey},
    tid::Tid,
};

/// A commit as read; its signature is not checked until [`Commit::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    did: Did,
    data: Cid,
    rev: Tid,
    prev: Option<Cid>,
    has_prev: bool,
    sig: Vec<u8>,
}

/// Why bytes are no commit, or one not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Not canonical DAG-CBOR.
    #[error("the commit is {0}")]
    Cbor(#[from] CborError),
    /// A field is missing or of a wrong kind.
    #[error("the commit has no valid “{0}”")]
    Field(&'static str),
    /// A field that version 3 does not know: it would be signed without our knowing what it says.
    #[error("the commit has an unknown field")]
    UnknownField,
    /// The key did not make this signature over this commit.
    #[error("the commit's signature does not fit the account's key")]
    BadSignature,
}

impl Commit {
    /// Makes and signs a commit.
    pub fn sign(did: Did, data: Cid, rev: Tid, key: &SigningKey) -> Commit {
        let mut commit = Commit { did, data, rev, prev: None, has_prev: true, sig: vec![] };
        commit.sig = key.sign(&commit.unsigned()).to_vec();
        commit
    }

    /// Reads a commit strictly.
    pub fn parse(bytes: &[u8]) -> Result<Commit, CommitError> {
        let Ipld::Map(mut map) = cbor::decode(bytes)? else { return Err(CommitError::Field("map")) };
        if map.remove("version") != Some(Ipld::Integer(3)) {
            return Err(CommitError::Field("version"));
        }
        let Some(Ipld::String(did)) = map.remove("did") else { return Err(CommitError::Field("did")) };
        let Some(Ipld::Link(data)) = map.remove("data") else { return Err(CommitError::Field("data")) };
        let Some(Ipld::String(rev)) = map.remove("rev") else { return Err(CommitError::Field("rev")) };
        let Some(Ipld::Bytes(sig)) = map.remove("sig") else { return Err(CommitError::Field("sig")) };
        let (prev, has_prev) = match map.remove("prev") {
            None => (None, false),
            Some(Ipld::Null) => (None, true),
            Some(Ipld::Link(cid)) => (Some(cid), true),
            Some(_) => return Err(CommitError::Field("prev")),
        };
        if !map.is_empty() {
            return Err(CommitError::UnknownField);
        }
        if !cid::is_dag_cbor(&data) {
            return Err(CommitError::Field("data"));
        }
        if sig.len() != 64 {
            return Err(CommitError::Field("sig"));
        }
        Ok(Commit {
            did: did.parse().map_err(|_| CommitError::Field("did"))?,
            data,
            rev: rev.parse().map_err(|_| CommitError::Field("rev"))?,
            prev,
            has_prev,
            sig,
        })
    }

    /// Checks that this key signed it.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), CommitError> {
        key.verify(&self.unsigned(), &self.sig).map_err(|_| CommitError::BadSignature)
    }

    /// Whose repo.
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// The root of the tree.
    pub fn data(&self) -> &Cid {
        &self.data
    }

    /// The revision; grows with every commit.
    pub fn rev(&self) -> &Tid {
        &self.rev
    }

    /// Writes the commit with its signature.
    pub fn encode(&self) -> Vec<u8> {
        let mut map = self.fields();
        map.insert("sig".into(), Ipld::Bytes(self.sig.clone()));
        cbor::encode(&Ipld::Map(map))
    }

    fn unsigned(&self) -> Vec<u8> {
        cbor::encode(&Ipld::Map(self.fields()))
    }

    fn fields(&self) -> BTreeMap<String, Ipld> {
        let mut map = BTreeMap::from([
            ("did".to_owned(), Ipld::String(self.did.to_string())),
            ("version".to_owned(), Ipld::Integer(3)),
            ("data".to_owned(), Ipld::Link(self.data)),
            ("rev".to_owned(), Ipld::String(self.rev.to_string())),
        ]);
        if self.has_prev {
            map.insert("prev".into(), self.prev.map_or(Ipld::Null, Ipld::Link));
        }
        map
    }
}
