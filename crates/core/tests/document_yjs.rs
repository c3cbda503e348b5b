//! What real Yjs writes passes the door as it is, and makes the same text here as there.

mod document_support;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use document_support::{Chance, client};
use sheaf_core::document::{Document, WaitingRoom};
use sheaf_core::door::{Allowed, scan};

#[derive(serde::Deserialize)]
struct Fixture {
    sessions: Vec<Session>,
}

#[derive(serde::Deserialize)]
struct Session {
    /// By whom, and what, in hex.
    updates: Vec<(u64, String)>,
    /// All of it at the end, in hex, from a Yjs that collects garbage.
    state: String,
    text: String,
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().map(|byte| (byte as char).to_digit(16).expect("hex") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn sessions_of_yjs_make_the_same_text() {
    let fixture: Fixture =
        serde_json::from_str(include_str!("fixtures/yjs/sessions.json")).expect("the fixture is known");
    assert_eq!(fixture.sessions.len(), 12);
    for (number, session) in fixture.sessions.iter().enumerate() {
        let mut chance = Chance::new(number as u64);
        let mut updates = session.updates.clone();
        for index in (1..updates.len()).rev() {
            updates.swap(index, chance.below(index + 1));
        }
        let (mut document, mut waiting) = (Document::new(client(1)), WaitingRoom::new());
        for (author, update) in &updates {
            let update =
                scan(&hex(update), Allowed::Author(client(*author))).expect("Yjs writes canonically");
            waiting.offer(&mut document, update).expect("there is room");
        }
        assert!(waiting.is_empty());
        assert_eq!(document.text(), session.text, "session {number}");

        let state =
            scan(&hex(&session.state), Allowed::Any).expect("the state of a Yjs document passes the door");
        let mut from_state = Document::new(client(2));
        from_state.apply(&state);
        assert_eq!(from_state.text(), session.text, "state of session {number}");
        assert_eq!(from_state.state_vector(), document.state_vector());
    }
}
