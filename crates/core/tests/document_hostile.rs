//! Editors that write whatever the door lets in: beside neighbours that never were next to each other, into the middle of
//! characters, text that comes already deleted, deletions of anything. They can spoil text, but not make replicas differ;
//! and the text is what a second, much plainer implementation of the same rules makes of it.

mod document_support;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::collections::{BTreeMap, BTreeSet};

use document_support::{Chance, Made, Neighbour, client, for_each_seed, make_update, random_text};
use sheaf_core::document::{Document, WaitingRoom};
use sheaf_core::door::{Allowed, scan};
use sheaf_core::text::{apply_splices, utf16_len};

#[test]
fn odd_updates_do_not_make_replicas_differ() {
    for_each_seed(500, |_, chance| {
        let authors = 2 + chance.below(3);
        let mut model = Model::default();
        // What each author has seen of each other's text, and all updates so far with what their author had seen then.
        let mut seen = vec![vec![0u32; authors + 1]; authors + 1];
        let mut updates: Vec<(u64, Vec<u8>)> = Vec::new();
        for _ in 0..2 + chance.below(14) {
            let author = 1 + chance.below(authors);
            let other = 1 + chance.below(authors);
            if chance.one_in(2) {
                let theirs = seen[other].clone();
                for (mine, theirs) in seen[author].iter_mut().zip(theirs) {
                    *mine = theirs.max(*mine);
                }
            }
            let start = seen[author][author];
            let mut runs = Vec::new();
            for _ in 0..chance.below(3) {
                let (origin, mut right) = model.gap(chance, &seen[author]);
                if chance.one_in(3) {
                    right = model.gap(chance, &seen[author]).1;
                }
                let clock = seen[author][author];
                let (run, units): (Made, Vec<Unit>) = if chance.one_in(6) {
                    let len = 1 + chance.below(5);
                    (Made::Deleted(origin, right, len as u32), vec![Unit::Gone; len])
                } else {
                    let text = random_text(chance, 2);
                    let units = text.chars().flat_map(|character| match character.len_utf16() {
                        1 => vec![Unit::Whole(character)],
                        _ => vec![Unit::First(character), Unit::Second],
                    });
                    (Made::Text(origin, right, text.clone()), units.collect())
                };
                for (index, unit) in units.iter().enumerate() {
                    let clock = clock + index as u32;
                    let origin = if index == 0 { origin } else { Some((author as u64, clock - 1)) };
                    model.integrate(Item { id: (author as u64, clock), origin, right, unit: *unit });
                }
                seen[author][author] += units.len() as u32;
                runs.push(run);
            }
            let mut deletions = Vec::new();
            for (of, &known) in seen[author].iter().enumerate().skip(1) {
                let from = chance.below(known as usize + 1) as u32;
                let len = chance.below(4) as u32;
                if len > 0 && from + len <= known && chance.one_in(2) {
                    deletions.push((of as u64, from, len));
                    model.delete(of as u64, from, len);
                }
            }
            updates.push((author as u64, make_update(author as u64, start, &runs, &deletions)));
        }
        let expected = model.text();
        for _ in 0..3 {
            let mut order = updates.clone();
            for index in (1..order.len()).rev() {
                order.swap(index, chance.below(index + 1));
            }
            let (mut document, mut waiting) = (Document::new(client(1_000)), WaitingRoom::new());
            let mut view = String::new();
            for (author, bytes) in &order {
                let update = scan(bytes, Allowed::Author(client(*author))).expect("odd, but well formed");
                let splices = waiting.offer(&mut document, update).expect("there is room");
                apply_splices(&mut view, &splices).expect("splices fit the view");
                assert_eq!(view, document.text(), "after {splices:?}");
            }
            assert!(waiting.is_empty());
            assert_eq!(view, expected);
            assert_eq!(document.len_utf16(), utf16_len(&expected));
            let again = Document::from_state(client(1_001), &document.encode_state())
                .expect("own state passes the door");
            assert_eq!(again.text(), view);
        }
    });
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Whole(char),
    First(char),
    Second,
    /// Came deleted: nobody knows what it was.
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    id: Neighbour,
    origin: Option<Neighbour>,
    right: Option<Neighbour>,
    unit: Unit,
}

/// The CRDT, one UTF-16 unit at a time, as its paper describes it.
#[derive(Default)]
struct Model {
    items: Vec<Item>,
    deleted: BTreeSet<Neighbour>,
    /// Second halves that were cut from their first.
    broken: BTreeSet<Neighbour>,
    /// For each unit, all that its writer must have seen, itself included.
    pasts: BTreeMap<Neighbour, BTreeSet<Neighbour>>,
}

impl Model {
    fn index(&self, id: Neighbour) -> usize {
        self.items.iter().position(|item| item.id == id).expect("everything an item refers to is there")
    }

    fn integrate(&mut self, mut new: Item) {
        // Neighbours must have been next to each other in what the writer must have seen.
        let previous = new.id.1.checked_sub(1).map(|clock| (new.id.0, clock));
        let past = self.past([new.origin, new.right, previous]);
        let after = new.origin.map_or(0, |origin| self.index(origin) + 1);
        new.right = self.items[after..].iter().map(|item| item.id).find(|id| past.contains(id));
        let mut past = self.past([new.origin, new.right, previous]);
        past.insert(new.id);
        self.pasts.insert(new.id, past);
        self.cut(new.origin, new.right, new.id);

        let start = new.origin.map_or(0, |origin| self.index(origin) + 1);
        let end = new.right.map_or(self.items.len(), |right| self.index(right));
        let mut at = start;
        // Those passed by, and those of them that `new` was not yet decided to come after.
        let (mut passed, mut undecided) = (BTreeSet::new(), BTreeSet::new());
        for (index, other) in self.items.iter().enumerate().take(end).skip(start) {
            passed.insert(other.id);
            undecided.insert(other.id);
            let comes_after = if other.origin == new.origin {
                if other.id.0 > new.id.0 && other.right == new.right {
                    break;
                }
                other.id.0 < new.id.0
            } else {
                match other.origin {
                    Some(origin) if passed.contains(&origin) => !undecided.contains(&origin),
                    _ => break,
                }
            };
            if comes_after {
                at = index + 1;
                undecided.clear();
            }
        }
        self.items.insert(at, new);
    }

    fn past(&self, units: [Option<Neighbour>; 3]) -> BTreeSet<Neighbour> {
        units.into_iter().flatten().flat_map(|unit| &self.pasts[&unit]).copied().collect()
    }

    /// Two neighbours in the text of someone who has seen that much.
    fn gap(&self, chance: &mut Chance, seen: &[u32]) -> (Option<Neighbour>, Option<Neighbour>) {
        let known: Vec<Neighbour> = self
            .items
            .iter()
            .map(|item| item.id)
            .filter(|&(client, clock)| clock < seen[client as usize])
            .collect();
        let at = chance.below(known.len() + 1);
        (at.checked_sub(1).map(|before| known[before]), known.get(at).copied())
    }

    /// What comes between two halves breaks them apart; what goes on where its writer left off does not.
    fn cut(&mut self, origin: Option<Neighbour>, right: Option<Neighbour>, id: Neighbour) {
        let after = origin.map(|(client, clock)| (client, clock + 1)).filter(|&after| after != id);
        self.broken.extend([after, right].into_iter().flatten());
    }

    fn delete(&mut self, client: u64, from: u32, len: u32) {
        self.deleted.extend((from..from + len).map(|clock| (client, clock)));
        self.broken.extend([(client, from), (client, from + len)]);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            let (client, clock) = item.id;
            if self.deleted.contains(&item.id) {
                continue;
            }
            match item.unit {
                Unit::Whole(character) => text.push(character),
                Unit::First(character) if !self.broken.contains(&(client, clock + 1)) => text.push(character),
                Unit::Second if !self.broken.contains(&item.id) => {}
                Unit::First(_) | Unit::Second => text.push('\u{fffd}'),
                Unit::Gone => {}
            }
        }
        text
    }
}
