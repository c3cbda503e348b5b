//! A text as it was last seen: shown at once to whoever opens the document again, while the engine still weaves.
//!
//! It is a copy for the eyes. Nothing is made of it but what a view shows until the engine has its text, and then the view goes
//! on from it as from what an engine before this one had told it: see [`crate::view_text`]. It is kept as a note beside the
//! document, in this device's store, and goes with the document.

use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec_with_limit};
use serde::{Deserialize, Serialize};
use sheaf_core::document_link::DocumentLink;

use crate::shown::{News, Role, Shown, Status, Tone};

/// The note's name.
pub const NOTE: &str = "last-seen";

/// The longest text that is kept, in bytes: whoever waits for a longer one waits for its drawing too, and each pause in
/// typing writes it anew.
pub const MAX_TEXT_BYTES: usize = 512 * 1024;
/// With the title, and where every byte has to be escaped as JSON.
const MAX_NOTE_BYTES: usize = 6 * MAX_TEXT_BYTES + 64 * 1024;
/// How hard to deflate: it happens in pauses of typing, which may end.
const LEVEL: u8 = 1;

/// What was seen of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen {
    /// The title.
    pub title: String,
    /// What the account could do there. What it can do now the engine will say.
    pub role: Role,
    /// The text.
    pub text: String,
}

impl LastSeen {
    /// As a note; nothing where the text is too long to be kept.
    pub fn to_note(&self) -> Option<Vec<u8>> {
        (self.text.len() <= MAX_TEXT_BYTES).then(|| {
            let json = serde_json::to_vec(self).expect("texts are always JSON");
            compress_to_vec(&json, LEVEL)
        })
    }

    /// Reads the note. One that cannot be read is as good as none.
    pub fn of_note(note: &[u8]) -> Option<Self> {
        let json = decompress_to_vec_with_limit(note, MAX_NOTE_BYTES).ok()?;
        let seen: Self = serde_json::from_slice(&json).ok()?;
        (seen.text.len() <= MAX_TEXT_BYTES).then_some(seen)
    }

    /// What a view is told of the document until more is known.
    pub fn news(&self, link: &DocumentLink, online: bool) -> News {
        News {
            title: self.title.clone(),
            link: link.fragment(),
            status: Some(Status {
                sentence: "Opening".into(),
                tone: Tone::Working,
                document: Shown::Here,
                role: self.role,
                waiting: 0,
                unsaved: 0,
                saving: false,
                online,
                sign_in_again: false,
                people: 0,
                readers: Vec::new(),
            }),
            editors: Some(Vec::new()),
            people: None,
            carets: None,
            can_undo: false,
            can_redo: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: String) -> LastSeen {
        LastSeen { title: "Notes \u{0} 😀".into(), role: Role::Editor, text }
    }

    #[test]
    fn what_was_seen_is_read_as_it_was() {
        for text in ["", "a\r\n\u{1}שלום 👩‍👩‍👧", &"\u{1}".repeat(MAX_TEXT_BYTES)] {
            let seen = seen(text.to_owned());
            assert_eq!(LastSeen::of_note(&seen.to_note().unwrap()), Some(seen));
        }
    }

    #[test]
    fn what_is_too_long_is_neither_kept_nor_read() {
        let long = seen("x".repeat(MAX_TEXT_BYTES + 1));
        assert_eq!(long.to_note(), None);
        let as_a_note = |bytes: &[u8]| compress_to_vec(bytes, LEVEL);
        assert_eq!(LastSeen::of_note(&as_a_note(&serde_json::to_vec(&long).unwrap())), None);
        assert_eq!(LastSeen::of_note(&as_a_note(&vec![b' '; MAX_NOTE_BYTES + 1])), None);
    }

    #[test]
    fn a_damaged_note_is_as_good_as_none() {
        let note = seen("Some text, which is not very long.".into()).to_note().unwrap();
        assert_eq!(LastSeen::of_note(&[]), None);
        assert_eq!(LastSeen::of_note(b"not deflated"), None);
        for end in 0..note.len() {
            assert_eq!(LastSeen::of_note(&note[..end]), None, "cut at {end}");
        }
        for at in 0..note.len() {
            let mut damaged = note.clone();
            damaged[at] ^= 0x10;
            // Whatever it is taken for, it is a text: that is all that is wanted of it.
            let _ = LastSeen::of_note(&damaged);
        }
    }
}
