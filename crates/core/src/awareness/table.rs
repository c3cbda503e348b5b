//! What the others' records say about who is here.

use std::{collections::BTreeMap, time::Duration};

use sheaf_repo::did::Did;

use super::{LIFE, LONGEST_LIFE, MAX_PEOPLE};
use crate::{
    client_id::ReplicaId,
    record::{AwarenessRecord, Color},
    sticky::Sticky,
    time::Timestamp,
};

/// How old an edit that tells of somebody's presence may be: an entry carries the time of the first edit of its minute, and
/// clocks differ.
const JUST_NOW: Duration = Duration::from_secs(180);

/// Somebody who is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Which of their replicas was heard of last.
    pub replica: ReplicaId,
    /// What they would like to be called.
    pub name: Option<String>,
    /// The colour they would like to be shown in.
    pub color: Option<Color>,
    /// Where they are: where their selection began, and their caret.
    pub caret: Option<(Sticky, Sticky)>,
    /// When they are taken to be gone, by our clock, unless they are heard of again.
    pub expires_at: Timestamp,
    /// When they were last heard of, by our clock.
    pub seen: Timestamp,
}

/// The other people in a document, one entry for each account.
#[derive(Debug, Default)]
pub struct PresenceTable {
    present: BTreeMap<Did, Present>,
    /// The last record of each, gone or not: what a newer one is compared with.
    heard: BTreeMap<Did, Heard>,
}

#[derive(Debug)]
struct Heard {
    record: AwarenessRecord,
    at: Timestamp,
}

impl PresenceTable {
    /// Takes a verified record of theirs. Says whether anything that can be seen has changed.
    pub fn observe(&mut self, did: &Did, record: &AwarenessRecord, now: Timestamp) -> bool {
        if !self.heard.contains_key(did) && self.heard.len() >= MAX_PEOPLE {
            tracing::debug!(%did, "more people than a document can have");
            return false;
        }
        let before = self.heard.insert(did.clone(), Heard { record: record.clone(), at: now });
        if before.as_ref().is_some_and(|before| before.record == *record) {
            return false;
        }
        let life = life(before.as_ref(), record, now);
        if life.is_zero() {
            return self.take_leave(did, record);
        }
        let known = self.present.get(did);
        let present = Present {
            replica: record.replica.clone(),
            name: record.name.clone(),
            color: record.color,
            caret: record.caret.as_ref().map(|caret| (caret.anchor, caret.head)),
            expires_at: now.saturating_add(life),
            seen: now,
        };
        let visible = |p: &Present| (p.name.clone(), p.color, p.caret);
        let changed = known.map(visible) != Some(visible(&present));
        self.present.insert(did.clone(), present);
        changed
    }

    /// A verified edit of theirs, made at `made` by their clock: whoever has just edited is here, and their caret is where they
    /// edited. An old edit, read on opening a document or on coming back to it, says nothing about who is here.
    pub fn edited(&mut self, did: &Did, replica: &ReplicaId, made: Timestamp, caret: Sticky, now: Timestamp) {
        let age = now.saturating_since(made).max(made.saturating_since(now));
        if age <= JUST_NOW || self.present.contains_key(did) {
            self.moved_by_edit(did, replica, caret, now);
        }
    }

    /// They have just edited, so they are here, and their caret is where they edited. Only for edits that are made now: those
    /// read on opening a document say nothing about who is here.
    pub(super) fn moved_by_edit(&mut self, did: &Did, replica: &ReplicaId, caret: Sticky, now: Timestamp) {
        if !self.present.contains_key(did) && self.present.len() >= MAX_PEOPLE {
            return;
        }
        let heard = self.heard.get(did).map(|heard| &heard.record);
        let present = self.present.entry(did.clone()).or_insert_with(|| Present {
            replica: replica.clone(),
            name: heard.and_then(|record| record.name.clone()),
            color: heard.and_then(|record| record.color),
            caret: None,
            expires_at: now,
            seen: now,
        });
        present.replica = replica.clone();
        present.caret = Some((caret, caret));
        present.expires_at = present.expires_at.max(now.saturating_add(LIFE));
        present.seen = now;
    }

    /// They are linked on the live channel, so they are here.
    pub fn is_linked(&mut self, did: &Did, now: Timestamp) {
        if let Some(present) = self.present.get_mut(did) {
            present.expires_at = present.expires_at.max(now.saturating_add(LIFE));
        }
    }

    /// They said on the live channel where they are.
    pub fn is_at(
        &mut self,
        did: &Did,
        replica: &ReplicaId,
        name: Option<String>,
        caret: Option<(Sticky, Sticky)>,
        now: Timestamp,
    ) {
        if !self.present.contains_key(did) && self.present.len() >= MAX_PEOPLE {
            return;
        }
        let color = self.heard.get(did).and_then(|heard| heard.record.color);
        let expires_at = now.saturating_add(LIFE);
        let present = Present { replica: replica.clone(), name, color, caret, expires_at, seen: now };
        self.present.insert(did.clone(), present);
    }

    /// Lets go of those who have not been heard of for too long. Says whether anyone went.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.present.len();
        // A clock that was set back must not keep people here.
        let latest = now.saturating_add(LONGEST_LIFE);
        for present in self.present.values_mut() {
            present.expires_at = present.expires_at.min(latest);
        }
        self.present.retain(|_, present| present.expires_at > now);
        self.present.len() != before
    }

    /// When the next of them will be taken to be gone.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.present.values().map(|present| present.expires_at).min()
    }

    /// Who is here, in the order of their DIDs.
    pub fn iter(&self) -> impl Iterator<Item = (&Did, &Present)> {
        self.present.iter()
    }

    /// Lets go of everyone who is not among these: the document's editors.
    pub fn retain(&mut self, editors: &[Did]) {
        self.present.retain(|did, _| editors.contains(did));
        self.heard.retain(|did, _| editors.contains(did));
    }

    /// Somebody says goodbye: they are gone, unless it is another replica of theirs that was heard of last.
    fn take_leave(&mut self, did: &Did, record: &AwarenessRecord) -> bool {
        let leaves = self.present.get(did).is_some_and(|present| present.replica == record.replica);
        if leaves {
            self.present.remove(did);
        }
        leaves
    }
}

/// For how long from now a new record is believed.
fn life(before: Option<&Heard>, record: &AwarenessRecord, now: Timestamp) -> Duration {
    let says = record.expires_at.saturating_since(now).min(LONGEST_LIFE);
    let before = before.filter(|before| before.record.replica == record.replica);
    match before {
        Some(before) if record.expires_at <= before.record.expires_at => Duration::ZERO,
        Some(before) if now.saturating_since(before.at) <= LONGEST_LIFE => says.max(LIFE),
        _ => says,
    }
}
