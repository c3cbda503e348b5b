//! A real editing trace, typed into one document, read by another update by update, and once more from merged updates.

mod document_support;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::io::Read;

use sheaf_core::client_id::ClientId;
use sheaf_core::document::Document;
use sheaf_core::door::{Allowed, merge, scan};
use sheaf_core::text::{Splice, Utf16Offset, apply_splices, utf16_len};
use sheaf_core::time::Timestamp;

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    start_content: String,
    end_content: String,
    txns: Vec<Transaction>,
}

#[derive(serde::Deserialize)]
struct Transaction {
    patches: Vec<(usize, usize, String)>,
}

fn trace() -> Trace {
    let packed: &[u8] = include_bytes!("../../../testdata/automerge-paper.json.gz");
    let mut json = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut json).expect("the trace is gzipped text");
    serde_json::from_str(&json).expect("the trace is JSON of a known shape")
}

/// A patch counts code points; a splice counts UTF-16 units.
fn splice(text: &[char], (at, deleted, inserted): &(usize, usize, String)) -> Splice {
    let units = |part: &[char]| part.iter().map(|character| character.len_utf16() as u32).sum();
    Splice {
        at: Utf16Offset(units(&text[..*at])),
        delete: units(&text[*at..at + deleted]),
        insert: inserted.clone(),
    }
}

#[test]
fn the_trace_gives_its_text() {
    // All 259,778 take a minute or two; `SHEAF_TRACE=259778` asks for them.
    let trace = trace();
    let count = document_support::asked_for("SHEAF_TRACE")
        .map_or(2_000, |count| count as usize)
        .min(trace.txns.len());
    let all = count == trace.txns.len();
    let (author, reader) = (ClientId::new(0x1f_fff0_1234_5678).unwrap(), ClientId::new(2).unwrap());
    let mut document = Document::new(author);
    let mut other = Document::new(reader);
    let mut view = String::new();
    let mut updates = Vec::new();
    // The plainest text there is, to compare with.
    let mut expected: Vec<char> = trace.start_content.chars().collect();
    let mut now = Timestamp::EPOCH;
    if !expected.is_empty() {
        let change = document.edit(now, &[Splice::insert(0, trace.start_content.as_str())]).unwrap();
        updates.extend(change.updates);
    }
    for transaction in &trace.txns[..count] {
        now = now.saturating_add(std::time::Duration::from_millis(200));
        for patch in &transaction.patches {
            let change =
                document.edit(now, &[splice(&expected, patch)]).expect("the trace fits its own text");
            expected.splice(patch.0..patch.0 + patch.1, patch.2.chars());
            for update in &change.updates {
                let update = scan(update.bytes(), Allowed::Author(author)).expect("an edit passes the door");
                let splices = other.apply(&update);
                if !all {
                    apply_splices(&mut view, &splices).expect("splices fit the view");
                }
            }
            updates.extend(change.updates);
        }
    }
    let expected: String = expected.into_iter().collect();
    assert_eq!(document.text(), expected);
    assert_eq!(other.text(), expected);
    assert_eq!(document.len_utf16(), utf16_len(&expected));
    if all {
        assert_eq!(expected, trace.end_content);
    } else {
        assert_eq!(view, expected);
    }

    // As its author would publish it later: a few hundred keystrokes an update.
    let mut merged_reader = Document::new(reader);
    let mut bytes = 0;
    for keystrokes in updates.chunks(500) {
        let update = merge(keystrokes).expect("one author's updates, in order");
        bytes += update.bytes().len();
        merged_reader
            .apply(&scan(update.bytes(), Allowed::Author(author)).expect("a merged update passes the door"));
    }
    assert_eq!(merged_reader.text(), expected);
    assert_eq!(merged_reader.encode_state(), document.encode_state());
    let apart: usize = updates.iter().map(|update| update.bytes().len()).sum();
    assert!(bytes * 4 < apart, "merging keeps updates small: {bytes} of {apart} bytes");

    // The last words can be taken back.
    let before = document.text();
    assert!(document.undo().is_some());
    assert_ne!(document.text(), before);
    assert!(document.redo().is_some());
    assert_eq!(document.text(), before);
}
