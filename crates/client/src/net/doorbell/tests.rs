//! Doorbells against small stream servers on loopback, which behave or do not.

use std::collections::BTreeSet;

use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message as Sent,
        handshake::server::{Request, Response},
    },
};

use super::*;
use crate::store::{Memory, Store};

const ALICE: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const BOB: &str = "did:web:bob.example";
const SEGMENT: &str = sheaf_core::record::SEGMENT;
/// More than any step takes; a test that waits this long has failed.
const GENEROUS: Duration = Duration::from_secs(20);

struct Server(TcpListener);

impl Server {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn origin(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    fn jetstream(&self) -> String {
        format!("ws://{}/subscribe", self.0.local_addr().unwrap())
    }

    /// The next connection, and the path it asked for.
    #[expect(clippy::result_large_err, reason = "the handshake's callback has this type")]
    async fn accept(&self) -> (String, WebSocketStream<TcpStream>) {
        let (stream, _) =
            platform::within(GENEROUS, self.0.accept()).await.expect("somebody connects").unwrap();
        let mut path = String::new();
        let note = |request: &Request, response: Response| {
            path = request.uri().to_string();
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, note).await.unwrap();
        (path, socket)
    }
}

/// An address that turns everybody away: bound, so that nobody else gets it, and not listened to.
fn nobody() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A doorbell at work beside the test.
struct Beside {
    listener: Listener,
    heard: mpsc::Receiver<Heard>,
}

impl Beside {
    async fn next(&mut self) -> Heard {
        platform::within(GENEROUS, self.heard.next())
            .await
            .expect("something is heard")
            .expect("a doorbell never ends")
    }

    async fn ring(&mut self) -> Doorbell {
        match self.next().await {
            Heard::Ring(bell) => bell,
            other => panic!("a ring was expected, not {other:?}"),
        }
    }

    async fn connected(&mut self) -> Option<DoorbellKind> {
        match self.next().await {
            Heard::Connected(kind) => kind,
            other => panic!("a change of connection was expected, not {other:?}"),
        }
    }
}

/// Runs a test beside a doorbell that listens to these Jetstreams.
fn listening(store: Memory, test: impl AsyncFnOnce(&mut dyn FnMut(Vec<String>) -> Beside)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        test(&mut |jetstreams| {
            let (listener, heard, work) = doorbell(jetstreams, Rc::new(store.clone()));
            platform::spawn(work);
            Beside { listener, heard }
        })
        .await;
    });
}

fn repos(dids: &[&str], pds: Option<&str>) -> BTreeSet<Listening> {
    let repo = |did: &&str| Listening { did: did.parse().unwrap(), pds: pds.map(str::to_owned) };
    dids.iter().map(repo).collect()
}

fn event(did: &str, position: u64) -> Sent {
    Sent::text(format!(
        r#"{{"did":"{did}","time_us":{position},"kind":"commit","commit":{{"rev":"3jzfcijpj2z2a","operation":"create",
        "collection":"{SEGMENT}","rkey":"3jz:r1:00000000"}}}}"#
    ))
}

#[test]
fn jetstream_rings_and_its_filters_change_without_reconnecting() {
    listening(Memory::new(), async |start| {
        let server = Server::start().await;
        let mut bell = start(vec![server.jetstream()]);
        bell.listener.listen(repos(&[ALICE], None), vec![SEGMENT]);
        let (path, mut socket) = server.accept().await;
        assert!(path.contains(&format!("wantedDids={ALICE}")) && path.contains(SEGMENT), "{path}");
        assert!(!path.contains("cursor"), "there is no position to resume from: {path}");
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
        assert_eq!(bell.ring().await.did.as_str(), ALICE, "everything is rung once after connecting");

        for noise in
            [Sent::text("<html>"), Sent::binary(vec![0xff; 100]), event("did:web:mallory.example", 1)]
        {
            socket.send(noise).await.unwrap();
        }
        socket.send(event(ALICE, 2)).await.unwrap();
        let rung = bell.ring().await;
        assert_eq!(
            (rung.did.as_str(), rung.rev.map(|rev| rev.to_string())),
            (ALICE, Some("3jzfcijpj2z2a".into()))
        );

        bell.listener.listen(repos(&[ALICE, BOB], None), vec![SEGMENT]);
        let update = platform::within(GENEROUS, socket.next()).await.unwrap().unwrap().unwrap();
        let update: serde_json::Value = serde_json::from_str(update.to_text().unwrap()).unwrap();
        assert_eq!(update["type"], "options_update");
        assert_eq!(update["payload"]["wantedDids"], serde_json::json!([ALICE, BOB]));
        assert_eq!(bell.ring().await.did.as_str(), BOB, "whoever is new is rung once");
    });
}

#[test]
fn a_lost_connection_is_said_and_resumed_where_it_was() {
    let store = Memory::new();
    listening(store.clone(), async |start| {
        let server = Server::start().await;
        let mut bell = start(vec![server.jetstream()]);
        bell.listener.listen(repos(&[ALICE], None), vec![SEGMENT]);
        let (_, mut socket) = server.accept().await;
        bell.connected().await;
        bell.ring().await;
        socket.send(event(ALICE, 1_700_000_000_000_000)).await.unwrap();
        bell.ring().await;
        // Saved before the next message is read.
        socket.send(event(ALICE, 1_700_000_000_000_001)).await.unwrap();
        bell.ring().await;
        assert_eq!(store.scan("stream/").await.unwrap().len(), 1);
        drop(socket);
        assert_eq!(bell.connected().await, None, "without a doorbell core polls");
        let (path, _socket) = server.accept().await;
        assert!(path.ends_with("cursor=1699999995000000"), "resumed a little before it was left: {path}");
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
        assert_eq!(bell.ring().await.did.as_str(), ALICE, "and everything is rung again");
    });
}

#[test]
fn the_next_jetstream_is_tried_when_one_is_dead() {
    listening(Memory::new(), async |start| {
        let server = Server::start().await;
        let (_bound, dead) = nobody();
        let mut bell = start(vec![format!("ws://{dead}/subscribe"), server.jetstream()]);
        bell.listener.listen(repos(&[ALICE], None), vec![SEGMENT]);
        let (_path, _socket) = server.accept().await;
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
    });
}

#[test]
fn the_servers_own_streams_take_over_while_no_jetstream_answers() {
    listening(Memory::new(), async |start| {
        let (jetstream, one, two) = (Server::start().await, Server::start().await, Server::start().await);
        let mut bell = start(vec![jetstream.jetstream()]);
        let mut both = repos(&[ALICE], Some(&one.origin()));
        both.extend(repos(&[BOB], Some(&two.origin())));
        bell.listener.listen(both, vec![SEGMENT]);
        // The Jetstream turns the connection away.
        drop(jetstream.0.accept().await.unwrap());
        let (path, _one) = one.accept().await;
        assert_eq!(path, "/xrpc/com.atproto.sync.subscribeRepos");
        let (_, _two) = two.accept().await;
        let mut rung = BTreeSet::new();
        let mut kind = None;
        while rung.len() < 2 || kind.is_none() {
            match bell.next().await {
                Heard::Ring(bell) => drop(rung.insert(bell.did.to_string())),
                Heard::Connected(connected) => kind = connected,
            }
        }
        assert_eq!(kind, Some(DoorbellKind::Firehose), "said once both are there");
        assert_eq!(rung, BTreeSet::from([ALICE.to_owned(), BOB.to_owned()]));

        // The Jetstream comes back, and the others are let go.
        let (_, _jetstream) = jetstream.accept().await;
        let said = loop {
            if let Heard::Connected(kind) = bell.next().await {
                break kind;
            }
        };
        assert_eq!(said, Some(DoorbellKind::Jetstream));
        drop(one);
    });
}

#[test]
fn one_deaf_host_is_enough_to_poll() {
    listening(Memory::new(), async |start| {
        let server = Server::start().await;
        let mut bell = start(vec![]);
        let mut both = repos(&[ALICE], Some(&server.origin()));
        let (_bound, deaf) = nobody();
        both.extend(repos(&[BOB], Some(&format!("http://{deaf}"))));
        bell.listener.listen(both, vec![SEGMENT]);
        let (_, _socket) = server.accept().await;
        assert_eq!(bell.ring().await.did.as_str(), ALICE);
        // Only what is said next proves it: the deaf host is dropped from the list, and now there is a doorbell.
        bell.listener.listen(repos(&[ALICE], Some(&server.origin())), vec![SEGMENT]);
        assert_eq!(bell.connected().await, Some(DoorbellKind::Firehose));
    });
}

#[test]
fn an_error_frame_leads_to_a_new_connection() {
    listening(Memory::new(), async |start| {
        let server = Server::start().await;
        let mut bell = start(vec![]);
        bell.listener.listen(repos(&[ALICE], Some(&server.origin())), vec![SEGMENT]);
        let (_, mut socket) = server.accept().await;
        let mut kinds = vec![loop {
            if let Heard::Connected(kind) = bell.next().await {
                break kind;
            }
        }];
        // {op: -1} {error: "FutureCursor"}
        let frame = [&b"\xa1\x62op\x20"[..], &b"\xa1\x65error\x6cFutureCursor"[..]].concat();
        socket.send(Sent::binary(frame)).await.unwrap();
        let (_, _again) = server.accept().await;
        while kinds.len() < 3 {
            if let Heard::Connected(kind) = bell.next().await {
                kinds.push(kind);
            }
        }
        assert_eq!(kinds, [Some(DoorbellKind::Firehose), None, Some(DoorbellKind::Firehose)]);
    });
}
