//! Who signs with which key at which endpoint, and the proof that their own repo says so.

use std::time::Duration;

use litemap::LiteMap;
use sheaf_repo::{
    blocks::Blocks,
    car::{self, CarLimits},
    cid::Cid,
    commit::Commit,
    did::Did,
    key::VerifyingKey,
    mst::{self, KeyRange, Walk},
    proof,
};

use super::{Author, EndpointId};
use crate::{client_id::ReplicaId, document_uri::DocumentUri, record::AwarenessRecord, time::Timestamp};

/// The longest proof of a session, in bytes: an awareness record, and the way to it from a signed commit. About 5 KB in a
/// repo of a million records.
pub const MAX_SESSION_PROOF: usize = 24 * 1024;

const LIMITS: CarLimits =
    CarLimits { max_bytes: MAX_SESSION_PROOF, max_blocks: 128, max_block_bytes: MAX_SESSION_PROOF };

/// What an account's own repo says of one of its replicas: where it can be reached, and which key signs for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who signs, and with which key.
    pub author: Author,
    /// Where they can be reached.
    pub endpoint: EndpointId,
    /// Through which relay.
    pub relay: Option<String>,
    /// What they would like to be called.
    pub name: Option<String>,
    /// How long the endpoint is theirs, by their clock. The key signs for ever: what it signed may be read much later.
    pub expires_at: Timestamp,
    /// The proof, as a CAR: whoever is handed it can verify all this anew.
    pub proof: Vec<u8>,
}

/// Why what claims to be the proof of a session is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefusal {
    /// It does not prove what it should.
    #[error("it proves nothing: {0}")]
    Unproved(String),
    /// There is no such record, or none that can be read.
    #[error("it shows no presence that can be read: {0}")]
    NoRecord(String),
    /// The record names no endpoint, or belongs to another document.
    #[error("it names no session of this document")]
    NoSession,
}

impl Session {
    /// Whose proof this claims to be: to know by whose key to verify it.
    pub fn claimed_by(proof: &[u8]) -> Option<Did> {
        let car = car::parse(proof, &LIMITS).ok()?;
        let commit = car.blocks.get(car.roots.first()?)?;
        Some(Commit::parse(commit).ok()?.did().clone())
    }

    /// Verifies the proof that `did`, whose repo's commits are signed with `key`, has a session in this document.
    ///
    /// # Errors
    /// [`SessionRefusal`] for whatever is not that.
    pub fn verify(
        document: &DocumentUri,
        did: &Did,
        key: &VerifyingKey,
        proof: &[u8],
    ) -> Result<Session, SessionRefusal> {
        let shown = proof::prove(did, key, proof, &document.awareness_path(), &LIMITS)
            .map_err(|why| SessionRefusal::Unproved(why.to_string()))?;
        let (_, record) = shown.record.ok_or_else(|| SessionRefusal::NoRecord("there is none".into()))?;
        Session::read(document, did, &record, proof.to_vec())
    }

    /// A session that was verified before, as it was stored.
    pub(crate) fn restore(document: &DocumentUri, proof: Vec<u8>) -> Option<Session> {
        let car = car::parse(&proof, &LIMITS).ok()?;
        let commit = Commit::parse(car.blocks.get(car.roots.first()?)?).ok()?;
        let path = document.awareness_path();
        let Ok(Walk::Complete { entries, .. }) =
            mst::walk(commit.data(), &car.blocks, &[KeyRange::only(&path)])
        else {
            return None;
        };
        let record = car.blocks.get(entries.get(&path)?)?.to_vec();
        Session::read(document, commit.did(), &record, proof).ok()
    }

    /// The session that a record which has just been verified speaks of, with the proof made of the blocks that verified it.
    pub(crate) fn of_record(
        document: &DocumentUri,
        did: &Did,
        record: &[u8],
        (commit, blocks): &(Cid, Blocks),
    ) -> Option<Session> {
        let path = document.awareness_path();
        let parsed = Commit::parse(blocks.get(commit)?).ok()?;
        let Ok(Walk::Complete { nodes, .. }) = mst::walk(parsed.data(), blocks, &[KeyRange::only(&path)])
        else {
            return None;
        };
        let mut proof = Blocks::default();
        for cid in nodes.iter().chain([commit]) {
            proof.add(blocks.get(cid)?.to_vec());
        }
        proof.add(record.to_vec());
        let proof = car::write(&[*commit], proof.iter());
        if proof.len() > MAX_SESSION_PROOF {
            return None;
        }
        Session::read(document, did, record, proof).ok()
    }

    fn read(
        document: &DocumentUri,
        did: &Did,
        record: &[u8],
        proof: Vec<u8>,
    ) -> Result<Session, SessionRefusal> {
        let record =
            AwarenessRecord::parse(record).map_err(|why| SessionRefusal::NoRecord(why.to_string()))?;
        let live = record.live.filter(|_| record.document == *document).ok_or(SessionRefusal::NoSession)?;
        Ok(Session {
            author: Author {
                document: record.document,
                did: did.clone(),
                replica: record.replica,
                key: live.key,
            },
            endpoint: live.endpoint,
            relay: live.relay,
            name: record.name,
            expires_at: live.expires_at,
            proof,
        })
    }
}

/// The most sessions that are remembered of one account: its devices, and what they were before.
const MAX_SESSIONS: usize = 16;

/// An endpoint whose time is put off by less is not looked at again: every announcement does so.
const RENEWED_BY: Duration = Duration::from_secs(6 * 3_600);

/// The sessions that are known, by account: the one learned of last at the end.
#[derive(Debug, Default)]
pub(crate) struct Sessions(LiteMap<Did, Vec<Session>>);

impl Sessions {
    /// Takes a verified session in. Whether it is one that was not known, or says something new of one that was.
    pub(crate) fn add(&mut self, session: Session) -> bool {
        let of_account = self.0.entry(session.author.did.clone()).or_default();
        let known = of_account.iter().position(|known| known.author == session.author);
        if let Some(known) = known.map(|n| &mut of_account[n]) {
            let same = known.endpoint == session.endpoint && known.relay == session.relay;
            if same && known.expires_at.saturating_add(RENEWED_BY) >= session.expires_at {
                return false;
            }
            *known = session;
            return true;
        }
        if of_account.len() >= MAX_SESSIONS {
            of_account.remove(0);
        }
        of_account.push(session);
        true
    }

    /// Whether a record says nothing of a session that is not known.
    pub(crate) fn know(&self, did: &Did, record: &AwarenessRecord) -> bool {
        let Some(live) = &record.live else { return true };
        self.of(did).any(|session| {
            let same = session.author.replica == record.replica && session.author.key == live.key;
            let place = session.endpoint == live.endpoint && session.relay == live.relay;
            same && place && session.expires_at.saturating_add(RENEWED_BY) >= live.expires_at
        })
    }

    /// The sessions of an account, newest first.
    pub(crate) fn of<'a>(&'a self, did: &Did) -> impl Iterator<Item = &'a Session> + use<'a> {
        self.0.get(did).into_iter().flat_map(|sessions| sessions.iter().rev())
    }

    /// Those of one replica, and which of them fits: its key has signed something. `None` when there are none at all.
    pub(crate) fn signed_by(
        &self,
        did: &Did,
        replica: &ReplicaId,
        signed: impl Fn(&Author) -> bool,
    ) -> Option<Option<&Session>> {
        let mut theirs = self.of(did).filter(|session| session.author.replica == *replica).peekable();
        theirs.peek()?;
        Some(theirs.find(|session| signed(&session.author)))
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.0.values().flatten()
    }
}
