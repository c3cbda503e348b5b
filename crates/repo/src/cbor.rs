//! DAG-CBOR, strictly: what does not re-encode to itself is refused, so that one value has one encoding and one CID.

use ipld_core::ipld::Ipld;

/// A record or node nests at most this deep.
const MAX_DEPTH: usize = 64;

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
    /// It nests too deep.
    #[error("nests too deep")]
    TooDeep,
}

/// Reads one value that fills the bytes.
pub fn decode(bytes: &[u8]) -> Result<Ipld, CborError> {
    guard_depth(bytes)?;
    let value: Ipld = serde_ipld_dagcbor::from_slice(bytes).map_err(|_| CborError::Malformed)?;
    check(&value)?;
    if encode(&value) != bytes {
        return Err(CborError::NotCanonical);
    }
    Ok(value)
}

/// Writes a value.
pub fn encode(value: &Ipld) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("an IPLD value without odd floats always encodes")
}

fn check(value: &Ipld) -> Result<(), CborError> {
    match value {
        Ipld::Float(_) => Err(CborError::Float),
        Ipld::List(items) => items.iter().try_for_each(check),
        Ipld::Map(map) => map.values().try_for_each(check),
        _ => Ok(()),
    }
}

/// The decoder recurses: refuse bytes that nest too deep before it sees them. Scans headers only, without allocating.
fn guard_depth(bytes: &[u8]) -> Result<(), CborError> {
    let mut open: [u64; MAX_DEPTH] = [0; MAX_DEPTH];
    let mut depth = 0;
    let mut at = 0;
    loop {
        let first = *bytes.get(at).ok_or(CborError::Malformed)?;
        at += 1;
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
