//! What of a view survives a restart: where it was, and what proves that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sheaf_repo::{
    blocks::Blocks,
    cid::{self, Cid},
};

use super::{Head, RepoView};

/// As it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    head: Head,
    complete: bool,
    entries: BTreeMap<String, String>,
}

impl RepoView {
    /// Takes up where [`RepoView::save`] left off. Bytes that make no sense are as good as none: everything is walked again.
    pub fn restore(&mut self, saved: &[u8]) {
        let Ok(saved) = serde_json::from_slice::<Saved>(saved) else { return };
        let entries: Result<BTreeMap<String, Cid>, _> =
            saved.entries.into_iter().map(|(path, cid)| cid::parse(&cid).map(|cid| (path, cid))).collect();
        if let Ok(entries) = entries {
            self.head = Some(saved.head);
            self.complete = saved.complete;
            self.entries = entries;
        }
    }

    /// Forgets the entries that `keep` does not want: they are walked to and fetched again.
    pub fn forget(&mut self, keep: impl Fn(&str, &Cid) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|path, cid| keep(path, cid));
        self.complete &= self.entries.len() == before;
    }

    /// What to keep over a restart, once there is anything. `keep` says which entries are safely stored: the others will be
    /// fetched anew.
    pub fn save(&self, keep: impl Fn(&str, &Cid) -> bool) -> Option<Vec<u8>> {
        let kept = self.entries.iter().filter(|(path, cid)| keep(path, cid));
        let entries: BTreeMap<_, _> = kept.map(|(path, cid)| (path.clone(), cid::text(cid))).collect();
        let complete = self.complete && entries.len() == self.entries.len();
        let saved = Saved { head: self.head.clone()?, complete, entries };
        Some(serde_json::to_vec(&saved).expect("strings and maps of strings always serialise"))
    }

    /// The blocks that prove the entries at the head, but for the records themselves: the commit, and the nodes.
    pub fn proof(&self) -> Option<(Cid, Blocks)> {
        let mut blocks = self.nodes.clone();
        let commit = blocks.add(self.commit.clone()?);
        Some((commit, blocks))
    }

    /// Takes back what [`RepoView::proof`] gave, after [`RepoView::restore`].
    pub fn restore_proof(&mut self, blocks: Blocks) {
        let Some(head) = &self.head else { return };
        self.commit = blocks.get(&head.commit).map(<[u8]>::to_vec);
        self.nodes = blocks;
    }
}
