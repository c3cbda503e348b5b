//! What an author signs with the session key: updates, and where they are.

use sheaf_repo::{
    did::Did,
    key::{SigningKey, VerifyingKey},
};

use crate::{client_id::ReplicaId, document_uri::DocumentUri, record::Caret, time::Timestamp};

const UPDATE: &[u8] = b"dev.sheaf live update v1\0";
const CARET: &[u8] = b"dev.sheaf live caret v1\0";

/// An update as its author signed it. In the document's format, and to be let in by [`crate::door`] like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedUpdate {
    /// When it was made by its author's clock, to the millisecond.
    pub at: Timestamp,
    /// The update.
    pub update: Vec<u8>,
    /// The session key's signature.
    pub signature: [u8; 64],
}

/// Where its author is in the text, or that they are nowhere in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCaret {
    /// Counts up: the highest is the newest.
    pub number: u64,
    /// Where.
    pub caret: Option<Caret>,
    /// The session key's signature.
    pub signature: [u8; 64],
}

/// One replica of one account in one document, and the key that signs for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The document.
    pub document: DocumentUri,
    /// The account.
    pub did: Did,
    /// Which of its replicas.
    pub replica: ReplicaId,
    /// The session key.
    pub key: VerifyingKey,
}

impl Author {
    /// Whether the session key has signed this update.
    pub fn wrote(&self, update: &SignedUpdate) -> bool {
        let message = self.message(UPDATE, update.at.as_millis(), &update.update);
        self.key.verify(&message, &update.signature).is_ok()
    }

    /// Whether the session key has signed this caret.
    pub fn is_at(&self, caret: &SignedCaret) -> bool {
        let message = self.message(CARET, caret.number, &caret_bytes(caret.caret.as_ref()));
        self.key.verify(&message, &caret.signature).is_ok()
    }

    /// What is signed: what it is, for whom and where, each led by its length, a number, and the content to the end.
    fn message(&self, label: &[u8], number: u64, content: &[u8]) -> Vec<u8> {
        let mut message = label.to_vec();
        for part in [self.document.to_string().as_str(), self.did.as_str(), self.replica.as_str()] {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part.as_bytes());
        }
        message.extend_from_slice(&number.to_be_bytes());
        message.extend_from_slice(content);
        message
    }
}

/// A caret as it is signed and sent: two places, each led by its length.
pub(super) fn caret_bytes(caret: Option<&Caret>) -> Vec<u8> {
    let places = caret.map(|caret| [caret.anchor.to_bytes(), caret.head.to_bytes()]);
    let led = |place: Vec<u8>| std::iter::once(place.len() as u8).chain(place);
    places.into_iter().flatten().flat_map(led).collect()
}

/// This device's half of a session: signs what its replica writes.
#[derive(Debug, Clone)]
pub struct SessionKey {
    author: Author,
    secret: SigningKey,
}

impl SessionKey {
    /// The session key with this secret: 32 random bytes. `None` for the few that are no key.
    pub fn new(secret: &[u8; 32], document: DocumentUri, did: Did, replica: ReplicaId) -> Option<SessionKey> {
        let secret = SigningKey::k256(secret).ok()?;
        let key = secret.verifying_key();
        Some(SessionKey { author: Author { document, did, replica, key }, secret })
    }

    /// Whom it signs for.
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// Signs an update. The time is cut to milliseconds.
    pub fn sign(&self, at: Timestamp, update: Vec<u8>) -> SignedUpdate {
        let at = Timestamp::from_millis(at.as_millis());
        let signature = self.secret.sign(&self.author.message(UPDATE, at.as_millis(), &update));
        SignedUpdate { at, update, signature }
    }

    /// Signs a caret.
    pub fn sign_caret(&self, number: u64, caret: Option<Caret>) -> SignedCaret {
        let message = self.author.message(CARET, number, &caret_bytes(caret.as_ref()));
        SignedCaret { number, caret, signature: self.secret.sign(&message) }
    }
}
