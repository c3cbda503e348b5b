//! Sheaf's engine: what a collaborative document is, who may change it, what is believed, what is sent and when.
//!
//! Every editor of a document keeps their edits as records in their own signed atproto repo. This crate is the part that
//! decides, and nothing else: it is a function of its inputs. Events and time go in, effects come out as values; there is
//! no IO, clock, randomness, thread or async in it, so that a day of collaboration with every kind of failure runs in a
//! test in milliseconds, the same every time. `sheaf-client` drives it against the real world.
//!
//! The heart is [`replica::Replica`], one open document on one device:
//!
//! ```
//! use sheaf_core::{replica::{Effect, Event, Replica, ReplicaConfig}, text::{Splice, Utf16Offset}, time::Timestamp};
//!
//! let config = ReplicaConfig {
//!     document: "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse()?,
//!     account: Some("did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse()?),
//!     replica: "laptop".parse()?,
//!     adopt: vec![],
//!     via: vec![],
//!     session: None,
//!     name: Some("Ada".into()),
//!     seed: 1,
//! };
//! let now = Timestamp::from_millis(1_780_000_000_000);
//! let (mut replica, effects) = Replica::create(config, "Notes", vec![], now);
//! let _ = replica.handle(now, Event::Online(false)); // a document needs no network to begin with
//! for effect in effects {
//!     if let Effect::Persist(batch) = effect {
//!         let _ = replica.handle(now, Event::Stored(batch.id)); // the driver answers each effect with one event
//!     }
//! }
//!
//! // Typing changes the text at once; what comes out is the wish to make it durable. Only when the store has confirmed
//! // that does anything leave the device.
//! let effects = replica.handle(now, Event::Edit(vec![Splice { at: Utf16Offset(0), delete: 0, insert: "Hello".into() }]));
//! assert_eq!(replica.text(), "Hello");
//! assert!(matches!(effects[0], Effect::Persist(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Around it, each in its own module: the text ([`document`]), the strict scanner that every foreign update passes
//! ([`door`]), the records ([`record`], [`segment`]), what is verified of each editor's repo ([`repo_view`]), what waits to
//! be published ([`outbox`], [`budget`]), who may write ([`editors`]), who is here ([`awareness`]), what was written when
//! ([`history`]), what reaches the others before any repo ([`live`]), and what to send to somebody who is to read it ([`document_link`]).

pub mod archive;
mod as_text;
pub mod awareness;
pub mod budget;
mod cbor;
pub mod client_id;
pub mod document;
pub mod document_link;
pub mod document_uri;
pub mod door;
pub mod editors;
pub mod extent;
pub mod history;
pub mod live;
pub mod outbox;
pub mod record;
pub mod replica;
pub mod repo_view;
pub mod segment;
pub mod sticky;
pub mod text;
pub mod time;
