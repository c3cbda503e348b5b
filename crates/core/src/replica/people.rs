//! What the face reads: who is here, and what is true.

use super::{CaretAt, EditorStatus, Person, Replica, Status};
use crate::{record, time::Timestamp};

impl Replica {
    /// Who is here now, the reader of this first if they are here as an editor.
    pub fn people(&self) -> Vec<Person> {
        let myself = self.config.account.as_ref().filter(|_| self.role().can_write()).map(|did| Person {
            did: did.clone(),
            handle: self.handle_of(did),
            name: self.config.name.clone().or(self.handle_of(did)).unwrap_or_else(|| did.to_string()),
            color: record::Color::for_did(did).to_string(),
            is_self: true,
            caret: self.selection.map(|(anchor, head)| CaretAt { anchor, head }),
        });
        let others = self.people.iter().map(|(did, seen)| Person {
            did: did.clone(),
            handle: self.handle_of(did),
            name: seen.name.clone().or(self.handle_of(did)).unwrap_or_else(|| did.to_string()),
            color: seen.color.unwrap_or_else(|| record::Color::for_did(did)).to_string(),
            is_self: false,
            caret: seen.caret.as_ref().and_then(|(anchor, head)| {
                Some(CaretAt { anchor: self.document.resolve(anchor)?, head: self.document.resolve(head)? })
            }),
        });
        myself.into_iter().chain(others).collect()
    }

    /// Everything a status line and its details need.
    pub fn status(&self, now: Timestamp) -> Status {
        let role = self.role();
        let published = self.charter.pending() == 0 && self.outbox.published_any();
        Status {
            document: self.found.clone(),
            role,
            unsaved: self.unstored.values().map(|batch| batch.edits.values().sum::<u64>() as usize).sum(),
            store_trouble: self.damaged.clone().or_else(|| self.store_trouble.clone()),
            waiting: self.outbox.waiting() as usize + self.charter.pending(),
            waiting_since: self.outbox.waiting_since(),
            published_any: published,
            stalled: self.stalled(),
            doorbell: self.doorbell,
            online: self.online,
            people: self.people.iter().count() + usize::from(role.can_write()),
            editors: self.editor_statuses(),
            points_left: self.budget.points_left(now),
        }
    }

    fn editor_statuses(&self) -> Vec<EditorStatus> {
        self.editors()
            .into_iter()
            .map(|did| {
                let view = self.views.get(&did);
                EditorStatus {
                    handle: self.handle_of(&did),
                    is_owner: did == *self.config.document.owner(),
                    rev: view.and_then(|v| v.head()).map(|head| head.rev.clone()),
                    verified_at: view.and_then(|v| v.verified_at()),
                    trouble: view.and_then(|v| v.trouble()).cloned(),
                    quarantined: self
                        .quarantined
                        .get(&did)
                        .into_iter()
                        .flat_map(|q| q.values().cloned())
                        .collect(),
                    did,
                }
            })
            .collect()
    }

    fn handle_of(&self, did: &sheaf_repo::did::Did) -> Option<String> {
        self.views.get(did)?.identity()?.handle.as_ref().map(ToString::to_string)
    }
}
