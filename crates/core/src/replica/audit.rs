//! All that is known of where a document's text stands and what proves it, for whoever wants to look closely.

use sheaf_repo::{cid::Cid, did::Did};

use super::{Presence, Replica, evidence::Holes};
use crate::{
    document_uri::DocumentUri,
    record,
    repo_view::{Head, Trouble},
    time::Timestamp,
};

/// What is known of a document's evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Which document.
    pub document: DocumentUri,
    /// Whether it is there.
    pub presence: Presence,
    /// Everyone whose text is part of it: the owner, the editors, and those who once were.
    pub editors: Vec<EditorAudit>,
    /// Updates that are proved and cannot be shown, because something that they build on is not here.
    pub waiting: usize,
}

/// What is known of one editor's repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditorAudit {
    /// Who.
    pub did: Did,
    /// Their handle, where handle and DID name each other.
    pub handle: Option<String>,
    /// The server that holds their repo, once they are looked up.
    pub pds: Option<String>,
    /// The key that their commits are checked with, as a did:key, once they are looked up.
    pub key: Option<String>,
    /// Whether the document is theirs.
    pub is_owner: bool,
    /// Whether they were removed, so that what they had written by then counts and nothing since.
    pub is_former: bool,
    /// The newest commit whose signature and whose part of the tree that concerns the document were verified.
    pub head: Option<Head>,
    /// When it was last found to be the newest, in this session.
    pub verified_at: Option<Timestamp>,
    /// Everything they wrote that is here.
    pub segments: Vec<SegmentAudit>,
    /// Records of theirs that were refused, by path, with the reason.
    pub refused: Vec<(String, String)>,
    /// How many segments are missing from their repo that nobody here has.
    pub missing: usize,
    /// Whether they have published two different texts in one place.
    pub has_contradicted: bool,
    /// What keeps their repo from being read.
    pub trouble: Option<Trouble>,
}

/// One segment that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentAudit {
    /// Its record key.
    pub rkey: String,
    /// Its hash.
    pub cid: Cid,
    /// Whether it will not change any more.
    pub is_sealed: bool,
    /// How many entries it holds.
    pub entries: usize,
    /// How long the record is, in bytes.
    pub bytes: usize,
    /// When its author says they made the last entry.
    pub made_at: Timestamp,
    /// Whether it is in its author's repo at the head. If not, it was once, and was taken out.
    pub in_repo: bool,
    /// Who carries it in a snapshot, so that it is there without its author's server.
    pub carried_by: Vec<Did>,
}

impl Replica {
    /// All that is known of the document's evidence.
    pub fn audit(&self) -> Audit {
        let current = self.charter.current();
        let former = current.iter().flat_map(|record| record.former.iter().map(|former| former.did.clone()));
        let former: Vec<Did> = former.filter(|did| !self.editors().contains(did)).collect();
        let everybody = self.editors().into_iter().map(|did| (did, false));
        let everybody = everybody.chain(former.into_iter().map(|did| (did, true)));
        Audit {
            document: self.config.document.clone(),
            presence: self.found.clone(),
            editors: everybody.map(|(did, is_former)| self.audit_of(did, is_former)).collect(),
            waiting: self.waiting.len() + self.turned_away.len(),
        }
    }

    fn audit_of(&self, did: Did, is_former: bool) -> EditorAudit {
        let view = self.views.get(&did);
        let identity = view.and_then(|view| view.last_identity());
        let head = view.and_then(|view| view.head());
        let segments = self.evidence.segments_of(&did).map(|(rkey, cid, segment)| {
            let path = format!("{}/{rkey}", record::SEGMENT);
            SegmentAudit {
                rkey: rkey.clone(),
                cid: *cid,
                is_sealed: segment.sealed,
                entries: segment.updates.len(),
                bytes: segment.bytes.len(),
                made_at: segment.made(),
                in_repo: view.and_then(|view| view.entry(&path)) == Some(cid),
                carried_by: self.carrying.carriers(&did, cid),
            }
        });
        let holes = view.filter(|view| view.head().is_some());
        let Holes { missing, .. } =
            holes.map_or_else(Default::default, |view| self.evidence.holes(&did, view.entries()));
        EditorAudit {
            handle: identity.and_then(|who| who.handle.as_ref()).map(ToString::to_string),
            pds: identity.map(|who| who.pds.clone()),
            key: identity.map(|who| who.key.to_did_key()),
            is_owner: did == *self.config.document.owner(),
            is_former,
            head: head.cloned(),
            verified_at: view.and_then(|view| view.verified_at()),
            segments: segments.collect(),
            refused: self
                .quarantined
                .get(&did)
                .into_iter()
                .flatten()
                .map(|(p, w)| (p.clone(), w.clone()))
                .collect(),
            missing,
            has_contradicted: self.evidence.has_contradicted(&did),
            trouble: view.and_then(|view| view.trouble()).cloned(),
            did,
        }
    }
}
