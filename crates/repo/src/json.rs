//! Between atproto's JSON, which is what one writes, and DAG-CBOR, which is what a repo holds.
//!
//! Spec: <https://atproto.com/specs/data-model>

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ipld_core::ipld::Ipld;
use serde_json::Value;

use crate::{
    cbor,
    cid::{self, Cid},
};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why JSON is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A number that is no 64-bit integer.
    #[error("a record cannot hold this number")]
    Number,
    /// `$bytes` or `$link` with something wrong behind it.
    #[error("a malformed {0}")]
    Special(&'static str),
    /// Nested too deep.
    #[error("nests too deep")]
    TooDeep,
}

/// The record as DAG-CBOR, as a PDS stores it.
pub fn to_cbor(value: &Value) -> Result<Vec<u8>, JsonError> {
    Ok(cbor::encode(&to_ipld(value, 0)?))
}

/// The value of a JSON text, in IPLD's terms.
pub fn to_ipld(value: &Value, depth: usize) -> Result<Ipld, JsonError> {
    if depth > 60 {
        return Err(JsonError::TooDeep);
    }
    Ok(match value {
        Value::Null => Ipld::Null,
        Value::Bool(b) => Ipld::Bool(*b),
        Value::Number(n) => Ipld::Integer(n.as_i64().ok_or(JsonError::Number)?.into()),
        Value::String(s) => Ipld::String(s.clone()),
        Value::Array(items) => {
            Ipld::List(items.iter().map(|v| to_ipld(v, depth + 1)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => {
            if let (1, Some(bytes)) = (map.len(), map.get("$bytes")) {
                let text = bytes.as_str().ok_or(JsonError::Special("$bytes"))?;
                return BASE64.decode(text).map(Ipld::Bytes).map_err(|_| JsonError::Special("$bytes"));
            }
            if let (1, Some(link)) = (map.len(), map.get("$link")) {
                let cid: Option<Cid> = link.as_str().and_then(|text| text.parse().ok());
                return cid.filter(cid::is_allowed).map(Ipld::Link).ok_or(JsonError::Special("$link"));
            }
            let fields = map.iter().map(|(key, v)| Ok((key.clone(), to_ipld(v, depth + 1)?)));
            Ipld::Map(fields.collect::<Result<_, JsonError>>()?)
        }
    })
}

/// The JSON of an IPLD value.
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
        Ipld::Link(cid) => serde_json::json!({ "$link": cid.to_string() }),
    }
}

/// Bytes as atproto's JSON writes them.
pub fn bytes_json(bytes: &[u8]) -> Value {
    serde_json::json!({ "$bytes": BASE64.encode(bytes) })
}
