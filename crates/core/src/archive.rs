//! A document as one file that proves itself: everyone's signed text, for when their servers, or ours, are gone.
//!
//! An archive is a CAR. Its first root is a short table of contents: which document, when it was made, and of every editor
//! the key and the handle as they were then. The other roots are the editors' signed commits; behind them are the nodes of
//! their trees on the way to the document's records, and the records.
//!
//! Reading one asks nobody. It is verified like what the repos themselves say, by the same [`RepoView`]s
//! ([`Replica::from_archive`]), and so nobody can change a letter of it, with one exception that everybody who reads one is to
//! know: that a key is an editor's is the archive's word until a directory confirms it.
//!
//! [`RepoView`]: crate::repo_view::RepoView
//! [`Replica::from_archive`]: crate::replica::Replica::from_archive

use serde::{Deserialize, Serialize};
use sheaf_repo::{
    blocks::Blocks,
    car::{self, Car, CarError, CarLimits},
    cbor,
    cid::Cid,
    did::Did,
    handle::Handle,
    json,
    key::VerifyingKey,
};

use crate::{
    document_uri::DocumentUri,
    record::{MAX_EDITORS, MAX_FORMER},
    replica::Identity,
    time::Timestamp,
};

/// The most bytes that an archive has.
pub const MAX_ARCHIVE_BYTES: usize = 128 * 1024 * 1024;
/// What else is taken of one: a repo has at most 20,000 records of a document, and about as many nodes.
const LIMITS: CarLimits =
    CarLimits { max_bytes: MAX_ARCHIVE_BYTES, max_blocks: 400_000, max_block_bytes: 1024 * 1024 + 1024 };
/// The longest table of contents, in bytes.
const MAX_CONTENTS: usize = 128 * 1024;
/// The longest address of a server, in bytes.
const MAX_PDS: usize = 2_048;
/// The owner, the editors, and those who once were.
const MAX_PEOPLE: usize = 1 + MAX_EDITORS + MAX_FORMER;
const KIND: &str = "dev.sheaf.archive";
const VERSION: u32 = 1;

/// An archive whose blocks are all what their hashes say. What they prove is told by
/// [`Replica::from_archive`](crate::replica::Replica::from_archive).
#[derive(Debug, Clone)]
pub struct Archive {
    /// Which document it is of.
    pub document: DocumentUri,
    /// When it was made, by the clock of whoever made it.
    pub made_at: Timestamp,
    /// Whose repos are in it, and who they are as the archive says.
    pub people: Vec<Identity>,
    commits: Vec<Cid>,
    blocks: Blocks,
}

/// Why a file is no archive to read, or a document cannot be archived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// It is damaged, or something else.
    #[error("it is damaged or no archive ({0})")]
    Car(#[from] CarError),
    /// Its table of contents is missing, or makes no sense.
    #[error("its table of contents {0}")]
    Contents(&'static str),
    /// It was made by a newer version.
    #[error("it was made by a newer Sheaf (version {0} of the format); update this one")]
    TooNew(u32),
    /// The owner's record is not verified on this device.
    #[error("the owner's signed record is not on this device, and without it the rest proves nothing")]
    OwnerUnproved,
    /// It would be larger than [`MAX_ARCHIVE_BYTES`].
    #[error("it would be larger than an archive may be")]
    TooLarge,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contents {
    #[serde(rename = "$type")]
    kind: String,
    version: u32,
    document: String,
    created_at: String,
    people: Vec<Person>,
}

#[derive(Serialize, Deserialize)]
struct Person {
    did: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handle: Option<String>,
    pds: String,
    key: String,
}

impl Archive {
    /// An archive of these repos: their commits, and the blocks that hang on them.
    pub(crate) fn new(
        document: DocumentUri,
        made_at: Timestamp,
        people: Vec<Identity>,
        commits: Vec<Cid>,
        blocks: Blocks,
    ) -> Archive {
        Archive { document, made_at, people, commits, blocks }
    }

    /// The file.
    ///
    /// # Errors
    /// [`ArchiveError::TooLarge`].
    pub fn write(&self) -> Result<Vec<u8>, ArchiveError> {
        let contents = Contents {
            kind: KIND.to_owned(),
            version: VERSION,
            document: self.document.to_string(),
            created_at: self.made_at.to_rfc3339(),
            people: self.people.iter().map(Person::of).collect(),
        };
        let contents = serde_json::to_value(contents).expect("strings and a number are always JSON");
        let contents = json::to_cbor(&contents).map_err(|_| ArchiveError::TooLarge)?;
        let mut first = Blocks::default();
        let root = first.add(contents);
        let roots: Vec<Cid> = std::iter::once(root).chain(self.commits.iter().copied()).collect();
        let bytes = car::write(&roots, first.iter().chain(self.blocks.iter()));
        if bytes.len() > MAX_ARCHIVE_BYTES { Err(ArchiveError::TooLarge) } else { Ok(bytes) }
    }

    /// Reads a file; every block is hashed.
    ///
    /// # Errors
    /// [`ArchiveError`] when it is damaged or no archive, or over a limit.
    pub fn read(bytes: &[u8]) -> Result<Archive, ArchiveError> {
        let Car { roots, blocks } = car::parse(bytes, &LIMITS)?;
        let wrong = ArchiveError::Contents;
        let (root, commits) = roots.split_first().ok_or(wrong("is missing"))?;
        let contents = blocks.get(root).filter(|contents| contents.len() <= MAX_CONTENTS);
        let contents = cbor::decode(contents.ok_or(wrong("is missing"))?);
        let contents = json::from_ipld(&contents.map_err(|_| wrong("cannot be read"))?);
        if contents.get("$type").and_then(|kind| kind.as_str()) != Some(KIND) {
            return Err(wrong("is not one of a document"));
        }
        let version = contents.get("version").and_then(serde_json::Value::as_u64);
        let version =
            version.and_then(|version| u32::try_from(version).ok()).ok_or(wrong("has no version"))?;
        if version != VERSION {
            return Err(ArchiveError::TooNew(version));
        }
        let contents: Contents = serde_json::from_value(contents)
            .map_err(|_| wrong("lacks something, or has it of another kind"))?;
        if contents.people.len() > MAX_PEOPLE || commits.len() > MAX_PEOPLE {
            return Err(wrong("names more people than a document has"));
        }
        let people: Option<Vec<Identity>> = contents.people.iter().map(Person::identity).collect();
        Ok(Archive {
            document: contents.document.parse().map_err(|_| wrong("names no document"))?,
            made_at: Timestamp::parse_rfc3339(&contents.created_at)
                .map_err(|_| wrong("does not say when it was made"))?,
            people: people.ok_or(wrong("names somebody in a way that cannot be read"))?,
            commits: commits.to_vec(),
            blocks,
        })
    }

    /// The repos' commits, and the blocks that hang on them.
    pub(crate) fn repos(&self) -> (&[Cid], &Blocks) {
        (&self.commits, &self.blocks)
    }
}

impl Person {
    fn of(identity: &Identity) -> Person {
        Person {
            did: identity.did.to_string(),
            handle: identity.handle.as_ref().map(ToString::to_string),
            pds: identity.pds.clone(),
            key: identity.key.to_did_key(),
        }
    }

    fn identity(&self) -> Option<Identity> {
        let handle: Option<Handle> = match &self.handle {
            Some(handle) => Some(handle.parse().ok()?),
            None => None,
        };
        let did: Did = self.did.parse().ok()?;
        let key = VerifyingKey::from_did_key(&self.key).ok()?;
        (self.pds.len() <= MAX_PDS).then(|| Identity { did, handle, pds: self.pds.clone(), key })
    }
}
