//! Segments: a replica's edits as a log of records.
//!
//! A replica publishes its updates as the entries of a segment record. Each flush overwrites the one *active* segment with
//! everything since the last *sealed* one, so a reader that missed an event has missed nothing, and a document has few
//! records instead of one per flush. Once it has grown past [`SEAL_AT`] a segment is sealed, never to change again, and the
//! next one begins. Later the author folds several sealed ones into one ([`worth_folding`]).
//!
//! [`encode_entries`] and [`decode_entries`] are the record's `entries`: the DAG-CBOR array `[[at, update], …]` (`at` in
//! milliseconds since 1970), deflated without a header ([RFC 1951]). [`SegmentLog`] is the author's side: what is published,
//! what waits, and what goes into the next record.
//!
//! ```
//! use sheaf_core::{segment::{Entry, decode_entries, encode_entries}, time::Timestamp};
//!
//! let entries = vec![Entry { at: Timestamp::from_millis(1_795_401_000_250), update: vec![1, 2, 3] }];
//! let bytes = encode_entries(&entries);
//! assert_eq!(decode_entries(&bytes)?, entries);
//! # Ok::<(), sheaf_core::segment::SegmentError>(())
//! ```
//!
//! [RFC 1951]: https://www.rfc-editor.org/rfc/rfc1951

pub mod carried;
mod fold;
mod inflate;
mod log;

use miniz_oxide::deflate::compress_to_vec;

pub(crate) use self::log::merge_entries;
pub use self::{
    fold::{Sealed, fold, worth_folding},
    log::{LogError, LogOp, SegmentLog, SegmentPlan},
};
use crate::{cbor, time::Timestamp};

/// A segment that has reached this many bytes, deflated, is sealed.
pub const SEAL_AT: usize = 4 * 1024;
/// So is one that has this many bytes before deflating, however well it deflates.
pub const SEAL_AT_INFLATED: usize = 64 * 1024;
/// The most bytes that a record's `entries` may have, deflated.
pub const MAX_ENTRIES_BYTES: usize = 60 * 1024;
/// The most bytes that a record's `carried` may have, deflated.
pub const MAX_CARRIED_BYTES: usize = 40 * 1024;
/// The most they may have once inflated.
pub const MAX_INFLATED: usize = 1024 * 1024;
/// The most entries in one segment.
pub const MAX_ENTRIES: usize = 4_096;
/// The longest update that a [`SegmentLog`] takes, so that it fits a record beside what is there already. Longer ones are
/// to be split before.
pub const MAX_UPDATE: usize = 40 * 1024;

/// Entries may inflate to this much however short they are …
const INFLATED_FREE: usize = 128 * 1024;
/// … and beyond that to this many times their length. Text and ids deflate to a half or a quarter.
const INFLATED_RATIO: usize = 64;
/// How hard to deflate: the records are small and are read more often than written.
const LEVEL: u8 = 9;

/// A run of edits of one replica: one update, or several that were made in the same five minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When its first edit was made by the clock of its author's device, to the millisecond. Not to be trusted for order.
    pub at: Timestamp,
    /// The update, in the document's format.
    pub update: Vec<u8>,
}

/// Why a record's `entries` are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// Longer than [`MAX_ENTRIES_BYTES`].
    #[error("the entries have {0} bytes; at most {MAX_ENTRIES_BYTES} are taken")]
    TooLong(usize),
    /// They would inflate to more than [`MAX_INFLATED`], or to many times what text does.
    #[error("the entries inflate to more than {0} bytes")]
    Bomb(usize),
    /// They are not deflated data, are cut short, or something follows their end.
    #[error("the entries cannot be inflated")]
    NotDeflated,
    /// They do not inflate to a DAG-CBOR array of `[at, update]`.
    #[error("the entries are not a list of [at, update]: {0}")]
    NotEntries(&'static str),
    /// They do not inflate to what [`carried`] is.
    #[error("what it carries of others cannot be read: {0}")]
    NotCarried(&'static str),
    /// More than [`MAX_ENTRIES`].
    #[error("there are {0} entries; at most {MAX_ENTRIES} are taken")]
    TooMany(u64),
}

/// Writes entries as they stand in a record. Times are cut to milliseconds.
pub fn encode_entries(entries: &[Entry]) -> Vec<u8> {
    compress_to_vec(&inflated(entries), LEVEL)
}

/// Reads a record's `entries`. What a stranger wrote costs at most the memory of [`MAX_INFLATED`] a few times over.
///
/// # Errors
/// [`SegmentError`] for whatever [`encode_entries`] would not have written, up to how it was deflated.
pub fn decode_entries(bytes: &[u8]) -> Result<Vec<Entry>, SegmentError> {
    if bytes.len() > MAX_ENTRIES_BYTES {
        return Err(SegmentError::TooLong(bytes.len()));
    }
    let most = (INFLATED_FREE + INFLATED_RATIO * bytes.len()).min(MAX_INFLATED);
    let inflated = inflate::inflate(bytes, most)?;
    let mut reader = cbor::Reader::new(&inflated);
    let entries = read_entries(&mut reader)?;
    reader.end().map_err(SegmentError::NotEntries)?;
    Ok(entries)
}

fn inflated(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    write_entries(entries, &mut out);
    out
}

fn write_entries(entries: &[Entry], out: &mut Vec<u8>) {
    cbor::array(out, entries.len());
    for entry in entries {
        write_entry(entry, out);
    }
}

fn write_entry(entry: &Entry, out: &mut Vec<u8>) {
    cbor::array(out, 2);
    cbor::uint(out, entry.at.as_millis());
    cbor::bytes(out, &entry.update);
}

/// How many bytes an entry takes before deflating.
fn entry_len(entry: &Entry) -> usize {
    1 + cbor::head_len(entry.at.as_millis()) + cbor::head_len(entry.update.len() as u64) + entry.update.len()
}

fn read_entries(reader: &mut cbor::Reader<'_>) -> Result<Vec<Entry>, SegmentError> {
    let count = reader.array().map_err(SegmentError::NotEntries)?;
    if count > MAX_ENTRIES as u64 {
        return Err(SegmentError::TooMany(count));
    }
    // Each reads what is there or fails, so the count reserves nothing by itself.
    (0..count).map(|_| read_entry(reader).map_err(SegmentError::NotEntries)).collect()
}

fn read_entry(reader: &mut cbor::Reader<'_>) -> Result<Entry, &'static str> {
    if reader.array()? != 2 {
        return Err("an entry is a time and an update");
    }
    let millis = reader.uint()?;
    if millis > MAX_MILLIS {
        return Err("a time beyond the year 9999");
    }
    Ok(Entry { at: Timestamp::from_millis(millis), update: reader.bytes()?.to_vec() })
}

/// 9999-12-31T23:59:59.999Z.
pub(crate) const MAX_MILLIS: u64 = 253_402_300_799_999;

#[cfg(test)]
mod tests;
