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
//! # Reading
//!
//! For one record there is [`proof::prove`]. Whoever follows a repo goes the same way in steps, so as to keep what was fetched
//! before: [`car::parse`], [`commit::Commit::verify`], and [`mst::walk`] over the ranges of interest until nothing is missing.
//!
//! ```
//! use sheaf_repo::{car, commit::Commit, key::SigningKey, mst::{self, KeyRange, Walk}, repo::Repo, tid::Tid};
//!
//! // What an account's server would hold,
//! let key = SigningKey::p256(&[7; 32])?;
//! let mut repo = Repo::new("did:web:alice.example".parse()?, key.clone(), Tid::from_micros(1, 0));
//! let note = sheaf_repo::json::to_cbor(&serde_json::json!({ "$type": "app.example.note", "text": "שלום 👋" }))?;
//! repo.put("app.example.note/one", note, Tid::from_micros(2, 0));
//! repo.put("app.example.other/one", b"\xa0".to_vec(), Tid::from_micros(3, 0));
//!
//! // and what a stranger makes of it: a CAR whose blocks are what they say, a commit that the account's key signed,
//! let limits = car::CarLimits { max_bytes: 1 << 20, max_blocks: 1_000, max_block_bytes: 1 << 20 };
//! let car = car::parse(&repo.export_car(), &limits)?;
//! let commit = Commit::parse(car.blocks.get(&car.roots[0]).ok_or("no commit")?)?;
//! commit.verify(&key.verifying_key())?;
//!
//! // and all that is in a range of its tree, or else what is still to be fetched.
//! let notes = KeyRange::new("app.example.note/", "app.example.note0");
//! match mst::walk(commit.data(), &car.blocks, &[notes])? {
//!     Walk::Complete { entries, .. } => assert_eq!(entries.into_keys().collect::<Vec<_>>(), ["app.example.note/one"]),
//!     Walk::Missing { cids } => println!("fetch {cids:?} and walk again"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
