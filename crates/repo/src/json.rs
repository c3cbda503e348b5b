//! Between atproto's JSON, which is what one writes, and DAG-CBOR, which is what a repo holds.
//!
//! Spec: <https://atproto.com/specs/data-model>

use std::collections::BTreeMap;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ipld_core::ipld::Ipld;
use serde_json::{Map, Number, Value};

use crate::{cbor, cid};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest record there may be, as DAG-CBOR and in bytes.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// A link at this depth counts one level more in DAG-CBOR, and what it stands in one less.
const MAX_DEPTH: usize = cbor::MAX_DEPTH - 2;
/// Up to here a JavaScript number is the integer it looks like.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

/// Why JSON is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A record is an object.
    #[error("a record is an object")]
    NotAnObject,
    /// A number that is no 64-bit integer.
    #[error("a record cannot hold this number")]
    Number,
    /// `$bytes`, `$link`, `$type` or `blob` with something wrong behind it.
    #[error("a malformed {0}")]
    Special(&'static str),
    /// Nested too deep.
    #[error("nests too deep")]
    TooDeep,
    /// More than [`MAX_RECORD_BYTES`], or more items than [`cbor::MAX_ITEMS`].
    #[error("larger than a record may be")]
    TooLarge,
}

/// The record as DAG-CBOR, as a PDS stores it; [`cid::of_record`] of it is the record's CID. What it gives, [`cbor::decode`]
/// takes.
///
/// ```
/// use sheaf_repo::{cbor, json};
///
/// let record = serde_json::json!({ "$type": "app.example.note", "key": { "$bytes": "AQID" } });
/// let bytes = json::to_cbor(&record)?;
/// assert_eq!(json::from_ipld(&cbor::decode(&bytes)?), record);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_cbor(record: &Value) -> Result<Vec<u8>, JsonError> {
    if !record.is_object() {
        return Err(JsonError::NotAnObject);
    }
    let value @ Ipld::Map(_) = to_ipld(record)? else { return Err(JsonError::NotAnObject) };
    let bytes = cbor::encode(&value);
    if bytes.len() > MAX_RECORD_BYTES || cbor::guard_shape(&bytes).is_err() {
        return Err(JsonError::TooLarge);
    }
    Ok(bytes)
}

/// The value that JSON stands for, in IPLD's terms.
pub fn to_ipld(value: &Value) -> Result<Ipld, JsonError> {
    value_at(value, 0)
}

fn value_at(value: &Value, depth: usize) -> Result<Ipld, JsonError> {
    if depth > MAX_DEPTH {
        return Err(JsonError::TooDeep);
    }
    Ok(match value {
        Value::Null => Ipld::Null,
        Value::Bool(b) => Ipld::Bool(*b),
        Value::Number(n) => Ipld::Integer(integer(n)?.into()),
        Value::String(s) => Ipld::String(s.clone()),
        Value::Array(items) => {
            Ipld::List(items.iter().map(|v| value_at(v, depth + 1)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => return object_at(map, depth),
    })
}

fn integer(n: &Number) -> Result<i64, JsonError> {
    // 123.0 is how some write 123; JSON knows no difference.
    let whole = |n: &f64| n.fract() == 0.0 && n.abs() <= MAX_EXACT;
    n.as_i64()
        .or_else(|| n.as_f64().filter(|_| n.is_f64()).filter(whole).map(|n| n as i64))
        .ok_or(JsonError::Number)
}

fn object_at(map: &Map<String, Value>, depth: usize) -> Result<Ipld, JsonError> {
    if let Some(bytes) = map.get("$bytes") {
        let text = bytes.as_str().filter(|_| map.len() == 1).ok_or(JsonError::Special("$bytes"))?;
        return BASE64.decode(text).map(Ipld::Bytes).map_err(|_| JsonError::Special("$bytes"));
    }
    if let Some(link) = map.get("$link") {
        let text = link.as_str().filter(|_| map.len() == 1).ok_or(JsonError::Special("$link"))?;
        return cid::parse(text).map(Ipld::Link).map_err(|_| JsonError::Special("$link"));
    }
    let fields = map.iter().map(|(key, v)| Ok((key.clone(), value_at(v, depth + 1)?)));
    let fields: BTreeMap<String, Ipld> = fields.collect::<Result<_, JsonError>>()?;
    match fields.get("$type") {
        None => {}
        Some(Ipld::String(kind)) if kind == "blob" => check_blob(&fields)?,
        Some(Ipld::String(kind)) if !kind.is_empty() => {}
        Some(_) => return Err(JsonError::Special("$type")),
    }
    Ok(Ipld::Map(fields))
}

fn check_blob(fields: &BTreeMap<String, Ipld>) -> Result<(), JsonError> {
    let reference = matches!(fields.get("ref"), Some(Ipld::Link(_)));
    let kind = matches!(fields.get("mimeType"), Some(Ipld::String(_)));
    let size = matches!(fields.get("size"), Some(Ipld::Integer(n)) if *n >= 0);
    if reference && kind && size { Ok(()) } else { Err(JsonError::Special("blob")) }
}

/// The JSON of an IPLD value as [`cbor::decode`] gives it. Numbers that atproto does not know become `null`.
pub fn from_ipld(value: &Ipld) -> Value {
    match value {
        Ipld::Null => Value::Null,
        Ipld::Bool(b) => Value::Bool(*b),
        Ipld::Integer(n) => i64::try_from(*n).map_or(Value::Null, Value::from),
        Ipld::Float(n) => serde_json::Number::from_f64(*n).map_or(Value::Null, Value::Number),
        Ipld::String(s) => Value::String(s.clone()),
        Ipld::Bytes(bytes) => bytes_json(bytes),
        Ipld::List(items) => Value::Array(items.iter().map(from_ipld).collect()),
        Ipld::Map(map) => Value::Object(map.iter().map(|(key, v)| (key.clone(), from_ipld(v))).collect()),
        Ipld::Link(cid) => serde_json::json!({ "$link": cid::text(cid) }),
    }
}

/// Bytes as atproto's JSON writes them.
pub fn bytes_json(bytes: &[u8]) -> Value {
    serde_json::json!({ "$bytes": BASE64.encode(bytes) })
}
