//! Two endpoints and a relay, all on loopback.
#![cfg(not(target_arch = "wasm32"))]

use std::{net::Ipv4Addr, time::Duration};

use futures_channel::mpsc::Receiver;
use futures_util::StreamExt;
use iroh_relay::server::{RelayConfig, Server, ServerConfig};
use sheaf_live::{Config, Happening, QUEUE, Transport};

const TOPIC: &str = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a";

async fn relay() -> (Server, String) {
    let mut config = ServerConfig::default();
    config.relay = Some(RelayConfig::new((Ipv4Addr::LOCALHOST, 0)));
    let server = Server::spawn(config).await.expect("a relay starts");
    let address = format!("http://{}", server.http_addr().expect("it listens"));
    (server, address)
}

fn start(n: u8, relay: &str, relay_only: bool) -> (Transport, Receiver<Happening>) {
    Transport::start(Config { secret: [n; 32], relays: vec![relay.to_owned()], relay_only })
}

async fn next(happenings: &mut Receiver<Happening>) -> Happening {
    let next = tokio::time::timeout(Duration::from_secs(60), happenings.next()).await;
    next.expect("something happens in time").expect("the transport is up")
}

async fn ready(happenings: &mut Receiver<Happening>) -> ([u8; 32], String) {
    match next(happenings).await {
        Happening::Ready { endpoint, relay } => (endpoint, relay),
        other => panic!("{other:?} before it is up"),
    }
}

#[tokio::test]
async fn frames_arrive_in_order_over_a_relay_and_directly() {
    for relay_only in [true, false] {
        let (_server, address) = relay().await;
        let (ada, mut adas) = start(1, &address, relay_only);
        let (bob, mut bobs) = start(2, &address, relay_only);
        ada.listen(TOPIC);
        bob.listen(TOPIC);
        let (bob_id, bob_relay) = ready(&mut bobs).await;
        let (ada_id, _) = ready(&mut adas).await;
        ada.dial(TOPIC, bob_id, Some(bob_relay));
        let Happening::Linked { link: to_bob, peer, dialled: true, .. } = next(&mut adas).await else {
            panic!("not linked")
        };
        assert_eq!(peer, bob_id);
        let Happening::Linked { link: to_ada, topic, peer, dialled: false } = next(&mut bobs).await else {
            panic!("not linked")
        };
        assert_eq!((topic.as_str(), peer), (TOPIC, ada_id));
        for n in 0..200u32 {
            ada.send(to_bob, vec![n as u8; 1 + n as usize * 37]);
        }
        for n in 0..200u32 {
            let bytes = vec![n as u8; 1 + n as usize * 37];
            assert_eq!(next(&mut bobs).await, Happening::Frame { link: to_ada, bytes });
        }
        bob.send(to_ada, b"bye".to_vec());
        bob.hang_up(to_ada);
        let bytes = b"bye".to_vec();
        assert_eq!(next(&mut adas).await, Happening::Frame { link: to_bob, bytes });
        assert_eq!(next(&mut adas).await, Happening::Unlinked { link: to_bob });
    }
}

#[tokio::test]
async fn who_is_not_there_or_listens_to_nothing_is_not_reached() {
    let (_server, address) = relay().await;
    let (ada, mut adas) = start(3, &address, true);
    let (_bob, mut bobs) = start(4, &address, true);
    let (bob_id, _) = ready(&mut bobs).await;
    let (ada_id, _) = ready(&mut adas).await;
    // Somebody who is nowhere.
    ada.listen(TOPIC);
    let nobody = {
        let (nobody, mut theirs) = start(5, &address, true);
        let (id, _) = ready(&mut theirs).await;
        drop(nobody);
        id
    };
    ada.dial(TOPIC, nobody, None);
    assert_eq!(next(&mut adas).await, Happening::NotReached { topic: TOPIC.into(), peer: nobody });
    // Oneself.
    ada.dial(TOPIC, ada_id, None);
    assert_eq!(next(&mut adas).await, Happening::NotReached { topic: TOPIC.into(), peer: ada_id });
    // Bob does not listen to the topic: the link ends as soon as he knows what it is about.
    ada.dial(TOPIC, bob_id, None);
    match next(&mut adas).await {
        Happening::Linked { link, .. } => assert_eq!(next(&mut adas).await, Happening::Unlinked { link }),
        Happening::NotReached { .. } => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_does_not_read_is_let_go_of() {
    let (_server, address) = relay().await;
    let (ada, mut adas) = start(6, &address, true);
    let (bob, mut bobs) = start(7, &address, true);
    bob.listen(TOPIC);
    let (bob_id, _) = ready(&mut bobs).await;
    ready(&mut adas).await;
    ada.dial(TOPIC, bob_id, None);
    let Happening::Linked { link, .. } = next(&mut adas).await else { panic!("not linked") };
    // He never looks at what happens.
    for _ in 0..4 * QUEUE {
        ada.send(link, vec![0; 60_000]);
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&mut adas).await, Happening::Unlinked { link });
}
