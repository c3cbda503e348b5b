//! Is a record in an account's repo, or is it not? Proved from a CAR alone.

use crate::{
    car::{self, CarError, CarLimits},
    cid::Cid,
    commit::{Commit, CommitError},
    did::Did,
    key::VerifyingKey,
    mst::{self, KeyRange, MstError, Walk},
    tid::Tid,
};

/// What a proof shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The revision it holds at.
    pub rev: Tid,
    /// The record's CID and bytes, or `None`: at that revision there is no such record.
    pub record: Option<(Cid, Vec<u8>)>,
}

/// Why a CAR proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The CAR is no CAR.
    #[error(transparent)]
    Car(#[from] CarError),
    /// Its root is no commit, or not signed by the key.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The commit is another account's.
    #[error("the commit is another account's")]
    OtherAccount,
    /// Its tree is no valid tree.
    #[error(transparent)]
    Tree(#[from] MstError),
    /// A block on the way is missing: nothing is said about the record.
    #[error("the proof lacks a block")]
    Incomplete,
}

/// Checks what `com.atproto.sync.getRecord` answered for `path` (`collection/rkey`) in the repo of `did`.
///
/// ```
/// use sheaf_repo::{car::CarLimits, key::SigningKey, proof::prove, repo::Repo, tid::Tid};
///
/// let key = SigningKey::k256(&[7; 32])?;
/// let did: sheaf_repo::did::Did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse()?;
/// let mut repo = Repo::new(did.clone(), key.clone(), Tid::from_micros(1, 0));
/// repo.put("app.example.note/one", b"\xa1ahbhi".to_vec(), Tid::from_micros(2, 0));
///
/// let limits = CarLimits { max_bytes: 1 << 20, max_blocks: 1000, max_block_bytes: 1 << 20 };
/// let there = prove(&did, &key.verifying_key(), &repo.record_car("app.example.note/one"), "app.example.note/one", &limits)?;
/// assert_eq!(there.record.unwrap().1, b"\xa1ahbhi");
/// let absent = prove(&did, &key.verifying_key(), &repo.record_car("app.example.note/two"), "app.example.note/two", &limits)?;
/// assert!(absent.record.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prove(
    did: &Did,
    key: &VerifyingKey,
    car: &[u8],
    path: &str,
    limits: &CarLimits,
) -> Result<Proof, ProofError> {
    let car = car::parse(car, limits)?;
    let root = car.roots.first().and_then(|root| car.blocks.get(root)).ok_or(ProofError::Incomplete)?;
    let commit = Commit::parse(root)?;
    if commit.did() != did {
        return Err(ProofError::OtherAccount);
    }
    commit.verify(key)?;
    match mst::walk(commit.data(), &car.blocks, &[KeyRange::only(path)])? {
        Walk::Missing { .. } => Err(ProofError::Incomplete),
        Walk::Complete { entries, .. } => {
            let record = match entries.get(path) {
                None => None,
                Some(cid) => Some((*cid, car.blocks.get(cid).ok_or(ProofError::Incomplete)?.to_vec())),
            };
            Ok(Proof { rev: commit.rev().clone(), record })
        }
    }
}
