//! DAG-CBOR, strictly: what does not re-encode to itself is refused, so that one value has one encoding and one CID.
//!
//! Spec: <https://atproto.com/specs/data-model>

use ipld_core::ipld::Ipld;

use crate::cid;

/// A record or node nests at most this deep; a link counts as one level.
pub const MAX_DEPTH: usize = 64;
/// The longest value that is read, in bytes: twice what a PDS takes as a record.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// A value has at most this many items: map keys, and values at any depth. Decoded, one takes about a hundred bytes, however
/// short it was written.
pub const MAX_ITEMS: usize = 1 << 16;

/// Why bytes are no DAG-CBOR of atproto's kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// Not DAG-CBOR at all.
    #[error("not DAG-CBOR")]
    Malformed,
    /// DAG-CBOR that is not written the one way it can be.
    #[error("not canonical DAG-CBOR")]
    NotCanonical,
    /// It has a floating-point number, which atproto's data model forbids.
    #[error("has a floating-point number")]
    Float,
    /// It has an integer that 64 bits with a sign do not hold.
    #[error("has an integer beyond 64 bits")]
    Integer,
    /// It has a link of a kind that atproto does not use.
    #[error("has a CID of an unknown kind")]
    Link,
    /// It nests too deep.
    #[error("nests too deep")]
    TooDeep,
    /// It is longer, or has more items, than the limits allow.
    #[error("larger than allowed")]
    TooLarge,
}

/// Reads one value that fills the bytes. What it gives holds no floats, only 64-bit integers, and only links of the kinds
/// that atproto uses.
pub fn decode(bytes: &[u8]) -> Result<Ipld, CborError> {
    if bytes.len() > MAX_BYTES {
        return Err(CborError::TooLarge);
    }
    guard_shape(bytes)?;
    let value: Ipld = serde_ipld_dagcbor::from_slice(bytes).map_err(|_| CborError::Malformed)?;
    check(&value)?;
    if encode(&value) != bytes {
        return Err(CborError::NotCanonical);
    }
    Ok(value)
}

/// Writes a value of one's own.
///
/// # Panics
///
/// When the value has a NaN, an infinity or an integer beyond 64 bits, which no value read by this crate has.
pub fn encode(value: &Ipld) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("an IPLD value without odd numbers always encodes")
}

fn check(value: &Ipld) -> Result<(), CborError> {
    match value {
        Ipld::Float(_) => Err(CborError::Float),
        Ipld::Integer(n) if i64::try_from(*n).is_err() => Err(CborError::Integer),
        Ipld::Link(link) if !cid::is_allowed(link) => Err(CborError::Link),
        Ipld::List(items) => items.iter().try_for_each(check),
        Ipld::Map(map) => map.values().try_for_each(check),
        _ => Ok(()),
    }
}

/// The decoder recurses and allocates: refuse bytes that nest too deep or hold too many items before it sees them. Scans
/// headers only, without allocating.
pub(crate) fn guard_shape(bytes: &[u8]) -> Result<(), CborError> {
    let mut items = 0;
    let mut open: [u64; MAX_DEPTH] = [0; MAX_DEPTH];
    let mut depth = 0;
    let mut at = 0;
    loop {
        let first = *bytes.get(at).ok_or(CborError::Malformed)?;
        at += 1;
        items += 1;
        if items > MAX_ITEMS {
            return Err(CborError::TooLarge);
        }
        let argument = match first & 0x1f {
            small @ 0..=23 => u64::from(small),
            long @ 24..=27 => {
                let len = 1usize << (long - 24);
                let slice = bytes.get(at..at + len).ok_or(CborError::Malformed)?;
                at += len;
                slice.iter().fold(0u64, |n, b| n << 8 | u64::from(*b))
            }
            _ => return Err(CborError::Malformed),
        };
        let children = match first >> 5 {
            0 | 1 | 7 => 0,
            2 | 3 => {
                let len = usize::try_from(argument).map_err(|_| CborError::Malformed)?;
                at = at.checked_add(len).filter(|end| *end <= bytes.len()).ok_or(CborError::Malformed)?;
                0
            }
            4 => argument,
            5 => argument.checked_mul(2).ok_or(CborError::Malformed)?,
            _ => 1,
        };
        if children > (bytes.len() - at) as u64 {
            return Err(CborError::Malformed);
        }
        if children > 0 {
            if depth == MAX_DEPTH {
                return Err(CborError::TooDeep);
            }
            open[depth] = children;
            depth += 1;
            continue;
        }
        // One value is complete; so may be those around it.
        loop {
            if depth == 0 {
                return if at == bytes.len() { Ok(()) } else { Err(CborError::Malformed) };
            }
            open[depth - 1] -= 1;
            if open[depth - 1] > 0 {
                break;
            }
            depth -= 1;
        }
    }
}
