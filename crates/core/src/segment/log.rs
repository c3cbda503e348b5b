//! The author's side of a segment log: what is published, what waits, and what goes into the next record.
//!
//! # Why a lost reply does no harm
//!
//! Where a segment is sealed, and every byte that is in it, depends only on the edits and their order, never on when flushes
//! happened or how they ended. Edits are folded into entries one by one from the oldest on ([`Fold::take`]), and the segment
//! is sealed right after the first edit that makes it reach [`SEAL_AT`]. So whatever became of a write, planning again gives
//!
//! * for a segment that is sealed, the very same record (a `putRecord` of which the PDS does nothing), and
//! * for one that is not, the same record or one that holds more under the same key.
//!
//! A write that may have happened therefore needs no memory of its own, over a restart neither.

use std::collections::{BTreeMap, VecDeque};

use miniz_oxide::deflate::compress_to_vec;

use super::{
    Entry, LEVEL, MAX_ENTRIES, MAX_UPDATE, SEAL_AT, SEAL_AT_INFLATED, SegmentError, encode_entries,
    entry_len, read_entries, read_entry, write_entries, write_entry,
};
use crate::{
    cbor,
    client_id::ReplicaId,
    door::{self, Allowed, VettedUpdate},
    record::MAX_SEQ,
    time::Timestamp,
};

/// Edits of one piece of this many milliseconds, by the clock, become one entry. It is how closely a history can tell when
/// something was written, and what a record's size hangs on: with one minute a long document takes half as many again.
const COALESCE_MILLIS: u64 = 300_000;
/// Merging goes on up to an entry of this length, so that a flush costs no more the longer somebody types.
const COALESCE_UP_TO: usize = 4 * 1024;
/// How closely a segment is watched for having reached [`SEAL_AT`], in bytes before deflating.
const WATCH_EVERY: usize = 256;
/// A segment with this many entries is sealed, however short they are.
const SEAL_AT_ENTRIES: usize = MAX_ENTRIES / 2;

const ACTIVE: &str = "active";
const ENTRY: &str = "entry/";

/// A key suffix in the store, and what to put there (`None`: delete it).
pub type LogOp = (String, Option<Vec<u8>>);

/// One replica's edits that are not in a sealed segment yet.
///
/// Every method that changes what must survive says what to store, as [`LogOp`]s with keys relative to the replica's own:
/// `active` holds the number of the active segment and its published entries, `entry/{n}` each edit that is not published.
#[derive(Debug)]
pub struct SegmentLog {
    replica: ReplicaId,
    /// The number of the active segment.
    seq: u32,
    /// What is published of it.
    published: Vec<Entry>,
    /// Edits that are not published, oldest first.
    pending: VecDeque<Entry>,
    /// The number of the first of them; they count up from there.
    first_pending: u64,
    published_any: bool,
}

/// The next record to write for a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPlan {
    /// Which segment.
    pub seq: u32,
    /// Whether this is its last version.
    pub sealed: bool,
    /// The record's `entries`, deflated.
    pub entries: Vec<u8>,
    /// How many pending edits it publishes, counted when it was planned.
    pub covers: u64,
    /// The number after the last edit in it.
    upto: u64,
    content: Vec<Entry>,
}

impl SegmentPlan {
    /// The updates in it, oldest first.
    pub fn updates(&self) -> impl Iterator<Item = &[u8]> {
        self.content.iter().map(|entry| entry.update.as_slice())
    }
}

/// What the store holds of a log makes no sense. Nothing of it was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what is stored under “{key}” is damaged: {why}")]
pub struct LogError {
    /// The suffix of the key.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

impl SegmentLog {
    /// A replica that has written nothing yet.
    pub fn new(replica: ReplicaId) -> SegmentLog {
        SegmentLog {
            replica,
            seq: 0,
            published: Vec::new(),
            pending: VecDeque::new(),
            first_pending: 0,
            published_any: false,
        }
    }

    /// Takes up a log from what is stored: key suffixes and values, in any order. Everything in it is durable.
    ///
    /// # Errors
    /// [`LogError`] with the key of what is torn, damaged, missing or not a log's. Then the caller keeps what is there and
    /// begins another replica: to go on with a log that lacks an edit would leave what builds on it unreadable for everyone.
    pub fn load(
        replica: ReplicaId,
        stored: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<SegmentLog, LogError> {
        let mut log = SegmentLog::new(replica);
        let mut pending = BTreeMap::new();
        for (key, value) in stored {
            let damaged = |why: &str| LogError { key: key.clone(), why: why.to_owned() };
            if key == ACTIVE {
                let (seq, first_pending, published) =
                    read_active(&value).map_err(|e| damaged(&e.to_string()))?;
                (log.seq, log.first_pending, log.published) = (seq, first_pending, published);
                log.published_any = true;
            } else {
                let number = key.strip_prefix(ENTRY).and_then(|n| n.parse::<u64>().ok());
                let number =
                    number.filter(|n| entry_key(*n) == key).ok_or_else(|| damaged("not a key of a log"))?;
                pending.insert(number, read_pending(&value).map_err(damaged)?);
            }
        }
        // One that is published already was put back by a store that retried late.
        let pending = pending.split_off(&log.first_pending);
        for (expected, (number, entry)) in (log.first_pending..).zip(pending) {
            if number != expected {
                let why = format!("expected instead of “{}”", entry_key(number));
                return Err(LogError { key: entry_key(expected), why });
            }
            log.pending.push_back(entry);
        }
        Ok(log)
    }

    /// Whose edits these are.
    pub fn replica(&self) -> &ReplicaId {
        &self.replica
    }

    /// Edits that are not published.
    pub fn pending(&self) -> u64 {
        self.pending.len() as u64
    }

    /// When the oldest of them was made.
    pub fn pending_since(&self) -> Option<Timestamp> {
        self.pending.front().map(|entry| entry.at)
    }

    /// Whether this replica has ever published anything.
    pub fn published_any(&self) -> bool {
        self.published_any
    }

    /// The number of the active segment.
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// The entries of the active segment as they were last published; none when nothing of it was.
    pub fn published_entries(&self) -> &[Entry] {
        &self.published
    }

    /// The updates that are published in the active segment, oldest first.
    pub fn published(&self) -> impl Iterator<Item = &[u8]> {
        self.published.iter().map(|entry| entry.update.as_slice())
    }

    /// The updates that are not published, oldest first: with those published and the sealed segments, all that this
    /// replica wrote.
    pub fn waiting(&self) -> impl Iterator<Item = &[u8]> {
        self.waiting_entries().map(|entry| entry.update.as_slice())
    }

    /// Those that are not published with when each was made, oldest first.
    pub fn waiting_entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.pending.iter()
    }

    /// Adds an edit and says what to store for it. It may be published once that is durable.
    ///
    /// The update is one of the document's own, canonical, and at most [`MAX_UPDATE`] bytes long: a longer one is to be
    /// split before, or the record it ends up in may be too long to be read.
    pub fn append(&mut self, at: Timestamp, update: &[u8]) -> Vec<LogOp> {
        debug_assert!(update.len() <= MAX_UPDATE, "an update of {} bytes is to be split", update.len());
        let at = Timestamp::from_millis(at.as_millis());
        let entry = Entry { at, update: update.to_vec() };
        let number = self.first_pending + self.pending();
        let mut value = Vec::with_capacity(update.len() + 16);
        write_entry(&entry, &mut value);
        self.pending.push_back(entry);
        vec![(entry_key(number), Some(value))]
    }

    /// The next record, if any of the oldest `durable` pending edits waits for one: everything published since the last
    /// sealed segment, and of those edits as many as go in before it is sealed.
    ///
    /// An edit is durable only when all before it are.
    pub fn plan(&self, durable: u64) -> Option<SegmentPlan> {
        let durable = usize::try_from(durable).unwrap_or(usize::MAX).min(self.pending.len());
        if durable == 0 {
            return None;
        }
        let mut fold = Fold::resume(&self.published);
        let mut covers = 0;
        let mut sealed = None;
        for entry in self.pending.iter().take(durable) {
            covers += 1;
            fold.take(entry);
            sealed = fold.seal();
            if sealed.is_some() {
                break;
            }
        }
        let is_sealed = sealed.is_some();
        let content = fold.into_entries();
        let entries = sealed.unwrap_or_else(|| encode_entries(&content));
        Some(SegmentPlan {
            seq: self.seq,
            sealed: is_sealed,
            entries,
            covers,
            upto: self.first_pending + covers,
            content,
        })
    }

    /// The active segment as it was last published, with no edit more.
    pub fn plan_again(&self) -> SegmentPlan {
        SegmentPlan {
            seq: self.seq,
            sealed: false,
            entries: encode_entries(&self.published),
            covers: 0,
            upto: self.first_pending,
            content: self.published.clone(),
        }
    }

    /// The plan's record is in the repo: says what to store and delete now. A plan that a later one has overtaken changes
    /// nothing.
    pub fn was_published(&mut self, plan: &SegmentPlan) -> Vec<LogOp> {
        if plan.seq != self.seq || plan.upto <= self.first_pending {
            return Vec::new();
        }
        let done = plan.upto - self.first_pending;
        if plan.sealed {
            self.go_on_from(self.seq + 1, Vec::new(), done)
        } else {
            self.go_on_from(self.seq, plan.content.clone(), done)
        }
    }

    /// The active segment is now this one, with these entries published, and of the pending edits the first `done` are in
    /// the repo: says what to store and delete.
    pub fn go_on_from(&mut self, seq: u32, published: Vec<Entry>, done: u64) -> Vec<LogOp> {
        let done = done.min(self.pending());
        let upto = self.first_pending + done;
        let mut ops: Vec<LogOp> = (self.first_pending..upto).map(|n| (entry_key(n), None)).collect();
        self.pending.drain(..usize::try_from(done).expect("no more than are pending"));
        self.first_pending = upto;
        self.published_any = true;
        // 100 million segments of 4 KB are more than anyone writes; the last one would be overwritten for ever.
        self.seq = seq.min(MAX_SEQ);
        self.published = published;
        ops.push((ACTIVE.to_owned(), Some(self.write_active())));
        ops
    }

    fn write_active(&self) -> Vec<u8> {
        let mut out = Vec::new();
        cbor::array(&mut out, 3);
        cbor::uint(&mut out, u64::from(self.seq));
        cbor::uint(&mut out, self.first_pending);
        write_entries(&self.published, &mut out);
        out
    }
}

fn read_active(value: &[u8]) -> Result<(u32, u64, Vec<Entry>), SegmentError> {
    let wrong = SegmentError::NotEntries;
    let mut reader = cbor::Reader::new(value);
    if reader.array().map_err(wrong)? != 3 {
        return Err(wrong("not a segment's state"));
    }
    let seq = reader.uint().map_err(wrong)?;
    let seq =
        u32::try_from(seq).ok().filter(|seq| *seq <= MAX_SEQ).ok_or(wrong("a number that no segment has"))?;
    let first_pending = reader.uint().map_err(wrong)?;
    let published = read_entries(&mut reader)?;
    reader.end().map_err(wrong)?;
    if published.iter().any(|entry| vet(&entry.update).is_none()) {
        return Err(wrong("an update that is none"));
    }
    Ok((seq, first_pending, published))
}

fn read_pending(value: &[u8]) -> Result<Entry, &'static str> {
    let mut reader = cbor::Reader::new(value);
    let entry = read_entry(&mut reader)?;
    reader.end()?;
    vet(&entry.update).map(|_| entry).ok_or("an update that is none")
}

/// Sixteen digits, so that keys sort as numbers do.
fn entry_key(number: u64) -> String {
    format!("{ENTRY}{number:016}")
}

fn vet(update: &[u8]) -> Option<VettedUpdate> {
    door::scan(update, Allowed::Any).ok()
}

/// A segment's content while edits are folded into it, one by one.
struct Fold {
    entries: Vec<Entry>,
    /// The last entry, as the door knows it, while something may still be merged into it.
    last: Option<VettedUpdate>,
    /// Bytes of the entries before deflating.
    inflated: usize,
    /// That, before the last edit.
    inflated_before: usize,
}

impl Fold {
    fn resume(published: &[Entry]) -> Fold {
        let inflated = published.iter().map(entry_len).sum();
        let last = published.last().and_then(|entry| vet(&entry.update));
        Fold { entries: published.to_vec(), last, inflated, inflated_before: inflated }
    }

    fn take(&mut self, entry: &Entry) {
        self.inflated_before = self.inflated;
        let update = vet(&entry.update);
        let merged = match (&self.last, &update, self.entries.last()) {
            (Some(before), Some(update), Some(last)) if same_piece(last, entry) => {
                merge_entries(before, update)
            }
            _ => None,
        };
        match (merged, self.entries.last_mut()) {
            (Some(merged), Some(last)) => {
                self.inflated -= entry_len(last);
                last.update = merged.bytes().to_vec();
                self.inflated += entry_len(last);
                self.last = Some(merged);
            }
            _ => {
                self.inflated += entry_len(entry);
                self.entries.push(entry.clone());
                self.last = update;
            }
        }
    }

    /// The deflated entries if the segment is to be sealed after the last edit. Deflating costs, so it is looked at only
    /// now and then; when depends on nothing but the lengths before and after that edit.
    fn seal(&self) -> Option<Vec<u8>> {
        let full = self.inflated >= SEAL_AT_INFLATED || self.entries.len() >= SEAL_AT_ENTRIES;
        let watched =
            self.inflated / WATCH_EVERY > self.inflated_before / WATCH_EVERY && self.inflated >= SEAL_AT;
        if !full && !watched {
            return None;
        }
        let mut inflated = Vec::with_capacity(self.inflated + 8);
        write_entries(&self.entries, &mut inflated);
        let deflated = compress_to_vec(&inflated, LEVEL);
        (full || deflated.len() >= SEAL_AT).then_some(deflated)
    }

    fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

fn same_piece(a: &Entry, b: &Entry) -> bool {
    a.at.as_millis() / COALESCE_MILLIS == b.at.as_millis() / COALESCE_MILLIS
}

/// Two updates as one, if whoever can apply the first can apply both.
///
/// An update that builds on somebody else's newer text stays by itself: when two people answer each other at once,
/// each one's entry would otherwise wait for the other's, for ever.
pub(crate) fn merge_entries(before: &VettedUpdate, update: &VettedUpdate) -> Option<VettedUpdate> {
    if before.bytes().len() + update.bytes().len() > COALESCE_UP_TO {
        return None;
    }
    let author = update.author().or(before.author());
    let needs_more = update.requires().iter().any(|(client, clock)| {
        Some(*client) != author && before.requires().get(client).is_none_or(|known| known < clock)
    });
    if needs_more {
        return None;
    }
    door::merge(&[before.clone(), update.clone()]).ok()
}
