//! The text that several people write: a CRDT, in UTF-16 units, that only takes what passed the [door](crate::door).
//!
//! A [`Document`] changes in three ways: [`Document::edit`] and [`Document::undo`] / [`Document::redo`] are this
//! replica's own and give the updates that others need; [`Document::apply`] takes an update of another. Each tells the
//! [`Splice`]s that the text went through, so a view that follows them shows the text without ever reading it whole.
//!
//! An update may only be applied when all that it builds on is there; [`WaitingRoom`] keeps those that came early.
//!
//! ```
//! use sheaf_core::client_id::ClientId;
//! use sheaf_core::document::Document;
//! use sheaf_core::door::{Allowed, scan};
//! use sheaf_core::text::Splice;
//! use sheaf_core::time::Timestamp;
//!
//! let (alice, bob) = (ClientId::new(1).unwrap(), ClientId::new(2).unwrap());
//! let mut hers = Document::new(alice);
//! let mut his = Document::new(bob);
//!
//! let change = hers.edit(Timestamp::EPOCH, &[Splice::insert(0, "Hello 👋")])?;
//! for update in &change.updates {
//!     // What came over a network is bytes again, and passes the door.
//!     let update = scan(update.bytes(), Allowed::Author(alice)).unwrap();
//!     assert_eq!(his.apply(&update), [Splice::insert(0, "Hello 👋")]);
//! }
//! his.edit(Timestamp::EPOCH, &[Splice::delete(0, 6)])?;
//! assert_eq!(his.text(), "👋");
//! # Ok::<(), sheaf_core::text::SpliceError>(())
//! ```

mod compare;
mod engine;
mod order;
mod pairs;
mod splices;
#[cfg(test)]
mod tests;
mod undo;
mod waiting;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::client_id::ClientId;
use crate::door::{Allowed, Id, MAX_UPDATE_BYTES, Refusal, VettedUpdate, canonical, parse, scan};
pub use crate::sticky::{Bias, Sticky};
use crate::text::{Splice, SpliceError, Utf16Offset};
use crate::time::Timestamp;
use engine::Engine;
pub(crate) use engine::Stretch;
pub(crate) use splices::units;
use undo::{Step, Undo};
pub use waiting::{WaitingRoom, WaitingRoomFull};

/// How far each client's text is there: for each, the clock just after its last code unit.
pub type StateVector = BTreeMap<ClientId, u32>;

/// The longest text a document takes by editing, in UTF-16 units: 4 Mi. (Others' edits are not refused for it: all
/// replicas must agree on the text, whoever wrote it.)
pub const MAX_TEXT_LEN: u32 = 4 * 1024 * 1024;

/// One document on one replica.
///
/// Nothing in it depends on a clock, on chance or on the order of a hash table: the same calls give the same document
/// and the same bytes.
pub struct Document {
    engine: Engine,
    undo: Undo,
}

/// What a change made on this replica is, for others and for the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalChange {
    /// What others need, in order; each at most [`MAX_UPDATE_BYTES`]. One, unless very much was put in at once; none when
    /// the splices changed nothing.
    pub updates: Vec<VettedUpdate>,
    /// What the text went through.
    pub splices: Vec<Splice>,
}

/// Whether an update can be applied to a document as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can, and changes something.
    Ready,
    /// It can, and changes nothing: all of it is there already.
    Known,
    /// It builds on something that isn't there yet.
    Waiting(Missing),
}

/// Something that an update builds on: the text of `client` up to just before `clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Whose text is missing.
    pub client: ClientId,
    /// Up to which clock it must be there.
    pub clock: u32,
}

impl Document {
    /// An empty document, written to as `client`. No other replica may write as the same client, ever.
    pub fn new(client: ClientId) -> Document {
        Document { engine: Engine::new(client), undo: Undo::default() }
    }

    /// The document that [`Document::encode_state`] wrote, to go on as `client`. What was done before can't be undone.
    ///
    /// # Errors
    /// [`Refusal`] when the bytes are no such state, or one with a part missing.
    pub fn from_state(client: ClientId, state: &[u8]) -> Result<Document, Refusal> {
        let update = scan(state, Allowed::Any)?;
        if !update.requires().is_empty() || update.has_holes() {
            return Err(Refusal::Incomplete);
        }
        let mut document = Document::new(client);
        document.engine.integrate(&update.parsed(), engine::Watch::No);
        Ok(document)
    }

    /// Reads a document that another program wrote with Yjs: its whole state as one v1 update (`encodeStateAsUpdate`), with
    /// one plain text of any name in it, such as `codemirror` or `monaco`.
    ///
    /// Its authors are whoever that program says they are, so this is for reading its text, not for going on with it.
    ///
    /// # Errors
    /// [`Refusal`] when it is something else: formatted, with several texts, in the v2 format, or only a part.
    ///
    /// ```
    /// use sheaf_core::document::Document;
    /// // By client 7: "hi", in a text called "cm".
    /// let update = [1, 1, 7, 0, 4, 1, 2, b'c', b'm', 2, b'h', b'i', 0];
    /// assert_eq!(Document::from_yjs(&update)?.text(), "hi");
    /// # Ok::<(), sheaf_core::door::Refusal>(())
    /// ```
    pub fn from_yjs(state: &[u8]) -> Result<Document, Refusal> {
        let reader = ClientId::new(1).expect("1 is a client id");
        Document::from_state(reader, &crate::door::adopt(state)?)
    }

    /// The whole document as one canonical update, deleted text included: for the local store, and for whoever
    /// reads it with Yjs, as the text named `text`.
    pub fn encode_state(&self) -> Vec<u8> {
        canonical(&self.engine.encode_state()).expect("a document only holds what passed the door")
    }

    /// The client this replica writes as.
    pub fn client(&self) -> ClientId {
        self.engine.client()
    }

    /// The text, whole.
    pub fn text(&self) -> String {
        self.engine.text()
    }

    /// The length of the text, in UTF-16 units.
    pub fn len_utf16(&self) -> u32 {
        self.engine.len_utf16()
    }

    /// How far each client's text is there.
    pub fn state_vector(&self) -> &StateVector {
        self.engine.clocks()
    }

    /// Changes the text: all of the splices or, on an error, none. Edits within half a second of each other are undone
    /// together.
    ///
    /// # Errors
    /// When a splice lies past the end of the text or cuts a character in half, or the text would be longer than
    /// [`MAX_TEXT_LEN`].
    pub fn edit(&mut self, now: Timestamp, splices: &[Splice]) -> Result<LocalChange, SpliceError> {
        self.engine.check(splices)?;
        let bytes = self.engine.edit(splices);
        let parsed = parse(&bytes).expect("an edit of a text is an update of a text");
        let update = VettedUpdate::by(Some(self.client()), &parsed);
        if !update.is_empty() {
            self.undo.record_edit(now, Step::of(&parsed));
        }
        Ok(LocalChange { updates: sendable(update), splices: splices.to_vec() })
    }

    /// Takes back this replica's last group of edits. `None` when there is none that still shows.
    pub fn undo(&mut self) -> Option<LocalChange> {
        self.step(Direction::Back)
    }

    /// Takes back the last undo. `None` when there is none, or something was written since.
    pub fn redo(&mut self) -> Option<LocalChange> {
        self.step(Direction::Forth)
    }

    /// Whether there is something to undo.
    pub fn can_undo(&self) -> bool {
        self.undo.can_undo()
    }

    /// Whether there is something to redo.
    pub fn can_redo(&self) -> bool {
        self.undo.can_redo()
    }

    /// The next edit is undone on its own, however soon it follows.
    pub fn break_undo_group(&mut self) {
        self.undo.break_group();
    }

    /// Takes over what can be undone here from another document of the same client.
    pub fn take_history(&mut self, other: &mut Document) {
        debug_assert_eq!(self.client(), other.client(), "undo is of one's own edits");
        self.undo = std::mem::take(&mut other.undo);
    }

    /// What makes this text that of another document with the same people's words: each difference by itself, so that
    /// whatever a view has beside them stays where it is.
    pub fn splices_to(&self, other: &Document) -> Vec<Splice> {
        compare::splices(&self.engine, &other.engine)
    }

    fn step(&mut self, direction: Direction) -> Option<LocalChange> {
        while let Some(step) = self.undo.pop(direction) {
            let reversal = undo::reverse(&step, &self.engine);
            if reversal.parsed.clients.is_empty() && reversal.parsed.deletes.is_empty() {
                continue; // Others have already undone it.
            }
            let update = VettedUpdate::by(Some(self.client()), &reversal.parsed);
            let splices = self.engine.integrate(&reversal.parsed, engine::Watch::Yes);
            self.undo.replace(&reversal.reborn);
            self.undo.record_step(direction, Step::of(&reversal.parsed));
            return Some(LocalChange { updates: sendable(update), splices });
        }
        None
    }

    /// Whether `update` can be applied now.
    pub fn readiness(&self, update: &VettedUpdate) -> Readiness {
        let clocks = self.engine.clocks();
        let reached = |client: ClientId| clocks.get(&client).copied().unwrap_or(0);
        let missing = update.requires().iter().find(|&(&client, &clock)| reached(client) < clock);
        if let Some((&client, &clock)) = missing {
            return Readiness::Waiting(Missing { client, clock });
        }
        let adds = update.provides().iter().any(|(&client, range)| reached(client) < range.end);
        if adds || self.engine.deletes_something(&update.parsed()) {
            Readiness::Ready
        } else {
            Readiness::Known
        }
    }

    /// Applies an update from elsewhere, or this replica's own from its store; gives what the text went through. Parts of
    /// it that are there already are left as they are.
    ///
    /// # Panics
    /// When [`Document::readiness`] is [`Readiness::Waiting`]: the caller, usually a [`WaitingRoom`], keeps such an
    /// update until it is not.
    pub fn apply(&mut self, update: &VettedUpdate) -> Vec<Splice> {
        match self.readiness(update) {
            Readiness::Ready => self.engine.integrate(&update.parsed(), engine::Watch::Yes),
            Readiness::Known => Vec::new(),
            Readiness::Waiting(missing) => panic!("applied an update that waits for {missing:?}"),
        }
    }

    /// The place `at` (at most the end of the text), to be found again whatever others write.
    pub fn sticky(&self, at: Utf16Offset, bias: Bias) -> Sticky {
        self.engine.sticky(at, bias)
    }

    /// Where a place is now. `None` when its neighbour is not in this document (yet).
    pub fn resolve(&self, sticky: &Sticky) -> Option<Utf16Offset> {
        self.engine.resolve(sticky)
    }

    /// Takes an update in like [`Document::apply`], of which nobody needs to be told what it did to the text.
    ///
    /// # Panics
    /// As [`Document::apply`].
    pub(crate) fn take_in(&mut self, update: &VettedUpdate) {
        match self.readiness(update) {
            Readiness::Ready => drop(self.engine.integrate(&update.parsed(), engine::Watch::No)),
            Readiness::Known => {}
            Readiness::Waiting(missing) => panic!("took in an update that waits for {missing:?}"),
        }
    }

    /// All of the text from its beginning to its end, what was deleted included where it was.
    pub(crate) fn everything(&self) -> Vec<Stretch> {
        self.engine.stretches()
    }

    /// Who wrote what: the visible text from its beginning to its end, as stretches that were written in a row.
    pub fn author_runs(&self) -> Vec<AuthorRun> {
        let mut runs: Vec<AuthorRun> = Vec::new();
        let mut at = 0;
        for stretch in self.engine.stretches().iter().filter(|stretch| !stretch.deleted) {
            let Id { client, clock } = stretch.id;
            let (end, clocks) = (at + stretch.len, clock..clock + stretch.len);
            match runs.last_mut() {
                Some(run) if run.client == client && run.clocks.end == clock => {
                    run.clocks.end = clocks.end;
                    run.text.end = Utf16Offset(end);
                }
                _ => runs.push(AuthorRun { client, clocks, text: Utf16Offset(at)..Utf16Offset(end) }),
            }
            at = end;
        }
        runs
    }
}

/// A stretch of the visible text that one client wrote in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorRun {
    /// Who.
    pub client: ClientId,
    /// Which of the units that they wrote.
    pub clocks: Range<u32>,
    /// Where they are in the text.
    pub text: Range<Utf16Offset>,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("client", &self.client())
            .field("len_utf16", &self.len_utf16())
            .field("state_vector", self.state_vector())
            .finish_non_exhaustive()
    }
}

/// Which way along the history of one's own edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Back,
    Forth,
}

/// An own update as others take it: nothing that is empty, nothing that is too long.
fn sendable(update: VettedUpdate) -> Vec<VettedUpdate> {
    if update.is_empty() { Vec::new() } else { update.split(MAX_UPDATE_BYTES) }
}
