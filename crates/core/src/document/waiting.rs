//! Where updates wait for what they build on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Document, Missing, Readiness, StateVector};
use crate::client_id::ClientId;
use crate::door::VettedUpdate;
use crate::text::Splice;

/// The most that may wait of one author: 4 MiB of updates.
const MAX_BYTES_PER_AUTHOR: usize = 4 * 1024 * 1024;
/// The most updates of one author that may wait.
const MAX_UPDATES_PER_AUTHOR: usize = 20_000;
/// The most that may wait in all: 64 MiB of updates.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Keeps updates that came before something they build on, and applies them when it is there.
///
/// Updates may be offered in any order and any number of times. What one author can make wait is bounded, so nobody can
/// keep out another's updates by sending ones that wait for ever.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    /// By what each waits for first, in the order they came.
    waiting: BTreeMap<(Missing, u64), VettedUpdate>,
    /// The same, so that an update that is offered again doesn't wait twice.
    distinct: BTreeSet<VettedUpdate>,
    arrivals: u64,
    bytes: usize,
    by_author: BTreeMap<Option<ClientId>, Share>,
}

/// What one author has waiting.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    updates: usize,
    bytes: usize,
}

/// The room is full: the update was not taken, and has to be offered again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many updates wait for what they build on")]
pub struct WaitingRoomFull;

impl WaitingRoom {
    /// A room where nobody waits.
    pub fn new() -> WaitingRoom {
        WaitingRoom::default()
    }

    /// Applies an update to `document`, and then all those that waited for it; or keeps it until it can be applied.
    /// Gives what the text went through: nothing when the update waits or is known already.
    ///
    /// # Errors
    /// When it may have to wait and there is no room; then nothing has happened.
    pub fn offer(
        &mut self,
        document: &mut Document,
        update: VettedUpdate,
    ) -> Result<Vec<Splice>, WaitingRoomFull> {
        let mut splices = Vec::new();
        self.admit(document, update, |document, update| splices.extend(document.apply(update)))?;
        Ok(splices)
    }

    /// Takes an update in like [`WaitingRoom::offer`], of which nobody needs to be told what it did to the text: to know that
    /// costs about as much as to apply it.
    ///
    /// # Errors
    /// As [`WaitingRoom::offer`].
    pub fn take_in(&mut self, document: &mut Document, update: VettedUpdate) -> Result<(), WaitingRoomFull> {
        self.admit(document, update, Document::take_in)
    }

    fn admit(
        &mut self,
        document: &mut Document,
        update: VettedUpdate,
        mut apply: impl FnMut(&mut Document, &VettedUpdate),
    ) -> Result<(), WaitingRoomFull> {
        // An update with holes has several parts; without one, what comes after a hole would keep back what comes before.
        let parts = if update.has_holes() { update.split(usize::MAX) } else { vec![update] };
        let waits = |part: &VettedUpdate| matches!(document.readiness(part), Readiness::Waiting(_));
        if parts.iter().any(waits) && !self.has_room(&parts) {
            return Err(WaitingRoomFull);
        }
        for part in parts {
            self.apply_or_keep(document, part, &mut apply);
        }
        Ok(())
    }

    fn apply_or_keep(
        &mut self,
        document: &mut Document,
        update: VettedUpdate,
        apply: &mut impl FnMut(&mut Document, &VettedUpdate),
    ) {
        let mut next = vec![update];
        while let Some(update) = next.pop() {
            match document.readiness(&update) {
                Readiness::Known => {}
                Readiness::Waiting(missing) => self.keep(missing, update),
                Readiness::Ready => {
                    apply(document, &update);
                    for &client in update.provides().keys() {
                        let reached = document.state_vector().get(&client).copied().unwrap_or(0);
                        self.wake(client, reached, &mut next);
                    }
                }
            }
        }
    }

    fn has_room(&self, parts: &[VettedUpdate]) -> bool {
        let (updates, bytes) = (parts.len(), parts.iter().map(|part| part.bytes().len()).sum::<usize>());
        let share =
            parts.first().and_then(|part| self.by_author.get(&part.author())).copied().unwrap_or_default();
        share.updates + updates <= MAX_UPDATES_PER_AUTHOR
            && share.bytes + bytes <= MAX_BYTES_PER_AUTHOR
            && self.bytes + bytes <= MAX_BYTES
    }

    fn keep(&mut self, missing: Missing, update: VettedUpdate) {
        if !self.distinct.insert(update.clone()) {
            return;
        }
        let share = self.by_author.entry(update.author()).or_default();
        share.updates += 1;
        share.bytes += update.bytes().len();
        self.bytes += update.bytes().len();
        self.waiting.insert((missing, self.arrivals), update);
        self.arrivals += 1;
    }

    /// Moves out what waits for the text of `client` up to `reached`.
    fn wake(&mut self, client: ClientId, reached: u32, next: &mut Vec<VettedUpdate>) {
        let from = (Missing { client, clock: 0 }, 0);
        let to = (Missing { client, clock: reached }, u64::MAX);
        let woken: Vec<_> = self.waiting.range(from..=to).map(|(key, _)| *key).collect();
        // `next` is taken from its end: what came first goes first.
        for key in woken.iter().rev() {
            let Some(update) = self.waiting.remove(key) else { continue };
            self.distinct.remove(&update);
            self.bytes -= update.bytes().len();
            if let Some(share) = self.by_author.get_mut(&update.author()) {
                share.updates -= 1;
                share.bytes -= update.bytes().len();
                if share.updates == 0 {
                    self.by_author.remove(&update.author());
                }
            }
            next.push(update);
        }
    }

    /// How many updates wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether something of this author waits.
    pub fn holds_of(&self, author: ClientId) -> bool {
        self.by_author.contains_key(&Some(author))
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many bytes of updates wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// For each client whose text is waited for: up to which clock at least.
    pub fn missing(&self) -> StateVector {
        let mut missing = StateVector::new();
        for (Missing { client, clock }, _) in self.waiting.keys() {
            let most = missing.entry(*client).or_insert(*clock);
            *most = (*most).max(*clock);
        }
        missing
    }
}
