//! Records made to be costly: a short one never takes more than 16 MB to be read or refused.

use miniz_oxide::deflate::compress_to_vec;
use sheaf_core::{
    record::{AwarenessRecord, DocumentRecord, SegmentRecord, SnapshotRecord},
    segment::{MAX_ENTRIES, MAX_ENTRIES_BYTES, decode_entries},
};
use sheaf_hostile::{MOST_MEMORY, memory::peak_of};

/// The head of a DAG-CBOR value.
fn head(kind: u8, value: u32) -> Vec<u8> {
    let [a, b, c, d] = value.to_be_bytes();
    match value {
        0..=23 => vec![kind << 5 | d],
        24..=0xff => vec![kind << 5 | 24, d],
        0x100..=0xffff => vec![kind << 5 | 25, c, d],
        _ => vec![kind << 5 | 26, a, b, c, d],
    }
}

#[test]
fn entries_made_to_be_costly_stay_cheap() {
    let empty = [0x82, 0x00, 0x40];
    let many = |n: usize| [head(4, n as u32), empty.repeat(n)].concat();
    let cases = [
        vec![0; 100 * 1024 * 1024],
        many(MAX_ENTRIES),
        many(300_000),
        [head(4, u32::MAX), empty.repeat(100_000)].concat(),
        [head(4, 1), head(4, 2), head(0, 7), head(2, u32::MAX)].concat(),
        [head(4, 1), head(4, 2), head(0, 7), head(2, 1_000_000), vec![7; 1_000_000]].concat(),
        [0x81; 1_000_000].to_vec(),
    ];
    for inflated in cases {
        let deflated = compress_to_vec(&inflated, 9);
        let short = &deflated[..deflated.len().min(MAX_ENTRIES_BYTES)];
        let (_, peak) = peak_of(|| drop(decode_entries(short)));
        assert!(peak <= MOST_MEMORY / 2, "{peak} bytes for {} deflated", deflated.len());
    }
    assert_eq!(
        decode_entries(&compress_to_vec(&many(MAX_ENTRIES), 9)).expect("as many as may be").len(),
        MAX_ENTRIES
    );
}

#[test]
fn records_made_to_be_costly_stay_cheap() {
    let kinds = ["dev.sheaf.document", "dev.sheaf.segment", "dev.sheaf.awareness", "dev.sheaf.snapshot"];
    for kind in kinds {
        let start =
            [head(5, 2), head(3, 5), b"$type".to_vec(), head(3, kind.len() as u32), kind.as_bytes().to_vec()]
                .concat();
        let list = if kind == "dev.sheaf.snapshot" { "repos" } else { "editors" };
        let key = [head(3, list.len() as u32), list.as_bytes().to_vec()].concat();
        for tail in [
            [0x80; 60_000].to_vec(),
            [head(4, 60_000), vec![0xa0; 60_000]].concat(),
            [head(4, 60_000), vec![0x60; 60_000]].concat(),
            [head(4, u32::MAX), vec![0x00; 1_000]].concat(),
            [head(5, u32::MAX), vec![0x00; 1_000]].concat(),
            [head(2, u32::MAX)].concat(),
            [0x81; 60_000].to_vec(),
            [0xa1; 60_000].to_vec(),
        ] {
            let record = [start.clone(), key.clone(), tail].concat();
            let peaks = [
                peak_of(|| drop(DocumentRecord::parse(&record))).1,
                peak_of(|| drop(SegmentRecord::parse(&record))).1,
                peak_of(|| drop(AwarenessRecord::parse(&record))).1,
                peak_of(|| drop(SnapshotRecord::parse(&record))).1,
            ];
            assert!(peaks.iter().all(|peak| *peak <= MOST_MEMORY), "{peaks:?}");
        }
    }
}
