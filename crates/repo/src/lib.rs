//! atproto repos as signed Merkle trees: what is in one, what is not, and the proof of either.
//!
//! Everything an account publishes on atproto stands in its *repo*: records by path, in a Merkle search tree, under a signed
//! commit. So a record is as good as its proof, wherever it came from. This crate reads and checks such proofs, and writes
//! repos for tests and simulations. It knows atproto and nothing of what the records mean.
//!
//! # The contract
//!
//! * It is a function of its inputs: no IO, no clock, no randomness; it runs natively and on wasm32.
//! * Every block is hashed before anything else is done with it ([`blocks::Blocks`] holds nothing unhashed).
//! * A tree is believed only where order, layers and bounds hold ([`mst::walk`]); a missing block is a missing block and
//!   never an absent record.
//! * Signatures are low-S on both curves ([`key::VerifyingKey::verify`]).
//! * Bytes from strangers give `Err` with a sentence, never a panic, and never more memory than their limits say.
//!
//! The shortest way in is [`proof::prove`], which has an example.

pub mod at_uri;
pub mod blocks;
pub mod car;
pub mod cbor;
pub mod cid;
pub mod commit;
pub mod did;
pub mod handle;
pub mod json;
pub mod key;
pub mod mst;
pub mod nsid;
pub mod proof;
pub mod record_key;
pub mod repo;
pub mod tid;

pub use ipld_core::ipld::Ipld;
