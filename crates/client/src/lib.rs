//! Drives [`sheaf_core`] against the real world, natively and in the browser with the same code.
//!
//! Core decides; this crate does. It looks accounts up, reads repos over HTTP, listens to doorbells, keeps things on the
//! device, writes in the account's name, and runs the one loop that carries out core's effects. Nothing it brings from the
//! network changes a document: core verifies every byte.
//!
//! # The contract
//!
//! * Opening, reading and editing never wait for a network, and an edit is durable here before it is sent anywhere.
//! * Every answer from outside has a time limit and a size limit, and is parsed in one place or refused with a reason.
//! * Everything is `!Send` and lives on one thread: natively a current-thread tokio runtime with a `LocalSet` around it, in
//!   the browser its own loop. Where the platforms differ, a module has a `native` and a `browser` half behind one face.
//!
//! # A document that nobody's network has seen
//!
//! ```
//! use std::rc::Rc;
//! use sheaf_client::{Client, Parts, config::NetworkConfig, slots::MemoryLocks, store::Memory};
//!
//! # #[cfg(not(target_arch = "wasm32"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! tokio::task::LocalSet::new().block_on(&runtime, async {
//!     let client = Client::new(Parts {
//!         config: NetworkConfig::from_json(r#"{ "plc": "http://localhost:1", "doh": null, "jetstream": [] }"#)?,
//!         store: Rc::new(Memory::new()),
//!         locks: Rc::new(MemoryLocks::new()),
//!         account: None,
//!         name: None,
//!     });
//!     let link = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse()?;
//!     let document = client.open(&link).await?;
//!     assert_eq!(document.text(), "");
//!     assert_eq!(document.status().sentence(), "Looking for the document");
//!     document.close().await;
//!     Ok(())
//! })
//! # }
//! # #[cfg(target_arch = "wasm32")]
//! # fn main() {}
//! ```

mod client;
pub mod config;
mod driver;
mod handle;
mod library;
pub mod net;
mod notes;
pub mod platform;
mod secrets;
pub mod session;
mod signal;
pub mod slots;
pub mod store;

pub use client::{Client, ForgetError, OpenError, Parts};
pub use driver::Change;
pub use handle::{DocumentHandle, Subscription};
pub use library::{LibraryEntry, LibraryError};
pub use net::identity::{Account, AccountError};
