//! The record with which an editor carries what the others have written.

use sheaf_repo::{Ipld, cid::Cid, did::Did, json, tid::Tid};

use super::{
    MAX_SNAPSHOT_RECORD, RecordError, SNAPSHOT, SegmentKey,
    fields::{self, Fields, datetime, object, parsed, string},
};
use crate::{document_uri::DocumentUri, time::Timestamp};

/// The media type of the blob: a CAR.
pub const SNAPSHOT_BLOB_TYPE: &str = "application/vnd.ipld.car";
/// The most bytes that a snapshot's CAR may have in the record itself; a longer one is a blob.
pub const MAX_SNAPSHOT_INLINE: usize = 40 * 1024;
/// The most bytes it may have as a blob: what every PDS takes.
pub const MAX_SNAPSHOT_BLOB: usize = 4 * 1024 * 1024;
/// The most repos a snapshot carries.
pub const MAX_SNAPSHOT_REPOS: usize = 200;
/// The most segments of one repo that it names.
pub const MAX_SNAPSHOT_SEGMENTS: usize = 4_000;

/// `dev.sheaf.snapshot`: what its author has verified of the other editors' repos, with the proofs; overwritten in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// Which document it belongs to.
    pub document: DocumentUri,
    /// When it was made, by its author's device.
    pub created_at: Timestamp,
    /// What is in it.
    pub repos: Vec<Carried>,
    /// Where the CAR is, whose roots are the repos' commits.
    pub content: Content,
}

/// One repo in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Whose.
    pub did: Did,
    /// At which revision.
    pub rev: Tid,
    /// Exactly which segments of it, by record key and CID.
    pub segments: Vec<(SegmentKey, Cid)>,
}

/// Where a snapshot's CAR is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In the record: at most [`MAX_SNAPSHOT_INLINE`] bytes.
    Inline(Vec<u8>),
    /// In a blob of the same repo, of at most [`MAX_SNAPSHOT_BLOB`] bytes.
    Blob(Cid),
}

impl SnapshotRecord {
    /// Reads a record as it stands in a repo. The CAR is not looked into.
    ///
    /// # Errors
    /// [`RecordError`] when it is longer than [`MAX_SNAPSHOT_RECORD`], no such record, or over a limit.
    pub fn parse(record: &[u8]) -> Result<SnapshotRecord, RecordError> {
        let mut fields = Fields::of_record(record, MAX_SNAPSHOT_RECORD, SNAPSHOT)?;
        let document = fields.required("document", "a document's at-URI", parsed)?;
        let created_at = fields.required("createdAt", "a date and time", datetime)?;
        let repos = fields.list("repos", MAX_SNAPSHOT_REPOS, Carried::read)?;
        let repos = repos.ok_or(RecordError::Missing("repos"))?;
        let inline = fields.optional("car", "bytes, or too many", fields::bytes(MAX_SNAPSHOT_INLINE))?;
        let content = match inline {
            Some(car) => Content::Inline(car),
            None => Content::Blob(fields.required("blob", "a blob, or too large a one", blob)?),
        };
        Ok(SnapshotRecord { document, created_at, repos, content })
    }

    /// The record in atproto's JSON. One with a blob gets its reference from the PDS, as `blob`, when it is written.
    pub fn to_json(&self) -> serde_json::Value {
        let fields = [
            ("document", string(&self.document)),
            ("createdAt", string(self.created_at.to_rfc3339())),
            ("repos", Ipld::List(self.repos.iter().map(Carried::write).collect())),
        ];
        let car = match &self.content {
            Content::Inline(car) => Some(("car", Ipld::Bytes(car.clone()))),
            Content::Blob(_) => None,
        };
        json::from_ipld(&fields::record(SNAPSHOT, fields.into_iter().chain(car)))
    }
}

impl Carried {
    fn read(value: Ipld) -> Result<Carried, RecordError> {
        let mut fields = Fields::of_object(value, "repos")?;
        let did = fields.required("did", "a DID", parsed)?;
        let rev = fields.required("rev", "a revision", parsed)?;
        let segments = fields.list("segments", MAX_SNAPSHOT_SEGMENTS, |item| {
            let mut fields = Fields::of_object(item, "segments")?;
            Ok((
                fields.required("rkey", "a segment's key", parsed)?,
                fields.required("cid", "a CID", |value| match value {
                    Ipld::Link(cid) => Some(cid),
                    _ => None,
                })?,
            ))
        })?;
        Ok(Carried { did, rev, segments: segments.ok_or(RecordError::Missing("segments"))? })
    }

    fn write(&self) -> Ipld {
        let segment =
            |(key, cid): &(SegmentKey, Cid)| object([("rkey", string(key)), ("cid", Ipld::Link(*cid))]);
        let segments = Ipld::List(self.segments.iter().map(segment).collect());
        object([("did", string(&self.did)), ("rev", string(&self.rev)), ("segments", segments)])
    }
}

fn blob(value: Ipld) -> Option<Cid> {
    let Ipld::Map(mut map) = value else { return None };
    let size = match map.remove("size")? {
        Ipld::Integer(size) => usize::try_from(size).ok()?,
        _ => return None,
    };
    match (map.remove("$type")?, map.remove("ref")?) {
        (Ipld::String(kind), Ipld::Link(cid)) if kind == "blob" && size <= MAX_SNAPSHOT_BLOB => Some(cid),
        _ => None,
    }
}
