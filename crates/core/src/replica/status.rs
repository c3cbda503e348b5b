//! What is true of a document right now, for a person to read.

use sheaf_repo::{did::Did, tid::Tid};

use super::{event::DoorbellKind, live::LiveStatus};
use crate::{repo_view::Trouble, text::Utf16Offset, time::Timestamp};

/// What the signed-in account may do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It made the document: it writes, renames, and says who else writes.
    Owner,
    /// It writes.
    Editor,
    /// It reads along: not an editor, or not signed in, or not yet known to be one.
    Reader,
}

impl Role {
    /// Whether edits are taken.
    pub fn can_write(self) -> bool {
        self != Role::Reader
    }
}

/// Whether there is a document to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Neither this device nor the network has shown it yet.
    Looking,
    /// It is here.
    Here,
    /// Its owner's repo proves that there is no such document.
    NotFound,
    /// It was here, and its owner has deleted it; what this device has stays.
    Deleted,
    /// It is in a format this version does not know.
    UnknownFormat(String),
}

/// Why published changes are not going out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stalled {
    /// The PDS does not answer or fails; tried again at the given time.
    Unreachable {
        /// In words.
        reason: String,
        /// The next try.
        until: Timestamp,
    },
    /// The account's write quota is used up until then.
    QuotaUsed {
        /// When it goes on.
        until: Timestamp,
    },
    /// The session is over.
    SignInAgain,
    /// The PDS refuses the change as it is.
    Refused(String),
    /// The owner has removed this account from the editors.
    NoLongerEditor,
    /// Something that one's own text builds on is not here (any more). It is looked for.
    TextMissing,
}

/// One editor's repo, as far as this replica has verified it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditorStatus {
    /// Who.
    pub did: Did,
    /// Their handle, where handle and DID name each other.
    pub handle: Option<String>,
    /// Whether the document is theirs.
    pub is_owner: bool,
    /// The server that holds their repo, once they are looked up.
    pub pds: Option<String>,
    /// The newest verified revision of their repo.
    pub rev: Option<Tid>,
    /// When that was verified.
    pub verified_at: Option<Timestamp>,
    /// What is wrong with reading their repo, if anything.
    pub trouble: Option<Trouble>,
    /// Records of theirs that were refused, with the reason.
    pub quarantined: Vec<String>,
}

/// Somebody who is here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub did: Did,
    /// Their verified handle.
    pub handle: Option<String>,
    /// What to call them: their verified handle, after the name they chose if that is another, as in “Ada (ada.example)”;
    /// their DID where no handle is verified. Checked and capped, still only ever text.
    pub name: String,
    /// `#rrggbb`.
    pub color: String,
    /// Whether it is the one reading this.
    pub is_self: bool,
    /// Where they are in the text.
    pub caret: Option<CaretAt>,
}

/// A caret or selection, resolved to the text as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaretAt {
    /// Where the selection began.
    pub anchor: Utf16Offset,
    /// Where the caret is.
    pub head: Utf16Offset,
}

/// Everything a status line and its details need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether there is a document.
    pub document: Presence,
    /// What the account may do.
    pub role: Role,
    /// Changes not yet durable on this device (normally none for longer than a moment).
    pub unsaved: usize,
    /// Why the device's store refuses, if it does.
    pub store_trouble: Option<String>,
    /// Changes durable here and not yet published.
    pub waiting: usize,
    /// Since when the oldest of them waits.
    pub waiting_since: Option<Timestamp>,
    /// Whether this account has ever published something in this document from this device.
    pub published_any: bool,
    /// Why they wait, when it is more than the flush window.
    pub stalled: Option<Stalled>,
    /// Which live doorbell is in use; without one the replica polls.
    pub doorbell: Option<DoorbellKind>,
    /// The hosts of the streams that are up, even where they do not tell of every editor.
    pub doorbell_hosts: Vec<String>,
    /// Whether others are being asked for the document, whom the link names for the case that its owner does not show it.
    pub asking_others: bool,
    /// Whether the device says it has a network.
    pub online: bool,
    /// How many people are here, this one included when signed in as an editor.
    pub people: usize,
    /// The live channel.
    pub live: LiveStatus,
    /// Every editor's repo.
    pub editors: Vec<EditorStatus>,
    /// Write points left in this hour by this device's count.
    pub points_left: u32,
    /// The same in this day.
    pub points_left_today: u32,
}

impl Status {
    /// The status line: one calm, true sentence, most pressing fact first.
    ///
    /// ```
    /// # use sheaf_core::replica::{Presence, Role, Status};
    /// # let status = Status { document: Presence::Here, role: Role::Owner, unsaved: 0, store_trouble: None, waiting: 12,
    /// #   waiting_since: None, published_any: true, stalled: None, doorbell: None, doorbell_hosts: vec![], asking_others: false, online: false, people: 1, live: Default::default(), editors: vec![], points_left: 5000, points_left_today: 35000 };
    /// assert_eq!(status.sentence(), "Offline: 12 changes waiting");
    /// ```
    pub fn sentence(&self) -> String {
        self.sentence_since(|_| None)
    }

    /// The same, with since when changes wait. `clock` puts a time as a person reads it (“14:02”), or leaves it out.
    pub fn sentence_since(&self, clock: impl Fn(Timestamp) -> Option<String>) -> String {
        let since = self.waiting_since.filter(|_| self.waiting > 0).and_then(clock);
        let mut sentence = self.saying(since.as_deref());
        if self.people > 1 && self.online && matches!(self.document, Presence::Here) {
            let live = if self.live.everyone { ", live" } else { "" };
            sentence.push_str(&format!(" · {} people here{live}", self.people));
        }
        if self.live.readers > 0 {
            sentence.push_str(&format!(" · {} reading along", self.live.readers));
        }
        sentence
    }

    fn saying(&self, since: Option<&str>) -> String {
        match &self.document {
            Presence::Looking if !self.online => {
                return "Offline: this document is not on this device yet".into();
            }
            Presence::Looking => {
                return match self.owner_trouble() {
                    Some(_) if self.asking_others => "Its owner cannot be reached; asking others".into(),
                    Some(trouble) => format!("Not here yet: {trouble}"),
                    None => "Looking for the document".into(),
                };
            }
            Presence::NotFound => return "There is no document at this link".into(),
            Presence::Deleted => {
                return "Its owner has deleted this document; this device keeps what it has".into();
            }
            Presence::UnknownFormat(format) => {
                return format!("This document needs a newer Sheaf (format “{format}”)");
            }
            Presence::Here => {}
        }
        if let Some(reason) = &self.store_trouble {
            return format!("Not saved on this device: {reason}");
        }
        if self.unsaved > 0 {
            // Nothing else may be said of changes that could still be lost.
            return "Saving on this device".into();
        }
        let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
        let changes = match self.waiting {
            1 => format!("1 change waiting{since}"),
            n => format!("{n} changes waiting{since}"),
        };
        match &self.stalled {
            Some(Stalled::TextMissing) => {
                return "Some text that yours builds on is missing; looking for it".into();
            }
            Some(Stalled::NoLongerEditor) if self.waiting == 0 => return "You can read this document".into(),
            Some(Stalled::NoLongerEditor) => return format!("You are no longer an editor: {changes}"),
            Some(Stalled::SignInAgain) if self.waiting == 0 => return "Sign in again to publish".into(),
            Some(Stalled::SignInAgain) => return format!("Sign in again to publish: {changes}"),
            Some(Stalled::Refused(reason)) => {
                return format!("Saved on this device; your server refused it: {reason}");
            }
            _ => {}
        }
        if !self.online {
            return match self.waiting {
                0 if self.role.can_write() => "Offline: everything is published".into(),
                0 => "Offline: showing what this device has".into(),
                _ => format!("Offline: {changes}"),
            };
        }
        if self.waiting > 0 {
            return match &self.stalled {
                Some(Stalled::Unreachable { .. }) => format!("Your server cannot be reached: {changes}"),
                Some(Stalled::QuotaUsed { .. }) => {
                    format!("Saved on this device; publishing more slowly: {changes}")
                }
                _ => "Saved on this device".into(),
            };
        }
        if let Some(editor) = self.editors.iter().find(|e| e.trouble.is_some()) {
            let who = editor.handle.clone().unwrap_or_else(|| editor.did.to_string());
            let trouble = editor.trouble.as_ref().map(ToString::to_string).unwrap_or_default();
            return format!("{who}: {trouble}");
        }
        match self.role {
            Role::Reader => "Reading live".into(),
            _ => "Published".into(),
        }
    }

    fn owner_trouble(&self) -> Option<&Trouble> {
        self.editors.iter().find(|e| e.is_owner).and_then(|e| e.trouble.as_ref())
    }
}
