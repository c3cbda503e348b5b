//! A **real** atproto network on loopback, for tests and for the demo: the reference PDS, the reference PLC server
//! and the real Jetstream, started and stopped with one value.
//!
//! A server of our own would only agree with us, so none is written here. The Node packages and the Go modules are
//! pinned by lockfiles in this crate (`network/`, `jetstream/`, `jetstream-v2/`); [`setup()`] installs them once, apart
//! from the second version of Jetstream, which is built when a network first asks for it.
//!
//! # Contract
//! - Everything listens on 127.0.0.1, on free ports, and nothing calls out: no relay, no mail, no app view.
//! - A [`Network`] ends when it is dropped. Should this process be killed instead, the servers see their standard
//!   input close and end too. None outlives its owner.
//! - Without [`Builder::data`] all state lives in a temporary directory and goes with the network; with it, accounts,
//!   records, ports and secrets are there again at the next start.
//! - Accounts have handles under `.test`, which has no DNS: [`Network::handle_resolver_url`] plays that part, with
//!   `com.atproto.identity.resolveHandle`.
//! - Where Go is missing or too old there is no Jetstream, and [`Network::jetstream_missing`] says why.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let network = sheaf_devnet::Network::builder().jetstream(true).start().await?;
//! let alice = network.create_account("alice.test").await?;
//! println!("{} is {} at {}", alice.handle, alice.did, network.pds(0).url());
//! network.pds(0).stop().await?; // a day on which the server is away
//! network.pds(0).start().await?;
//! # Ok(()) }
//! ```

mod account;
pub mod fault_proxy;
pub mod forge;
mod http;
mod network;
mod process;
mod relay;
pub mod setup;
mod slow_way;
mod state;

pub use account::{Account, Session};
pub use network::{Builder, Network, Pds};
pub use relay::Relay;
pub use setup::setup;
pub use slow_way::SlowWay;
