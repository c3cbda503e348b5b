//! A record's fields, one by one: the only code that looks into a stranger's map.

use std::collections::BTreeMap;

use sheaf_repo::{Ipld, cbor};

use super::RecordError;
use crate::time::Timestamp;

/// What is left of a record while it is read.
pub(super) struct Fields(BTreeMap<String, Ipld>);

impl Fields {
    /// Decodes a record of at most `most` bytes with this `$type`.
    pub(super) fn of_record(
        bytes: &[u8],
        most: usize,
        expected: &'static str,
    ) -> Result<Fields, RecordError> {
        if bytes.len() > most {
            return Err(RecordError::TooLong { len: bytes.len(), most });
        }
        let value = cbor::decode(bytes).map_err(|e| RecordError::NotAMap(e.to_string()))?;
        let Ipld::Map(map) = value else { return Err(RecordError::NotAMap("it is another value".into())) };
        let mut fields = Fields(map);
        match fields.0.remove("$type") {
            Some(Ipld::String(found)) if found == expected => Ok(fields),
            _ => Err(RecordError::OtherType { expected }),
        }
    }

    /// The fields of an object inside a record.
    pub(super) fn of_object(value: Ipld, field: &'static str) -> Result<Fields, RecordError> {
        match value {
            Ipld::Map(map) => Ok(Fields(map)),
            _ => Err(RecordError::Field { field, expected: "an object" }),
        }
    }

    /// What nobody asked for.
    pub(super) fn rest(self) -> BTreeMap<String, Ipld> {
        self.0
    }

    /// A field that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        field: &'static str,
        expected: &'static str,
        read: impl FnOnce(Ipld) -> Option<T>,
    ) -> Result<Option<T>, RecordError> {
        match self.0.remove(field) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or(RecordError::Field { field, expected }),
        }
    }

    /// A field that every such record has.
    pub(super) fn required<T>(
        &mut self,
        field: &'static str,
        expected: &'static str,
        read: impl FnOnce(Ipld) -> Option<T>,
    ) -> Result<T, RecordError> {
        self.optional(field, expected, read)?.ok_or(RecordError::Missing(field))
    }

    /// A list of at most `most` items, which each are read by themselves.
    pub(super) fn list<T>(
        &mut self,
        field: &'static str,
        most: usize,
        read: impl FnMut(Ipld) -> Result<T, RecordError>,
    ) -> Result<Option<Vec<T>>, RecordError> {
        let list = self.optional(field, "a list, or too long a one", |value| match value {
            Ipld::List(items) if items.len() <= most => Some(items),
            _ => None,
        })?;
        list.map(|items| items.into_iter().map(read).collect()).transpose()
    }
}

pub(super) fn text(value: Ipld) -> Option<String> {
    match value {
        Ipld::String(text) => Some(text),
        _ => None,
    }
}

/// A text with a strict form of its own.
pub(super) fn parsed<T: std::str::FromStr>(value: Ipld) -> Option<T> {
    text(value)?.parse().ok()
}

pub(super) fn datetime(value: Ipld) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(&text(value)?).ok()
}

pub(super) fn number(most: u32) -> impl FnOnce(Ipld) -> Option<u32> {
    move |value| match value {
        Ipld::Integer(number) => u32::try_from(number).ok().filter(|number| *number <= most),
        _ => None,
    }
}

pub(super) fn boolean(value: Ipld) -> Option<bool> {
    match value {
        Ipld::Bool(value) => Some(value),
        _ => None,
    }
}

pub(super) fn bytes(most: usize) -> impl FnOnce(Ipld) -> Option<Vec<u8>> {
    move |value| match value {
        Ipld::Bytes(bytes) if bytes.len() <= most => Some(bytes),
        _ => None,
    }
}

/// A record to be written: its fields with its `$type`.
pub(super) fn record(kind: &str, fields: impl IntoIterator<Item = (&'static str, Ipld)>) -> Ipld {
    let kind = ("$type", Ipld::String(kind.to_owned()));
    object(std::iter::once(kind).chain(fields))
}

pub(super) fn object(fields: impl IntoIterator<Item = (&'static str, Ipld)>) -> Ipld {
    Ipld::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub(super) fn string(text: impl ToString) -> Ipld {
    Ipld::String(text.to_string())
}
