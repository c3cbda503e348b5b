//! Content identifiers, of the kinds atproto uses: CIDv1, SHA-256, DAG-CBOR or raw.

pub use ipld_core::cid::Cid;
use ipld_core::cid::multihash::Multihash;
use sha2::{Digest, Sha256};

/// Multicodec of DAG-CBOR: records, nodes, commits.
pub const DAG_CBOR: u64 = 0x71;
/// Multicodec of raw bytes: blobs.
pub const RAW: u64 = 0x55;
const SHA2_256: u64 = 0x12;

/// The CID of a DAG-CBOR block, such as a record.
pub fn of_record(bytes: &[u8]) -> Cid {
    let digest = Sha256::digest(bytes);
    Cid::new_v1(DAG_CBOR, Multihash::wrap(SHA2_256, &digest).expect("32 bytes fit a 64-byte multihash"))
}

/// Whether a CID is of a kind that atproto allows.
pub fn is_allowed(cid: &Cid) -> bool {
    cid.version() == ipld_core::cid::Version::V1
        && matches!(cid.codec(), DAG_CBOR | RAW)
        && cid.hash().code() == SHA2_256
        && cid.hash().size() == 32
}

/// Whether the bytes hash to the CID.
pub fn is_of(cid: &Cid, bytes: &[u8]) -> bool {
    is_allowed(cid) && cid.hash().digest() == &Sha256::digest(bytes)[..]
}
