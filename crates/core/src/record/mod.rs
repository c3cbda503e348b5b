//! The records of a document: what stands in a repo, as types.
//!
//! Each kind of record is read in one place, from the DAG-CBOR that a proof has shown to be in the repo, with every limit
//! checked, and written in one place, as the JSON that `com.atproto.repo.putRecord` takes. Fields that this version does not
//! know are ignored (in the document's record, which is changed in place, they are kept). The schemas for everyone else are
//! in the project's `lexicons/`, and a test holds the two together.
//!
//! | collection | key | record |
//! |---|---|---|
//! | [`DOCUMENT`] | a TID | [`DocumentRecord`]: title, format, editors; in the owner's repo |
//! | [`SEGMENT`] | [`SegmentKey`] | [`SegmentRecord`]: a run of edits; in each editor's repo |
//! | [`AWARENESS`] | the document's key | [`AwarenessRecord`]: presence; in each editor's repo |
//! | [`SNAPSHOT`] | the document's key | [`SnapshotRecord`]: what the others have written; in each editor's repo |
//!
//! ```
//! use sheaf_core::{record::DocumentRecord, time::Timestamp};
//!
//! let record = DocumentRecord::new("Field notes", Timestamp::from_millis(1_795_401_000_000));
//! let stored = sheaf_repo::json::to_cbor(&record.to_json())?; // what a PDS does
//! assert_eq!(DocumentRecord::parse(&stored)?, record);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod awareness;
mod color;
mod document;
mod fields;
mod segment;
mod snapshot;
mod words;

pub use self::{
    awareness::{AwarenessRecord, Caret, LiveEndpoint},
    color::{Color, ColorError},
    document::{DocumentRecord, Format, FormerEditor, FormerReplica},
    segment::{SegmentKey, SegmentRecord},
    snapshot::{
        Carried, Content, MAX_SNAPSHOT_BLOB, MAX_SNAPSHOT_INLINE, MAX_SNAPSHOT_REPOS, MAX_SNAPSHOT_SEGMENTS,
        SNAPSHOT_BLOB_TYPE, SnapshotRecord,
    },
    words::{clean_name, clean_title, could_be_account},
};

/// The collection of root records.
pub const DOCUMENT: &str = "dev.sheaf.document";
/// The collection of edits.
pub const SEGMENT: &str = "dev.sheaf.segment";
/// The collection of presence.
pub const AWARENESS: &str = "dev.sheaf.awareness";
/// The collection of what editors carry of each other.
pub const SNAPSHOT: &str = "dev.sheaf.snapshot";
/// All of them: what to listen to, and what to ask leave to write.
pub const COLLECTIONS: [&str; 4] = [DOCUMENT, SEGMENT, AWARENESS, SNAPSHOT];

/// The most editors a document may name beside its owner.
pub const MAX_EDITORS: usize = 100;
/// The most former editors it may name.
pub const MAX_FORMER: usize = 100;
/// The most replicas a former editor may have.
pub const MAX_FORMER_REPLICAS: usize = 200;
/// The most bytes that the accepted deletions of one of those may take.
pub const MAX_DELETES_BYTES: usize = 96 * 1024;
/// The longest title, in user-perceived characters …
pub const MAX_TITLE_GRAPHEMES: usize = 300;
/// … and in bytes.
pub const MAX_TITLE_BYTES: usize = 3_000;
/// The longest name of a person, in user-perceived characters …
pub const MAX_NAME_GRAPHEMES: usize = 64;
/// … and in bytes.
pub const MAX_NAME_BYTES: usize = 640;
/// The longest name of a format, in bytes.
pub const MAX_FORMAT_BYTES: usize = 64;
/// The most bytes that a place in the text takes.
pub const MAX_STICKY_BYTES: usize = 32;
/// The longest address of a relay, in bytes.
pub const MAX_RELAY_BYTES: usize = 256;
/// The last number a segment may have: eight digits.
pub const MAX_SEQ: u32 = 99_999_999;
/// The longest record of a document, in bytes of DAG-CBOR.
pub const MAX_DOCUMENT_RECORD: usize = 128 * 1024;
/// The longest record of a segment, in bytes of DAG-CBOR.
pub const MAX_SEGMENT_RECORD: usize = 64 * 1024;
/// The longest record of a snapshot, in bytes of DAG-CBOR.
pub const MAX_SNAPSHOT_RECORD: usize = 128 * 1024;
/// The longest record of presence, in bytes of DAG-CBOR.
pub const MAX_AWARENESS_RECORD: usize = 8 * 1024;

/// The OAuth scope that lets an app do all that Sheaf does and nothing else: write these collections, and the blobs that
/// long snapshots are.
///
/// ```
/// # use sheaf_core::record::oauth_scope;
/// assert_eq!(oauth_scope(), "atproto repo:dev.sheaf.document repo:dev.sheaf.segment repo:dev.sheaf.awareness \
///   repo:dev.sheaf.snapshot blob:application/vnd.ipld.car");
/// ```
pub fn oauth_scope() -> String {
    let repos =
        COLLECTIONS.iter().fold("atproto".to_owned(), |scope, collection| scope + " repo:" + collection);
    format!("{repos} blob:{SNAPSHOT_BLOB_TYPE}")
}

/// Why a record, or its key, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Longer than any honest one.
    #[error("the record has {len} bytes; at most {most} are taken")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
        /// The most that is taken, in bytes.
        most: usize,
    },
    /// Not DAG-CBOR in its strict form, or no map.
    #[error("the record is not a map in DAG-CBOR: {0}")]
    NotAMap(String),
    /// Its `$type` is not that of its collection.
    #[error("the record is not a {expected}")]
    OtherType {
        /// What it should be.
        expected: &'static str,
    },
    /// A field that every such record has is not there.
    #[error("the record has no “{0}”")]
    Missing(&'static str),
    /// A field is of another kind than it should be, too long, or makes no sense.
    #[error("the record's “{field}” is not {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A segment's record key that does not follow the grammar.
    #[error("the record key is not DOCUMENT:REPLICA:NUMBER with eight digits")]
    SegmentKey,
}

#[cfg(test)]
mod tests;
