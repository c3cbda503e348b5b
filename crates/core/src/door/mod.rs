//! The door: what every update from outside passes before anything else sees a byte of it.
//!
//! A Sheaf document is one plain text, so the updates it takes are a small subset of the [Yjs v1 update format]: runs of
//! text or of deleted text, placed by their neighbours or at the start of the root text named `text`, and a set of
//! deletions. [`scan`] reads exactly that and refuses everything else with a [`Refusal`] that says why. What it lets in
//! is a [`VettedUpdate`], the only thing a [`Document`](crate::document::Document) applies.
//!
//! The CRDT library behind the document trusts its input; a few bytes made for it can take gigabytes, or worse. So the
//! scanner reserves nothing on the word of a count, follows no reference, and takes only the one way of writing an
//! update: what it understood, written again, must be the same bytes. The library never sees those bytes: it is given
//! what is new of them, written once more from what was understood.
//!
//! ```
//! use sheaf_core::client_id::ClientId;
//! use sheaf_core::door::{Allowed, Refusal, scan};
//! let author = ClientId::new(7).unwrap();
//! // One run by client 7 from clock 0: "hi", at the start of the root text `text`; no deletions.
//! let update = [1, 1, 7, 0, 4, 1, 4, b't', b'e', b'x', b't', 2, b'h', b'i', 0];
//! assert!(scan(&update, Allowed::Author(author)).is_ok());
//! let other = ClientId::new(8).unwrap();
//! assert_eq!(scan(&update, Allowed::Author(other)), Err(Refusal::ForeignClient(author)));
//! ```
//!
//! [Yjs v1 update format]: https://github.com/yjs/yjs/blob/main/INTERNALS.md

mod agreement;
mod causality;
mod coalesce;
mod grammar;
pub(crate) mod ranges;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::client_id::ClientId;
pub(crate) use agreement::agree;
pub(crate) use causality::in_order;
pub use coalesce::{MergeError, merge};
pub(crate) use grammar::{
    ClientRuns, Content, Id, Parsed, Piece, ROOT, Run, encode, parse, parse_of_any_root,
};

/// The longest update taken from outside, in bytes: 128 KiB.
///
/// A record holds at most 60 KB, deflated; an update that inflates to more than this is no typing. With it, an update
/// made to be costly still stays below 16 MB of memory from the door into the document.
pub const MAX_UPDATE_BYTES: usize = 128 * 1024;

/// The longest state taken from the local store, in bytes: 64 MiB.
pub const MAX_STATE_BYTES: usize = 64 * 1024 * 1024;

/// The first clock that no text reaches: 2^31. (The CRDT library counts the distance of clocks in 32 signed bits.)
pub const CLOCK_LIMIT: u32 = 1 << 31;

/// Who may stand as the author of what an update adds. Deletions may name anyone's text.
#[derive(Clone, Copy, Debug)]
pub enum Allowed<'a> {
    /// Exactly this client: an update from a record or a live channel, whose author is known.
    Author(ClientId),
    /// Any of these clients.
    AnyOf(&'a BTreeSet<ClientId>),
    /// Anyone: this device's own stored state. Limited by [`MAX_STATE_BYTES`] instead of [`MAX_UPDATE_BYTES`].
    Any,
}

/// Why an update was refused at the door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Longer than [`MAX_UPDATE_BYTES`] (or [`MAX_STATE_BYTES`]).
    #[error("the update has {len} bytes; at most {max} are taken")]
    TooLarge {
        /// Its length, in bytes.
        len: usize,
        /// The most that is taken, in bytes.
        max: usize,
    },
    /// It ends in the middle of something.
    #[error("the update is cut short")]
    Truncated,
    /// Bytes follow its end.
    #[error("the update has {0} bytes after its end")]
    TrailingBytes(usize),
    /// A count promises more than the remaining bytes can hold.
    #[error("the update promises more entries than it has bytes for")]
    CountTooLarge,
    /// A number has more than 53 bits.
    #[error("the update has a number beyond 2^53")]
    NumberTooLarge,
    /// A client id is zero or has more than 53 bits.
    #[error("the update names a client id outside 1 to 2^53 - 1")]
    ClientOutOfRange,
    /// A clock, or where a run ends, is at or beyond [`CLOCK_LIMIT`].
    #[error("the update has a clock at or beyond 2^31")]
    ClockOutOfRange,
    /// A text or a name is not UTF-8.
    #[error("the update has text that is not UTF-8")]
    NotUtf8,
    /// A run of no length.
    #[error("the update has an empty run")]
    EmptyRun,
    /// Content that is not part of a plain text: formatting, objects, nested types, and whatever else there is.
    #[error("the update has content of kind {0}, which a plain text does not have")]
    ForeignContent(u8),
    /// A collected struct. In a plain text nothing is ever collected, and one would lose the place of what it replaces.
    #[error("the update has a collected run, which a plain text does not have")]
    Collected,
    /// Content with a key, as in a map.
    #[error("the update has content under a key, which a plain text does not have")]
    Keyed,
    /// Content of another root than `text`, or inside of something.
    #[error("the update writes outside of the document's text")]
    ForeignParent,
    /// New content in the name of a client that the author is not.
    #[error("the update writes in the name of client {0}")]
    ForeignClient(ClientId),
    /// One client has several sections.
    #[error("the update has several sections for client {0}")]
    DuplicateClient(ClientId),
    /// A hole at the start or end of a section, or a section of nothing.
    #[error("the update has a hole with nothing on one of its sides")]
    StrayHole,
    /// A run is placed beside something that its author wrote only later, or beside itself.
    #[error("the update places a run beside something written after it")]
    PointsAhead,
    /// Runs of several clients are placed beside each other in a circle.
    #[error("the update places runs beside each other in a circle")]
    Circular,
    /// A state, which should be whole, builds on something that is not in it.
    #[error("the state builds on something that is not in it")]
    Incomplete,
    /// It can be understood, but is not written in the one canonical way.
    #[error("the update is not written in the canonical way")]
    NotCanonical,
}

/// An update that passed the door: the bytes, and what was learned on the way. Cheap to clone; compared by its bytes.
#[derive(Clone)]
pub struct VettedUpdate(Arc<Vetted>);

struct Vetted {
    bytes: Vec<u8>,
    author: Option<ClientId>,
    provides: BTreeMap<ClientId, Range<u32>>,
    requires: BTreeMap<ClientId, u32>,
    has_holes: bool,
}

/// Scans an update from outside.
///
/// # Errors
/// [`Refusal`] for whatever is not an update of a plain text, in canonical form, by someone who is `allowed`.
pub fn scan(bytes: &[u8], allowed: Allowed<'_>) -> Result<VettedUpdate, Refusal> {
    let max = match allowed {
        Allowed::Author(_) | Allowed::AnyOf(_) => MAX_UPDATE_BYTES,
        Allowed::Any => MAX_STATE_BYTES,
    };
    if bytes.len() > max {
        return Err(Refusal::TooLarge { len: bytes.len(), max });
    }
    let parsed = parse(bytes)?;
    for section in &parsed.clients {
        let is_allowed = match allowed {
            Allowed::Author(author) => section.client == author,
            Allowed::AnyOf(authors) => authors.contains(&section.client),
            Allowed::Any => true,
        };
        if !is_allowed {
            return Err(Refusal::ForeignClient(section.client));
        }
    }
    if encode(&parsed) != bytes {
        return Err(Refusal::NotCanonical);
    }
    causality::check_order(&parsed)?;
    let author = if let Allowed::Author(author) = allowed { Some(author) } else { None };
    Ok(VettedUpdate::new(bytes.to_vec(), &parsed, author))
}

/// Writes an update that is well formed, but not in the canonical way, in the canonical way: clients descending,
/// deletions sorted and merged, runs joined where one simply goes on.
///
/// # Errors
/// [`Refusal`] for what is no update of a plain text.
pub fn canonical(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    if bytes.len() > MAX_STATE_BYTES {
        return Err(Refusal::TooLarge { len: bytes.len(), max: MAX_STATE_BYTES });
    }
    let mut parsed = parse(bytes)?;
    coalesce::join(&mut parsed);
    Ok(encode(&parsed))
}

/// The canonical form of a state of any Yjs document that is one plain text, whatever its text is called there.
///
/// # Errors
/// [`Refusal`] for what is no update of one plain text.
pub(crate) fn adopt(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    if bytes.len() > MAX_STATE_BYTES {
        return Err(Refusal::TooLarge { len: bytes.len(), max: MAX_STATE_BYTES });
    }
    let mut parsed = parse_of_any_root(bytes)?;
    coalesce::join(&mut parsed);
    Ok(encode(&parsed))
}

impl VettedUpdate {
    /// From bytes and what they say; the caller made sure of both. The author, when not known otherwise, is the only
    /// client that adds something.
    fn new(bytes: Vec<u8>, parsed: &Parsed<'_>, author: Option<ClientId>) -> VettedUpdate {
        let (provides, requires) = causality::provides_and_requires(parsed);
        let has_holes = parsed.clients.iter().any(|section| section.runs.len() > 1);
        let only = if let [only] = parsed.clients.as_slice() { Some(only.client) } else { None };
        let author = author.or(only);
        VettedUpdate(Arc::new(Vetted { bytes, author, provides, requires, has_holes }))
    }

    /// An update that was made here, of this author.
    pub(crate) fn by(author: Option<ClientId>, parsed: &Parsed<'_>) -> VettedUpdate {
        VettedUpdate::new(encode(parsed), parsed, author)
    }

    /// What is in it.
    pub(crate) fn parsed(&self) -> Parsed<'_> {
        parse(&self.0.bytes).expect("an update is only vetted when it parses, and never changes")
    }

    /// The update in the Yjs v1 format, canonical.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Whose it is: the author it was let in for ([`Allowed::Author`]), or the only client whose text it adds.
    pub fn author(&self) -> Option<ClientId> {
        self.0.author
    }

    /// For each client whose text it adds: the clocks from the first added to just after the last.
    pub fn provides(&self) -> &BTreeMap<ClientId, Range<u32>> {
        &self.0.provides
    }

    /// For each client: the clock up to which its text must be there before this can be applied.
    pub fn requires(&self) -> &BTreeMap<ClientId, u32> {
        &self.0.requires
    }

    /// Whether a section has holes, so that parts of it may have to wait for what is in between.
    pub fn has_holes(&self) -> bool {
        self.0.has_holes
    }

    /// Whether it deletes anything.
    pub fn deletes_something(&self) -> bool {
        !self.parsed().deletes.is_empty()
    }

    /// Whether it neither adds nor deletes anything.
    pub fn is_empty(&self) -> bool {
        self.0.bytes == [0, 0]
    }

    /// The same in several updates of at most `max_bytes` each, to be applied in order, without holes in any of
    /// them. An update of several clients is only taken apart at its holes. `max_bytes` counts as at least 64.
    pub fn split(&self, max_bytes: usize) -> Vec<VettedUpdate> {
        if self.0.bytes.len() <= max_bytes && !self.0.has_holes {
            return vec![self.clone()];
        }
        coalesce::split(self, max_bytes.max(64))
    }
}

impl Ord for VettedUpdate {
    fn cmp(&self, other: &VettedUpdate) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl PartialOrd for VettedUpdate {
    fn partial_cmp(&self, other: &VettedUpdate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for VettedUpdate {
    fn eq(&self, other: &VettedUpdate) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for VettedUpdate {}

impl fmt::Debug for VettedUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VettedUpdate")
            .field("bytes", &self.0.bytes.len())
            .field("provides", &self.0.provides)
            .field("requires", &self.0.requires)
            .finish()
    }
}
