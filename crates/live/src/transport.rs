//! The endpoint: who is reached, who reaches it, and which links there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_channel::{mpsc, oneshot};
use futures_util::{SinkExt, StreamExt};
use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayMode, RelayUrl, SecretKey, Watcher,
    endpoint::{Connection, presets},
};
use n0_future::{task, time};

use crate::{ALPN, MAX_LINKS, QUEUE, link};

/// How long reaching somebody may take.
const DIALLING: Duration = Duration::from_secs(12);
/// How long somebody who connects may take to say what about.
const ARRIVING: Duration = Duration::from_secs(10);
/// What waits for whoever drives this: beyond that peers wait to be read.
const HAPPENINGS: usize = 64;
/// How long what was sent may take to leave when a link is hung up.
const LEAVING: Duration = Duration::from_secs(3);
/// After a failure to come up the next try is made this much later.
const AGAIN: Duration = Duration::from_secs(20);

/// How this endpoint is set up.
#[derive(Clone)]
pub struct Config {
    /// The endpoint's secret key: 32 random bytes.
    pub secret: [u8; 32],
    /// The relays it may choose from, as addresses. Without any nobody can reach it.
    pub relays: Vec<String>,
    /// Never tries to reach peers but through relays, as browsers have to.
    pub relay_only: bool,
}

/// What happens on the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The endpoint can be reached, or can be through another relay than before.
    Ready {
        /// Its id.
        endpoint: [u8; 32],
        /// The relay it is at home with.
        relay: String,
    },
    /// There is a link, of a topic that is listened to.
    Linked {
        /// Its number.
        link: u64,
        /// Its topic.
        topic: String,
        /// The endpoint at the other end.
        peer: [u8; 32],
        /// Whether this side dialled.
        dialled: bool,
    },
    /// A dial went wrong.
    NotReached {
        /// About what.
        topic: String,
        /// Who was dialled.
        peer: [u8; 32],
    },
    /// A frame came.
    Frame {
        /// On which link.
        link: u64,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A link has ended, but not by [`Transport::hang_up`].
    Unlinked {
        /// Which.
        link: u64,
    },
}

/// What a link is told to do.
pub(crate) enum Order {
    Send(Vec<u8>),
    HangUp,
}

/// One endpoint with its links. It closes when dropped.
pub struct Transport {
    shared: Arc<Shared>,
    dials: mpsc::UnboundedSender<Dial>,
}

struct Dial {
    topic: String,
    peer: [u8; 32],
    relay: Option<String>,
}

/// What its tasks have in common.
pub(crate) struct Shared {
    topics: Mutex<BTreeSet<String>>,
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    here: BTreeMap<u64, Handle>,
    numbers: u64,
}

/// This side's hold of a link.
struct Handle {
    orders: mpsc::Sender<Order>,
    /// Ends it at once, whatever waits: told to, for the peer's sake; let go of, for ours.
    cut: oneshot::Sender<()>,
}

type Happenings = mpsc::Sender<Happening>;

impl Transport {
    /// Starts an endpoint, which comes up as soon as a relay can be reached. Natively there must be a Tokio runtime around.
    pub fn start(config: Config) -> (Transport, mpsc::Receiver<Happening>) {
        let (sender, happenings) = mpsc::channel(HAPPENINGS);
        let (dials, to_dial) = mpsc::unbounded();
        let shared = Arc::new(Shared { topics: Mutex::default(), links: Mutex::default() });
        task::spawn(run(config, shared.clone(), to_dial, sender));
        (Transport { shared, dials }, happenings)
    }

    /// From now on links of this topic are taken.
    pub fn listen(&self, topic: &str) {
        locked(&self.shared.topics).insert(topic.to_owned());
    }

    /// Links of this topic are taken no more. Those there are stay until they are hung up.
    pub fn unlisten(&self, topic: &str) {
        locked(&self.shared.topics).remove(topic);
    }

    /// Tries to reach an endpoint, through the relay that it is said to be at home with.
    pub fn dial(&self, topic: &str, peer: [u8; 32], relay: Option<String>) {
        // The receiver only goes with the endpoint, and then nobody waits for an answer.
        let _ = self.dials.unbounded_send(Dial { topic: topic.to_owned(), peer, relay });
    }

    /// Sends a frame. One too many for a peer ends the link instead, as does one that is too long.
    pub fn send(&self, link: u64, frame: Vec<u8>) {
        let mut links = locked(&self.shared.links);
        let send = |handle: &mut Handle| handle.orders.try_send(Order::Send(frame)).is_err();
        let is_full = links.here.get_mut(&link).is_some_and(send);
        if let Some(handle) = is_full.then(|| links.here.remove(&link)).flatten() {
            tracing::info!(link, "a peer does not take what it is sent");
            // It may have ended by itself.
            let _ = handle.cut.send(());
        }
    }

    /// Ends a link once what was sent on it has left.
    pub fn hang_up(&self, link: u64) {
        if let Some(Handle { mut orders, cut }) = locked(&self.shared.links).here.remove(&link) {
            // Where it is full, or they do not read, nothing more arrives anyway.
            let _ = orders.try_send(Order::HangUp);
            task::spawn(async move {
                time::sleep(LEAVING).await;
                drop(cut);
            });
        }
    }
}

/// Nothing panics while it holds one of these.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(
    config: Config,
    shared: Arc<Shared>,
    mut to_dial: mpsc::UnboundedReceiver<Dial>,
    mut happenings: Happenings,
) {
    let endpoint = loop {
        match bind(&config).await {
            Ok(endpoint) => break endpoint,
            Err(why) => tracing::warn!(why, "the live channel cannot come up"),
        }
        if happenings.is_closed() {
            return;
        }
        time::sleep(AGAIN).await;
    };
    let accepting = task::spawn(accept(endpoint.clone(), shared.clone(), happenings.clone()));
    let home = task::spawn(tell_home(endpoint.clone(), happenings.clone()));
    while let Some(Dial { topic, peer, relay }) = to_dial.next().await {
        let (endpoint, shared, happenings) = (endpoint.clone(), shared.clone(), happenings.clone());
        task::spawn(dial(endpoint, shared, topic, peer, relay, happenings));
    }
    // The transport was dropped.
    happenings.close_channel();
    locked(&shared.links).here.clear();
    home.abort();
    accepting.abort();
    endpoint.close().await;
}

async fn bind(config: &Config) -> Result<Endpoint, String> {
    let relays: Vec<RelayUrl> = config.relays.iter().filter_map(|relay| relay.parse().ok()).collect();
    let builder = Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(&config.secret))
        .alpns(vec![ALPN.to_vec()])
        .relay_mode(RelayMode::custom(relays));
    #[cfg(not(target_arch = "wasm32"))]
    let builder = if config.relay_only { builder.clear_ip_transports() } else { builder };
    builder.bind().await.map_err(|why| why.to_string())
}

/// Says through which relay the endpoint can be reached, whenever that changes.
async fn tell_home(endpoint: Endpoint, mut happenings: Happenings) {
    let mut statuses = endpoint.home_relay_status();
    let mut status = statuses.get();
    let mut told = None;
    loop {
        let home = status.iter().find(|relay| relay.is_connected()).map(|relay| relay.url().to_string());
        if let Some(relay) = home.filter(|home| told.as_ref() != Some(home)) {
            told = Some(relay.clone());
            let ready = Happening::Ready { endpoint: *endpoint.id().as_bytes(), relay };
            if happenings.send(ready).await.is_err() {
                return;
            }
        }
        match statuses.updated().await {
            Ok(next) => status = next,
            Err(_) => return,
        }
    }
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>, happenings: Happenings) {
    while let Some(incoming) = endpoint.accept().await {
        let (shared, happenings) = (shared.clone(), happenings.clone());
        task::spawn(async move {
            let arriving = async {
                let connection = incoming.await.map_err(|why| why.to_string())?;
                let (writer, mut reader) = connection.accept_bi().await.map_err(|why| why.to_string())?;
                let topic = link::read_topic(&mut reader).await?;
                Ok::<_, String>((connection, topic, writer, reader))
            };
            match time::timeout(ARRIVING, arriving).await {
                Ok(Ok((connection, topic, writer, reader))) => {
                    if locked(&shared.topics).contains(&topic) {
                        serve(shared, connection, topic, false, (writer, reader), happenings).await;
                    }
                }
                Ok(Err(why)) => tracing::debug!(why, "somebody did not get through"),
                Err(_) => tracing::debug!("somebody connected and said nothing"),
            }
        });
    }
}

async fn dial(
    endpoint: Endpoint,
    shared: Arc<Shared>,
    topic: String,
    peer: [u8; 32],
    relay: Option<String>,
    mut happenings: Happenings,
) {
    let dialling = async {
        let id = EndpointId::from_bytes(&peer).map_err(|why| why.to_string())?;
        let relay = relay.and_then(|relay| relay.parse::<RelayUrl>().ok());
        let relay = relay.or_else(|| endpoint.addr().relay_urls().next().cloned());
        let address = EndpointAddr::from_parts(id, relay.map(iroh::TransportAddr::Relay));
        let connection = endpoint.connect(address, ALPN).await.map_err(|why| why.to_string())?;
        let (mut writer, reader) = connection.open_bi().await.map_err(|why| why.to_string())?;
        link::write_topic(&mut writer, &topic).await?;
        Ok::<_, String>((connection, writer, reader))
    };
    match time::timeout(DIALLING, dialling).await.unwrap_or_else(|_| Err("no answer in time".into())) {
        Ok((connection, writer, reader)) => {
            serve(shared, connection, topic, true, (writer, reader), happenings).await;
        }
        Err(why) => {
            tracing::debug!(why, "a peer is not reached");
            // Nobody listens any more: nobody waits for the answer.
            let _ = happenings.send(Happening::NotReached { topic, peer }).await;
        }
    }
}

/// Serves a link until it ends.
async fn serve(
    shared: Arc<Shared>,
    connection: Connection,
    topic: String,
    dialled: bool,
    (writer, reader): (iroh::endpoint::SendStream, iroh::endpoint::RecvStream),
    mut happenings: Happenings,
) {
    let peer = *connection.remote_id().as_bytes();
    let (sender, orders) = mpsc::channel(QUEUE);
    let (cut, is_cut) = oneshot::channel();
    let number = {
        let mut links = locked(&shared.links);
        (links.here.len() < MAX_LINKS).then(|| {
            links.numbers += 1;
            let number = links.numbers;
            links.here.insert(number, Handle { orders: sender, cut });
            number
        })
    };
    let Some(number) = number else {
        if dialled {
            let _ = happenings.send(Happening::NotReached { topic, peer }).await;
        }
        return;
    };
    if happenings.send(Happening::Linked { link: number, topic, peer, dialled }).await.is_ok() {
        let by_us = link::run(number, (writer, reader), orders, is_cut, happenings.clone()).await;
        locked(&shared.links).here.remove(&number);
        if !by_us {
            let _ = happenings.send(Happening::Unlinked { link: number }).await;
        }
    }
    connection.close(0u32.into(), b"bye");
}
