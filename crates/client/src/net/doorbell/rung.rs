//! One change, one ring: several streams tell of the same commit, and a stream that was resumed tells again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sheaf_core::replica::Doorbell;
use sheaf_repo::{did::Did, tid::Tid};

/// Revisions remembered of each repo: more than any stream lags behind another.
const REMEMBERED: usize = 16;

/// Which revisions have rung. Only what is exactly the same is dropped: a made-up revision from next year must not silence
/// true ones, and whether one is too old to matter is core's to know.
#[derive(Debug, Default)]
pub(super) struct Rung(BTreeMap<Did, VecDeque<Tid>>);

impl Rung {
    /// Whether this has not rung yet; from now on it has. What names no revision always rings.
    pub(super) fn is_new(&mut self, bell: &Doorbell) -> bool {
        let Some(rev) = &bell.rev else { return true };
        let revs = self.0.entry(bell.did.clone()).or_default();
        if revs.contains(rev) {
            return false;
        }
        if revs.len() == REMEMBERED {
            revs.pop_front();
        }
        revs.push_back(rev.clone());
        true
    }

    /// Forgets repos that nobody asks for any more.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<Did>) {
        self.0.retain(|did, _| wanted.contains(did));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bell(did: &str, rev: Option<u64>) -> Doorbell {
        let rev = rev.map(|n| Tid::from_micros(1_780_000_000_000_000 + n, 0));
        Doorbell { did: did.parse().unwrap(), rev, path: None, car: None }
    }

    #[test]
    fn the_same_revision_rings_once_whatever_came_between() {
        let mut rung = Rung::default();
        let (alice, bob) = ("did:web:alice.example", "did:web:bob.example");
        assert!(rung.is_new(&bell(alice, Some(5))));
        assert!(rung.is_new(&bell(alice, Some(1_000_000_000))), "made up, and it silences nothing");
        assert!(rung.is_new(&bell(alice, Some(6))));
        assert!(rung.is_new(&bell(bob, Some(5))), "somebody else's");
        assert!(!rung.is_new(&bell(alice, Some(5))));
        for _ in 0..2 {
            assert!(rung.is_new(&bell(alice, None)), "an identity that changed, or a look");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut rung = Rung::default();
        let alice: Did = "did:web:alice.example".parse().unwrap();
        assert!((0..10_000).all(|n| rung.is_new(&bell(alice.as_str(), Some(n)))));
        assert_eq!(rung.0[&alice].len(), REMEMBERED);
        rung.keep(&BTreeSet::new());
        assert!(rung.0.is_empty());
    }
}
