//! Updates of the text: through the door, the waiting room and into a document, in the order they came and backwards.

use std::collections::BTreeMap;
use std::ops::Range;

use sheaf_core::{
    client_id::ClientId,
    document::{Document, Sticky, WaitingRoom},
    door::{Allowed, VettedUpdate, canonical, scan},
    text::{Splice, apply_splices},
    time::Timestamp,
};

use crate::{bytes, mutate::Chance};

/// An input is at most this many updates.
const MOST: usize = 12;
/// Parts of an update that are sent apart are at least this long.
const PART: usize = 100;

const HOSTILE: &str = include_str!("../../core/tests/fixtures/hostile/yjs-v1-updates.txt");
const HOSTILE_BASE: &str = include_str!("../../core/tests/fixtures/hostile/yjs-v1-base.hex");

fn client(number: u64) -> ClientId {
    ClientId::new(number).expect("a small number")
}

/// Updates of three authors. What is let in is one document's text; if no author contradicts themselves, it is the same
/// text in whatever order and parts they come.
pub(crate) fn read(input: &[u8]) -> bool {
    let updates: Vec<VettedUpdate> = bytes::parts(input, MOST).into_iter().filter_map(let_in).collect();
    let text = text_of(&updates);
    if !contradict(&updates) {
        let parts: Vec<VettedUpdate> = updates.iter().rev().flat_map(backwards).collect();
        assert_eq!(text_of(&parts), text, "the order makes a difference");
    }
    !updates.is_empty()
}

/// The door itself, with an author as for records, and without as for what the device has stored.
fn let_in(update: &[u8]) -> Option<VettedUpdate> {
    if let Ok(canonical) = canonical(update) {
        assert_eq!(self::canonical(&canonical).as_ref(), Ok(&canonical), "canonical once is canonical");
    }
    if let Ok(place) = Sticky::from_bytes(update) {
        assert_eq!(place.to_bytes(), update);
    }
    import(update);
    let by_author = (1..=3).find_map(|author| scan(update, Allowed::Author(client(author))).ok());
    let by_anyone = scan(update, Allowed::Any);
    if let Some(update) = &by_author {
        assert_eq!(by_anyone.as_ref(), Ok(update), "an author is let in wherever anyone is");
    }
    let vetted = by_author.or(by_anyone.ok())?;
    assert_eq!(vetted.bytes(), update, "what is let in is what came");
    let canonical = canonical(update).expect("what the door lets in can be made canonical");
    assert!(canonical.len() <= update.len());
    for part in vetted.split(PART) {
        assert!(scan(part.bytes(), Allowed::Any).is_ok(), "a part of what passed the door does not pass");
    }
    Some(vetted)
}

/// A file that another program wrote with Yjs. What is a document's state here is the same text as a file, whatever its
/// root is called there.
fn import(file: &[u8]) {
    let imported = Document::from_yjs(file);
    if let Ok(state) = Document::from_state(client(8), file) {
        let imported = imported.as_ref().expect("a document's state can be imported");
        assert_eq!(imported.text(), state.text());
    }
    if let Ok(imported) = imported {
        let exported = imported.encode_state();
        let again = Document::from_yjs(&exported).expect("what we export can be imported");
        assert_eq!((again.text(), again.encode_state()), (imported.text(), exported));
    }
}

fn backwards(update: &VettedUpdate) -> Vec<VettedUpdate> {
    let mut parts = update.split(PART);
    parts.reverse();
    parts
}

/// Whether two of them say something, perhaps something different, about the same clocks.
fn contradict(updates: &[VettedUpdate]) -> bool {
    let mut said: BTreeMap<ClientId, Vec<Range<u32>>> = BTreeMap::new();
    updates.iter().flat_map(|update| update.provides()).any(|(client, range)| {
        let before = said.entry(*client).or_default();
        let overlaps = before.iter().any(|other| range.start < other.end && other.start < range.end);
        before.push(range.clone());
        overlaps
    })
}

/// The text of a document that these updates are offered to, one after another; seen by a view, and stored and read.
fn text_of(updates: &[VettedUpdate]) -> String {
    let (mut document, mut waiting, mut view) = (Document::new(client(9)), WaitingRoom::new(), String::new());
    for update in updates {
        let splices = waiting.offer(&mut document, update.clone()).expect("there is room for so few");
        apply_splices(&mut view, &splices).expect("splices fit the view");
        let again = waiting.offer(&mut document, update.clone()).expect("there is room for so few");
        assert_eq!(again, [], "what is known already changes nothing");
    }
    assert_eq!(view, document.text());
    let state = document.encode_state();
    let read = Document::from_state(client(8), &state).expect("a document's own state is let in");
    assert_eq!((read.text(), read.encode_state()), (view.clone(), state));
    view
}

/// Real sessions of three authors, updates made by hand, and those that once broke the CRDT library.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut chance = Chance::new(77);
    let mut seeds: Vec<Vec<u8>> = (0..20).map(|n| session(&mut chance, 2 + n % 9)).collect();
    // A text that another program calls "cm".
    seeds.push(
        [&[2, 1, 7, 0, 4, 1, 2][..], b"cm", &[2, b'h', b'i', 1, 3, 0, 0x84, 7, 0, 1, b'o', 0]].concat(),
    );
    // A hole, and a run that comes already deleted.
    seeds.push([&[1, 3, 2, 0, 4, 1, 4][..], b"text", &[1, b'x', 10, 3, 0x81, 2, 0, 4, 0]].concat());
    let lines = HOSTILE.lines().chain(HOSTILE_BASE.lines()).map(|line| line.split('#').next().unwrap_or(""));
    seeds.extend(lines.map(bytes::hex).filter(|update| !update.is_empty()));
    seeds
}

fn session(chance: &mut Chance, edits: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = ["a", "word ", "\r\n", "e\u{301}", "😀", "👩‍👩‍👧‍👦", "שלום ", "𝒳"];
    let mut documents: Vec<Document> = (1..=3).map(|number| Document::new(client(number))).collect();
    let mut updates = Vec::new();
    for edit in 0..edits {
        let writer = chance.below(3);
        let document = &mut documents[writer];
        let text = document.text();
        let boundaries: Vec<u32> = std::iter::once(0)
            .chain(text.chars().scan(0, |at, character| {
                *at += character.len_utf16() as u32;
                Some(*at)
            }))
            .collect();
        let at = chance.below(boundaries.len());
        let change = match chance.below(5) {
            0 => document.undo(),
            1 => {
                let end = boundaries[(at + chance.below(4)).min(boundaries.len() - 1)];
                document.edit(Timestamp::EPOCH, &[Splice::delete(boundaries[at], end - boundaries[at])]).ok()
            }
            _ => {
                document.edit(Timestamp::EPOCH, &[Splice::insert(boundaries[at], *chance.pick(&WORDS))]).ok()
            }
        };
        for update in change.into_iter().flat_map(|change| change.updates) {
            for (other, document) in documents.iter_mut().enumerate().filter(|(other, _)| *other != writer) {
                // Not all hear of everything at once.
                if edit % 3 != other {
                    continue;
                }
                if !matches!(document.readiness(&update), sheaf_core::document::Readiness::Waiting(_)) {
                    document.apply(&update);
                }
            }
            updates.push(update.bytes().to_vec());
        }
    }
    if edits % 4 == 3 {
        updates.push(documents[0].encode_state());
    }
    updates.truncate(MOST);
    if updates.is_empty() { vec![0, 0] } else { bytes::joined(&updates) }
}
