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

/// Reads a CID in the one text form that atproto writes: `b` and lower-case base32. Unlike `Cid`'s own `FromStr`, which
/// knows many bases, kinds and hashes.
///
/// ```
/// use sheaf_repo::cid;
///
/// let text = "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";
/// assert_eq!(cid::parse(text)?.to_string(), text);
/// assert!(cid::parse(&text.to_uppercase()).is_err());
/// # Ok::<(), cid::CidError>(())
/// ```
pub fn parse(text: &str) -> Result<Cid, CidError> {
    if text.len() != TEXT_LEN {
        return Err(CidError);
    }
    let cid: Cid = text.parse().map_err(|_| CidError)?;
    if is_allowed(&cid) && cid.to_string() == text { Ok(cid) } else { Err(CidError) }
}

/// The CID of a DAG-CBOR block, such as a record.
pub fn of_record(bytes: &[u8]) -> Cid {
    let digest = Sha256::digest(bytes);
    Cid::new_v1(DAG_CBOR, Multihash::wrap(SHA2_256, &digest).expect("32 bytes fit a 64-byte multihash"))
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

/// Whether the bytes hash to the CID.
pub fn is_of(cid: &Cid, bytes: &[u8]) -> bool {
    is_allowed(cid) && cid.hash().digest() == &Sha256::digest(bytes)[..]
}
