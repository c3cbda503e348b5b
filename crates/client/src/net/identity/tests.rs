//! Accounts looked up in directories that lie, dawdle or are away: small servers on loopback.

use std::{
    cell::Cell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{net::http::Http, store::Memory};

const ALICE: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const BOB: &str = "did:plc:z72i7hdynmk6r22z27h6tvur";
const KEY: &str = "zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc";

/// One server for everything: the directory, the resolver of handles, DNS, a did:web's own host.
#[derive(Clone)]
struct World {
    port: u16,
    /// What is answered on each path, query included; everything else is 404.
    pages: Rc<RefCell<BTreeMap<String, String>>>,
    /// Paths that contain this are accepted and never answered.
    hangs_on: Rc<RefCell<Option<String>>>,
    asked: Rc<Cell<usize>>,
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let world = Self { port, pages: Rc::default(), hangs_on: Rc::default(), asked: Rc::default() };
        let serving = world.clone();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(serving.clone().serve(stream));
            }
        });
        world
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        self.asked.set(self.asked.get() + 1);
        if self.hangs_on.borrow().as_ref().is_some_and(|hangs| path.contains(hangs)) {
            std::future::pending::<()>().await;
        }
        let page = self.pages.borrow().get(path).cloned();
        let (status, body) = page.map_or(("404 Not Found", String::new()), |page| ("200 OK", page));
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn config(&self) -> NetworkConfig {
        let (plc, handle_resolver) = (self.url(), Some(self.url()));
        NetworkConfig { plc, handle_resolver, doh: None, jetstream: vec![], relays: vec![], client_id: None }
    }

    fn says(&self, path: &str, page: impl ToString) {
        self.pages.borrow_mut().insert(path.to_owned(), page.to_string());
    }

    /// The directory says that the account calls itself this.
    fn claims(&self, path: &str, did: &str, handle: &str) {
        let document = serde_json::json!({
            "id": did,
            "alsoKnownAs": [format!("at://{handle}")],
            "verificationMethod": [
                { "id": format!("{did}#atproto"), "type": "Multikey", "controller": did, "publicKeyMultibase": KEY },
            ],
            "service": [{
                "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": self.url(),
            }],
        });
        self.says(path, document);
    }

    fn handle_names(&self, handle: &str, did: &str) {
        let path = format!("/xrpc/com.atproto.identity.resolveHandle?handle={handle}");
        self.says(&path, serde_json::json!({ "did": did }));
    }

    fn hang(&self, on: &str) {
        *self.hangs_on.borrow_mut() = Some(on.to_owned());
    }

    fn heal(&self) {
        *self.hangs_on.borrow_mut() = None;
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn did(did: &str) -> Did {
    did.parse().unwrap()
}

fn handle_of(identity: &Identity) -> Option<&str> {
    identity.handle.as_ref().map(Handle::as_str)
}

#[test]
fn a_handle_counts_when_both_name_each_other() {
    run(async {
        let world = World::start().await;
        let directory = Directory::new(world.config(), Http::new());
        world.claims(&format!("/{ALICE}"), ALICE, "alice.test");
        world.claims(&format!("/{BOB}"), BOB, "bob.test");
        world.handle_names("alice.test", ALICE);
        // Bob's other handle names him, and he does not call himself that; his own names Alice.
        world.handle_names("bobby.test", BOB);
        world.handle_names("bob.test", ALICE);

        let alice = directory.find_account("alice.test").await.unwrap();
        assert_eq!((alice.did, alice.handle.unwrap().as_str()), (did(ALICE), "alice.test"));
        for theirs in ["bobby.test", "bob.test"] {
            let found = directory.find_account(theirs).await;
            assert!(matches!(found, Err(AccountError::NotMutual(_))), "{found:?}");
        }
        assert_eq!(handle_of(&directory.resolve(&did(BOB), false).await.unwrap()), None);
        assert_eq!(handle_of(&directory.resolve(&did(ALICE), false).await.unwrap()), Some("alice.test"));
        let nobody = directory.find_account("nobody.test").await;
        assert!(matches!(nobody, Err(AccountError::UnknownHandle(_))), "{nobody:?}");
    });
}

#[test]
fn a_did_web_is_looked_up_on_its_own_host() {
    run(async {
        let world = World::start().await;
        let web = format!("did:web:localhost%3A{}", world.port);
        world.claims("/.well-known/did.json", &web, "carol.test");
        world.handle_names("carol.test", &web);
        let directory = Directory::new(world.config(), Http::new());
        let carol = directory.find_account("carol.test").await.unwrap();
        assert_eq!((carol.did.as_str(), carol.pds), (web.as_str(), world.url()));
        // The document of another is nobody's.
        world.claims("/.well-known/did.json", ALICE, "carol.test");
        let other = directory.resolve(&did(&web), true).await;
        assert!(matches!(other, Err(ResolveFailure::Malformed(_))), "{other:?}");
        // On the open network this machine is nobody's host.
        let public = Directory::new(NetworkConfig::default(), Http::new());
        assert!(matches!(public.resolve(&did(&web), false).await, Err(ResolveFailure::Malformed(_))));
    });
}

#[test]
fn dns_is_asked_where_there_is_no_resolver_or_it_does_not_know() {
    run(async {
        let world = World::start().await;
        let config = NetworkConfig { doh: Some(format!("{}/dns", world.url())), ..world.config() };
        world.claims(&format!("/{ALICE}"), ALICE, "alice.test");
        let record =
            serde_json::json!({ "Status": 0, "Answer": [{ "type": 16, "data": format!("did={ALICE}") }] });
        world.says("/dns?name=_atproto.alice.test&type=TXT", record);
        let found = Directory::new(config.clone(), Http::new()).find_account("alice.test").await.unwrap();
        assert_eq!(found.did, did(ALICE));
        let without = NetworkConfig { handle_resolver: None, ..config.clone() };
        let found = Directory::new(without, Http::new()).find_account("alice.test").await.unwrap();
        assert_eq!(found.did, did(ALICE));
        // DNS says that there is nobody; the file of a host that does not exist says nothing.
        world.says("/dns?name=_atproto.nobody.test&type=TXT", serde_json::json!({ "Status": 3 }));
        let nobody = Directory::new(config, Http::new()).find_account("nobody.test").await;
        assert!(matches!(nobody, Err(AccountError::HandleUnreachable { .. })), "{nobody:?}");
    });
}

#[test]
fn a_handle_that_cannot_be_checked_in_time_is_the_one_known_before() {
    run(async {
        let world = World::start().await;
        world.claims(&format!("/{ALICE}"), ALICE, "alice.test");
        world.handle_names("alice.test", ALICE);
        let store = Memory::new();
        let directory = || Directory::new(world.config(), Http::new()).remembering(Rc::new(store.clone()));
        directory().resolve(&did(ALICE), false).await.unwrap();

        world.hang("resolveHandle");
        // `fresh` waits for the directory itself; the handle is only a label.
        assert_eq!(handle_of(&directory().resolve(&did(ALICE), true).await.unwrap()), Some("alice.test"));
        assert_eq!(handle_of(&directory().resolve(&did(ALICE), false).await.unwrap()), Some("alice.test"));
        world.heal();
        // What it claims now is another thing.
        world.claims(&format!("/{ALICE}"), ALICE, "alicia.test");
        assert_eq!(handle_of(&directory().resolve(&did(ALICE), true).await.unwrap()), None);
    });
}

#[test]
fn a_directory_that_hangs_costs_a_moment_and_only_once() {
    run(async {
        let world = World::start().await;
        world.claims(&format!("/{ALICE}"), ALICE, "alice.test");
        world.handle_names("alice.test", ALICE);
        let store = Memory::new();
        let directory = || Directory::new(world.config(), Http::new()).remembering(Rc::new(store.clone()));
        directory().resolve(&did(ALICE), false).await.unwrap();

        world.hang(ALICE);
        let next_day = directory();
        let began = Instant::now();
        let known = next_day.resolve(&did(ALICE), false).await.unwrap();
        assert_eq!((known.did.as_str(), handle_of(&known)), (ALICE, Some("alice.test")));
        assert!(began.elapsed() < Duration::from_secs(10), "far less than the directory's own time limit");
        let asked = world.asked.get();
        next_day.resolve(&did(ALICE), false).await.unwrap();
        next_day.resolve(&did(ALICE), false).await.unwrap();
        // The one that goes on in the background may have begun meanwhile.
        assert!(world.asked.get() <= asked + 1, "it is not asked each time");
    });
}
