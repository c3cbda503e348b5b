//! Into an archive and out of it: the same evidence and the same verification as everywhere.

use sheaf_repo::{blocks::Blocks, did::Did};

use super::{Replica, ReplicaConfig};
use crate::{
    archive::{Archive, ArchiveError},
    client_id::ReplicaId,
    time::Timestamp,
};

/// A document to be put away.
#[derive(Debug, Clone)]
pub struct ToArchive {
    /// What everybody has signed.
    pub archive: Archive,
    /// Of whom this device does not have everything that their repo holds, so that they are not in it.
    pub lacking: Vec<Did>,
}

impl Replica {
    /// The document with all that proves it, as far as this device has verified it. What is not published is not signed, and
    /// so not in it.
    ///
    /// # Errors
    /// [`ArchiveError::OwnerUnproved`] as long as the owner's repo has never been verified here.
    pub fn to_archive(&self, now: Timestamp) -> Result<ToArchive, ArchiveError> {
        let (mut people, mut commits, mut lacking) = (Vec::new(), Vec::new(), Vec::new());
        let mut blocks = Blocks::default();
        let owner = self.config.document.owner();
        for (did, view) in self.views.iter().filter(|(did, _)| !self.carriers.contains(*did)) {
            match (view.last_identity(), view.proof(), self.records_of(did)) {
                // Who has written nothing here has nothing to prove.
                (.., Some(records)) if records.is_empty() && view.head().is_some() => {}
                (Some(identity), Some((commit, proof)), Some(records)) => {
                    people.push(identity.clone());
                    commits.push(commit);
                    blocks.extend(proof);
                    for record in records {
                        blocks.add(record.bytes);
                    }
                }
                _ => lacking.push(did.clone()),
            }
        }
        let document = self.config.document.document_path();
        let proves_owner = self.views.get(owner).is_some_and(|view| view.entry(&document).is_some());
        if !proves_owner || lacking.contains(owner) {
            return Err(ArchiveError::OwnerUnproved);
        }
        let archive = Archive::new(self.config.document.clone(), now, people, commits, blocks);
        Ok(ToArchive { archive, lacking })
    }

    /// A document as an archive proves it, to be read. It asks nobody for anything: whose keys they are is what the archive
    /// says. Whom it proves nothing of has no head in [`Replica::audit`].
    pub fn from_archive(archive: &Archive, now: Timestamp) -> Replica {
        let config = ReplicaConfig {
            document: archive.document.clone(),
            account: None,
            replica: ReplicaId::parse("archive").expect("a constant that is a replica id"),
            adopt: vec![],
            via: vec![],
            session: None,
            name: None,
            seed: 0,
        };
        let mut replica = Replica::empty(config, now);
        replica.follow_editors(now);
        // The owner's record says who else writes, so that their turn comes next.
        loop {
            let unknown = archive.people.iter().filter(|person| {
                replica.views.get(&person.did).is_some_and(|view| view.identity().is_none())
            });
            let unknown: Vec<_> = unknown.cloned().collect();
            if unknown.is_empty() {
                break;
            }
            for person in unknown {
                replica.resolved(now, &person.did.clone(), Ok(person));
            }
            let (commits, blocks) = archive.repos();
            if let Err(why) = replica.take_carried(now, commits, blocks) {
                tracing::info!(why, "a part of an archive makes no sense");
            }
        }
        replica.effects.clear();
        replica
    }
}
