//! The CRDT library, fenced in.
//!
//! `yrs` is only ever given updates written here, from what the door took apart: all that they build on is there, nothing
//! is there already, and so it never has to wait, trim or repair. What it is not asked for, because it would have to walk
//! the whole text for it, is kept beside it: clocks, deletions, and where characters of two UTF-16 units are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use yrs::updates::decoder::Decode;
use yrs::{
    Any, Assoc, ClientID, Doc, GetString, ID, IdSet, IndexedSequence, Observable, OffsetKind, Options, Out,
    ReadTxn, Snapshot, StickyIndex, Text, TextRef, Transact, Update,
};

use super::order::Order;
use super::pairs::Pairs;
use super::splices::{from_unit, splices};
use super::{MAX_TEXT_LEN, StateVector};
use crate::client_id::ClientId;
use crate::door::ranges::IdRanges;
use crate::door::{
    CLOCK_LIMIT, ClientRuns, Content, Id, Parsed, Piece, ROOT, Run, canonical, encode, in_order, parse,
};
use crate::sticky::{Bias, Sticky};
use crate::text::{Splice, SpliceError, Utf16Offset, apply_splices, difference, utf16_len};

/// Marks transactions whose splices nobody needs to be told, because they come from the one who made them.
const UNWATCHED: &str = "unwatched";

/// Whether the splices of a change are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    Yes,
    No,
}

pub(super) struct Engine {
    client: ClientId,
    doc: Doc,
    text: TextRef,
    /// What the last watched transaction did to the text. Only ever touched by this engine; the lock is what the type of
    /// an observer asks for.
    seen: Arc<Mutex<Vec<Splice>>>,
    clocks: StateVector,
    deleted: IdRanges,
    pairs: Pairs,
    order: Order,
}

/// A part of the text, deleted or not, that one client wrote in one go.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) id: Id,
    /// In UTF-16 units.
    pub(crate) len: u32,
    pub(crate) text: String,
    pub(crate) deleted: bool,
}

impl Engine {
    pub(super) fn new(client: ClientId) -> Engine {
        let doc = Doc::with_options(Options {
            client_id: foreign(client),
            guid: Arc::from("sheaf"),
            collection_id: None,
            offset_kind: OffsetKind::Utf16,
            // Deleted text stays: undo and history show it again, and every replica splits the same runs the same way.
            skip_gc: true,
            auto_load: false,
            should_load: true,
            cleanup_formatting: false,
        });
        let text = doc.get_or_insert_text(ROOT);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        text.observe("splices", move |txn, event| {
            if txn.origin().is_none() {
                *sink.lock().unwrap_or_else(PoisonError::into_inner) = splices(event.delta(txn));
            }
        });
        Engine {
            client,
            doc,
            text,
            seen,
            clocks: StateVector::new(),
            deleted: IdRanges::default(),
            pairs: Pairs::default(),
            order: Order::default(),
        }
    }

    pub(super) fn client(&self) -> ClientId {
        self.client
    }

    pub(super) fn clocks(&self) -> &StateVector {
        &self.clocks
    }

    /// The clock of the next code unit this replica writes.
    pub(super) fn next_clock(&self) -> u32 {
        self.clocks.get(&self.client).copied().unwrap_or(0)
    }

    pub(super) fn text(&self) -> String {
        self.text.get_string(&self.doc.transact())
    }

    pub(super) fn len_utf16(&self) -> u32 {
        self.text.len(&self.doc.transact())
    }

    pub(super) fn encode_state(&self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&yrs::StateVector::default())
    }

    /// Whether splices can be applied to the text as it is.
    pub(super) fn check(&self, splices: &[Splice]) -> Result<(), SpliceError> {
        let mut len = self.len_utf16();
        let mut inserted = 0u32;
        let mut has_pairs = !self.pairs.is_empty();
        for splice in splices {
            let end = u64::from(splice.at.0) + u64::from(splice.delete);
            if end > u64::from(len) {
                return Err(SpliceError::PastEnd { end, len });
            }
            let adds = utf16_len(&splice.insert);
            inserted = inserted.saturating_add(adds);
            len = (len - splice.delete).saturating_add(adds);
            if len > MAX_TEXT_LEN
                || inserted > MAX_TEXT_LEN
                || self.next_clock() >= CLOCK_LIMIT - 1 - inserted
            {
                return Err(SpliceError::TooLong);
            }
            has_pairs |= splice.insert.chars().any(|character| character.len_utf16() == 2);
        }
        match splices {
            _ if !has_pairs => Ok(()),
            [only] => self.check_whole(only.at.0).and_then(|()| self.check_whole(only.at.0 + only.delete)),
            several => apply_splices(&mut self.text(), several),
        }
    }

    /// Whether an offset within the text lies between two characters.
    fn check_whole(&self, at: u32) -> Result<(), SpliceError> {
        match self.id_at(at) {
            Some(id) if self.pairs.cut_before(id) => Err(SpliceError::CutsCharacter { at: Utf16Offset(at) }),
            _ => Ok(()),
        }
    }

    /// Applies splices that were checked, in one transaction; gives its canonical update.
    pub(super) fn edit(&mut self, splices: &[Splice]) -> Vec<u8> {
        let mut txn = self.doc.transact_mut_with(UNWATCHED);
        for splice in splices {
            if splice.delete > 0 {
                self.text.remove_range(&mut txn, splice.at.0, splice.delete);
            }
            if !splice.insert.is_empty() {
                self.text.insert(&mut txn, splice.at.0, &splice.insert);
            }
        }
        let raw = txn.encode_update_v1();
        drop(txn);
        let update = canonical(&raw).expect("edits of a text are within the grammar of the door");
        let mut parsed = parse(&update).expect("a canonical update is an update");
        let is_corrected = self.place(&mut parsed);
        debug_assert!(!is_corrected, "an edit goes between neighbours");
        self.note(&parsed);
        update
    }

    /// Puts in what is not there yet. Everything it builds on must be.
    pub(super) fn integrate(&mut self, parsed: &Parsed<'_>, watch: Watch) -> Vec<Splice> {
        let mut fresh = self.fresh(parsed);
        self.place(&mut fresh);
        // A reference into the middle of a character breaks it in two, which the library doesn't report as a change.
        let breaks_characters = watch == Watch::Yes && self.pairs.any_cut_by(&fresh);
        let before = breaks_characters.then(|| self.text());
        let update = Update::decode_v1(&encode(&fresh)).expect("the library reads what the door lets in");
        let mut txn = match watch {
            Watch::Yes => self.doc.transact_mut(),
            Watch::No => self.doc.transact_mut_with(UNWATCHED),
        };
        txn.apply_update(update)
            .expect("a text within the grammar of the door has no parent that could be wrong");
        assert!(
            !txn.has_missing_updates(),
            "all that an update builds on was there, so nothing is left over"
        );
        drop(txn);
        self.note(&fresh);
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        match before {
            Some(before) => difference(&before, &self.text()).into_iter().collect(),
            None => seen,
        }
    }

    /// Whether an update deletes something that is there and not deleted.
    pub(super) fn deletes_something(&self, parsed: &Parsed<'_>) -> bool {
        let listed = parsed.deletes.iter();
        listed.chain(deleted_pieces(parsed)).any(|(client, range)| !self.deleted.contains(client, &range))
    }

    /// The part of an update that is new here. Text that came as deleted is also listed as deleted, so that it is where
    /// it is there already.
    fn fresh<'p>(&self, parsed: &'p Parsed<'p>) -> Parsed<'p> {
        let mut fresh = Parsed::default();
        for section in &parsed.clients {
            let reached = self.clocks.get(&section.client).copied().unwrap_or(0);
            let new = |piece: &&'p Piece<'p>| piece.end() > reached;
            let pieces: Vec<Piece<'p>> = section
                .runs
                .iter()
                .flat_map(|run| run.pieces.iter().filter(new))
                .map(|piece| from_clock(section.client, piece, reached))
                .collect();
            if !pieces.is_empty() {
                fresh.clients.push(ClientRuns { client: section.client, runs: vec![Run { pieces }] });
            }
        }
        for (client, range) in parsed.deletes.iter().chain(deleted_pieces(parsed)) {
            if !self.deleted.contains(client, &range) {
                fresh.deletes.insert(client, range);
            }
        }
        fresh
    }

    /// Finds the place of what is new; where its neighbours never were next to each other, it gets others. Gives whether
    /// there was such a thing.
    fn place(&mut self, fresh: &mut Parsed<'_>) -> bool {
        let mut corrected: BTreeMap<Id, Option<Id>> = BTreeMap::new();
        for (client, piece) in in_order(fresh) {
            let right = self.order.place(client, piece);
            if right != piece.right_origin {
                corrected.insert(Id { client, clock: piece.clock }, right);
            }
        }
        for section in fresh.clients.iter_mut().filter(|_| !corrected.is_empty()) {
            for piece in section.runs.iter_mut().flat_map(|run| &mut run.pieces) {
                if let Some(right) = corrected.get(&Id { client: section.client, clock: piece.clock }) {
                    piece.right_origin = *right;
                }
            }
        }
        !corrected.is_empty()
    }

    /// The unit just before one that is there, deleted or not.
    pub(super) fn unit_before(&self, id: Id) -> Option<Id> {
        self.order.unit_before(id)
    }

    /// Keeps the books on what was put in.
    fn note(&mut self, fresh: &Parsed<'_>) {
        for section in &fresh.clients {
            for run in &section.runs {
                self.clocks.insert(section.client, run.end());
                for piece in &run.pieces {
                    self.pairs.add(section.client, piece);
                }
            }
        }
        self.pairs.cut_by(fresh);
        for (client, range) in fresh.deletes.iter().chain(deleted_pieces(fresh)) {
            self.deleted.insert(client, range);
        }
    }

    /// The code unit at an offset; `None` at the end of the text.
    fn id_at(&self, at: u32) -> Option<Id> {
        let txn = self.doc.transact();
        if at >= self.text.len(&txn) {
            return None;
        }
        own_id(self.text.sticky_index(&txn, at, Assoc::After)?.id()?)
    }

    pub(super) fn sticky(&self, at: Utf16Offset, bias: Bias) -> Sticky {
        let len = self.len_utf16();
        let neighbour = match bias {
            Bias::Before if at.0 == 0 => return Sticky::Start,
            Bias::After if at.0 >= len => return Sticky::End,
            Bias::Before => at.0.min(len).saturating_sub(1),
            Bias::After => at.0,
        };
        match self.id_at(neighbour) {
            Some(Id { client, clock }) => Sticky::Beside { client, clock, bias },
            None => Sticky::Start,
        }
    }

    pub(super) fn resolve(&self, sticky: &Sticky) -> Option<Utf16Offset> {
        let (client, clock, bias) = match *sticky {
            Sticky::Start => return Some(Utf16Offset(0)),
            Sticky::End => return Some(Utf16Offset(self.len_utf16())),
            Sticky::Beside { client, clock, bias } => (client, clock, bias),
        };
        if clock >= self.clocks.get(&client).copied().unwrap_or(0) {
            return None;
        }
        // The place beside one half of a character is the place beside the character.
        let (clock, assoc) = match bias {
            Bias::After if self.pairs.cut_before(Id { client, clock }) => (clock - 1, Assoc::After),
            Bias::After => (clock, Assoc::After),
            Bias::Before if self.pairs.cut_before(Id { client, clock: clock + 1 }) => {
                (clock + 1, Assoc::Before)
            }
            Bias::Before => (clock, Assoc::Before),
        };
        let place = StickyIndex::from_id(ID::new(foreign(client), clock), assoc);
        place.get_offset(&self.doc.transact()).map(|offset| Utf16Offset(offset.index))
    }

    /// All of the text from its beginning to its end, what was deleted included where it was. (Text that came in as
    /// deleted has no content and is left out.)
    pub(super) fn stretches(&self) -> Vec<Stretch> {
        let mut txn = self.doc.transact_mut_with(UNWATCHED);
        // Asked for what came since there was nothing, as if nothing had ever been deleted, the library lists each item.
        let everything = Snapshot::new(txn.state_vector(), IdSet::new());
        let nothing = Snapshot::new(yrs::StateVector::default(), IdSet::new());
        let items = self.text.diff_range(&mut txn, Some(&everything), Some(&nothing), |change| change.id);
        drop(txn);
        items.into_iter().filter_map(|item| self.stretch(item.insert, item.ychange)).collect()
    }

    fn stretch(&self, content: Out, id: Option<ID>) -> Option<Stretch> {
        let Out::Any(Any::String(text)) = content else { return None };
        let id = own_id(&id?)?;
        let len = utf16_len(&text);
        let deleted = self.deleted.contains(id.client, &(id.clock..id.clock + len));
        Some(Stretch { id, len, text: text.to_string(), deleted })
    }
}

/// The library's client id.
fn foreign(client: ClientId) -> ClientID {
    ClientID::new(client.get())
}

fn own_id(id: &ID) -> Option<Id> {
    Some(Id { client: ClientId::new(id.client.get())?, clock: id.clock })
}

fn deleted_pieces<'p>(parsed: &'p Parsed<'_>) -> impl Iterator<Item = (ClientId, Range<u32>)> + 'p {
    parsed.clients.iter().flat_map(|section| {
        let pieces = section.runs.iter().flat_map(|run| &run.pieces);
        pieces
            .filter(|piece| matches!(piece.content, Content::Deleted))
            .map(|piece| (section.client, piece.clock..piece.end()))
    })
}

/// The part of a piece from `clock` on, which lies before its end.
fn from_clock<'p>(client: ClientId, piece: &'p Piece<'p>, clock: u32) -> Piece<'p> {
    let content = |from: u32| match &piece.content {
        Content::Deleted => Content::Deleted,
        Content::Text(text) => Content::Text(from_unit(text, from)),
    };
    if clock <= piece.clock {
        return Piece { content: content(0), ..*piece };
    }
    Piece {
        clock,
        len: piece.end() - clock,
        origin: Some(Id { client, clock: clock - 1 }),
        right_origin: piece.right_origin,
        content: content(clock - piece.clock),
    }
}
