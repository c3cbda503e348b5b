//! Replica ids, reused rather than multiplied.
//!
//! Each tab or process that has a document open is a replica of its own, so that two of them never write the same
//! record. A device keeps the replica ids of an account and document in its store, each under a key that is also the name
//! of a lock; the lock is held for as long as a replica of that id is open. Whoever opens the document takes a free id, one
//! with unpublished edits first, and hands core those other free ids for adoption that have some, too: a replica
//! publishes what its closed neighbours could not. Free ids with nothing left are left to the next tab.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use sheaf_core::{
    client_id::ReplicaId,
    document_uri::DocumentUri,
    replica::{LeftBehind, Leftover, Replica, StoreOp},
};
use sheaf_repo::did::Did;

use crate::{
    platform::{self, LocalFuture},
    store::{Store, StoreError},
};

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub use browser::WebLocks;
#[cfg(not(target_arch = "wasm32"))]
pub use native::FileLocks;

/// A lock that is let go when dropped, or when its process or tab dies.
pub trait Held {}

/// Locks by name, shared by every process or tab that uses the same store.
pub trait Locks {
    /// Takes the lock if nobody holds it; never waits for another holder. `None`: it is held.
    fn try_lock<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Option<Box<dyn Held>>>;
}

/// Locks within one process, to go with [`crate::store::Memory`]. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryLocks(Rc<RefCell<BTreeSet<String>>>);

impl MemoryLocks {
    /// No lock held.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn take(&self, name: &str) -> Option<Box<dyn Held>> {
        let free = self.0.borrow_mut().insert(name.to_owned());
        free.then(|| Box::new(HeldInMemory { locks: self.clone(), name: name.to_owned() }) as Box<dyn Held>)
    }
}

impl Locks for MemoryLocks {
    fn try_lock<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Option<Box<dyn Held>>> {
        let held = self.take(name);
        Box::pin(async move { held })
    }
}

struct HeldInMemory {
    locks: MemoryLocks,
    name: String,
}

impl Held for HeldInMemory {}

impl Drop for HeldInMemory {
    fn drop(&mut self) {
        self.locks.0.borrow_mut().remove(&self.name);
    }
}

/// A replica id of one's own for as long as this lives.
pub(crate) struct Slot {
    pub(crate) replica: ReplicaId,
    /// Free ids with unpublished edits, which may be taken along. Their locks are held too, so that only one replica
    /// adopts them.
    pub(crate) adopted: Vec<ReplicaId>,
    _held: Vec<Box<dyn Held>>,
}

/// The length of a fresh replica id: 40 random bits are plenty among one account's replicas of one document.
const REPLICA_LEN: usize = 8;

pub(crate) fn prefix(account: &Did, document: &DocumentUri) -> String {
    format!("slot/{account}/{document}/")
}

/// Takes a free replica id of this account in this document, making a new one if all are in use.
pub(crate) async fn take(
    store: &dyn Store,
    locks: &dyn Locks,
    account: &Did,
    document: &DocumentUri,
) -> Result<Slot, StoreError> {
    let known = known(store, account, document).await?;
    let left = left_behind(store, document).await?.replicas;
    let leftover = |replica: &ReplicaId| left.get(replica).copied().unwrap_or_default();
    let (waiting, done): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|(_, replica)| leftover(replica).unpublished() > 0);
    let (mut mine, mut adopted, mut held) = (None, Vec::new(), Vec::new());
    for (key, replica) in waiting.into_iter().chain(done) {
        let Leftover { is_damaged, .. } = leftover(&replica);
        let is_waiting = leftover(&replica).unpublished() > 0;
        // Nobody goes on under an id whose edits cannot be read: they are kept as they are.
        let is_mine = mine.is_none() && !is_damaged;
        if (is_mine || is_waiting)
            && let Some(lock) = locks.try_lock(&key).await
        {
            held.push(lock);
            if is_mine { mine = Some(replica) } else { adopted.push(replica) }
        }
    }
    if let Some(replica) = mine {
        return Ok(Slot { replica, adopted, _held: held });
    }
    let replica = fresh();
    let key = format!("{}{replica}", prefix(account, document));
    let lock = locks.try_lock(&key).await;
    if lock.is_none() {
        tracing::warn!(%document, "there are no locks here; this replica id is taken up again once there are");
    }
    // Kept even so: what this replica cannot publish is not to be forgotten.
    store.write(vec![StoreOp::Put { key, value: replica.as_str().into() }]).await?;
    held.extend(lock);
    Ok(Slot { replica, adopted, _held: held })
}

/// The ids this account has used in this document, with the keys they are kept under.
async fn known(
    store: &dyn Store,
    account: &Did,
    document: &DocumentUri,
) -> Result<Vec<(String, ReplicaId)>, StoreError> {
    let stored = store.scan(&prefix(account, document)).await?;
    let id = |id: Vec<u8>| ReplicaId::parse(std::str::from_utf8(&id).ok()?).ok();
    Ok(stored.into_iter().filter_map(|(key, value)| Some((key, id(value)?))).collect())
}

/// What is in the store of a document and nowhere else.
pub(crate) async fn left_behind(store: &dyn Store, document: &DocumentUri) -> Result<LeftBehind, StoreError> {
    let mut stored = Vec::new();
    for prefix in Replica::left_behind_prefixes(document) {
        stored.extend(store.scan(&prefix).await?);
    }
    Ok(Replica::left_behind(document, stored))
}

/// Every lock of a document, so that nobody opens it or has it open; `None` where somebody has.
pub(crate) async fn close_off(
    store: &dyn Store,
    locks: &dyn Locks,
    account: &Did,
    document: &DocumentUri,
) -> Result<Option<Vec<Box<dyn Held>>>, StoreError> {
    let mut held = Vec::new();
    for (key, _) in known(store, account, document).await? {
        match locks.try_lock(&key).await {
            Some(lock) => held.push(lock),
            None => return Ok(None),
        }
    }
    Ok(Some(held))
}

/// A replica id nobody has.
fn fresh() -> ReplicaId {
    const ALPHABET: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
    let random = platform::random_bytes::<REPLICA_LEN>();
    let id: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    ReplicaId::parse(&id).expect("the alphabet and the length are a replica id's")
}

#[cfg(test)]
mod tests;
