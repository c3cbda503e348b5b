//! Records made to be costly: a short one never takes more than 16 MB to be read or refused.

#![allow(unsafe_code)] // A global allocator that counts is an unsafe trait; it only hands on to the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use miniz_oxide::deflate::compress_to_vec;
use sheaf_core::{
    record::{AwarenessRecord, DocumentRecord, SegmentRecord},
    segment::{MAX_ENTRIES, MAX_ENTRIES_BYTES, decode_entries},
};

const MOST_MEMORY: usize = 16 * 1024 * 1024;

struct Counting;

thread_local! {
    // By thread, so that tests running side by side don't count for each other.
    static IN_USE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that is ending has no counters any more.
    let _ = IN_USE.try_with(|in_use| {
        in_use.set(in_use.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(in_use.get())));
    });
}

// SAFETY: every call goes to the system's allocator with the same arguments; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps to the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `memory` came from `alloc` above, which is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that was in use beyond what was before, in bytes, while `work` ran.
fn peak_of<T>(work: impl FnOnce() -> T) -> usize {
    let before = IN_USE.get();
    PEAK.set(before);
    drop(work());
    (PEAK.get() - before).max(0) as usize
}

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
fn the_counter_counts() {
    let peak = peak_of(|| std::hint::black_box(vec![1u8; 3_000_000]));
    assert!((3_000_000..3_100_000).contains(&peak), "{peak}");
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
        let peak = peak_of(|| decode_entries(short));
        assert!(peak <= MOST_MEMORY / 2, "{peak} bytes for {} deflated", deflated.len());
    }
    assert_eq!(
        decode_entries(&compress_to_vec(&many(MAX_ENTRIES), 9)).expect("as many as may be").len(),
        MAX_ENTRIES
    );
}

#[test]
fn records_made_to_be_costly_stay_cheap() {
    let kinds = ["dev.sheaf.document", "dev.sheaf.segment", "dev.sheaf.awareness"];
    for kind in kinds {
        let start =
            [head(5, 2), head(3, 5), b"$type".to_vec(), head(3, kind.len() as u32), kind.as_bytes().to_vec()]
                .concat();
        let key = [head(3, 7), b"editors".to_vec()].concat();
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
                peak_of(|| DocumentRecord::parse(&record)),
                peak_of(|| SegmentRecord::parse(&record)),
                peak_of(|| AwarenessRecord::parse(&record)),
            ];
            assert!(peaks.iter().all(|peak| *peak <= MOST_MEMORY), "{peaks:?}");
        }
    }
}
