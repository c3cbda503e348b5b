//! What this replica sends: what the person writes, what a peer lacks, and where the person is.

use std::time::Duration;

use sheaf_repo::did::Did;

use super::super::{Effect, Replica};
use crate::{
    client_id::ReplicaId,
    document::StateVector,
    door::VettedUpdate,
    live::{EndpointId, Frame, LinkId, LiveEffect, SignedUpdate},
    record::Caret,
    segment::merge_entries,
    time::Timestamp,
};

/// The shortest time between two carets.
const CARET_EVERY: Duration = Duration::from_millis(80);
/// A caret is told anew this often, though nothing has changed: to those who are not linked it says that one is here.
const CARET_AGAIN: Duration = Duration::from_secs(25);
/// After so many edits that are in no repo yet all of them are sent once more as few, in case somebody has to carry them.
const WHOLE_AFTER: usize = 64;

impl Replica {
    /// Sends a frame on one link.
    pub(super) fn tell(&mut self, link: LinkId, frame: &Frame) {
        self.effects.push(Effect::Live(LiveEffect::Send { link, frame: frame.encode() }));
    }

    /// Sends a frame to everyone who has shown who they are.
    pub(super) fn tell_all(&mut self, frame: &Frame) {
        let all: Vec<LinkId> = self.live.links.open().map(|(link, _)| link).collect();
        self.tell_some(&all, frame);
    }

    fn tell_some(&mut self, links: &[LinkId], frame: &Frame) {
        if links.is_empty() {
            return;
        }
        let bytes = frame.encode();
        for link in links {
            let send = LiveEffect::Send { link: *link, frame: bytes.clone() };
            self.effects.push(Effect::Live(send));
        }
    }

    /// A link is open: what one has, with whom one is linked, and where one is.
    pub(super) fn opened(&mut self, now: Timestamp, link: LinkId) {
        let have = self.have();
        self.tell(link, &have);
        self.live.caret.news = true;
        self.links_changed();
        let early = self.live.links.get_mut(link).map(|link| std::mem::take(&mut link.early));
        for frame in early.unwrap_or_default() {
            // What is kept is never a reason to hang up.
            let _ = self.hear(now, link, frame);
        }
    }

    /// What one has, so that the rest is sent.
    pub(super) fn have(&self) -> Frame {
        let have = self.document.state_vector().iter().take(crate::live::MAX_CLIENTS);
        Frame::Have(have.map(|(client, clock)| (*client, *clock)).collect())
    }

    /// A peer has said what they have: what is missing of what no repo holds yet follows. The rest the repos tell.
    pub(super) fn answer(&mut self, link: LinkId, have: &StateVector) {
        for update in self.own_unpublished() {
            if lacks(have, &update.1) {
                self.say(&[link], update.0, &update.1);
            }
        }
        let theirs: Vec<(Did, ReplicaId, SignedUpdate)> = self
            .provisional
            .iter()
            .filter(|(.., unproved)| lacks(have, &unproved.vetted))
            .map(|(did, replica, _, unproved)| (did.clone(), replica.clone(), unproved.signed.clone()))
            .collect();
        for (did, replica, signed) in theirs {
            self.pass_on(&[link], did, replica, signed);
        }
    }

    /// Own edits have become durable: now they may leave the device.
    pub(in super::super) fn say_edits(&mut self, edits: u64) {
        let links: Vec<LinkId> = self.live.links.open().map(|(link, _)| link).collect();
        if links.is_empty() || self.live.key.is_none() || !self.role().can_write() {
            return;
        }
        let edits = usize::try_from(edits).unwrap_or(usize::MAX);
        for (at, update) in runs(&self.newest_unpublished(edits)) {
            self.say(&links, at, &update);
        }
        self.live.since_whole += edits;
        if self.live.since_whole >= WHOLE_AFTER {
            let since = std::mem::take(&mut self.live.since_whole);
            let unpublished = self.newest_unpublished(since);
            if unpublished.len() >= WHOLE_AFTER {
                for (at, update) in runs(&unpublished) {
                    self.say(&links, at, &update);
                }
            }
        }
    }

    /// Signs an own update and sends it.
    fn say(&mut self, links: &[LinkId], at: Timestamp, update: &VettedUpdate) {
        let Some(key) = &self.live.key else { return };
        let signed = key.sign(at, update.bytes().to_vec());
        let (did, replica) = (key.author().did.clone(), key.author().replica.clone());
        self.show_session(links, &did);
        self.tell_some(links, &Frame::Update { did, replica, signed });
    }

    /// Sends on what somebody else has signed.
    pub(super) fn pass_on(&mut self, links: &[LinkId], did: Did, replica: ReplicaId, signed: SignedUpdate) {
        self.show_session(links, &did);
        self.tell_some(links, &Frame::Update { did, replica, signed });
    }

    /// Sends on where somebody else is.
    pub(super) fn pass_caret_on(&mut self, links: &[LinkId], did: &Did, caret: &Frame) {
        self.show_session(links, did);
        self.tell_some(links, caret);
    }

    /// Shows who an author is: each of their sessions once on each link.
    fn show_session(&mut self, links: &[LinkId], did: &Did) {
        for id in links {
            let Some(link) = self.live.links.get_mut(*id) else { continue };
            let mut proofs = Vec::new();
            for session in self.live.sessions.of(did) {
                if !link.shown.contains(&session.author.key) {
                    link.shown.push(session.author.key.clone());
                    proofs.push(session.proof.clone());
                }
            }
            // The oldest first, as they were learned of.
            for proof in proofs.into_iter().rev() {
                self.tell(*id, &Frame::Session(proof));
            }
        }
    }

    /// Where an author can be reached, as far as is known: to tell who got something from themselves.
    pub(super) fn endpoint_of(&self, did: &Did, replica: &ReplicaId) -> Option<EndpointId> {
        let mut sessions = self.live.sessions.of(did);
        sessions.find(|session| session.author.replica == *replica).map(|session| session.endpoint)
    }

    /// Own edits that are durable and in no repo as far as is known, as few updates as may be.
    fn own_unpublished(&self) -> Vec<(Timestamp, VettedUpdate)> {
        if self.live.key.is_none() || !self.role().can_write() {
            return Vec::new();
        }
        runs(&self.newest_unpublished(usize::MAX))
    }

    /// The newest of them, edit by edit.
    fn newest_unpublished(&self, most: usize) -> Vec<(Timestamp, VettedUpdate)> {
        let Some(account) = &self.config.account else { return Vec::new() };
        let durable = self.outbox.own_durable();
        let older = durable.len().saturating_sub(most);
        self.vet_own_entries(account, &self.config.replica, durable.skip(older))
    }

    // --- where the person is ---

    /// The caret moved, or the text under it.
    pub(in super::super) fn caret_moved(&mut self, now: Timestamp) {
        self.live.caret.news = true;
        self.tell_caret(now);
    }

    /// When the others are to be told where the person is.
    pub(super) fn caret_due(&self) -> Option<Timestamp> {
        self.live
            .key
            .as_ref()
            .filter(|_| self.live.links.open().next().is_some() && self.role().can_write())?;
        let told_at = self.live.caret.told_at;
        let wait = if self.live.caret.news { CARET_EVERY } else { CARET_AGAIN };
        Some(told_at.map_or(Timestamp::EPOCH, |at| at.saturating_add(wait)))
    }

    pub(super) fn tell_caret(&mut self, now: Timestamp) {
        if self.caret_due().is_none_or(|due| due > now) {
            return;
        }
        let caret = self.selection.map(|(anchor, head)| Caret { anchor, head });
        let Some(key) = &self.live.key else { return };
        let own = &mut self.live.caret;
        own.number = now.as_micros().max(own.number + 1);
        let signed = key.sign_caret(own.number, caret);
        (own.told_at, own.news) = (Some(now), false);
        let (did, replica) = (key.author().did.clone(), key.author().replica.clone());
        let all: Vec<LinkId> = self.live.links.open().map(|(link, _)| link).collect();
        self.show_session(&all, &did);
        self.tell_some(&all, &Frame::Caret { did, replica, signed });
    }
}

/// Whether somebody who has so much would learn something from an update. What it deletes they may have deleted or not.
fn lacks(have: &StateVector, update: &VettedUpdate) -> bool {
    let news = update
        .provides()
        .iter()
        .any(|(client, range)| have.get(client).is_none_or(|clock| *clock < range.end));
    news || update.deletes_something()
}

/// Edits in a row as few updates, each of which can be applied where its first edit can.
fn runs(edits: &[(Timestamp, VettedUpdate)]) -> Vec<(Timestamp, VettedUpdate)> {
    let mut runs: Vec<(Timestamp, VettedUpdate)> = Vec::new();
    for (at, update) in edits {
        match runs.last_mut().and_then(|(_, run)| Some((merge_entries(run, update)?, run))) {
            Some((merged, run)) => *run = merged,
            None => runs.push((*at, update.clone())),
        }
    }
    runs
}
