//! Records that no honest client writes, and the two marks by which their text is known on sight.

use sheaf_core::{
    client_id::{ClientId, ReplicaId},
    document::Document,
    document_uri::DocumentUri,
    door::{self, Allowed},
    record::{self, Carried, Content, SegmentRecord, SnapshotRecord},
    segment::{self, Entry},
    text::Splice,
    time::Timestamp,
};
use sheaf_repo::{
    json,
    repo::{RecordWrite, Repo},
};

use crate::{
    pds::{Account, stolen_key},
    schedule::{Hostility, Lateness},
};

/// In text that was never truly signed, or in somebody else's name: it must not show, ever, anywhere.
pub(crate) const FORGED: char = '☠';
/// In what a former editor writes after the removal.
pub(crate) const LATE: char = '✗';

/// The account's repo as somebody would have it who has not got its key.
pub(crate) fn impostor(account: &Account, document: &DocumentUri, now: u64) -> Repo {
    let mut records: Vec<RecordWrite> = account
        .repo
        .paths()
        .filter_map(|path| Some(RecordWrite::Put(path.to_owned(), account.repo.get(path)?.1.to_vec())))
        .collect();
    let client = ClientId::derive(account.did.as_str(), &document.to_string(), &replica("forged"));
    let update = one_update(client, FORGED, now);
    records.push(segment_write(document, "forged", 0, vec![update], now));
    let mut repo = Repo::new(account.did.clone(), stolen_key(), account.repo.rev().clone());
    let rev = repo.next_rev(now + 1_000);
    repo.apply(records, rev);
    repo
}

/// A record that the account's own key signs, and that is no good all the same.
pub(crate) fn hostile(
    hostility: Hostility,
    document: &DocumentUri,
    owner: &Account,
    now: u64,
) -> RecordWrite {
    let path = |name: &str| format!("{}/{}:{name}:00000000", record::SEGMENT, document.rkey());
    match hostility {
        Hostility::InTheOwnersName => {
            let client = ClientId::derive(document.owner().as_str(), &document.to_string(), &replica("r0"));
            segment_write(document, "hostile", 0, vec![one_update(client, FORGED, now)], now)
        }
        Hostility::Noise => segment_write(document, "noise", 0, vec![vec![1, 9, 255, 255, 3, 4]], now),
        Hostility::ForgedSnapshot => {
            let forged = impostor(owner, document, now);
            let segments = forged.paths().filter_map(|path| {
                let (cid, _) = forged.get(path)?;
                let (collection, rkey) = path.split_once('/')?;
                Some((rkey.parse().ok().filter(|_| collection == record::SEGMENT)?, *cid))
            });
            let carried =
                Carried { did: owner.did.clone(), rev: forged.rev().clone(), segments: segments.collect() };
            let snapshot = SnapshotRecord {
                document: document.clone(),
                created_at: Timestamp::from_micros(now),
                repos: vec![carried],
                content: Content::Inline(forged.export_car()),
            };
            let bytes = json::to_cbor(&snapshot.to_json()).expect("a snapshot is a record");
            RecordWrite::Put(format!("{}/{}", record::SNAPSHOT, document.rkey()), bytes)
        }
        Hostility::NoRecord => RecordWrite::Put(path("nothing"), vec![0xa0]),
    }
}

/// What a former editor adds: into a segment of theirs that is known already, after all that is in it or under the clocks of
/// what is in it; or as a new replica.
pub(crate) fn late_words(
    account: &Account,
    document: &DocumentUri,
    how: Lateness,
    now: u64,
) -> Option<RecordWrite> {
    if how == Lateness::NewReplica {
        let client = ClientId::derive(account.did.as_str(), &document.to_string(), &replica("late"));
        return Some(segment_write(document, "late", 0, vec![one_update(client, LATE, now)], now));
    }
    let prefix = format!("{}/", record::SEGMENT);
    let known = account.repo.paths().filter(|path| path.starts_with(&prefix)).last()?;
    let mut record = SegmentRecord::parse(account.repo.get(known)?.1).ok()?;
    let client = ClientId::derive(account.did.as_str(), &document.to_string(), &record.replica);
    let mut entries = segment::decode_entries(&record.entries).ok()?;
    let ends = entries.iter().filter_map(|entry| {
        let update = door::scan(&entry.update, Allowed::Author(client)).ok()?;
        update.provides().values().map(|range| range.end).max()
    });
    let clock = if how == Lateness::Rewritten { 0 } else { ends.max().unwrap_or_default() };
    let at = Timestamp::from_micros(now);
    entries.push(Entry { at, update: written_after(client, clock, LATE, now) });
    record.entries = segment::encode_entries(&entries);
    Some(RecordWrite::Put(known.to_owned(), json::to_cbor(&record.to_json()).ok()?))
}

fn one_update(client: ClientId, mark: char, now: u64) -> Vec<u8> {
    written_after(client, 0, mark, now)
}

/// What a client who has written so much would write next, were it theirs.
pub(crate) fn next_update(client: ClientId, clock: u32, now: u64) -> Vec<u8> {
    written_after(client, clock, FORGED, now)
}

fn written_after(client: ClientId, clock: u32, mark: char, now: u64) -> Vec<u8> {
    let at = Timestamp::from_micros(now);
    // Of a text as long as theirs, the end is what they would write next.
    let mut text = Document::new(client);
    if clock > 0 {
        text.edit(at, &[Splice::insert(0, "·".repeat(clock as usize))]).expect("it fits an empty text");
    }
    let splice = Splice::insert(clock, format!("{mark}{mark}"));
    let change = text.edit(at, &[splice]).expect("it fits after that");
    change.updates[0].bytes().to_vec()
}

fn segment_write(
    document: &DocumentUri,
    name: &str,
    seq: u32,
    updates: Vec<Vec<u8>>,
    now: u64,
) -> RecordWrite {
    let at = Timestamp::from_micros(now);
    let entries: Vec<Entry> = updates.into_iter().map(|update| Entry { at, update }).collect();
    let record = SegmentRecord {
        document: document.clone(),
        replica: replica(name),
        seq,
        sealed: false,
        through: None,
        entries: segment::encode_entries(&entries),
        carried: None,
    };
    let bytes = json::to_cbor(&record.to_json()).expect("a segment is a record");
    RecordWrite::Put(format!("{}/{}", record::SEGMENT, record.key()), bytes)
}

fn replica(name: &str) -> ReplicaId {
    name.parse().expect("a plain name")
}
