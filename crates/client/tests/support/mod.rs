//! What the network tests share: a real network, clients on it, and waiting for conditions.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{cell::Cell, rc::Rc, time::Duration};

use sheaf_client::{
    Client, DocumentHandle, Parts,
    config::NetworkConfig,
    platform,
    session::{Authed, MemorySessions, Password},
    slots::MemoryLocks,
    store::{Memory, SharedStore, Sqlite},
};
use sheaf_core::{
    replica::Presence,
    text::{Splice, Utf16Offset},
};
use sheaf_devnet::{Account, Network};

/// More than any step takes on a busy machine; a test that waits this long has failed.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);

/// Runs a test on one thread, as the client wants it, with stores on disk.
pub(crate) fn run(test: impl Future<Output = anyhow::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test).unwrap();
}

/// Plays a scenario once for each kind of store: [`store`] and [`client`] make ones of that kind.
pub(crate) fn on_every_store(scenario: impl AsyncFn() -> anyhow::Result<()>) {
    for kind in [Kind::Memory, Kind::Disk] {
        println!("on a store of this kind: {kind:?}");
        STORE.set(kind);
        run(scenario());
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Memory,
    Disk,
}

thread_local! {
    static STORE: Cell<Kind> = const { Cell::new(Kind::Disk) };
}

/// The configuration for a local network, its Jetstreams included if it has any.
pub(crate) fn config(network: &Network) -> NetworkConfig {
    NetworkConfig {
        plc: network.plc_url(),
        handle_resolver: Some(network.handle_resolver_url()),
        doh: None,
        jetstream: (0..network.pds_count()).filter_map(|index| network.jetstream_url(index)).collect(),
        relays: network.relay_url().into_iter().collect(),
        client_id: None,
    }
    .validated()
    .unwrap()
}

pub(crate) async fn signed_in(config: &NetworkConfig, account: &Account) -> Rc<dyn Authed> {
    let sessions = Rc::new(MemorySessions::new());
    Password::sign_in(config, &account.handle, &account.password, sessions).await.unwrap()
}

/// A client with a store of its own.
pub(crate) fn client(config: &NetworkConfig, account: Option<Rc<dyn Authed>>) -> Client {
    client_on(config, account, store())
}

/// An empty store, of the kind that the scenario is played on.
pub(crate) fn store() -> SharedStore {
    thread_local! {
        // Each test has a thread of its own, with which the folder goes.
        static MADE: Cell<usize> = const { Cell::new(0) };
        static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
    }
    match STORE.get() {
        Kind::Memory => Rc::new(Memory::new()),
        Kind::Disk => {
            let n = MADE.replace(MADE.get() + 1);
            let path = FOLDER.with(|folder| folder.path().join(format!("{n}.sqlite")));
            Rc::new(Sqlite::open(&path).unwrap())
        }
    }
}

pub(crate) fn client_on(
    config: &NetworkConfig,
    account: Option<Rc<dyn Authed>>,
    store: SharedStore,
) -> Client {
    Client::new(Parts {
        config: config.clone(),
        store,
        locks: Rc::new(MemoryLocks::new()),
        account,
        name: None,
    })
}

/// Waits for a condition, and says what is the case instead if it does not come about.
pub(crate) async fn eventually(
    document: &DocumentHandle,
    what: &str,
    condition: impl FnMut(&DocumentHandle) -> bool,
) {
    if platform::within(GENEROUS, document.until(condition)).await.is_err() {
        panic!("never came about: {what}\ntext: {:?}\nstatus: {:#?}", document.text(), document.status());
    }
}

pub(crate) async fn eventually_reads(document: &DocumentHandle, text: &str) {
    eventually(document, &format!("the text {text:?}"), |d| d.text() == text).await;
}

pub(crate) async fn published(document: &DocumentHandle) {
    eventually(document, "everything is published", |d| {
        let status = d.status();
        status.waiting == 0 && status.unsaved == 0 && status.document == Presence::Here
    })
    .await;
}

/// Writes at the end of the text.
pub(crate) fn append(document: &DocumentHandle, text: &str) {
    let at = Utf16Offset(document.text().encode_utf16().count() as u32);
    document.edit(vec![Splice { at, delete: 0, insert: text.into() }]);
}

/// Writes at the beginning of the text.
pub(crate) fn prepend(document: &DocumentHandle, text: &str) {
    document.edit(vec![Splice { at: Utf16Offset(0), delete: 0, insert: text.into() }]);
}
