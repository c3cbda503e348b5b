//! The outside world: HTTP, identities, PDSes and doorbells. Everything that comes from here is parsed in one place, with
//! limits, or refused with an error that says what was wrong.

pub mod doorbell;
pub mod firehose;
pub mod http;
pub mod identity;
pub mod jetstream;
pub mod live;
pub mod origin;
pub mod pds;
pub(crate) mod socket;
pub mod xrpc;
