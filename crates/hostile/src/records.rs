//! Records: the document's, segments with what they hold, snapshots and presence; and what any record is as CBOR and as JSON.

use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec};
use sheaf_core::{
    door::{Allowed, scan},
    extent::Extent,
    record::{
        AwarenessRecord, Content, DocumentRecord, SegmentRecord, SnapshotRecord, clean_name, clean_title,
    },
    segment::{MAX_ENTRIES, MAX_INFLATED, decode_entries, encode_entries},
    time::Timestamp,
};
use sheaf_repo::{Ipld, cbor, cid, json};

use crate::car;
use crate::history::{history, presence, root_record, segments, snapshot};

/// An input that begins with this holds a segment's entries before they are deflated.
const INFLATED: u8 = b'I';

pub(crate) fn read(input: &[u8]) -> bool {
    if let Some((&INFLATED, entries)) = input.split_first()
        && read_entries(&compress_to_vec(entries, 1))
    {
        return true;
    }
    let any = read_any(input);
    let records = [read_document(input), read_segment(input), read_presence(input), read_snapshot(input)];
    assert!(records.iter().filter(|read| **read).count() <= usize::from(any), "one record is of one kind");
    read_entries(input) || records.contains(&true)
}

fn stored(record: &serde_json::Value) -> Vec<u8> {
    json::to_cbor(record).expect("what we write, a PDS takes")
}

/// One value has one encoding, and a record that JSON can say is the same record when it comes back from JSON.
fn read_any(input: &[u8]) -> bool {
    let Ok(value) = cbor::decode(input) else { return false };
    assert_eq!(cbor::encode(&value), input);
    if let Ok(written) = json::to_cbor(&json::from_ipld(&value)) {
        let again = cbor::decode(&written).expect("what JSON says is a record");
        assert_eq!(json::to_cbor(&json::from_ipld(&again)).as_ref(), Ok(&written));
        if !has_special_keys(&value) {
            assert_eq!(written, input);
        }
    }
    true
}

/// Whether JSON would take something for bytes or a link that is a map with such a key.
fn has_special_keys(value: &Ipld) -> bool {
    match value {
        Ipld::Map(map) => {
            map.iter().any(|(key, value)| key.starts_with('$') && key != "$type" || has_special_keys(value))
        }
        Ipld::List(list) => list.iter().any(has_special_keys),
        _ => false,
    }
}

/// As times are written.
fn to_the_millisecond(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millis())
}

fn read_document(input: &[u8]) -> bool {
    let Ok(mut record) = DocumentRecord::parse(input) else { return false };
    record.created_at = to_the_millisecond(record.created_at);
    assert_eq!(DocumentRecord::parse(&stored(&record.to_json())).as_ref(), Ok(&record));
    assert_eq!(record.check(), Ok(()));
    assert_eq!(clean_title(&record.title), record.title);
    for replica in record.former.iter().flat_map(|former| &former.replicas) {
        if let Ok(extent) = Extent::from_parts(replica.clock, &replica.deletes) {
            assert_eq!((extent.clock(), extent.deletes()), (replica.clock, replica.deletes.clone()));
        }
    }
    true
}

fn read_segment(input: &[u8]) -> bool {
    let Ok(record) = SegmentRecord::parse(input) else { return false };
    assert_eq!(SegmentRecord::parse(&stored(&record.to_json())).as_ref(), Ok(&record));
    let key = record.key();
    assert_eq!(key.to_string().parse().as_ref(), Ok(&key));
    assert!(history().document.segment_path(&key).ends_with(&key.to_string()));
    read_entries(&record.entries);
    true
}

fn read_presence(input: &[u8]) -> bool {
    let Ok(mut record) = AwarenessRecord::parse(input) else { return false };
    record.expires_at = to_the_millisecond(record.expires_at);
    assert_eq!(AwarenessRecord::parse(&stored(&record.to_json())).as_ref(), Ok(&record));
    if let Some(name) = &record.name {
        assert_eq!(&clean_name(name), name);
    }
    true
}

fn read_snapshot(input: &[u8]) -> bool {
    let Ok(mut record) = SnapshotRecord::parse(input) else { return false };
    record.created_at = to_the_millisecond(record.created_at);
    match &record.content {
        // One in a blob is a CAR like any other, and `car` looks at that.
        Content::Inline(bytes) => {
            if let Ok(car) = sheaf_repo::car::parse(bytes, &car::LIMITS) {
                car::carried(&car);
            }
        }
        Content::Blob(cid) => {
            assert!(cid::is_allowed(cid));
            // The blob's reference is the PDS's to write.
            record.content = Content::Inline(vec![]);
        }
    }
    assert_eq!(SnapshotRecord::parse(&stored(&record.to_json())).as_ref(), Ok(&record));
    true
}

fn read_entries(input: &[u8]) -> bool {
    let Ok(entries) = decode_entries(input) else { return false };
    assert!(entries.len() <= MAX_ENTRIES);
    assert!(entries.iter().map(|entry| entry.update.len()).sum::<usize>() <= MAX_INFLATED);
    for entry in &entries {
        // What is in them passes the door or does not; `door` looks at that more closely.
        let _ = scan(&entry.update, Allowed::Any);
    }
    let written = encode_entries(&entries);
    // Ours deflates better than what came, or is at least as good; only a very long one could be refused for its length.
    if let Ok(again) = decode_entries(&written) {
        assert_eq!(again, entries);
    }
    true
}

/// Records of every kind as their authors write them, and the inflated entries of the segments.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let history = history();
    let segments = segments(&history.document, &history.did);
    let mut seeds = vec![stored(&root_record().to_json()), stored(&presence(&history.document).to_json())];
    let mut blob = snapshot().to_json();
    let link = cid::of_record(b"\xa0").to_string();
    blob["blob"] = serde_json::json!({
        "$type": "blob", "ref": { "$link": link }, "mimeType": "application/vnd.ipld.car", "size": 77,
    });
    seeds.push(stored(&blob));
    blob.as_object_mut().expect("a record").remove("car");
    seeds.push(stored(&blob));
    let mut folded = segments[0].clone();
    folded.through = Some(7);
    seeds.push(stored(&folded.to_json()));
    for segment in &segments {
        seeds.push(stored(&segment.to_json()));
        seeds.push(segment.entries.clone());
        let inflated = decompress_to_vec(&segment.entries).expect("our own entries");
        seeds.push([&[INFLATED], &inflated[..]].concat());
    }
    let former = serde_json::json!({
        "$type": "dev.sheaf.document",
        "title": "",
        "createdAt": "2026-02-29T23:59:60.123456789-12:34",
        "format": "yjs-v1",
        "editors": [],
        "former": [{ "did": "did:web:carol.example", "replicas": [
            { "replica": "old1", "clock": 12, "deletes": { "$bytes": "AAEBAgABAg" } },
            { "replica": "old2", "clock": 0, "deletes": { "$bytes": "AAA" } },
        ] }],
        "color": "#336699",
        "later": { "blob": { "$type": "blob", "ref": { "$link": cid::of_record(b"\xa0").to_string() }, "mimeType": "a/b", "size": 1 } },
    });
    seeds.push(stored(&former));
    let mut plain = former;
    plain["createdAt"] = "2026-03-01T00:00:00Z".into();
    seeds.push(stored(&plain));
    seeds
}
