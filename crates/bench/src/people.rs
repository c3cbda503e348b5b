//! Clients as people use them, for every figure that needs some.

use std::{rc::Rc, time::Duration};

use anyhow::{Context as _, Result};
use sheaf_client::{
    Client, DocumentHandle, Parts,
    config::NetworkConfig,
    platform,
    session::{Authed, MemorySessions, Password},
    slots::MemoryLocks,
    store::Memory,
};
use sheaf_core::text::{Splice, Utf16Offset};
use sheaf_devnet::Network;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn config(network: &Network, with_jetstream: bool) -> Result<NetworkConfig> {
    let jetstream = network.jetstream_url(0).filter(|_| with_jetstream);
    let config = NetworkConfig {
        plc: network.plc_url(),
        handle_resolver: Some(network.handle_resolver_url()),
        doh: None,
        jetstream: jetstream.into_iter().collect(),
        relays: network.relay_url().into_iter().collect(),
        client_id: None,
    };
    config.validated().context("the local network's addresses are valid")
}

pub(crate) async fn signed_in(config: &NetworkConfig, handle: &str, password: &str) -> Result<Client> {
    let sessions = Rc::new(MemorySessions::new());
    let session: Rc<dyn Authed> = Password::sign_in(config, handle, password, sessions).await?;
    Ok(client(config, Some(session)))
}

pub(crate) fn client(config: &NetworkConfig, account: Option<Rc<dyn Authed>>) -> Client {
    client_with(config, account, Rc::new(Memory::new()))
}

/// One with a store that outlives it.
pub(crate) fn client_with(
    config: &NetworkConfig,
    account: Option<Rc<dyn Authed>>,
    store: Rc<Memory>,
) -> Client {
    Client::new(Parts {
        config: config.clone(),
        store,
        locks: Rc::new(MemoryLocks::new()),
        account,
        name: None,
    })
}

pub(crate) async fn until(
    document: &DocumentHandle,
    what: &str,
    condition: impl FnMut(&DocumentHandle) -> bool,
) -> Result<()> {
    platform::within(LIMIT, document.until(condition))
        .await
        .map_err(|_| anyhow::anyhow!("never came about: {what}: {:?}", document.status()))
}

pub(crate) async fn published(document: &DocumentHandle) -> Result<()> {
    until(document, "everything is published", |d| d.status().waiting == 0 && d.status().unsaved == 0).await
}

pub(crate) fn insert(document: &DocumentHandle, at: u32, text: &str) {
    document.edit(vec![Splice { at: Utf16Offset(at), delete: 0, insert: text.to_owned() }]);
}
