//! The record that says who is here.

use sheaf_repo::{Ipld, json, key::VerifyingKey};

use super::{
    AWARENESS, Color, MAX_AWARENESS_RECORD, MAX_RELAY_BYTES, MAX_STICKY_BYTES, RecordError, clean_name,
    could_be_account,
    fields::{self, Fields, bytes, datetime, object, parsed, string, text},
};
use crate::{
    client_id::ReplicaId, document_uri::DocumentUri, live::EndpointId, sticky::Sticky, time::Timestamp,
};

/// `dev.sheaf.awareness`: that somebody is here, and where; in each editor's repo, overwritten in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwarenessRecord {
    /// Which document it belongs to.
    pub document: DocumentUri,
    /// Which of their replicas says so.
    pub replica: ReplicaId,
    /// What they would like to be called, cleaned by [`clean_name`]; never empty, and never what [`could_be_account`], for it
    /// proves nothing: handles do.
    pub name: Option<String>,
    /// The colour they would like to be shown in.
    pub color: Option<Color>,
    /// Where they are in the text.
    pub caret: Option<Caret>,
    /// Where they can be reached live.
    pub live: Option<LiveEndpoint>,
    /// When this stops being true, by their device's clock. In leaving it is set to the time of leaving.
    pub expires_at: Timestamp,
}

/// A selection; a mere caret where its ends are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caret {
    /// Where the selection began.
    pub anchor: Sticky,
    /// Where the caret is.
    pub head: Sticky,
}

/// Where a replica can be reached on the live channel, and the key that signs what it sends there: see [`crate::live`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveEndpoint {
    /// Its endpoint.
    pub endpoint: EndpointId,
    /// The address of the relay through which it is reached, of at most [`MAX_RELAY_BYTES`].
    pub relay: Option<String>,
    /// The session key.
    pub key: VerifyingKey,
    /// How long it is to be tried there, by its author's clock: usually longer than its presence lasts, for who cannot write
    /// to their repo may well be there.
    pub expires_at: Timestamp,
}

impl AwarenessRecord {
    /// Reads a record as it stands in a repo.
    ///
    /// # Errors
    /// [`RecordError`] when it is longer than [`MAX_AWARENESS_RECORD`], no such record, or over a limit.
    pub fn parse(record: &[u8]) -> Result<AwarenessRecord, RecordError> {
        let mut fields = Fields::of_record(record, MAX_AWARENESS_RECORD, AWARENESS)?;
        let name = fields.optional("name", "a text", text)?.and_then(|name| fit(&name));
        Ok(AwarenessRecord {
            document: fields.required("document", "a document's at-URI", parsed)?,
            replica: fields.required("replica", "a replica id", parsed)?,
            name,
            color: fields.optional("color", "a colour as in #336699", parsed)?,
            caret: fields.optional("caret", "two places in the text", Caret::read)?,
            // Whoever cannot be reached live is here all the same.
            live: fields.optional("live", "an endpoint", Some)?.and_then(LiveEndpoint::read),
            expires_at: fields.required("expiresAt", "a date and time", datetime)?,
        })
    }

    /// The record in atproto's JSON.
    pub fn to_json(&self) -> serde_json::Value {
        let name = self.name.as_deref().and_then(fit);
        let fields = [
            ("document", Some(string(&self.document))),
            ("replica", Some(string(&self.replica))),
            ("name", name.map(Ipld::String)),
            ("color", self.color.map(string)),
            ("caret", self.caret.as_ref().map(Caret::write)),
            ("live", self.live.as_ref().map(LiveEndpoint::write)),
            ("expiresAt", Some(string(self.expires_at.to_rfc3339()))),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
        json::from_ipld(&fields::record(AWARENESS, fields))
    }
}

/// A name as it may be shown, if there is any left.
fn fit(name: &str) -> Option<String> {
    Some(clean_name(name)).filter(|name| !name.is_empty() && !could_be_account(name))
}

impl Caret {
    fn read(value: Ipld) -> Option<Caret> {
        let mut fields = Fields::of_object(value, "caret").ok()?;
        let mut place = |field| {
            let bytes = fields.required(field, "a place", bytes(MAX_STICKY_BYTES)).ok()?;
            Sticky::from_bytes(&bytes).ok()
        };
        Some(Caret { anchor: place("anchor")?, head: place("head")? })
    }

    fn write(&self) -> Ipld {
        let place = |sticky: &Sticky| Ipld::Bytes(sticky.to_bytes());
        object([("anchor", place(&self.anchor)), ("head", place(&self.head))])
    }
}

impl LiveEndpoint {
    fn read(value: Ipld) -> Option<LiveEndpoint> {
        let mut fields = Fields::of_object(value, "live").ok()?;
        let endpoint = fields.required("endpoint", "32 bytes", bytes(32)).ok()?;
        let relay = fields.optional("relay", "an address", text).ok()?;
        let key = fields.required("key", "a did:key", text).ok()?;
        Some(LiveEndpoint {
            endpoint: EndpointId(endpoint.try_into().ok()?),
            relay: relay.filter(|relay| relay.len() <= MAX_RELAY_BYTES),
            key: VerifyingKey::from_did_key(&key).ok()?,
            expires_at: fields.required("expiresAt", "a date and time", datetime).ok()?,
        })
    }

    fn write(&self) -> Ipld {
        let fields = [
            ("endpoint", Some(Ipld::Bytes(self.endpoint.0.to_vec()))),
            ("relay", self.relay.as_ref().map(string)),
            ("key", Some(string(self.key.to_did_key()))),
            ("expiresAt", Some(string(self.expires_at.to_rfc3339()))),
        ];
        object(fields.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }
}
