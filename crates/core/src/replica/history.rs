//! What was written, read off the evidence and what this device has not published yet.

use std::collections::BTreeMap;

use sheaf_repo::did::Did;

use super::Replica;
use crate::{client_id::ReplicaId, door::VettedUpdate, history::History, time::Timestamp};

impl Replica {
    /// What was written, by whom and when: all that the text is made of, as far as it counts. Its last moment is the text as
    /// it is now.
    pub fn history(&self) -> History {
        let mut logs: BTreeMap<(Did, ReplicaId), Vec<(Timestamp, VettedUpdate)>> = BTreeMap::new();
        for (did, segment) in self.evidence.segments() {
            let log = logs.entry((did.clone(), segment.replica.clone())).or_default();
            let counting = segment.timed();
            log.extend(counting.map(|(at, update)| (at, self.limits.apply(did, &segment.replica, update))));
        }
        if let Some(account) = &self.config.account {
            let limited = |replica: &ReplicaId, entries: Vec<(Timestamp, VettedUpdate)>| {
                let limited = entries
                    .into_iter()
                    .map(|(at, update)| (at, self.limits.apply(account, replica, &update)));
                limited.collect::<Vec<_>>()
            };
            for own in self.outbox.logs() {
                let replica = own.replica();
                let published = self.vet_own_entries(account, replica, own.published_entries().iter());
                let log = logs.entry((account.clone(), replica.clone())).or_default();
                log.extend(limited(replica, published));
                log.extend(self.vet_own_entries(account, replica, own.waiting_entries()));
            }
            for (replica, neighbours) in &self.neighbours {
                let log = logs.entry((account.clone(), replica.clone())).or_default();
                log.extend(limited(replica, neighbours.clone()));
            }
        }
        History::of(logs)
    }
}
