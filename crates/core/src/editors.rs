//! Who may write, and what the document is called: the owner's record and the owner's changes to it that are still on
//! their way.
//!
//! Only the owner's own repo defines a document's editors, so there is one authority and nothing to merge: a change is an
//! *intent*, applied to the newest verified record and written on condition that the record is still that one.

use serde::{Deserialize, Serialize};
use sheaf_repo::{cid::Cid, did::Did};

use crate::{
    client_id::ReplicaId,
    record::{DocumentRecord, FormerEditor, MAX_EDITORS},
    time::Timestamp,
};

/// One change the owner wants. Applying one twice is the same as once, so a lost reply does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// Make the document.
    Create {
        /// What it is called at first.
        title: String,
        /// When it was made.
        at: Timestamp,
    },
    /// Call it something else.
    SetTitle(String),
    /// Let somebody write.
    AddEditor(#[serde(with = "crate::as_text::strict")] Did),
    /// Accept nothing new from somebody, and what they wrote before only as far as this says.
    RemoveEditor(FormerEditor),
}

impl Intent {
    /// Whether it can be carried out: what a store gives back may be damaged.
    fn is_sound(&self) -> bool {
        match self {
            Intent::RemoveEditor(former) => former.check().is_ok(),
            _ => true,
        }
    }
}

/// Where an intent is kept: by the replica that made it, under that replica's own count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentKey {
    /// Whose: two tabs of the owner each keep their own.
    pub replica: ReplicaId,
    /// Counts up from 0.
    pub n: u64,
}

/// The document record as last verified, and the intents on top.
#[derive(Debug, Default)]
pub struct Charter {
    verified: Option<(DocumentRecord, Cid)>,
    /// In the order in which they are carried out, each numbered.
    intents: Vec<Pending>,
    next: u64,
    /// What both say together: asked for with every event, and changed seldom.
    current: Option<DocumentRecord>,
}

#[derive(Debug)]
struct Pending {
    number: u64,
    key: IntentKey,
    durable: bool,
    intent: Intent,
}

impl Charter {
    /// The record as the owner's repo has it.
    pub fn verified(&self) -> Option<&(DocumentRecord, Cid)> {
        self.verified.as_ref()
    }

    /// Takes the record that the owner's repo now has.
    pub fn set_verified(&mut self, record: Option<(DocumentRecord, Cid)>) {
        self.verified = record;
        self.current = self.current_upto(u64::MAX);
    }

    /// Adds an intent of this replica. Says under which number it goes here, and where to keep it.
    pub fn intend(&mut self, replica: &ReplicaId, intent: Intent) -> (u64, IntentKey) {
        let of_replica = self.intents.iter().filter(|pending| pending.key.replica == *replica);
        let n = of_replica.map(|pending| pending.key.n + 1).max().unwrap_or(0).max(self.next);
        let key = IntentKey { replica: replica.clone(), n };
        self.add(key.clone(), intent, false);
        (self.next - 1, key)
    }

    /// Puts back an intent found in the store. One that is damaged is none.
    pub fn restore(&mut self, key: IntentKey, intent: Intent) {
        if intent.is_sound() {
            self.add(key, intent, true);
        }
    }

    fn add(&mut self, key: IntentKey, intent: Intent, durable: bool) {
        self.intents.push(Pending { number: self.next, key, durable, intent });
        self.next += 1;
        self.current = self.current_upto(u64::MAX);
    }

    /// The store has confirmed the intents up to this number.
    pub fn durable(&mut self, number: u64) {
        for pending in self.intents.iter_mut().filter(|pending| pending.number <= number) {
            pending.durable = true;
        }
    }

    /// How many intents are not published.
    pub fn pending(&self) -> usize {
        self.intents.len()
    }

    /// How many of them are not durable either.
    pub fn unsaved(&self) -> usize {
        self.intents.iter().filter(|pending| !pending.durable).count()
    }

    /// The record as it is to be, intents included.
    pub fn current(&self) -> Option<&DocumentRecord> {
        self.current.as_ref()
    }

    /// The record as it is once the intents up to `upto` are carried out.
    pub fn current_upto(&self, upto: u64) -> Option<DocumentRecord> {
        let mut record = self.verified.as_ref().map(|(record, _)| record.clone());
        for pending in self.intents.iter().filter(|pending| pending.number <= upto) {
            record = apply(record, &pending.intent);
        }
        record
    }

    /// Up to which intent all may be sent, for all are durable; `None` when there is nothing to do.
    pub fn sendable(&self) -> Option<u64> {
        let can_be_made = self.verified.is_some()
            || self.intents.iter().any(|pending| matches!(pending.intent, Intent::Create { .. }));
        let durable = self.intents.iter().take_while(|pending| pending.durable);
        durable.last().map(|pending| pending.number).filter(|_| can_be_made)
    }

    /// What to write now, on condition of what, and up to which intent that carries out. `None` when there is nothing to do.
    pub fn plan(&self) -> Option<(DocumentRecord, Option<Cid>, u64)> {
        let upto = self.sendable()?;
        Some((self.current_upto(upto)?, self.verified.as_ref().map(|(_, cid)| *cid), upto))
    }

    /// Whether the newest verified record already says all that is intended.
    pub fn is_carried_out(&self) -> bool {
        !self.intents.is_empty() && self.current() == self.verified.as_ref().map(|(record, _)| record)
    }

    /// Intents up to `upto` are in the repo: the keys to forget.
    pub fn carried_out(&mut self, upto: u64) -> Vec<IntentKey> {
        let (done, left) =
            std::mem::take(&mut self.intents).into_iter().partition(|p: &Pending| p.number <= upto);
        self.intents = left;
        self.current = self.current_upto(u64::MAX);
        done.into_iter().map(|pending: Pending| pending.key).collect()
    }
}

fn apply(record: Option<DocumentRecord>, intent: &Intent) -> Option<DocumentRecord> {
    if let Intent::Create { title, at } = intent {
        return Some(record.unwrap_or_else(|| DocumentRecord::new(title, *at)));
    }
    let mut record = record?;
    match intent {
        Intent::Create { .. } => {}
        Intent::SetTitle(title) => record.set_title(title),
        Intent::AddEditor(did) => {
            record.former.retain(|former| former.did != *did);
            if !record.editors.contains(did) && record.editors.len() < MAX_EDITORS {
                record.editors.push(did.clone());
            }
        }
        Intent::RemoveEditor(former) => {
            record.editors.retain(|editor| *editor != former.did);
            record.former.retain(|f| f.did != former.did);
            record.former.push(former.clone());
            record.fit();
        }
    }
    Some(record)
}
