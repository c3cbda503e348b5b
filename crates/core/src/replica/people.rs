//! What the face reads: who is here, and what is true.

use sheaf_repo::did::Did;

use super::{CaretAt, EditorStatus, Person, Presence, Replica, Status};
use crate::{document::Sticky, record, repo_view::RepoView, time::Timestamp};

impl Replica {
    /// Who is here now, the reader of this first if they are here as an editor.
    pub fn people(&self) -> Vec<Person> {
        let myself = self.config.account.as_ref().filter(|_| self.role().can_write()).map(|did| Person {
            did: did.clone(),
            handle: self.handle_of(did),
            name: called(self.config.name.as_deref(), self.handle_of(did).or(self.config.name.clone()), did),
            color: record::Color::for_did(did).to_string(),
            is_self: true,
            caret: self.selection.as_ref().and_then(|selection| self.caret_at(selection)),
        });
        let others = self.people.iter().map(|(did, seen)| Person {
            did: did.clone(),
            handle: self.handle_of(did),
            name: called(seen.name.as_deref(), self.handle_of(did), did),
            color: seen.color.unwrap_or_else(|| record::Color::for_did(did)).to_string(),
            is_self: false,
            caret: seen.caret.as_ref().and_then(|caret| self.caret_at(caret)),
        });
        myself.into_iter().chain(others).collect()
    }

    /// Whether the document is there.
    pub fn presence(&self) -> &Presence {
        &self.found
    }

    /// Who may write, the owner first, with their handles where those are known.
    pub fn editors_by_handle(&self) -> impl Iterator<Item = (&Did, Option<String>)> {
        let owner = std::iter::once(self.config.document.owner());
        let others = self.charter.current().into_iter().flat_map(|record| &record.editors);
        owner.chain(others).map(|did| (did, self.handle_of(did)))
    }

    /// Changes of this account's that are not published yet, those that are not on the device's disk among them.
    pub fn unpublished(&self) -> usize {
        self.storing.edits() as usize + self.outbox.waiting() as usize + self.charter.pending()
    }

    /// Those of them that are not on the device's disk.
    pub fn unsaved(&self) -> usize {
        self.storing.edits() as usize + self.charter.unsaved()
    }

    /// Everything a status line and its details need.
    pub fn status(&self, now: Timestamp) -> Status {
        let role = self.role();
        let unsaved = self.unsaved();
        let published = self.charter.pending() == 0 && self.outbox.published_any();
        Status {
            document: self.found.clone(),
            role,
            unsaved,
            store_trouble: self.damaged.clone().or_else(|| self.storing.trouble().cloned()),
            waiting: self.unpublished() - unsaved,
            waiting_since: self.outbox.waiting_since(),
            published_any: published,
            stalled: self.stalled(),
            doorbell: self.doorbell,
            doorbell_hosts: self.doorbell_hosts.clone(),
            asking_others: self.carriers.iter().filter_map(|did| self.views.get(did)).any(RepoView::is_open),
            online: self.online,
            people: self.people.iter().count() + usize::from(role.can_write()),
            live: self.live_status(),
            editors: self.editor_statuses(),
            points_left: self.budget.points_left(now),
            points_left_today: self.budget.points_left_today(now),
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
                    pds: view.and_then(|v| v.last_identity()).map(|who| who.pds.clone()),
                    rev: view.and_then(|v| v.head()).map(|head| head.rev.clone()),
                    verified_at: view.and_then(|v| v.verified_at()),
                    trouble: view.and_then(|v| v.trouble()).cloned(),
                    quarantined: self.quarantined_of(&did),
                    did,
                }
            })
            .collect()
    }

    fn caret_at(&self, (anchor, head): &(Sticky, Sticky)) -> Option<CaretAt> {
        Some(CaretAt { anchor: self.document.resolve(anchor)?, head: self.document.resolve(head)? })
    }

    fn quarantined_of(&self, did: &Did) -> Vec<String> {
        let two = "it has published two different texts in the same place; the newest counts";
        let refused = self.quarantined.get(did).into_iter().flat_map(|records| records.values().cloned());
        let holes = self.views.get(did).filter(|view| view.head().is_some());
        let holes = holes.map_or_else(Default::default, |view| self.evidence.holes(did, view.entries()));
        let withdrawn = (holes.withdrawn > 0).then(|| {
            format!("{} taken out of their repo; this device keeps what it has", parts(holes.withdrawn))
        });
        let missing =
            (holes.missing > 0).then(|| format!("{} missing from their repo", parts(holes.missing)));
        let two = self.evidence.has_contradicted(did).then(|| two.to_owned());
        refused.chain(withdrawn).chain(missing).chain(two).collect()
    }

    fn handle_of(&self, did: &Did) -> Option<String> {
        self.views.get(did)?.identity()?.handle.as_ref().map(ToString::to_string)
    }
}

fn parts(n: usize) -> String {
    match n {
        1 => "1 part of what they wrote is".to_owned(),
        n => format!("{n} parts of what they wrote are"),
    }
}

/// What to call somebody: who they are for certain, and beside it at most what they would like to be called. A name proves
/// nothing, so it never stands alone for somebody else's account.
fn called(name: Option<&str>, handle: Option<String>, did: &Did) -> String {
    let certain = handle.unwrap_or_else(|| did.to_string());
    match name {
        Some(name) if name != certain => format!("{name} ({certain})"),
        _ => certain,
    }
}
