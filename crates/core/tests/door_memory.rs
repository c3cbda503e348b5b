//! Mutated updates, by the million if asked (`SHEAF_TEST_CASES`), neither panic nor take more than 16 MB, from the door
//! through the waiting room into the document; and neither do updates made to be as costly as they can be.

#![allow(unsafe_code)] // A global allocator that counts is an unsafe trait; it only hands on to the system's.

mod document_support;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use document_support::{Chance, Made, client, for_each_seed, make_update, random_splice};
use sheaf_core::document::{Document, Sticky, WaitingRoom};
use sheaf_core::door::{Allowed, CLOCK_LIMIT, MAX_UPDATE_BYTES, canonical, scan};
use sheaf_core::text::apply_splices;
use sheaf_core::time::Timestamp;

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
fn peak_of(work: impl FnOnce()) -> usize {
    let before = IN_USE.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before).max(0) as usize
}

#[test]
fn the_counter_counts() {
    let peak = peak_of(|| drop(std::hint::black_box(vec![1u8; 3_000_000])));
    assert!((3_000_000..3_100_000).contains(&peak), "{peak}");
}

/// Everything that bytes from outside can reach.
fn take_in(bytes: &[u8], document: &mut Document, waiting: &mut WaitingRoom, view: &mut String) -> bool {
    let mut was_taken = false;
    let authors = [client(1), client(2), client(3)].into();
    for allowed in [Allowed::Any, Allowed::AnyOf(&authors), Allowed::Author(client(2))] {
        let Ok(update) = scan(bytes, allowed) else { continue };
        was_taken = true;
        assert!(canonical(bytes).is_ok());
        for part in update.split(200) {
            assert!(scan(part.bytes(), Allowed::Any).is_ok(), "a part of what passed the door does not pass");
        }
        if let Ok(splices) = waiting.offer(document, update) {
            apply_splices(view, &splices).expect("splices fit the view");
        }
    }
    let _ = canonical(bytes);
    if let Ok(place) = Sticky::from_bytes(bytes) {
        let _ = document.resolve(&place);
    }
    was_taken
}

#[test]
fn mutated_updates_neither_panic_nor_take_much_memory() {
    let taken = std::cell::Cell::new(0u64);
    let highest = std::cell::Cell::new(0usize);
    let seeds = corpus();
    for_each_seed(400, |_, chance| {
        let mut document = Document::new(client(9));
        let mut waiting = WaitingRoom::new();
        let mut view = String::new();
        // Something for the mutated to refer to.
        for update in &seeds[..chance.below(6)] {
            take_in(update, &mut document, &mut waiting, &mut view);
        }
        for _ in 0..50 {
            let bytes = mutate(chance, &seeds);
            let peak = peak_of(|| {
                if take_in(&bytes, &mut document, &mut waiting, &mut view) {
                    taken.set(taken.get() + 1);
                }
            });
            assert!(peak < MOST_MEMORY, "{peak} bytes for {bytes:02x?}");
            highest.set(highest.get().max(peak));
        }
        assert_eq!(view, document.text());
        let again =
            Document::from_state(client(9), &document.encode_state()).expect("the state can be read again");
        assert_eq!(again.text(), view);
    });
    // That few get in is the point; that some do shows that the mutations reach the inside.
    assert!(taken.get() > 0);
    eprint_figures(taken.get(), highest.get());
}

#[allow(clippy::print_stderr)] // Figures for whoever runs it with `--nocapture`.
fn eprint_figures(taken: u64, highest: usize) {
    eprintln!("{taken} mutated updates were well formed; the most memory taken at once was {highest} bytes");
}

/// Real updates of several kinds to begin with, and those that once broke the library.
fn corpus() -> Vec<Vec<u8>> {
    let mut chance = Chance::new(77);
    let mut corpus = Vec::new();
    let mut documents: Vec<Document> = (1..=3).map(|number| Document::new(client(number))).collect();
    for round in 0..60 {
        let index = chance.below(3);
        let splice = random_splice(&mut chance, &documents[index].text());
        let change = if round % 9 == 8 {
            documents[index].undo()
        } else {
            documents[index].edit(Timestamp::EPOCH, &[splice]).ok()
        };
        for update in change.into_iter().flat_map(|change| change.updates) {
            for (other, document) in documents.iter_mut().enumerate() {
                if other != index {
                    document.apply(&update);
                }
            }
            corpus.push(update.bytes().to_vec());
        }
        if round % 20 == 19 {
            corpus.push(documents[index].encode_state());
        }
    }
    corpus.push(make_update(
        2,
        0,
        &[Made::Text(None, None, "x".into()), Made::Hole(3), Made::Deleted(Some((2, 0)), None, 4)],
        &[],
    ));
    let hostile = include_str!("fixtures/hostile/yjs-v1-updates.txt").lines();
    let lines = hostile.chain([include_str!("fixtures/hostile/yjs-v1-base.hex")]);
    for line in lines.filter(|line| !line.starts_with('#')) {
        let hex = line.split_whitespace().next().unwrap_or("").as_bytes();
        corpus.push(
            hex.chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect(),
        );
    }
    corpus
}

fn mutate(chance: &mut Chance, corpus: &[Vec<u8>]) -> Vec<u8> {
    const TELLING: [u8; 14] = [0, 1, 2, 3, 4, 7, 10, 0x44, 0x7f, 0x80, 0x84, 0x81, 0xc4, 0xff];
    let mut bytes = chance.pick(corpus).clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 if at < bytes.len() => bytes[at] = chance.next() as u8,
            2 if at < bytes.len() => bytes[at] = *chance.pick(&TELLING),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => bytes.insert(at, *chance.pick(&TELLING)),
            5 => bytes.truncate(at),
            6 => {
                // A varint of any size, up to what no number may be.
                let number = chance.next() >> chance.below(64);
                let mut varint = Vec::new();
                document_support::number(&mut varint, number);
                let end = (at + chance.below(3)).min(bytes.len());
                bytes.splice(at..end, varint);
            }
            7 => {
                let other = chance.pick(corpus);
                let from = chance.below(other.len());
                let to = from + chance.below(other.len() - from + 1);
                let end = (at + chance.below(12)).min(bytes.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
            _ => {}
        }
    }
    bytes
}

#[test]
fn costly_updates_take_little_memory() {
    let long = "x".repeat(MAX_UPDATE_BYTES - 100);
    // As many runs as fit, each as short as can be.
    let many_runs = |run: &dyn Fn(u32) -> Made| -> Vec<u8> {
        let fits = |count: &u32| {
            make_update(1, 0, &(0..*count).map(run).collect::<Vec<_>>(), &[]).len() <= MAX_UPDATE_BYTES
        };
        let count =
            (1..).map(|thousands| thousands * 1_000 - 1).take_while(fits).last().expect("a few runs fit");
        make_update(1, 0, &(0..count).map(run).collect::<Vec<_>>(), &[])
    };
    let place = |clock: u32| (clock > 0).then_some((1, 0));
    let one_deleted = |of: u64| (0..30_000).map(move |index| (of, index * 2, 1)).collect::<Vec<_>>();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("one long text", make_update(1, 0, &[Made::Text(None, None, long)], &[])),
        ("runs of one character, apart", many_runs(&|clock| Made::Text(place(clock), None, "x".into()))),
        ("runs of one emoji", many_runs(&|clock| Made::Text(place(2 * clock), None, "😀".into()))),
        ("runs of one deleted unit", many_runs(&|clock| Made::Deleted(place(clock), None, 1))),
        (
            "holes",
            many_runs(&|index| {
                if index % 2 == 0 { Made::Text(None, None, "x".into()) } else { Made::Hole(1) }
            }),
        ),
        ("many deletions", make_update(1, 0, &[], &one_deleted(2))),
        (
            "many deletions of what is there",
            make_update(1, 0, &[Made::Deleted(None, None, 60_000)], &one_deleted(1)),
        ),
        (
            "as long deleted as can be",
            make_update(1, 0, &[Made::Deleted(None, None, CLOCK_LIMIT - 1)], &[(1, 5, 1 << 30)]),
        ),
    ];
    for (what, bytes) in cases {
        assert!(bytes.len() <= MAX_UPDATE_BYTES, "{what}: {} bytes", bytes.len());
        let peak = peak_of(|| {
            let mut document = Document::new(client(9));
            let mut waiting = WaitingRoom::new();
            let update = scan(&bytes, Allowed::Author(client(1))).expect(what);
            waiting.offer(&mut document, update).expect("there is room");
        });
        assert!(peak < MOST_MEMORY, "{what}: {peak} bytes of memory for {} bytes", bytes.len());
    }
}
