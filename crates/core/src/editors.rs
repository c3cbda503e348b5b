//! Who may write, and what the document is called: the owner's record and the owner's changes to it that are still on
//! their way.
//!
//! Only the owner's own repo defines a document's editors, so there is one authority and nothing to merge: a change is an
//! *intent*, applied to the newest verified record and written on condition that the record is still that one.

use serde::{Deserialize, Serialize};
use sheaf_repo::{cid::Cid, did::Did};

use crate::{
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
    AddEditor(#[serde(with = "crate::repo_view::text")] Did),
    /// Accept nothing new from somebody, and what they wrote before only as far as this says.
    RemoveEditor(FormerEditor),
}

/// The document record as last verified, and the intents on top.
#[derive(Debug, Default)]
pub struct Charter {
    verified: Option<(DocumentRecord, Cid)>,
    intents: Vec<(u64, Intent)>,
    next: u64,
}

impl Charter {
    /// The record as the owner's repo has it.
    pub fn verified(&self) -> Option<&(DocumentRecord, Cid)> {
        self.verified.as_ref()
    }

    /// Takes the record that the owner's repo now has.
    pub fn set_verified(&mut self, record: Option<(DocumentRecord, Cid)>) {
        self.verified = record;
    }

    /// Adds an intent and says under which number to keep it.
    pub fn intend(&mut self, intent: Intent) -> u64 {
        let n = self.next;
        self.restore(n, intent);
        n
    }

    /// Puts back an intent found in the store.
    pub fn restore(&mut self, n: u64, intent: Intent) {
        self.next = self.next.max(n + 1);
        self.intents.push((n, intent));
        self.intents.sort_by_key(|(n, _)| *n);
    }

    /// How many intents are not published.
    pub fn pending(&self) -> usize {
        self.intents.len()
    }

    /// The record as it is to be, intents included.
    pub fn current(&self) -> Option<DocumentRecord> {
        self.current_upto(u64::MAX)
    }

    /// The record as it is once the intents up to `upto` are carried out.
    pub fn current_upto(&self, upto: u64) -> Option<DocumentRecord> {
        let mut record = self.verified.as_ref().map(|(record, _)| record.clone());
        for (_, intent) in self.intents.iter().filter(|(n, _)| *n <= upto) {
            record = apply(record, intent);
        }
        record
    }

    /// The record as it would be with one more intent.
    pub fn with(&self, intent: &Intent) -> Option<DocumentRecord> {
        apply(self.current(), intent)
    }

    /// What to write now, on condition of what, and up to which intent that carries out. `None` when there is nothing to do.
    pub fn plan(&self) -> Option<(DocumentRecord, Option<Cid>, u64)> {
        let upto = self.intents.last().map(|(n, _)| *n)?;
        Some((self.current()?, self.verified.as_ref().map(|(_, cid)| *cid), upto))
    }

    /// Whether the newest verified record already says all that is intended.
    pub fn is_carried_out(&self) -> bool {
        !self.intents.is_empty()
            && self.current().as_ref() == self.verified.as_ref().map(|(record, _)| record)
    }

    /// Intents up to `upto` are in the repo: the numbers to forget.
    pub fn carried_out(&mut self, upto: u64) -> Vec<u64> {
        let done = self.intents.iter().map(|(n, _)| *n).filter(|n| *n <= upto).collect();
        self.intents.retain(|(n, _)| *n > upto);
        done
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
        }
    }
    Some(record)
}
