//! The record that holds a run of one replica's edits, and its key.

use std::{fmt, str::FromStr};

use sheaf_repo::{Ipld, json, record_key::RecordKey, tid::Tid};

use super::{
    MAX_SEGMENT_RECORD, MAX_SEQ, RecordError, SEGMENT,
    fields::{self, Fields, boolean, bytes, number, parsed, string},
};
use crate::{
    client_id::ReplicaId,
    document_uri::DocumentUri,
    segment::{MAX_CARRIED_BYTES, MAX_ENTRIES_BYTES},
};

/// A segment's record key: `{document}:{replica}:{seq}`, the number in eight digits, so that keys sort as the log runs.
///
/// ```
/// use sheaf_core::record::SegmentKey;
/// let key: SegmentKey = "3jzfcijpj2z2a:k3x9:00000012".parse()?;
/// assert_eq!(key.seq, 12);
/// assert_eq!(key.to_string(), "3jzfcijpj2z2a:k3x9:00000012");
/// # Ok::<(), sheaf_core::record::RecordError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentKey {
    /// The key of the document's root record.
    pub document: RecordKey,
    /// Whose log.
    pub replica: ReplicaId,
    /// Which part of it, from 0 to [`MAX_SEQ`].
    pub seq: u32,
}

impl FromStr for SegmentKey {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<SegmentKey, RecordError> {
        let wrong = || RecordError::SegmentKey;
        let mut parts = text.split(':');
        let (Some(document), Some(replica), Some(seq), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        if seq.len() != 8 || !seq.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let tid: Tid = document.parse().map_err(|_| wrong())?;
        Ok(SegmentKey {
            document: tid.as_str().parse().map_err(|_| wrong())?,
            replica: replica.parse().map_err(|_| wrong())?,
            seq: seq.parse().map_err(|_| wrong())?,
        })
    }
}

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{:08}", self.document, self.replica, self.seq)
    }
}

/// `dev.sheaf.segment`: a run of consecutive edits of one replica, in its author's repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Which document it belongs to: keys alone may coincide between owners.
    pub document: DocumentUri,
    /// Whose log.
    pub replica: ReplicaId,
    /// Which part of it, from 0 to [`MAX_SEQ`].
    pub seq: u32,
    /// Whether it is its last version, but for being folded with others.
    pub sealed: bool,
    /// Where segments were folded into this one: the number of the last of them. They are gone from the repo.
    pub through: Option<u32>,
    /// Its entries, deflated: see [`crate::segment`]. At most [`MAX_ENTRIES_BYTES`].
    pub entries: Vec<u8>,
    /// What its entries build on and others have only said live, signed by them: see [`crate::segment::carried`]. At most
    /// [`MAX_CARRIED_BYTES`].
    pub carried: Option<Vec<u8>>,
}

impl SegmentRecord {
    /// Reads a record as it stands in a repo. Its entries are not looked into yet.
    ///
    /// # Errors
    /// [`RecordError`] when it is longer than [`MAX_SEGMENT_RECORD`], no such record, or over a limit.
    pub fn parse(record: &[u8]) -> Result<SegmentRecord, RecordError> {
        let mut fields = Fields::of_record(record, MAX_SEGMENT_RECORD, SEGMENT)?;
        let seq = fields.required("seq", "a number of at most eight digits", number(MAX_SEQ))?;
        let sealed = fields.required("sealed", "true or false", boolean)?;
        Ok(SegmentRecord {
            document: fields.required("document", "a document's at-URI", parsed)?,
            replica: fields.required("replica", "a replica id", parsed)?,
            seq,
            sealed,
            through: fields.optional(
                "through",
                "the number of a later segment of a sealed log",
                |value| number(MAX_SEQ)(value).filter(|through| sealed && *through > seq),
            )?,
            entries: fields.required("entries", "bytes, or too many", bytes(MAX_ENTRIES_BYTES))?,
            carried: fields.optional("carried", "bytes, or too many", bytes(MAX_CARRIED_BYTES))?,
        })
    }

    /// The key it stands under.
    pub fn key(&self) -> SegmentKey {
        SegmentKey { document: self.document.rkey().clone(), replica: self.replica.clone(), seq: self.seq }
    }

    /// The number of the last segment that is in it: its own, or that of the last one folded into it.
    pub fn last(&self) -> u32 {
        self.through.unwrap_or(self.seq)
    }

    /// The record in atproto's JSON.
    pub fn to_json(&self) -> serde_json::Value {
        let fields = [
            ("document", string(&self.document)),
            ("replica", string(&self.replica)),
            ("seq", Ipld::Integer(self.seq.into())),
            ("sealed", Ipld::Bool(self.sealed)),
            ("entries", Ipld::Bytes(self.entries.clone())),
        ];
        let through = self.through.map(|through| ("through", Ipld::Integer(through.into())));
        let carried = self.carried.clone().map(|carried| ("carried", Ipld::Bytes(carried)));
        json::from_ipld(&fields::record(SEGMENT, fields.into_iter().chain(through).chain(carried)))
    }
}
