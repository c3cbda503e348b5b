//! The root record: what a document is called, and who may write.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use sheaf_repo::{Ipld, cbor, did::Did, json};

use super::{
    DOCUMENT, MAX_DELETES_BYTES, MAX_DOCUMENT_RECORD, MAX_EDITORS, MAX_FORMAT_BYTES, MAX_FORMER,
    MAX_FORMER_REPLICAS, RecordError, clean_title,
    fields::{self, Fields, bytes, datetime, number, object, parsed, string, text},
};
use crate::{client_id::ReplicaId, extent::Extent, time::Timestamp};

/// `dev.sheaf.document`: the root record of a document, in its owner's repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRecord {
    /// What it is called, cleaned by [`clean_title`]. May be empty.
    pub title: String,
    /// When it was made, by its owner's word.
    pub created_at: Timestamp,
    /// What its segments' updates are.
    pub format: Format,
    /// Who may write beside the owner: no one twice, at most [`MAX_EDITORS`].
    pub editors: Vec<Did>,
    /// Who once could, and what of theirs stays: no one twice, at most [`MAX_FORMER`].
    pub former: Vec<FormerEditor>,
    /// Fields of later versions, kept as they are when the record is changed; without what JSON cannot say, for a record
    /// is written as JSON.
    rest: BTreeMap<String, Ipld>,
}

/// What the updates of a document's segments are. The set is open: what is unknown is read as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// `yjs-v1`: the Yjs v1 updates of one plain text that the [door](crate::door) lets in.
    YjsV1,
    /// One that this version does not know.
    Other(String),
}

/// Someone who could once write, and what they wrote that stays part of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerEditor {
    /// Who.
    pub did: Did,
    /// Their replicas; nothing is accepted of one that is not listed.
    pub replicas: Vec<FormerReplica>,
}

/// How far a replica of a former editor is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerReplica {
    /// Which replica.
    pub replica: ReplicaId,
    /// Its text up to just before this clock stays.
    pub clock: u32,
    /// What it deleted stays deleted: an update that adds nothing, at most [`MAX_DELETES_BYTES`].
    pub deletes: Vec<u8>,
}

impl DocumentRecord {
    /// The record of a new document with nobody but its owner in it.
    pub fn new(title: &str, at: Timestamp) -> DocumentRecord {
        DocumentRecord {
            title: clean_title(title),
            created_at: Timestamp::from_millis(at.as_millis()),
            format: Format::YjsV1,
            editors: Vec::new(),
            former: Vec::new(),
            rest: BTreeMap::new(),
        }
    }

    /// Calls it something else.
    pub fn set_title(&mut self, title: &str) {
        self.title = clean_title(title);
    }

    /// Reads a record as it stands in a repo.
    ///
    /// # Errors
    /// [`RecordError`] when it is longer than [`MAX_DOCUMENT_RECORD`], no such record, or over a limit.
    pub fn parse(record: &[u8]) -> Result<DocumentRecord, RecordError> {
        let mut fields = Fields::of_record(record, MAX_DOCUMENT_RECORD, DOCUMENT)?;
        let editors = fields.list("editors", MAX_EDITORS, |item| {
            parsed::<Did>(item).ok_or(RecordError::Field { field: "editors", expected: "a list of DIDs" })
        })?;
        let editors = editors.ok_or(RecordError::Missing("editors"))?;
        let former = fields.list("former", MAX_FORMER, FormerEditor::read)?.unwrap_or_default();
        unique("editors", editors.iter())?;
        unique("former", former.iter().map(|former| &former.did))?;
        Ok(DocumentRecord {
            title: clean_title(&fields.required("title", "a text", text)?),
            created_at: fields.required("createdAt", "a date and time", datetime)?,
            format: fields.required("format", "a short name", |value| Format::parse(&text(value)?))?,
            editors,
            former,
            rest: fields.rest().into_iter().filter(|(name, value)| can_be_written(name, value)).collect(),
        })
    }

    /// Whether the record could be read back: with much to be remembered of former editors it can grow too long.
    ///
    /// # Errors
    /// What [`DocumentRecord::parse`] would say.
    pub fn check(&self) -> Result<(), RecordError> {
        let record = json::to_cbor(&self.to_json()).expect("a record is JSON that a PDS takes");
        DocumentRecord::parse(&record).map(|_| ())
    }

    /// Makes a record that remembers too much of former editors one that can be read back: a removal must always be
    /// possible. What goes first is what matters least: deletions of those who left first (newcomers see some text again
    /// that they had deleted), then replicas with the least text (what they wrote no longer counts), then whoever left
    /// first.
    pub fn fit(&mut self) {
        for former in &mut self.former {
            former.replicas.sort_by(|a, b| b.clock.cmp(&a.clock).then_with(|| a.replica.cmp(&b.replica)));
            former.replicas.truncate(MAX_FORMER_REPLICAS);
        }
        let too_many = self.former.len().saturating_sub(MAX_FORMER);
        self.former.drain(..too_many);
        let nothing = Extent::default().deletes();
        while self.check().is_err() {
            let replicas = self.former.iter_mut().flat_map(|former| &mut former.replicas);
            if let Some(replica) = replicas.into_iter().find(|replica| replica.deletes != nothing) {
                replica.deletes = nothing.clone();
            } else if let Some(most) = self.former.iter_mut().max_by_key(|former| former.replicas.len())
                && most.replicas.len() > 1
            {
                most.replicas.truncate(most.replicas.len() / 2);
            } else if self.former.is_empty() {
                break;
            } else {
                self.former.remove(0);
            }
        }
    }

    /// The record in atproto's JSON.
    pub fn to_json(&self) -> serde_json::Value {
        let mut map = match self.known_fields() {
            Ipld::Map(map) => map,
            _ => unreachable!("a record is a map"),
        };
        for (name, value) in &self.rest {
            map.entry(name.clone()).or_insert_with(|| value.clone());
        }
        json::from_ipld(&Ipld::Map(map))
    }

    fn known_fields(&self) -> Ipld {
        let editors = self.editors.iter().map(string).collect();
        let former = (!self.former.is_empty())
            .then(|| ("former", Ipld::List(self.former.iter().map(FormerEditor::write).collect())));
        let fields = [
            ("title", string(&self.title)),
            ("createdAt", string(self.created_at.to_rfc3339())),
            ("format", string(&self.format)),
            ("editors", Ipld::List(editors)),
        ];
        fields::record(DOCUMENT, fields.into_iter().chain(former))
    }
}

impl FormerEditor {
    /// Whether it is what a record may say.
    ///
    /// # Errors
    /// What [`DocumentRecord::parse`] would say of it.
    pub fn check(&self) -> Result<(), RecordError> {
        FormerEditor::read(self.write()).map(|_| ())
    }

    fn read(value: Ipld) -> Result<FormerEditor, RecordError> {
        let mut fields = Fields::of_object(value, "former")?;
        let replicas = fields.list("replicas", MAX_FORMER_REPLICAS, FormerReplica::read)?;
        let replicas = replicas.ok_or(RecordError::Missing("replicas"))?;
        unique("replicas", replicas.iter().map(|former| &former.replica))?;
        Ok(FormerEditor { did: fields.required("did", "a DID", parsed)?, replicas })
    }

    fn write(&self) -> Ipld {
        let replicas = self.replicas.iter().map(FormerReplica::write).collect();
        object([("did", string(&self.did)), ("replicas", Ipld::List(replicas))])
    }
}

impl FormerReplica {
    fn read(value: Ipld) -> Result<FormerReplica, RecordError> {
        let mut fields = Fields::of_object(value, "replicas")?;
        Ok(FormerReplica {
            replica: fields.required("replica", "a replica id", parsed)?,
            clock: fields.required("clock", "a number of 32 bits", number(u32::MAX))?,
            deletes: fields.required("deletes", "a set of deletions, or too many", |value| {
                bytes(MAX_DELETES_BYTES)(value).filter(|deletes| Extent::from_parts(0, deletes).is_ok())
            })?,
        })
    }

    fn write(&self) -> Ipld {
        object([
            ("replica", string(&self.replica)),
            ("clock", Ipld::Integer(self.clock.into())),
            ("deletes", Ipld::Bytes(self.deletes.clone())),
        ])
    }
}

impl Format {
    fn parse(name: &str) -> Option<Format> {
        let valid = (1..=MAX_FORMAT_BYTES).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        valid.then(|| if name == "yjs-v1" { Format::YjsV1 } else { Format::Other(name.to_owned()) })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::YjsV1 => "yjs-v1",
            Format::Other(name) => name,
        })
    }
}

/// Whether a field is the same after it went through JSON. No PDS makes one that is not, but one that lies may serve it: a
/// map that looks like a blob and is none, or one nested too deep.
fn can_be_written(name: &str, value: &Ipld) -> bool {
    let alone = Ipld::Map([(name.to_owned(), value.clone())].into());
    json::to_cbor(&json::from_ipld(&alone)).is_ok_and(|written| written == cbor::encode(&alone))
}

fn unique<'a, T: Ord + 'a>(
    field: &'static str,
    items: impl Iterator<Item = &'a T>,
) -> Result<(), RecordError> {
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(item) {
            return Err(RecordError::Field { field, expected: "a list without repetition" });
        }
    }
    Ok(())
}
