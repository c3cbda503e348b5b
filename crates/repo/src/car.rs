//! CAR v1: a header that names roots, then blocks. Every block is hashed on the way in.
//!
//! Spec: <https://ipld.io/specs/transport/car/carv1/>

use ipld_core::ipld::Ipld;

use crate::{
    blocks::{Blocks, WrongBlock},
    cbor,
    cid::{self, Cid},
};

/// A header names at most this many roots. Proofs name one or none, an archive of several repos one for each.
pub const MAX_ROOTS: usize = 256;
/// The longest header there may be, in bytes.
const MAX_HEADER_BYTES: usize = 12 * 1024;
/// A CID of a kind that atproto uses, in bytes.
const CID_BYTES: usize = 36;

/// How much of a CAR from outside is taken.
#[derive(Debug, Clone, Copy)]
pub struct CarLimits {
    /// The whole file, in bytes.
    pub max_bytes: usize,
    /// How many blocks.
    pub max_blocks: usize,
    /// One block without its CID, in bytes.
    pub max_block_bytes: usize,
}

/// A CAR whose blocks are all what their CIDs say.
#[derive(Debug, Clone)]
pub struct Car {
    /// What the header names as roots; they need not be among the blocks.
    pub roots: Vec<Cid>,
    /// The blocks.
    pub blocks: Blocks,
}

/// Why bytes are no CAR to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CarError {
    /// Larger than the limits allow.
    #[error("the CAR is larger than allowed")]
    TooLarge,
    /// It ends in the middle.
    #[error("the CAR is cut short")]
    Truncated,
    /// A length is not written the one way it can be.
    #[error("the CAR has a malformed length")]
    BadVarint,
    /// The header is not one.
    #[error("the CAR's header is malformed")]
    BadHeader,
    /// A block's CID is malformed or of a kind atproto does not use.
    #[error("the CAR has a CID of an unknown kind")]
    BadCid,
    /// A block is not what its CID says.
    #[error(transparent)]
    WrongBlock(#[from] WrongBlock),
}

/// Reads a CAR, hashing every block. Never takes more memory than the CAR itself and a little for each of its blocks.
pub fn parse(bytes: &[u8], limits: &CarLimits) -> Result<Car, CarError> {
    if bytes.len() > limits.max_bytes {
        return Err(CarError::TooLarge);
    }
    let mut rest = bytes;
    let header = section(&mut rest, MAX_HEADER_BYTES)?.ok_or(CarError::Truncated)?;
    let roots = read_header(header)?;
    let mut blocks = Blocks::default();
    let mut count = 0;
    while let Some(body) = section(&mut rest, limits.max_block_bytes.saturating_add(CID_BYTES))? {
        count += 1;
        if count > limits.max_blocks {
            return Err(CarError::TooLarge);
        }
        let mut reader = body;
        let cid = Cid::read_bytes(&mut reader).map_err(|_| CarError::BadCid)?;
        if !cid::is_allowed(&cid) {
            return Err(CarError::BadCid);
        }
        blocks.insert(cid, reader.to_vec())?;
    }
    Ok(Car { roots, blocks })
}

/// Writes a CAR with these roots and these blocks, in this order.
pub fn write<'a>(
    roots: impl IntoIterator<Item = &'a Cid>,
    blocks: impl IntoIterator<Item = (&'a Cid, &'a [u8])>,
) -> Vec<u8> {
    let roots = roots.into_iter().map(|cid| Ipld::Link(*cid)).collect();
    let header =
        Ipld::Map([("roots".to_owned(), Ipld::List(roots)), ("version".to_owned(), Ipld::Integer(1))].into());
    let header = cbor::encode(&header);
    let mut out = Vec::new();
    write_varint(&mut out, header.len() as u64);
    out.extend(header);
    for (cid, bytes) in blocks {
        let cid = cid.to_bytes();
        write_varint(&mut out, (cid.len() + bytes.len()) as u64);
        out.extend(cid);
        out.extend_from_slice(bytes);
    }
    out
}

fn read_header(bytes: &[u8]) -> Result<Vec<Cid>, CarError> {
    let Ok(Ipld::Map(header)) = cbor::decode(bytes) else { return Err(CarError::BadHeader) };
    if header.len() != 2 || header.get("version") != Some(&Ipld::Integer(1)) {
        return Err(CarError::BadHeader);
    }
    let Some(Ipld::List(roots)) = header.get("roots") else { return Err(CarError::BadHeader) };
    if roots.len() > MAX_ROOTS {
        return Err(CarError::BadHeader);
    }
    let roots: Option<Vec<Cid>> = roots
        .iter()
        .map(|root| match root {
            Ipld::Link(cid) => Some(*cid),
            _ => None,
        })
        .collect();
    roots.ok_or(CarError::BadHeader)
}

fn section<'a>(rest: &mut &'a [u8], max: usize) -> Result<Option<&'a [u8]>, CarError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let len = read_varint(rest)?;
    let len = usize::try_from(len).ok().filter(|len| *len <= max).ok_or(CarError::TooLarge)?;
    if len > rest.len() {
        return Err(CarError::Truncated);
    }
    let (body, after) = rest.split_at(len);
    *rest = after;
    Ok(Some(body))
}

/// LEB128 in its shortest form, at most nine bytes.
fn read_varint(rest: &mut &[u8]) -> Result<u64, CarError> {
    let mut value = 0u64;
    for n in 0..9 {
        let (&byte, after) = rest.split_first().ok_or(CarError::Truncated)?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return if byte == 0 && n > 0 { Err(CarError::BadVarint) } else { Ok(value) };
        }
    }
    Err(CarError::BadVarint)
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
