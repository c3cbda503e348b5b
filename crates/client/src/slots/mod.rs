//! Replica ids, reused rather than multiplied.
//!
//! Each tab or process that has a document open is a replica of its own, so that two of them never write the same
//! record. A device keeps its replica ids in numbered slots per account and document; a slot is locked for as long as
//! its replica is open, and whoever opens the document next takes the first free one. Ids whose slots are free are handed
//! to core for adoption: a replica publishes what its closed neighbours could not.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use sheaf_core::{client_id::ReplicaId, document_uri::DocumentUri, replica::StoreOp};
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

    fn take(&self, name: &str) -> Option<Box<dyn Held>> {
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
    /// Ids of free slots, whose unpublished changes may be taken along. Their locks are held too, so that only one
    /// replica adopts them.
    pub(crate) adopted: Vec<ReplicaId>,
    _held: Vec<Box<dyn Held>>,
}

/// More replicas of one account than anyone opens on one device; from here on ids are not kept.
const MAX_SLOTS: usize = 64;
/// The length of a fresh replica id: 40 random bits are plenty among one account's replicas of one document.
const REPLICA_LEN: usize = 8;

fn prefix(account: &Did, document: &DocumentUri) -> String {
    format!("slot/{account}/{document}/")
}

/// Takes the first free slot of this account in this document, making a new one if all are in use.
pub(crate) async fn take(
    store: &dyn Store,
    locks: &dyn Locks,
    account: &Did,
    document: &DocumentUri,
) -> Result<Slot, StoreError> {
    let prefix = prefix(account, document);
    let known = store.scan(&prefix).await?;
    let known = known.iter().filter_map(|(key, id)| {
        Some((
            key.strip_prefix(&prefix)?.parse::<usize>().ok()?,
            ReplicaId::parse(std::str::from_utf8(id).ok()?).ok()?,
        ))
    });
    let mut free = Vec::new();
    let mut used = BTreeSet::new();
    for (number, replica) in known {
        used.insert(number);
        if let Some(held) = locks.try_lock(&format!("{prefix}{number}")).await {
            free.push((replica, held));
        }
    }
    if !free.is_empty() {
        let (ids, held): (Vec<_>, Vec<_>) = free.into_iter().unzip();
        let mut ids = ids.into_iter();
        let replica = ids.next().expect("there is a free slot");
        return Ok(Slot { replica, adopted: ids.collect(), _held: held });
    }
    let replica = fresh();
    for number in (0..MAX_SLOTS).filter(|number| !used.contains(number)) {
        let key = format!("{prefix}{number}");
        // Another tab may be making the same slot at this moment; the lock decides.
        let Some(held) = locks.try_lock(&key).await else { continue };
        if store.get(&key).await?.is_some() {
            continue;
        }
        store.write(vec![StoreOp::Put { key, value: replica.as_str().into() }]).await?;
        return Ok(Slot { replica, adopted: vec![], _held: vec![held] });
    }
    tracing::warn!(%document, "every replica slot is in use; this one will not be reused");
    Ok(Slot { replica, adopted: vec![], _held: vec![] })
}

/// A replica id nobody has.
fn fresh() -> ReplicaId {
    const ALPHABET: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
    let random = platform::random_bytes::<REPLICA_LEN>();
    let id: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    ReplicaId::parse(&id).expect("the alphabet and the length are a replica id's")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::store::Memory;

    fn take_now(store: &Memory, locks: &MemoryLocks) -> Slot {
        let account = "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap();
        let document =
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap();
        take(store, locks, &account, &document).now_or_never().expect("memory does not wait").unwrap()
    }

    #[test]
    fn two_open_replicas_have_two_ids() {
        let (store, locks) = (Memory::new(), MemoryLocks::new());
        let (one, two) = (take_now(&store, &locks), take_now(&store, &locks));
        assert_ne!(one.replica, two.replica);
        assert!(one.adopted.is_empty() && two.adopted.is_empty());
    }

    #[test]
    fn a_closed_replica_is_taken_up_again() {
        let (store, locks) = (Memory::new(), MemoryLocks::new());
        let first = take_now(&store, &locks).replica;
        for _ in 0..5 {
            assert_eq!(take_now(&store, &locks).replica, first, "ids are reused rather than multiplied");
        }
    }

    #[test]
    fn closed_neighbours_are_adopted_once() {
        let (store, locks) = (Memory::new(), MemoryLocks::new());
        let (one, two, three) =
            (take_now(&store, &locks), take_now(&store, &locks), take_now(&store, &locks));
        let (id_one, id_two) = (one.replica.clone(), two.replica.clone());
        drop((one, two));
        let again = take_now(&store, &locks);
        assert_eq!((&again.replica, &again.adopted), (&id_one, &vec![id_two.clone()]));
        let other = take_now(&store, &locks);
        assert!(other.adopted.is_empty(), "what is adopted is not free");
        assert_ne!(other.replica, id_two);
        assert_ne!(other.replica, three.replica);
    }
}
