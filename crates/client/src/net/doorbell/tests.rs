//! Doorbells against small stream servers on loopback, which behave or do not.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message as Sent,
        handshake::server::{Request, Response},
    },
};

use super::*;
use crate::{
    net::jetstream::v2,
    store::{Memory, Store},
};

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

    /// Its address and port.
    fn host(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    fn origin(&self) -> String {
        format!("http://{}", self.host())
    }

    fn jetstream(&self) -> String {
        format!("ws://{}/subscribe", self.host())
    }

    fn jetstream_v2(&self) -> String {
        format!("ws://{}{}", self.host(), v2::PATH)
    }

    /// Answers the next connection as a Jetstream of the second version does when it does not like something, and gives the
    /// path it asked for.
    async fn refuse(&self, error: &str) -> String {
        let (mut stream, _) =
            platform::within(GENEROUS, self.0.accept()).await.expect("somebody connects").unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let body = format!(r#"{{"error":"{error}","message":"told so"}}"#);
        let head = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let request = String::from_utf8(request).unwrap();
        request.split(' ').nth(1).unwrap().to_owned()
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
    kind: Option<DoorbellKind>,
    hosts: Vec<String>,
}

impl Beside {
    async fn next(&mut self) -> Heard {
        let heard = platform::within(GENEROUS, self.heard.next())
            .await
            .expect("something is heard")
            .expect("a doorbell never ends");
        if let Heard::Connected(kind, hosts) = &heard {
            (self.kind, self.hosts) = (*kind, hosts.clone());
        }
        heard
    }

    /// The next ring that names no revision: everything is rung so after connecting, and once more a little later.
    async fn look(&mut self) -> String {
        loop {
            if let Heard::Ring(Doorbell { did, rev: None, .. }) = self.next().await {
                return did.to_string();
            }
        }
    }

    /// Rings until each of these was rung without a revision.
    async fn looks(&mut self, dids: &[&str]) {
        let mut missing: BTreeSet<&str> = dids.iter().copied().collect();
        while !missing.is_empty() {
            missing.remove(self.look().await.as_str());
        }
    }

    /// The next ring that names a revision.
    async fn told(&mut self) -> Doorbell {
        loop {
            if let Heard::Ring(bell @ Doorbell { rev: Some(_), .. }) = self.next().await {
                return bell;
            }
        }
    }

    /// The next change of the kind that is connected.
    async fn connected(&mut self) -> Option<DoorbellKind> {
        let before = self.kind;
        while self.kind == before {
            self.next().await;
        }
        self.kind
    }
}

/// Runs a test beside a doorbell that listens to these Jetstreams.
fn listening(store: Memory, test: impl AsyncFnOnce(&mut dyn FnMut(Vec<String>) -> Beside)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        test(&mut |jetstreams| {
            let (listener, heard, work) = doorbell(jetstreams, Rc::new(store.clone()));
            platform::spawn(work);
            Beside { listener, heard, kind: None, hosts: vec![] }
        })
        .await;
    });
}

fn repos(dids: &[&str], pds: Option<&str>) -> BTreeSet<Listening> {
    let repo = |did: &&str| Listening { did: did.parse().unwrap(), pds: pds.map(str::to_owned) };
    dids.iter().map(repo).collect()
}

/// The revision with this number.
fn rev(n: u64) -> Tid {
    Tid::from_micros(1_780_000_000_000_000 + n, 0)
}

fn event(did: &str, n: u64) -> Sent {
    Sent::text(format!(
        r#"{{"did":"{did}","time_us":{n},"kind":"commit","commit":{{"rev":"{}","operation":"create",
        "collection":"{SEGMENT}","rkey":"3jz:r1:00000000"}}}}"#,
        rev(n)
    ))
}

fn event_v2(did: &str, seq: u64) -> Sent {
    Sent::text(format!(
        r#"{{"$type":"message","payload":{{"$type":"network.bsky.jetstream.subscribeEvents#commit","seq":{seq},"did":"{did}",
        "time":"2026-11-25T12:00:00.000000Z","rev":"{}","operation":"update","collection":"{SEGMENT}","rkey":"k"}}}}"#,
        rev(seq)
    ))
}

/// A `#commit` frame with some blocks, of which nothing is true.
fn frame(did: &str, n: u64) -> Sent {
    use serde_json::json;
    let header = serde_ipld_dagcbor::to_vec(&json!({ "op": 1, "t": "#commit" })).unwrap();
    #[derive(serde::Serialize)]
    struct Commit<'a> {
        repo: &'a str,
        rev: String,
        blocks: serde_bytes::ByteBuf,
        ops: serde_json::Value,
    }
    let ops = json!([{ "action": "update", "path": format!("{SEGMENT}/k") }]);
    let commit =
        Commit { repo: did, rev: rev(n).to_string(), blocks: serde_bytes::ByteBuf::from(vec![7]), ops };
    Sent::binary([header, serde_ipld_dagcbor::to_vec(&commit).unwrap()].concat())
}

#[test]
fn jetstream_rings() {
    listening(Memory::new(), async |start| {
        let server = Server::start().await;
        let mut bell = start(vec![server.jetstream()]);
        bell.listener.listen(repos(&[ALICE], None), vec![SEGMENT]);
        let (path, mut socket) = server.accept().await;
        assert!(path.contains(&format!("wantedDids={ALICE}")) && path.contains(SEGMENT), "{path}");
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
        assert_eq!(bell.look().await, ALICE, "everything is rung once after connecting");

        for noise in
            [Sent::text("<html>"), Sent::binary(vec![0xff; 100]), event("did:web:mallory.example", 1)]
        {
            socket.send(noise).await.unwrap();
        }
        socket.send(event(ALICE, 2)).await.unwrap();
        let told = bell.told().await;
        assert_eq!((told.did.as_str(), told.rev), (ALICE, Some(rev(2))));
    });
}

#[test]
fn a_quiet_repo_is_rung_once_more_when_the_server_has_certainly_begun_to_listen() {
    listening(Memory::new(), async |start| {
        let server = Server::start().await;
        let mut bell = start(vec![server.jetstream()]);
        bell.listener.listen(repos(&[ALICE, BOB], None), vec![SEGMENT]);
        let (_, mut socket) = server.accept().await;
        bell.looks(&[ALICE, BOB]).await;
        socket.send(event(BOB, 2)).await.unwrap();
        assert_eq!(bell.told().await.did.as_str(), BOB);
        assert_eq!(bell.look().await, ALICE, "Bob has rung of himself");
    });
}

#[test]
fn another_list_is_another_connection_and_the_old_one_is_heard_until_it_is_there() {
    for version in [1, 2] {
        listening(Memory::new(), async |start| {
            let server = Server::start().await;
            let (address, event): (_, fn(&str, u64) -> Sent) = match version {
                1 => (server.jetstream(), event),
                _ => (server.jetstream_v2(), event_v2),
            };
            let mut bell = start(vec![address]);
            bell.listener.listen(repos(&[ALICE], None), vec![SEGMENT]);
            let (_, mut old) = server.accept().await;
            assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
            old.send(event(ALICE, 7)).await.unwrap();
            bell.told().await;

            bell.listener.listen(repos(&[ALICE, BOB], None), vec![SEGMENT]);
            // Somebody knocks and is not let in yet.
            let (stream, _) = platform::within(GENEROUS, server.0.accept()).await.unwrap().unwrap();
            old.send(event(ALICE, 8)).await.unwrap();
            assert_eq!(bell.told().await.rev, Some(rev(8)), "by the old connection");
            let mut path = String::new();
            #[expect(clippy::result_large_err, reason = "the handshake's callback has this type")]
            let note = |request: &Request, response: Response| {
                path = request.uri().to_string();
                Ok(response)
            };
            let mut new = tokio_tungstenite::accept_hdr_async(stream, note).await.unwrap();
            assert!(path.contains(ALICE) && path.contains(BOB), "{path}");
            assert_eq!(path.contains("cursor=8") || path.contains("cursor=7"), version == 2, "{path}");
            bell.looks(&[BOB]).await;
            // What the new one tells again does not ring again, and the old one was left without a word.
            new.send(event(ALICE, 8)).await.unwrap();
            new.send(event(BOB, 9)).await.unwrap();
            assert_eq!(bell.told().await.rev, Some(rev(9)));
            let last = platform::within(GENEROUS, old.next()).await.unwrap();
            assert!(!matches!(last, Some(Ok(Sent::Text(_) | Sent::Binary(_)))), "{last:?}");
        });
    }
}

#[test]
fn the_first_version_is_never_asked_to_resume() {
    listening(Memory::new(), async |start| {
        let server = Server::start().await;
        let mut bell = start(vec![server.jetstream()]);
        bell.listener.listen(repos(&[ALICE], None), vec![SEGMENT]);
        let (path, mut socket) = server.accept().await;
        assert!(!path.contains("cursor"), "{path}");
        socket.send(event(ALICE, 1_700_000_000_000_000)).await.unwrap();
        bell.told().await;
        drop(socket);
        let (path, _socket) = server.accept().await;
        assert!(!path.contains("cursor"), "{path}");
        bell.looks(&[ALICE]).await;
    });
}

#[test]
fn a_lost_connection_is_said_and_resumed_where_it_was() {
    let store = Memory::new();
    listening(store.clone(), async |start| {
        let server = Server::start().await;
        let mut bell = start(vec![server.jetstream_v2()]);
        bell.listener.listen(repos(&[ALICE], None), vec![SEGMENT]);
        let (path, mut socket) = server.accept().await;
        assert!(
            path.contains(&format!("dids={ALICE}&")) || path.ends_with(&format!("dids={ALICE}")),
            "{path}"
        );
        assert!(!path.contains("wanted") && !path.contains("cursor"), "{path}");
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
        bell.looks(&[ALICE]).await;
        socket.send(event_v2(ALICE, 41)).await.unwrap();
        bell.told().await;
        // The position is saved before the next message is read.
        socket.send(event_v2(ALICE, 42)).await.unwrap();
        bell.told().await;
        assert_eq!(store.scan("stream/").await.unwrap().len(), 1);
        drop(socket);
        assert_eq!(bell.connected().await, None, "without a doorbell core polls");
        let (path, mut socket) = server.accept().await;
        assert!(path.contains("cursor=41"), "resumed no later than it was left: {path}");
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
        bell.looks(&[ALICE]).await;
        socket.send(event_v2(ALICE, 42)).await.unwrap();
        socket.send(event_v2(ALICE, 43)).await.unwrap();
        assert_eq!(bell.told().await.rev, Some(rev(43)), "42 has rung already");
    });
}

#[test]
fn a_position_that_the_server_does_not_take_is_dropped() {
    let store = Memory::new();
    listening(store.clone(), async |start| {
        let server = Server::start().await;
        let key = format!("stream/{}", server.jetstream_v2());
        let saved = format!("1234567 {}", platform::now().as_micros()).into_bytes();
        let put = sheaf_core::replica::StoreOp::Put { key: key.clone(), value: saved };
        store.write(vec![put]).await.unwrap();
        let mut bell = start(vec![server.jetstream_v2()]);
        bell.listener.listen(repos(&[ALICE], None), vec![SEGMENT]);
        assert!(server.refuse("CursorTooOld").await.contains("cursor=1234567"));
        let (path, _socket) = server.accept().await;
        assert!(!path.contains("cursor"), "{path}");
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
        bell.looks(&[ALICE]).await;
        assert_eq!(store.get(&key).await.unwrap(), None);
    });
}

#[test]
fn a_position_of_another_instance_has_everything_looked_at_once_more() {
    let store = Memory::new();
    listening(store.clone(), async |start| {
        let server = Server::start().await;
        let key = format!("stream/{}", server.jetstream_v2());
        let saved = format!("1000 {}", platform::now().as_micros()).into_bytes();
        store.write(vec![sheaf_core::replica::StoreOp::Put { key, value: saved }]).await.unwrap();
        let mut bell = start(vec![server.jetstream_v2()]);
        bell.listener.listen(repos(&[ALICE, BOB], None), vec![SEGMENT]);
        let (_, mut socket) = server.accept().await;
        bell.looks(&[ALICE, BOB]).await;
        // It was reset, and counts from one again.
        socket.send(event_v2(ALICE, 3)).await.unwrap();
        assert_eq!(bell.told().await.rev, Some(rev(3)));
        bell.looks(&[ALICE]).await;
        socket.send(event_v2(ALICE, 4)).await.unwrap();
        assert_eq!(bell.told().await.rev, Some(rev(4)));
    });
}

#[test]
fn an_error_message_leads_to_a_new_connection() {
    listening(Memory::new(), async |start| {
        let server = Server::start().await;
        let mut bell = start(vec![server.jetstream_v2()]);
        bell.listener.listen(repos(&[ALICE], None), vec![SEGMENT]);
        let (_, mut socket) = server.accept().await;
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
        let error = r#"{"$type":"error","error":"ConsumerTooSlow","message":"reconnect"}"#;
        socket.send(Sent::text(error)).await.unwrap();
        let (_, _again) = server.accept().await;
        assert_eq!(bell.connected().await, None);
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
    });
}

#[test]
fn one_commit_rings_once_however_many_streams_tell_of_it() {
    listening(Memory::new(), async |start| {
        let (jetstream, pds) = (Server::start().await, Server::start().await);
        let mut bell = start(vec![jetstream.jetstream_v2()]);
        bell.listener.listen(repos(&[ALICE], Some(&pds.origin())), vec![SEGMENT]);
        drop(jetstream.0.accept().await.unwrap());
        let (_, mut firehose) = pds.accept().await;
        assert_eq!(bell.connected().await, Some(DoorbellKind::Firehose));
        let (_, mut jetstream) = jetstream.accept().await;
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
        // While one takes over from the other, both tell.
        firehose.send(frame(ALICE, 1)).await.unwrap();
        let told = bell.told().await;
        assert_eq!((told.rev, told.car), (Some(rev(1)), Some(vec![7])), "with its blocks");
        jetstream.send(event_v2(ALICE, 1)).await.unwrap();
        jetstream.send(event_v2(ALICE, 2)).await.unwrap();
        assert_eq!(bell.told().await.rev, Some(rev(2)), "1 has rung already");
        let last = platform::within(GENEROUS, firehose.next()).await.expect("it is let go in the end");
        assert!(!matches!(last, Some(Ok(Sent::Text(_) | Sent::Binary(_)))), "{last:?}");
    });
}

#[test]
fn when_a_stream_dies_another_takes_over_and_nothing_falls_between() {
    listening(Memory::new(), async |start| {
        let (one, two) = (Server::start().await, Server::start().await);
        let mut bell = start(vec![one.jetstream_v2(), two.jetstream()]);
        bell.listener.listen(repos(&[ALICE, BOB], None), vec![SEGMENT]);
        let (_, mut first) = one.accept().await;
        bell.looks(&[ALICE, BOB]).await;
        first.send(event_v2(ALICE, 1)).await.unwrap();
        bell.told().await;
        drop((first, one));
        let (_, mut second) = two.accept().await;
        // Whatever was written meanwhile is found by looking, after the other stream has begun.
        while bell.connected().await.is_none() {}
        bell.looks(&[ALICE, BOB]).await;
        second.send(event(BOB, 9)).await.unwrap();
        assert_eq!(bell.told().await.did.as_str(), BOB);
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
        while rung.len() < 2 || bell.kind.is_none() {
            if let Heard::Ring(ring) = bell.next().await {
                rung.insert(ring.did.to_string());
            }
        }
        assert_eq!(bell.kind, Some(DoorbellKind::Firehose), "said once both are there");
        assert_eq!(BTreeSet::from_iter(bell.hosts.clone()), BTreeSet::from([one.host(), two.host()]));
        assert_eq!(rung, BTreeSet::from([ALICE.to_owned(), BOB.to_owned()]));

        // The Jetstream comes back, and the others are let go.
        let (_, _jetstream) = jetstream.accept().await;
        assert_eq!(bell.connected().await, Some(DoorbellKind::Jetstream));
        while bell.hosts != [jetstream.host()] {
            bell.next().await;
        }
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
        assert_eq!(bell.look().await, ALICE);
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
        let mut kinds = vec![bell.connected().await];
        // {op: -1} {error: "FutureCursor"}
        let frame = [&b"\xa1\x62op\x20"[..], &b"\xa1\x65error\x6cFutureCursor"[..]].concat();
        socket.send(Sent::binary(frame)).await.unwrap();
        let (_, _again) = server.accept().await;
        while kinds.len() < 3 {
            kinds.push(bell.connected().await);
        }
        assert_eq!(kinds, [Some(DoorbellKind::Firehose), None, Some(DoorbellKind::Firehose)]);
    });
}
