//! What a replica wants done, as values. Whoever drives it does them in order and answers each with one event.

use std::collections::BTreeSet;

use sheaf_repo::{cid::Cid, did::Did};

use crate::{live::LiveEffect, text::Splice};

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Make these changes to the device's store, atomically and durably. The next batch comes when this one is answered, with
    /// [`super::Event::Stored`] or [`super::Event::StoreFailed`].
    Persist(Batch),
    /// Look an account up. Answer [`super::Event::Resolved`].
    Resolve {
        /// Who.
        did: Did,
        /// Do not answer from a cache: a signature has just failed.
        fresh: bool,
    },
    /// Get blocks of a repo. Answer [`super::Event::Fetched`].
    Fetch(Fetch),
    /// Write a record to this account's own repo. Answer [`super::Event::Written`].
    Write(Write),
    /// From now on these are the repos and collections whose doorbells matter.
    Listen {
        /// Whose repos, with the origin of each PDS where it is known.
        repos: BTreeSet<Listening>,
        /// Collections of interest.
        collections: Vec<&'static str>,
    },
    /// The text changed by something other than [`super::Event::Edit`]: show it. Splices apply one after another.
    Show(Vec<Splice>),
    /// The text did not take an edit, which [`Effect::Show`] has just taken back from the view: this is what was written by it.
    NotTaken(String),
    /// Something to do on the live channel.
    Live(LiveEffect),
    /// Title, people, status or role may have changed: read them again.
    Refresh,
}

/// A repo whose changes matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    /// Whose.
    pub did: Did,
    /// Its PDS's origin, once known.
    pub pds: Option<String>,
}

/// Names one [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(pub u64);

/// Names one [`Fetch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchId(pub u64);

/// Names one [`Write`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteId(pub u64);

/// Changes to the store that happen together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// To answer with.
    pub id: BatchId,
    /// In order.
    pub ops: Vec<StoreOp>,
}

/// One change to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Set a key.
    Put {
        /// Where.
        key: String,
        /// What.
        value: Vec<u8>,
    },
    /// Remove a key; fine if it is not there.
    Delete {
        /// Where.
        key: String,
    },
}

impl StoreOp {
    /// The key it changes.
    pub fn key(&self) -> &str {
        match self {
            StoreOp::Put { key, .. } | StoreOp::Delete { key } => key,
        }
    }
}

/// A read from somebody's PDS. Needs no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// To answer with.
    pub id: FetchId,
    /// Whose repo.
    pub did: Did,
    /// The origin of the PDS that holds it.
    pub pds: String,
    /// What of it.
    pub what: FetchWhat,
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchWhat {
    /// `com.atproto.sync.getRecord`: the head commit and the way to this key, whether a record stands there or not.
    Proof {
        /// The collection.
        collection: String,
        /// The record key.
        rkey: String,
    },
    /// `com.atproto.sync.getBlocks`.
    Blocks {
        /// Which, at most [`MAX_BLOCKS_A_FETCH`].
        cids: Vec<Cid>,
    },
    /// `com.atproto.sync.getBlob`: the bytes themselves, not a CAR.
    Blob {
        /// Which.
        cid: Cid,
    },
}

/// As many CIDs as fit comfortably in a query string.
pub const MAX_BLOCKS_A_FETCH: usize = 60;

/// A write to this account's own repo.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// To answer with.
    pub id: WriteId,
    /// What to write.
    pub action: WriteAction,
}

/// What to write.
#[derive(Debug, Clone, PartialEq)]
pub enum WriteAction {
    /// `com.atproto.repo.putRecord` with `validate: false`.
    Put {
        /// The collection.
        collection: &'static str,
        /// The record key.
        rkey: String,
        /// The record, in atproto's JSON.
        record: serde_json::Value,
        /// Write only over exactly this.
        swap: Option<Swap>,
    },
    /// `com.atproto.repo.uploadBlob`, and then `com.atproto.repo.putRecord` of a record that refers to it.
    PutWithBlob {
        /// The collection.
        collection: &'static str,
        /// The record key.
        rkey: String,
        /// The record, in atproto's JSON, without the field that refers to the blob.
        record: serde_json::Value,
        /// That field.
        field: &'static str,
        /// The blob's media type.
        media_type: &'static str,
        /// The blob.
        bytes: Vec<u8>,
    },
    /// `com.atproto.repo.applyWrites` with `validate: false`: overwrite one record and delete others, all or nothing.
    Fold {
        /// The collection of all of them.
        collection: &'static str,
        /// The key of the record to overwrite.
        rkey: String,
        /// What it is to be, in atproto's JSON.
        record: serde_json::Value,
        /// The keys of those to delete.
        delete: Vec<String>,
        /// Only if this is the repo's newest commit.
        head: Cid,
    },
}

impl WriteAction {
    /// Where it writes, as `collection/rkey`.
    pub(super) fn path(&self) -> String {
        let (WriteAction::Put { collection, rkey, .. }
        | WriteAction::PutWithBlob { collection, rkey, .. }
        | WriteAction::Fold { collection, rkey, .. }) = self;
        format!("{collection}/{rkey}")
    }
}

/// What a conditional write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// No record.
    Absent,
    /// The record with this CID.
    Cid(Cid),
}
