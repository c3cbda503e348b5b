//! Updates made to be as costly as they can be: none takes more than 16 MB from the door into the document.

// How core's own tests write updates by hand.
#[path = "../../core/tests/document_support/mod.rs"]
mod document_support;

use document_support::{Made, client, make_update};
use sheaf_core::document::{Document, WaitingRoom};
use sheaf_core::door::{Allowed, CLOCK_LIMIT, MAX_UPDATE_BYTES, scan};
use sheaf_hostile::{MOST_MEMORY, memory::peak_of};

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
        let ((), peak) = peak_of(|| {
            let mut document = Document::new(client(9));
            let mut waiting = WaitingRoom::new();
            let update = scan(&bytes, Allowed::Author(client(1))).expect(what);
            waiting.offer(&mut document, update).expect("there is room");
        });
        assert!(peak < MOST_MEMORY, "{what}: {peak} bytes of memory for {} bytes", bytes.len());
    }
}
