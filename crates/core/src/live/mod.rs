//! The live channel: updates that reach the others before any repo has shown them.
//!
//! Whoever has a document open says in their `awareness` record under which endpoint they can be reached and which *session
//! key* they sign with. Peers link to each other's endpoints and pass on what is typed, each update signed by its author. It
//! is an accelerator and nothing else: what comes this way is *provisional* until its author's repo shows it, and with the
//! channel gone, blocked or lying every document converges through the repos all the same.
//!
//! # What is believed
//!
//! * A peer is who they say where three things agree: the key that the transport proved they hold ([`EndpointId`]), the
//!   account they claim, and a record in that account's own repo that names this endpoint ([`Session`]). The record's proof
//!   is handed over in greeting, so that nobody has to fetch it, and it is verified like every other.
//! * An update is its author's where the session key has signed it, for this document and this replica ([`SignedUpdate`]),
//!   whoever passes it on. It then goes through the same door as one from a repo: nobody writes under another's client id.
//! * What the author's repo says counts, whatever was said live.
//!
//! # Carrying
//!
//! Somebody may build on a live update whose author then vanishes before their repo has shown it. So a segment brings what it
//! builds on along, with the author's signatures and the proof of their session key (`carried` in
//! [`SegmentRecord`](crate::record::SegmentRecord)): a reader of repos alone never lacks a piece. Whoever forges one is refused.
//!
//! ```
//! use sheaf_core::live::{SessionKey, SignedUpdate};
//! use sheaf_core::time::Timestamp;
//!
//! let document = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse()?;
//! let key = SessionKey::new(&[7; 32], document, "did:web:ada.example".parse()?, "laptop".parse()?).ok_or("no key")?;
//! let update = key.sign(Timestamp::from_millis(1_795_401_000_000), vec![0, 0]);
//! assert!(key.author().wrote(&update));
//! assert!(!key.author().wrote(&SignedUpdate { update: vec![1, 0], ..update }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod allowance;
mod frame;
mod links;
mod session;
mod signed;

use std::{fmt, str::FromStr};

pub(crate) use self::{
    frame::MAX_CLIENTS,
    links::{Hangup, Links, Peer},
    session::Sessions,
};
pub use self::{
    frame::{Frame, FrameError, MAX_FRAME},
    session::{MAX_SESSION_PROOF, Session, SessionRefusal},
    signed::{Author, SessionKey, SignedCaret, SignedUpdate},
};

/// Names an endpoint: the public half of the key with which its transport encrypts. To be linked with it is to know that the
/// other side holds the secret half.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub [u8; 32]);

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EndpointId {
    type Err = EndpointIdError;

    fn from_str(text: &str) -> Result<EndpointId, EndpointIdError> {
        let mut id = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(EndpointIdError);
        }
        for (n, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).map_err(|_| EndpointIdError)?;
        }
        Ok(EndpointId(id))
    }
}

/// A text that names no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is 64 digits of 0-9 and a-f")]
pub struct EndpointIdError;

/// Names one link to one peer for one document; the driver counts them and never uses one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// What happens on the channel. Everything in it but the link's own key is a stranger's word.
#[derive(Debug, Clone)]
pub enum LiveEvent {
    /// The transport is up: this is how others reach this device.
    Ready {
        /// Its own endpoint.
        endpoint: EndpointId,
        /// The address of the relay through which it can be reached.
        relay: Option<String>,
    },
    /// The transport is gone, and all links with it.
    Down,
    /// There is a link: the answer to [`LiveEffect::Dial`], or somebody else dialled.
    Linked {
        /// Its name from now on.
        link: LinkId,
        /// Who is at the other end, as the transport has proved.
        peer: EndpointId,
        /// Whether this side dialled.
        dialled: bool,
    },
    /// The other answer to [`LiveEffect::Dial`].
    NotReached {
        /// Who was dialled.
        peer: EndpointId,
    },
    /// A link has ended: the other side hung up, is gone, or does not take what it is sent.
    Unlinked {
        /// Which.
        link: LinkId,
    },
    /// A frame came, whole.
    Frame {
        /// On which link.
        link: LinkId,
        /// The frame, unparsed; the driver takes none that is longer than [`MAX_FRAME`].
        bytes: Vec<u8>,
    },
}

/// What the channel is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveEffect {
    /// Try to reach an endpoint. Answer [`LiveEvent::Linked`] or [`LiveEvent::NotReached`].
    Dial {
        /// Whom.
        peer: EndpointId,
        /// Through which relay, as their record says.
        relay: Option<String>,
    },
    /// Send a frame, after those before it. There is no answer; a peer that does not take what is sent is unlinked.
    Send {
        /// On which link.
        link: LinkId,
        /// The frame.
        frame: Vec<u8>,
    },
    /// End a link, once what was sent on it has left. There is no answer.
    HangUp {
        /// Which.
        link: LinkId,
    },
}

#[cfg(test)]
mod tests;
