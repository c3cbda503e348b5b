//! Content identifiers, of the kinds atproto uses: CIDv1, SHA-256, DAG-CBOR or raw.
//!
//! Spec: <https://atproto.com/specs/data-model#link-and-cid-formats>

pub use ipld_core::cid::Cid;
use ipld_core::cid::{Version, multihash::Multihash};
use sha2::{Digest, Sha256};

/// Multicodec of DAG-CBOR: records, nodes, commits.
pub const DAG_CBOR: u64 = 0x71;
/// Multicodec of raw bytes: blobs.
pub const RAW: u64 = 0x55;
/// A CID as text has this many characters, and not one more or less.
pub const TEXT_LEN: usize = 59;
const SHA2_256: u64 = 0x12;

/// Why text is no CID of a kind that atproto uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a CID of a kind that atproto uses")]
pub struct CidError;

/// The digits of base32 as RFC 4648 has them, in lower case.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Reads a CID in the one text form that atproto writes: `b` and lower-case base32. Unlike `Cid`'s own `FromStr`, it knows no
/// other bases, kinds and hashes, and so does not bring along the tables of two dozen bases.
///
/// ```
/// use sheaf_repo::cid;
///
/// let text = "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";
/// assert_eq!(cid::text(&cid::parse(text)?), text);
/// assert!(cid::parse(&text.to_uppercase()).is_err());
/// # Ok::<(), cid::CidError>(())
/// ```
///
/// # Errors
/// [`CidError`] for anything else.
pub fn parse(text: &str) -> Result<Cid, CidError> {
    let digits = text.strip_prefix('b').filter(|_| text.len() == TEXT_LEN).ok_or(CidError)?;
    let mut bytes = Vec::with_capacity(36);
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits.bytes() {
        let value = DIGITS.iter().position(|known| *known == digit).ok_or(CidError)?;
        bits = bits << 5 | value as u32;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over must be nothing: a CID has one spelling.
    if bits != 0 {
        return Err(CidError);
    }
    Cid::try_from(&bytes[..]).ok().filter(is_allowed).ok_or(CidError)
}

/// A CID as atproto writes it, the inverse of [`parse`].
pub fn text(cid: &Cid) -> String {
    let mut text = String::with_capacity(TEXT_LEN);
    text.push('b');
    let (mut bits, mut count) = (0u32, 0);
    for byte in cid.to_bytes() {
        bits = bits << 8 | u32::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(DIGITS[(bits >> count) as usize & 31]));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        text.push(char::from(DIGITS[(bits << (5 - count)) as usize & 31]));
    }
    text
}

/// The CID of a DAG-CBOR block, such as a record.
pub fn of_record(bytes: &[u8]) -> Cid {
    of(DAG_CBOR, bytes)
}

fn of(codec: u64, bytes: &[u8]) -> Cid {
    let digest = Sha256::digest(bytes);
    Cid::new_v1(codec, Multihash::wrap(SHA2_256, &digest).expect("32 bytes fit a 64-byte multihash"))
}

/// Whether a CID is of a kind that atproto allows.
pub fn is_allowed(cid: &Cid) -> bool {
    cid.version() == Version::V1
        && matches!(cid.codec(), DAG_CBOR | RAW)
        && cid.hash().code() == SHA2_256
        && cid.hash().size() == 32
}

/// Whether a CID is allowed and names DAG-CBOR, as those of records, nodes and commits do.
pub fn is_dag_cbor(cid: &Cid) -> bool {
    is_allowed(cid) && cid.codec() == DAG_CBOR
}

/// The CID of a blob: its bytes as they are.
pub fn of_blob(bytes: &[u8]) -> Cid {
    of(RAW, bytes)
}

/// Whether the bytes hash to the CID.
pub fn is_of(cid: &Cid, bytes: &[u8]) -> bool {
    is_allowed(cid) && cid.hash().digest() == &Sha256::digest(bytes)[..]
}
