use futures_util::FutureExt;
use sheaf_core::{segment::SegmentLog, time::Timestamp};

use super::*;
use crate::store::Memory;

fn account() -> Did {
    "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap()
}

fn document() -> DocumentUri {
    "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap()
}

fn take_now(store: &Memory, locks: &dyn Locks) -> Slot {
    take(store, locks, &account(), &document()).now_or_never().expect("memory does not wait").unwrap()
}

fn ids(store: &Memory) -> usize {
    known(store, &account(), &document()).now_or_never().unwrap().unwrap().len()
}

fn put(store: &Memory, key: String, value: Vec<u8>) {
    store.write(vec![StoreOp::Put { key, value }]).now_or_never().unwrap().unwrap();
}

/// An edit of this replica that is durable and not published.
fn leaves_an_edit(store: &Memory, slot: &Slot) {
    let prefix = format!("doc/{}/replica/{}/", document(), slot.replica);
    for (suffix, value) in SegmentLog::new(slot.replica.clone()).append(Timestamp::from_millis(1), &[0, 0]) {
        put(store, format!("{prefix}{suffix}"), value.unwrap());
    }
}

fn publishes(store: &Memory, replica: &ReplicaId) {
    let prefix = format!("doc/{}/replica/{replica}/entry/", document());
    store.erase(&prefix).now_or_never().unwrap().unwrap();
}

/// A device without locks.
struct NoLocks;

impl Locks for NoLocks {
    fn try_lock<'a>(&'a self, _name: &'a str) -> LocalFuture<'a, Option<Box<dyn Held>>> {
        Box::pin(async { None })
    }
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
fn closed_neighbours_with_unpublished_edits_are_adopted_once() {
    let (store, locks) = (Memory::new(), MemoryLocks::new());
    let slots = [(); 3].map(|()| take_now(&store, &locks));
    leaves_an_edit(&store, &slots[0]);
    leaves_an_edit(&store, &slots[2]);
    let left: BTreeSet<ReplicaId> = [0, 2].map(|n: usize| slots[n].replica.clone()).into();
    let nothing_left = slots[1].replica.clone();
    drop(slots);
    let again = take_now(&store, &locks);
    let taken = again.adopted.iter().chain([&again.replica]).cloned().collect::<BTreeSet<_>>();
    assert_eq!(taken, left, "one goes on under its id, the other is adopted");
    let other = take_now(&store, &locks);
    assert!(other.adopted.is_empty(), "what is adopted is not free");
    assert_eq!(other.replica, nothing_left, "and what has nothing left is");
}

#[test]
fn tabs_that_come_and_go_do_not_multiply_ids() {
    let (store, locks) = (Memory::new(), MemoryLocks::new());
    for round in 0..100 {
        let (one, two) = (take_now(&store, &locks), take_now(&store, &locks));
        assert_ne!(one.replica, two.replica);
        // Now and then the second tab is closed before it has published; the next first one does it for it.
        if round % 10 == 0 {
            leaves_an_edit(&store, &two);
        }
        let replica = two.replica.clone();
        drop((one, two));
        if round % 10 == 0 {
            let next = take_now(&store, &locks);
            assert!(next.replica == replica || next.adopted.contains(&replica));
            publishes(&store, &replica);
        }
    }
    assert_eq!(ids(&store), 2);
}

#[test]
fn without_locks_every_id_is_new_and_none_is_forgotten() {
    let store = Memory::new();
    let (one, two) = (take_now(&store, &NoLocks), take_now(&store, &NoLocks));
    assert_ne!(one.replica, two.replica);
    leaves_an_edit(&store, &one);
    let closed = close_off(&store, &NoLocks, &account(), &document()).now_or_never().unwrap().unwrap();
    assert!(closed.is_none(), "nobody can tell whether they are open");
    let replica = one.replica.clone();
    drop((one, two));
    assert_eq!(take_now(&store, &MemoryLocks::new()).replica, replica, "once there are locks, it goes on");
}

#[test]
fn nobody_goes_on_under_an_id_whose_log_is_damaged() {
    let (store, locks) = (Memory::new(), MemoryLocks::new());
    let damaged = take_now(&store, &locks).replica;
    put(&store, format!("doc/{}/replica/{damaged}/entry/0000000000000000", document()), b"torn".to_vec());
    let slot = take_now(&store, &locks);
    assert_ne!(slot.replica, damaged);
    // Adopted all the same: what else it left can still be published.
    assert_eq!(slot.adopted, [damaged]);
    let left = left_behind(&store, &document()).now_or_never().unwrap().unwrap();
    assert_eq!(left.unpublished(), 1, "it is kept, and counts");
}
