//! What peers say to each other, as bytes: each frame one DAG-CBOR array that begins with the number of its kind.
//!
//! | kind | frame | fields |
//! |---|---|---|
//! | 0 | hello | document, the account claimed (or nothing), the proof of the session (or nothing) |
//! | 1 | have | a state vector: client and clock, in turn |
//! | 2 | session | the proof of an author's session |
//! | 3 | update | account, replica, time in milliseconds, update, signature |
//! | 4 | caret | account, replica, number, places (or nothing), signature |
//! | 5 | links | the endpoints that the sender is linked with |
//!
//! It is the y-sync protocol (state vectors, updates, awareness) with an author under each update. Texts are bytes of UTF-8.

use sheaf_repo::did::Did;

use super::{EndpointId, MAX_SESSION_PROOF, SignedCaret, SignedUpdate, signed::caret_bytes};
use crate::{
    cbor::{self, Reader},
    client_id::{ClientId, ReplicaId},
    document::StateVector,
    document_uri::DocumentUri,
    record::Caret,
    segment,
    sticky::Sticky,
    time::Timestamp,
};

/// The longest frame, in bytes.
pub const MAX_FRAME: usize = 64 * 1024;
/// The most clients in a state vector that is told: who has more of them is sent more than they need.
pub(crate) const MAX_CLIENTS: usize = 3_000;
/// The most endpoints that are told.
pub(crate) const MAX_TOLD: usize = 64;

/// One thing that a peer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first on every link, in both directions: what it is about and who one is.
    Hello {
        /// The document.
        document: DocumentUri,
        /// The account. Without one the peer reads along.
        did: Option<Did>,
        /// The proof of the session, where there is one.
        proof: Option<Vec<u8>>,
    },
    /// What one has of the text: the other side sends what is missing and not in its author's repo yet.
    Have(StateVector),
    /// Who an author is, before the first update of theirs that is passed on.
    Session(Vec<u8>),
    /// Somebody wrote.
    Update {
        /// Who.
        did: Did,
        /// With which replica.
        replica: ReplicaId,
        /// What.
        signed: SignedUpdate,
    },
    /// Somebody is somewhere.
    Caret {
        /// Who.
        did: Did,
        /// With which replica.
        replica: ReplicaId,
        /// Where.
        signed: SignedCaret,
    },
    /// With whom one is linked: what comes from those need not be passed on to them, or from them.
    Links(Vec<EndpointId>),
}

/// A frame that cannot be read: whoever sent it is no peer of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a frame that cannot be read: {0}")]
pub struct FrameError(&'static str);

impl From<&'static str> for FrameError {
    fn from(why: &'static str) -> FrameError {
        FrameError(why)
    }
}

impl Frame {
    /// As it is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let begin = |out: &mut Vec<u8>, kind: u64, fields: usize| {
            cbor::array(out, fields + 1);
            cbor::uint(out, kind);
        };
        match self {
            Frame::Hello { document, did, proof } => {
                begin(&mut out, 0, 3);
                cbor::bytes(&mut out, document.to_string().as_bytes());
                cbor::bytes(&mut out, did.as_ref().map_or("", Did::as_str).as_bytes());
                cbor::bytes(&mut out, proof.as_deref().unwrap_or_default());
            }
            Frame::Have(have) => {
                begin(&mut out, 1, have.len() * 2);
                for (client, clock) in have {
                    cbor::uint(&mut out, client.get());
                    cbor::uint(&mut out, u64::from(*clock));
                }
            }
            Frame::Session(proof) => {
                begin(&mut out, 2, 1);
                cbor::bytes(&mut out, proof);
            }
            Frame::Update { did, replica, signed } => {
                begin(&mut out, 3, 5);
                cbor::bytes(&mut out, did.as_str().as_bytes());
                cbor::bytes(&mut out, replica.as_str().as_bytes());
                cbor::uint(&mut out, signed.at.as_millis());
                cbor::bytes(&mut out, &signed.update);
                cbor::bytes(&mut out, &signed.signature);
            }
            Frame::Caret { did, replica, signed } => {
                begin(&mut out, 4, 5);
                cbor::bytes(&mut out, did.as_str().as_bytes());
                cbor::bytes(&mut out, replica.as_str().as_bytes());
                cbor::uint(&mut out, signed.number);
                cbor::bytes(&mut out, &caret_bytes(signed.caret.as_ref()));
                cbor::bytes(&mut out, &signed.signature);
            }
            Frame::Links(endpoints) => {
                begin(&mut out, 5, endpoints.len());
                endpoints.iter().for_each(|endpoint| cbor::bytes(&mut out, &endpoint.0));
            }
        }
        out
    }

    /// Reads what somebody sent.
    ///
    /// # Errors
    /// [`FrameError`] for whatever [`Frame::encode`] would not have written, or is over a limit.
    pub fn parse(bytes: &[u8]) -> Result<Frame, FrameError> {
        if bytes.len() > MAX_FRAME {
            return Err(FrameError("it is too long"));
        }
        let mut reader = Reader::new(bytes);
        let fields = reader.array()?.checked_sub(1).ok_or("it is empty")?;
        let kind = reader.uint()?;
        let frame = match (kind, fields) {
            (0, 3) => Frame::Hello {
                document: text(&mut reader)?.parse().map_err(|_| "no document")?,
                did: Some(text(&mut reader)?)
                    .filter(|did| !did.is_empty())
                    .map(|did| did.parse().map_err(|_| "no account"))
                    .transpose()?,
                proof: Some(proof(&mut reader)?).filter(|proof| !proof.is_empty()),
            },
            (1, fields) if fields % 2 == 0 && fields <= 2 * MAX_CLIENTS as u64 => {
                let one = |_| {
                    let client = ClientId::new(reader.uint()?).ok_or("no client")?;
                    Ok((client, u32::try_from(reader.uint()?).map_err(|_| "no clock")?))
                };
                Frame::Have((0..fields / 2).map(one).collect::<Result<_, &str>>()?)
            }
            (2, 1) => Frame::Session(proof(&mut reader)?),
            (3, 5) => {
                let (did, replica) = author(&mut reader)?;
                let millis = reader.uint()?;
                if millis > segment::MAX_MILLIS {
                    return Err(FrameError("a time beyond the year 9999"));
                }
                let at = Timestamp::from_millis(millis);
                let update = reader.bytes()?;
                if update.len() > segment::MAX_UPDATE {
                    return Err(FrameError("an update that is too long"));
                }
                let signature = signature(&mut reader)?;
                Frame::Update {
                    did,
                    replica,
                    signed: SignedUpdate { at, update: update.to_vec(), signature },
                }
            }
            (4, 5) => {
                let (did, replica) = author(&mut reader)?;
                let number = reader.uint()?;
                let caret = caret(reader.bytes()?)?;
                let signature = signature(&mut reader)?;
                Frame::Caret { did, replica, signed: SignedCaret { number, caret, signature } }
            }
            (5, fields) if fields <= MAX_TOLD as u64 => {
                let one = |_| Ok(EndpointId(reader.bytes()?.try_into().map_err(|_| "no endpoint")?));
                Frame::Links((0..fields).map(one).collect::<Result<_, &str>>()?)
            }
            _ => return Err(FrameError("of no kind that is known, or with too many parts")),
        };
        reader.end()?;
        Ok(frame)
    }
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, &'static str> {
    std::str::from_utf8(reader.bytes()?).map_err(|_| "a text that is none")
}

fn proof(reader: &mut Reader<'_>) -> Result<Vec<u8>, &'static str> {
    let proof = reader.bytes()?;
    if proof.len() > MAX_SESSION_PROOF { Err("a proof that is too long") } else { Ok(proof.to_vec()) }
}

fn author(reader: &mut Reader<'_>) -> Result<(Did, ReplicaId), &'static str> {
    let did = text(reader)?.parse().map_err(|_| "no account")?;
    Ok((did, text(reader)?.parse().map_err(|_| "no replica")?))
}

fn signature(reader: &mut Reader<'_>) -> Result<[u8; 64], &'static str> {
    reader.bytes()?.try_into().map_err(|_| "no signature")
}

fn caret(bytes: &[u8]) -> Result<Option<Caret>, &'static str> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let place = |bytes: &mut &[u8]| {
        let (len, rest) = bytes.split_first()?;
        let (place, rest) = rest.split_at_checked(usize::from(*len))?;
        *bytes = rest;
        Sticky::from_bytes(place).ok()
    };
    let mut rest = bytes;
    match (place(&mut rest), place(&mut rest)) {
        (Some(anchor), Some(head)) if rest.is_empty() => Ok(Some(Caret { anchor, head })),
        _ => Err("no place in a text"),
    }
}
