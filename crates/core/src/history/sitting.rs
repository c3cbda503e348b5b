//! Entries, grouped into what somebody wrote without getting up.

use std::{collections::BTreeMap, time::Duration};

use sheaf_repo::did::Did;

use super::Written;
use crate::time::Timestamp;

/// What one author wrote without a long pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sitting {
    /// Who.
    pub author: Did,
    /// When the first of it shows.
    pub from: Timestamp,
    /// When the last of it does. (Each entry may hold some minutes of typing from then on.)
    pub to: Timestamp,
    /// How many entries it is.
    pub entries: usize,
    /// How much was put in, in UTF-16 units.
    pub inserted: u64,
    /// How much was taken out, in UTF-16 units.
    pub deleted: u64,
}

pub(super) fn sittings(written: &[Written], pause: Duration) -> Vec<Sitting> {
    let mut sittings: Vec<Sitting> = Vec::new();
    // Where each author's last one is.
    let mut last: BTreeMap<&Did, usize> = BTreeMap::new();
    for entry in written.iter().filter(|entry| entry.inserted > 0 || entry.deleted > 0) {
        let going_on = last.get(&entry.author).copied();
        let going_on = going_on.filter(|n| entry.shown_at.saturating_since(sittings[*n].to) <= pause);
        let n = going_on.unwrap_or_else(|| {
            sittings.push(Sitting {
                author: entry.author.clone(),
                from: entry.shown_at,
                to: entry.shown_at,
                entries: 0,
                inserted: 0,
                deleted: 0,
            });
            sittings.len() - 1
        });
        last.insert(&entry.author, n);
        let sitting = &mut sittings[n];
        sitting.to = entry.shown_at;
        sitting.entries += 1;
        sitting.inserted += u64::from(entry.inserted);
        sitting.deleted += u64::from(entry.deleted);
    }
    sittings
}
