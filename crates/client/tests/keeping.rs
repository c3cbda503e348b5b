//! What a device keeps, without any network: closing insists on it, forgetting respects it.

#![cfg(not(target_arch = "wasm32"))]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use sheaf_client::{
    Client, ForgetError, Parts,
    config::NetworkConfig,
    net::http::{HttpError, Request, Response},
    platform::LocalFuture,
    session::{Authed, AuthedError},
    slots::MemoryLocks,
    store::{Entry, Memory, SharedStore, Store, StoreError},
};
use sheaf_core::{
    document_uri::DocumentUri,
    replica::StoreOp,
    text::{Splice, Utf16Offset},
};
use sheaf_repo::did::Did;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Somebody whose server cannot be reached.
struct Away(Did);

impl Authed for Away {
    fn did(&self) -> &Did {
        &self.0
    }

    fn handle(&self) -> Option<String> {
        None
    }

    fn pds(&self) -> String {
        "http://localhost:1".into()
    }

    fn send(&self, _: Request) -> LocalFuture<'_, Result<Response, AuthedError>> {
        Box::pin(async { Err(HttpError::Unreachable("no network".into()).into()) })
    }
}

fn client(store: SharedStore, locks: &MemoryLocks) -> Client {
    let config = r#"{ "plc": "http://localhost:1", "doh": null, "jetstream": [] }"#;
    Client::new(Parts {
        config: NetworkConfig::from_json(config).unwrap(),
        store,
        locks: Rc::new(locks.clone()),
        account: Some(Rc::new(Away("did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap()))),
        name: None,
    })
}

fn insert(text: &str) -> Vec<Splice> {
    vec![Splice { at: Utf16Offset(0), delete: 0, insert: text.into() }]
}

/// A store that refuses some of its writes.
#[derive(Clone)]
struct Refusing {
    store: Memory,
    refusals: Rc<Cell<u32>>,
    error: Rc<RefCell<StoreError>>,
}

impl Refusing {
    fn next(refusals: u32, error: StoreError) -> Self {
        let (refusals, error) = (Rc::new(Cell::new(refusals)), Rc::new(RefCell::new(error)));
        Self { store: Memory::new(), refusals, error }
    }
}

impl Store for Refusing {
    fn scan<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<Vec<Entry>, StoreError>> {
        self.store.scan(prefix)
    }

    fn get<'a>(&'a self, key: &'a str) -> LocalFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        self.store.get(key)
    }

    fn write(&self, ops: Vec<StoreOp>) -> LocalFuture<'_, Result<(), StoreError>> {
        match self.refusals.get() {
            0 => self.store.write(ops),
            left => {
                self.refusals.set(left - 1);
                let error = self.error.borrow().clone();
                Box::pin(async { Err(error) })
            }
        }
    }

    fn erase<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<(), StoreError>> {
        self.store.erase(prefix)
    }
}

async fn written(store: Refusing, refusals: u32) -> (DocumentUri, sheaf_core::replica::Status) {
    let client = client(Rc::new(store.clone()), &MemoryLocks::new());
    let document = client.create("Notes").await.unwrap();
    store.refusals.set(refusals);
    document.edit(insert("typed just before closing"));
    let uri = document.uri().clone();
    (uri, document.close().await)
}

#[test]
fn closing_asks_a_busy_store_again() {
    run(async {
        let store = Refusing::next(0, StoreError::Busy);
        let (uri, status) = written(store.clone(), 1).await;
        assert_eq!((status.unsaved, status.store_trouble), (0, None));
        assert_eq!(store.refusals.get(), 0, "it was busy once");
        let again = client(Rc::new(store), &MemoryLocks::new()).open(&uri).await.unwrap();
        assert_eq!(again.text(), "typed just before closing");
        again.close().await;
    });
}

#[test]
fn closing_says_what_could_not_be_saved() {
    run(async {
        let (_, status) = written(Refusing::next(0, StoreError::Full), u32::MAX).await;
        assert_eq!(status.unsaved, 2, "its making, and an edit");
        assert_eq!(status.store_trouble, Some(StoreError::Full.to_string()));
    });
}

#[test]
fn a_document_with_unpublished_edits_is_not_forgotten_whatever_the_list_says() {
    run(async {
        let (store, locks) = (Memory::new(), MemoryLocks::new());
        let alice = client(Rc::new(store.clone()), &locks);
        let document = alice.create("Notes").await.unwrap();
        document.edit(insert("only here"));
        let uri = document.uri().clone();
        document.close().await;
        // The list was written before the crash, the edit after it.
        store.erase("library/").await.unwrap();
        assert_eq!(alice.forget(&uri).await, Err(ForgetError::Unpublished(2)), "its making, and an edit");

        // Nor while another tab has it open.
        let other_tab = client(Rc::new(store.clone()), &locks);
        let open = other_tab.open(&uri).await.unwrap();
        assert_eq!(alice.forget(&uri).await, Err(ForgetError::Open));
        open.close().await;
        let again = alice.open(&uri).await.unwrap();
        assert_eq!(again.text(), "only here");
        again.close().await;
    });
}
