//! The transport of Sheaf's live channel: links between endpoints over [iroh], natively with hole punching, in the browser over
//! relays alone, encrypted from end to end in both.
//!
//! It moves frames and knows nothing of what is in them, of accounts or of documents: a *topic* is any text that two sides
//! have in common. What to believe of a peer is decided elsewhere (`sheaf_core::live`); what this crate vouches for is that the
//! other end of a link holds the secret of the endpoint that the link is said to be with.
//!
//! # The contract
//!
//! * Frames of a link arrive whole, in order and once, or the link ends.
//! * A link that cannot be written to as fast as it is sent to is ended, and no other suffers by it: at most [`QUEUE`] frames
//!   wait for one peer.
//! * Every [`Transport::dial`] is answered by one [`Happening::Linked`] with `dialled`, or one [`Happening::NotReached`].
//! * Nobody is looked up: an endpoint is reached through the relay that its record names, or through one's own.
//!
//! ```no_run
//! # async fn example() {
//! use futures_util::StreamExt;
//! use sheaf_live::{Config, Happening, Transport};
//!
//! let config = Config { secret: [7; 32], relays: vec!["https://relay.example".into()], relay_only: false };
//! let (transport, mut happenings) = Transport::start(config);
//! transport.listen("a topic");
//! while let Some(happening) = happenings.next().await {
//!     if let Happening::Frame { link, bytes } = happening {
//!         transport.send(link, bytes); // an echo
//!     }
//! }
//! # }
//! ```
//!
//! [iroh]: https://www.iroh.computer

#[cfg(target_arch = "wasm32")]
pub mod browser;
mod link;
mod transport;

pub use transport::{Config, Happening, Transport};

/// The protocol that endpoints agree on in connecting.
pub const ALPN: &[u8] = b"sheaf/live/1";
/// The longest frame, in bytes.
pub const MAX_FRAME: usize = 64 * 1024;
/// The longest topic, in bytes.
pub const MAX_TOPIC: usize = 1_024;
/// The most frames that wait to be sent on one link.
pub const QUEUE: usize = 1_024;
/// The most links at once, of all topics.
pub const MAX_LINKS: usize = 256;
