//! What was truly kept: every own change that any device's disk ever held, and from that, what the text must be.
//!
//! This is the reference that replicas are measured by. It knows nothing of networks, outboxes or repos: a change that is
//! on a disk, with all before it, is in the document, exactly once, whatever happened since; and nothing else is.

use std::collections::BTreeMap;

use sheaf_core::{
    client_id::{ClientId, ReplicaId},
    document::{Document, WaitingRoom},
    document_uri::DocumentUri,
    door::{self, Allowed, VettedUpdate},
    extent::Extent,
    record::{self, DocumentRecord, FormerEditor, SegmentRecord},
    replica::StoreOp,
    segment::{self, carried::decode_carried},
};
use sheaf_repo::{Ipld, cbor, did::Did};

use crate::{
    invariants::{Invariant, Violation},
    pds::Account,
};

/// Every replica's own changes as the disks got them.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    logs: BTreeMap<(Did, ReplicaId), Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// By their numbers in the store.
    stored: BTreeMap<u64, VettedUpdate>,
    /// Those before this number are there without a gap: these are kept for good.
    kept: u64,
    extent: Extent,
}

impl Ledger {
    /// A disk of this account did this. Its own changes are noted.
    pub(crate) fn stored(
        &mut self,
        document: &DocumentUri,
        did: &Did,
        op: &StoreOp,
    ) -> Result<(), Violation> {
        let StoreOp::Put { key, .. } = op else { return Ok(()) };
        if entry_of(key).is_none() {
            return Ok(());
        }
        let Some((replica, number, update)) = own_change(document, did, op) else {
            return Err(Violation::new(
                Invariant::NothingLost,
                format!("what is stored under {key} is no change"),
            ));
        };
        let log = self.logs.entry((did.clone(), replica)).or_default();
        if number < log.kept {
            return match log.stored.get(&number) {
                Some(before) if before.bytes() == update.bytes() => Ok(()),
                _ => Err(Violation::new(
                    Invariant::NothingLost,
                    format!("{key}, which was kept, is overwritten"),
                )),
            };
        }
        log.stored.insert(number, update);
        while let Some(next) = log.stored.get(&log.kept) {
            log.extent.unite(&Extent::of([next]));
            log.kept += 1;
        }
        Ok(())
    }

    /// A process died: what came after a gap was never acknowledged and need not be there.
    pub(crate) fn crashed(&mut self, did: &Did, replica: &ReplicaId) {
        if let Some(log) = self.logs.get_mut(&(did.clone(), replica.clone())) {
            let kept = log.kept;
            log.stored.retain(|number, _| *number < kept);
        }
    }

    /// How far this replica's changes are kept.
    pub(crate) fn extent(&self, did: &Did, replica: &ReplicaId) -> Extent {
        let log = self.logs.get(&(did.clone(), replica.clone()));
        log.map(|log| log.extent.clone()).unwrap_or_default()
    }

    /// The text that everything kept makes, by the owner's record of whose words count and how far. Of former editors that
    /// is what they have published, late words included: these show nothing, but others may have written beside them.
    pub(crate) fn expected(
        &self,
        document: &DocumentUri,
        record: &DocumentRecord,
        accounts: &[Account],
    ) -> Expected {
        let reader: ReplicaId = "reference".parse().expect("a plain name");
        let mut text = Document::new(ClientId::derive("nobody", &document.to_string(), &reader));
        let mut waiting = WaitingRoom::new();
        // The room is larger than any schedule.
        let mut offer = |update: VettedUpdate| drop(waiting.offer(&mut text, update));
        for ((did, _), log) in &self.logs {
            if did == document.owner() || record.editors.contains(did) {
                log.stored.range(..log.kept).for_each(|(_, update)| offer(update.clone()));
            }
        }
        for former in &record.former {
            // What they had only said live shows nothing either, and others may have written beside it all the same.
            for ((_, replica), log) in self.logs.iter().filter(|((did, _), _)| *did == former.did) {
                let limit = accepted_of(former, replica);
                log.stored.range(..log.kept).for_each(|(_, update)| offer(limit.limit(update)));
            }
            for account in accounts.iter().filter(|account| account.did == former.did) {
                for (replica, update) in published(document, account) {
                    offer(accepted_of(former, &replica).limit(&update));
                }
            }
        }
        let client =
            |did: &Did, replica: &ReplicaId| ClientId::derive(did.as_str(), &document.to_string(), replica);
        let kept =
            self.logs.keys().filter(|(did, _)| did == document.owner() || record.editors.contains(did));
        let accepted = record.former.iter().flat_map(|former| {
            former.replicas.iter().map(move |limit| (client(&former.did, &limit.replica), limit.clock))
        });
        let unfounded = kept.filter(|(did, replica)| waiting.holds_of(client(did, replica))).count()
            + accepted
                .filter(|(client, clock)| text.state_vector().get(client).unwrap_or(&0) < clock)
                .count();
        Expected { text: text.text(), unfounded }
    }
}

/// How much of a former editor's replica is accepted.
fn accepted_of(former: &FormerEditor, replica: &ReplicaId) -> Extent {
    let limit = former.replicas.iter().find(|limit| limit.replica == *replica);
    limit.and_then(|limit| Extent::from_parts(limit.clock, &limit.deletes).ok()).unwrap_or_default()
}

/// What an account's repo holds of a document, as far as it is in its own name.
pub(crate) fn published(document: &DocumentUri, account: &Account) -> Vec<(ReplicaId, VettedUpdate)> {
    let mut updates = Vec::new();
    for segment in segments(account) {
        let client = ClientId::derive(account.did.as_str(), &document.to_string(), &segment.replica);
        updates.extend(entries(client, &segment).into_iter().map(|update| (segment.replica.clone(), update)));
    }
    updates
}

/// The segments in an account's repo.
pub(crate) fn segments(account: &Account) -> impl Iterator<Item = SegmentRecord> {
    let paths = account.repo.paths().filter(|path| path.starts_with(record::SEGMENT));
    paths.filter_map(|path| SegmentRecord::parse(account.repo.get(path)?.1).ok())
}

/// What a segment holds of its author's.
pub(crate) fn entries(client: ClientId, segment: &SegmentRecord) -> Vec<VettedUpdate> {
    let entries = segment::decode_entries(&segment.entries).unwrap_or_default();
    entries.iter().filter_map(|entry| door::scan(&entry.update, Allowed::Author(client)).ok()).collect()
}

/// What a segment brings along of others.
pub(crate) fn carried(segment: &SegmentRecord) -> Vec<VettedUpdate> {
    let carried = segment.carried.as_deref().and_then(|bytes| decode_carried(bytes).ok()).unwrap_or_default();
    let signed = carried.iter().flat_map(|carried| &carried.updates);
    signed.filter_map(|signed| door::scan(&signed.update, Allowed::Any).ok()).collect()
}

/// What the ledger says the document is.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) text: String,
    /// How many replicas have changes that count but build on something that was not kept. What former editors wrote beyond
    /// what is accepted of them may: not all that they wrote before they knew was published, and none of it shows.
    pub(crate) unfounded: usize,
}

/// The own change that a store operation keeps: whose, its number, and what it is.
pub(crate) fn own_change(
    document: &DocumentUri,
    did: &Did,
    op: &StoreOp,
) -> Option<(ReplicaId, u64, VettedUpdate)> {
    let StoreOp::Put { key, value } = op else { return None };
    let (replica, number) = entry_of(key)?;
    let client = ClientId::derive(did.as_str(), &document.to_string(), &replica);
    let update = door::scan(&update_of(value)?, Allowed::Author(client)).ok()?;
    Some((replica, number, update))
}

/// Which replica's own change a key of the store holds, and its number.
fn entry_of(key: &str) -> Option<(ReplicaId, u64)> {
    let (_, rest) = key.split_once("/replica/")?;
    let (replica, number) = rest.split_once("/entry/")?;
    Some((replica.parse().ok()?, number.parse().ok()?))
}

/// The update in `[at, update]`.
fn update_of(value: &[u8]) -> Option<Vec<u8>> {
    let Ok(Ipld::List(mut parts)) = cbor::decode(value) else { return None };
    match parts.pop()? {
        Ipld::Bytes(update) if parts.len() == 1 => Some(update),
        _ => None,
    }
}
