//! What happens to a replica: the person, the device, the network and the clock, each as a value.

use std::time::Duration;

use sheaf_repo::{cid::Cid, did::Did, handle::Handle, key::VerifyingKey, tid::Tid};

use super::effect::{BatchId, FetchId, WriteId};
pub use crate::budget::RateLimits;
use crate::{
    live::LiveEvent,
    text::{Splice, Utf16Offset},
};

/// One thing that happened. Everything a replica knows arrives this way, in the order it is handed in.
#[derive(Debug, Clone)]
pub enum Event {
    /// The person changed the text; offsets are into the text as [`super::Replica::text`] has it now.
    Edit(Vec<Splice>),
    /// The same by a view that may offer it again, because it was never told what became of it: the mark is stored with the
    /// change, in one batch, so that it is never taken in twice. See [`super::Replica::mark_of`].
    EditOnce {
        /// The changes.
        splices: Vec<Splice>,
        /// Which change of which view they are.
        mark: Mark,
    },
    /// The person goes back to an earlier text: an edit that is undone by itself, however soon it follows on others.
    Restore(Vec<Splice>),
    /// Take back the person's own last change, whatever others wrote since.
    Undo,
    /// Bring back what was last undone.
    Redo,
    /// The person's caret moved. `anchor` equals `head` when nothing is selected.
    Select {
        /// Where the selection began.
        anchor: Utf16Offset,
        /// Where the caret is.
        head: Utf16Offset,
    },
    /// The page was hidden (`true`) or shown again: a hidden page stops announcing itself.
    Hidden(bool),
    /// The owner renames the document.
    SetTitle(String),
    /// The owner lets this account write.
    AddEditor(Did),
    /// The owner stops accepting what this account writes from now on.
    RemoveEditor(Did),
    /// Publish what is waiting now, without waiting for the flush window.
    FlushNow,
    /// The person leaves the document; what is unpublished stays in the store.
    Close,

    /// A batch is durable.
    Stored(BatchId),
    /// A batch could not be stored; its changes stay unsent until a later batch succeeds.
    StoreFailed {
        /// Which one.
        batch: BatchId,
        /// In words a person can act on.
        reason: String,
    },
    /// The device says whether it has a network at all. `true` retries at once what was waiting.
    Online(bool),
    /// Whether this account's session can write. `true` after signing in (again), `false` once it expired.
    Session(bool),

    /// The answer to [`super::Effect::Resolve`].
    Resolved {
        /// Who was asked for.
        did: Did,
        /// What the directory said.
        result: Result<Identity, ResolveFailure>,
    },
    /// The answer to [`super::Effect::Fetch`].
    Fetched {
        /// Which one.
        fetch: FetchId,
        /// The CAR's bytes, unparsed.
        result: Result<Vec<u8>, FetchFailure>,
    },
    /// The answer to [`super::Effect::Write`].
    Written {
        /// Which one.
        write: WriteId,
        /// What the PDS said.
        result: Result<WriteReceipt, WriteFailure>,
        /// What its `RateLimit-*` headers said, whether it accepted or not.
        limits: Option<RateLimits>,
    },
    /// Something says that a repo has changed. It is a hint where to look and nothing else.
    Doorbell(Doorbell),
    /// Which live doorbell is connected; without one the replica polls.
    Doorbells {
        /// The kind in use now; `None` where not every repo is covered.
        connected: Option<DoorbellKind>,
        /// The hosts of all streams that are up, to be shown to people.
        hosts: Vec<String>,
    },
    /// Something happened on the live channel.
    Live(LiveEvent),
    /// The deadline passed.
    Tick,
}

/// One change of a view, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The view: a name nobody else has, without `/`.
    pub view: String,
    /// Its changes count upwards.
    pub number: u32,
}

/// Who an account is, as the directory and the account's own handle agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub did: Did,
    /// Its handle, only where handle and DID name each other.
    pub handle: Option<Handle>,
    /// The origin of its PDS, such as `https://pds.example`.
    pub pds: String,
    /// The key its repo's commits are signed with today.
    pub key: VerifyingKey,
}

/// Why an account could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveFailure {
    /// The directory did not answer; worth another try.
    #[error("the directory could not be reached ({0})")]
    Unreachable(String),
    /// There is no such account.
    #[error("no such account")]
    NotFound,
    /// The account was closed for good.
    #[error("the account was closed")]
    Tombstoned,
    /// The answer made no sense.
    #[error("the directory's answer could not be read ({0})")]
    Malformed(String),
}

/// Why blocks of a repo could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailure {
    /// No connection.
    #[error("its server could not be reached ({0})")]
    Unreachable(String),
    /// No answer in time.
    #[error("its server did not answer in time")]
    TimedOut,
    /// The server failed.
    #[error("its server failed (status {status})")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// The server asked for patience.
    #[error("its server asks to wait")]
    RateLimited {
        /// How long, when it said so.
        retry_after: Option<Duration>,
    },
    /// The server does not hold this repo (any more).
    #[error("its server does not hold the repo")]
    RepoNotFound,
    /// The account is deactivated.
    #[error("the account is deactivated")]
    RepoDeactivated,
    /// The account was taken down.
    #[error("the account was taken down")]
    RepoTakendown,
    /// Blocks asked for are gone: the repo has moved on since.
    #[error("the repo has moved on")]
    BlocksNotFound,
    /// The answer was larger than any honest one.
    #[error("the answer was too large")]
    TooLarge,
    /// The answer was not what was asked for, such as a page of HTML.
    #[error("its server's answer could not be read ({0})")]
    Malformed(String),
}

/// What the PDS says it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteReceipt {
    /// The record's CID; absent for a delete.
    pub cid: Option<Cid>,
    /// The commit's revision, where the PDS tells it.
    pub rev: Option<Tid>,
}

/// Why a write did not (certainly) happen, by what there is to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteFailure {
    /// No answer: it may have happened. Retry the same write.
    #[error("your server could not be reached ({0})")]
    Unreachable(String),
    /// No answer in time: it may have happened. Retry the same write.
    #[error("your server did not answer in time")]
    TimedOut,
    /// The server failed; retry later.
    #[error("your server failed (status {status})")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// The quota is used up; wait.
    #[error("your server asks to slow down")]
    RateLimited {
        /// How long, when it said so.
        retry_after: Option<Duration>,
    },
    /// The session is over; the person must sign in again.
    #[error("your session has ended")]
    SignInAgain,
    /// The server refuses this write as it is; trying again will not help.
    #[error("your server refused the change: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its error name.
        error: String,
        /// Its words.
        message: String,
    },
    /// The record has changed since the one this write was based on.
    #[error("the record has changed meanwhile")]
    SwapMismatch,
    /// The answer made no sense; it may have happened.
    #[error("your server's answer could not be read ({0})")]
    Malformed(String),
}

/// A hint that a repo has changed. Anyone may have made it up.
#[derive(Debug, Clone)]
pub struct Doorbell {
    /// Whose repo.
    pub did: Did,
    /// The revision it is said to be at now.
    pub rev: Option<Tid>,
    /// The record said to have changed, as `collection/rkey`.
    pub path: Option<String>,
    /// Blocks that came along, as a CAR: they save a fetch where they verify.
    pub car: Option<Vec<u8>>,
}

/// Kinds of live doorbell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoorbellKind {
    /// Jetstream's JSON stream.
    Jetstream,
    /// A PDS's own `com.atproto.sync.subscribeRepos`.
    Firehose,
}
