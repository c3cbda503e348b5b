//! One doorbell in front of both kinds of stream.
//!
//! Policy: Jetstream where one is configured and answers; while none does, the streams of the PDSes that hold the editors'
//! repos, one for each host; and when not every one of those can be had, no doorbell, which tells core to poll. After every
//! (re)connection all repos are rung once: what happened while nobody listened is found by walking to the head.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use futures_channel::mpsc;
use futures_util::{
    FutureExt, SinkExt, StreamExt,
    future::{AbortHandle, abortable, join},
    select_biased,
    stream::FuturesUnordered,
};
use sheaf_core::{
    replica::{Doorbell, DoorbellKind, Listening, StoreOp},
    time::Timestamp,
};
use sheaf_repo::did::Did;

use super::{
    firehose,
    jetstream::{self, Wanted},
    socket::{Message, Socket, SocketError},
};
use crate::{platform, signal::Signal, store::SharedStore};

/// What comes out of a doorbell.
#[derive(Debug, Clone)]
pub enum Heard {
    /// A repo may have changed.
    Ring(Doorbell),
    /// Which kind is connected from now on.
    Connected(Option<DoorbellKind>),
}

/// The first wait after a failure; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A connection that lived this long was a good one: its end is no failure.
const GOOD: Duration = Duration::from_secs(10);
/// How often the stream position is saved while events come in.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// The most hosts listened to at once.
const MAX_HOSTS: usize = 16;
/// Rings kept for a core that is busy; further ones wait in the connection.
const BACKLOG: usize = 64;

/// What to listen for, and the network's state, shared with the driver.
#[derive(Clone)]
pub struct Listener(Rc<Shared>);

struct Shared {
    jetstreams: Vec<String>,
    store: SharedStore,
    repos: RefCell<BTreeSet<Listening>>,
    collections: RefCell<Vec<&'static str>>,
    /// The repos or the collections changed.
    wanted_changed: Signal,
    /// The device came back online: no point in waiting any longer.
    retry: Signal,
    jetstream_up: Cell<bool>,
    /// Failures in a row; from one for each address on, the PDSes' own streams take over.
    jetstream_failures: Cell<u32>,
    hosts_up: RefCell<BTreeSet<String>>,
    /// Something above about connections changed.
    connections_changed: Signal,
    said: Cell<Option<DoorbellKind>>,
    out: RefCell<mpsc::Sender<Heard>>,
}

/// A doorbell: the listener to steer it, what is heard, and the future that does the work and never ends.
pub fn doorbell(
    jetstreams: Vec<String>,
    store: SharedStore,
) -> (Listener, mpsc::Receiver<Heard>, impl Future<Output = ()>) {
    let (out, heard) = mpsc::channel(BACKLOG);
    let listener = Listener(Rc::new(Shared {
        jetstreams,
        store,
        repos: RefCell::default(),
        collections: RefCell::default(),
        wanted_changed: Signal::default(),
        retry: Signal::default(),
        jetstream_up: Cell::new(false),
        jetstream_failures: Cell::new(0),
        hosts_up: RefCell::default(),
        connections_changed: Signal::default(),
        said: Cell::new(None),
        out: RefCell::new(out),
    }));
    let shared = listener.0.clone();
    let work = async move {
        join(shared.listen_to_jetstream(), shared.listen_to_hosts()).await;
    };
    (listener, heard, work)
}

impl Listener {
    /// From now on these repos and collections matter.
    pub fn listen(&self, repos: BTreeSet<Listening>, collections: Vec<&'static str>) {
        *self.0.repos.borrow_mut() = repos;
        *self.0.collections.borrow_mut() = collections;
        self.0.wanted_changed.notify();
    }

    /// The device is back online: connect now rather than later.
    pub fn retry_now(&self) {
        self.0.retry.notify();
    }
}

impl Shared {
    fn wanted(&self) -> Option<Wanted> {
        let dids: BTreeSet<Did> = self.repos.borrow().iter().map(|repo| repo.did.clone()).collect();
        (!dids.is_empty()).then(|| Wanted { dids, collections: self.collections.borrow().clone() })
    }

    fn wanted_at(&self, host: &str) -> Option<Wanted> {
        let repos = self.repos.borrow();
        let here = repos.iter().filter(|repo| repo.pds.as_deref() == Some(host));
        let dids: BTreeSet<Did> = here.map(|repo| repo.did.clone()).collect();
        (!dids.is_empty()).then(|| Wanted { dids, collections: self.collections.borrow().clone() })
    }

    async fn say(&self, heard: Heard) {
        let mut out = self.out.borrow().clone();
        // The driver went away: so does this, soon.
        let _ = out.send(heard).await;
    }

    async fn ring(&self, dids: impl IntoIterator<Item = Did>) {
        for did in dids {
            self.say(Heard::Ring(Doorbell { did, rev: None, path: None, car: None })).await;
        }
    }

    /// Tells the driver which kind is connected, when that has changed.
    async fn say_connected(&self) {
        let kind = if self.jetstream_up.get() {
            Some(DoorbellKind::Jetstream)
        } else {
            let hosts = self.hosts();
            let all = !hosts.is_empty() && hosts.iter().all(|host| self.hosts_up.borrow().contains(host));
            let known = self.repos.borrow().iter().all(|repo| repo.pds.is_some());
            (all && known).then_some(DoorbellKind::Firehose)
        };
        if self.said.replace(kind) != kind {
            tracing::info!(?kind, "doorbell");
            self.say(Heard::Connected(kind)).await;
        }
    }

    /// The hosts whose own streams could be listened to.
    fn hosts(&self) -> BTreeSet<String> {
        self.repos.borrow().iter().filter_map(|repo| repo.pds.clone()).take(MAX_HOSTS).collect()
    }

    /// Waits before the next try, unless the device comes back online first.
    async fn wait_before_try(&self, failures: u32) {
        let wait = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_WAIT);
        let retry = self.retry.version();
        select_biased! {
            () = self.retry.changed(retry).fuse() => {}
            () = platform::sleep(platform::jittered(wait)).fuse() => {}
        }
    }

    // --- Jetstream ---

    async fn listen_to_jetstream(&self) {
        let mut turn = 0;
        while !self.jetstreams.is_empty() {
            let version = self.wanted_changed.version();
            if self.wanted().is_none() {
                self.wanted_changed.changed(version).await;
                continue;
            }
            let address = &self.jetstreams[turn % self.jetstreams.len()];
            turn += 1;
            let began = platform::now();
            let ended = self.hear_jetstream(address).await;
            self.jetstream_up.set(false);
            let good = platform::now().saturating_since(began) >= GOOD;
            self.jetstream_failures.set(if good { 1 } else { self.jetstream_failures.get() + 1 });
            tracing::info!(
                address,
                ended = ended.map_or_else(|e| e.to_string(), |()| "not needed".into()),
                "jetstream"
            );
            self.connections_changed.notify();
            self.say_connected().await;
            self.wait_before_try(self.jetstream_failures.get()).await;
        }
        // Without a Jetstream the hosts do the work, in the other future.
        futures_util::future::pending().await
    }

    /// Listens until the connection ends, or nothing is wanted any more.
    async fn hear_jetstream(&self, address: &str) -> Result<(), SocketError> {
        let mut version = self.wanted_changed.version();
        let Some(mut wanted) = self.wanted() else { return Ok(()) };
        let key = position_key(address);
        let saved = self.store.get(&key).await.ok().flatten();
        let position = saved.and_then(|saved| std::str::from_utf8(&saved).ok()?.parse::<u64>().ok());
        // A position from the future would make the server wait for it.
        let position = position.filter(|at| *at <= platform::now().as_micros());
        let mut socket = Socket::connect(&jetstream::subscription(address, &wanted, position)).await?;
        self.jetstream_up.set(true);
        self.connections_changed.notify();
        self.say_connected().await;
        self.ring(wanted.dids.clone()).await;
        let mut saved_at = Timestamp::from_micros(0);
        loop {
            let message = select_biased! {
                () = self.wanted_changed.changed(version).fuse() => None,
                message = socket.next().fuse() => Some(message?),
            };
            let Some(message) = message else {
                version = self.wanted_changed.version();
                let Some(now_wanted) = self.wanted() else { return Ok(()) };
                if now_wanted != wanted {
                    socket.send(jetstream::options_update(&now_wanted)).await?;
                    let new: Vec<Did> = now_wanted.dids.difference(&wanted.dids).cloned().collect();
                    wanted = now_wanted;
                    self.ring(new).await;
                }
                continue;
            };
            let Message::Text(text) = message else { continue };
            match jetstream::parse(&text, &wanted) {
                Ok(heard) => {
                    self.jetstream_failures.set(0);
                    if let Some(doorbell) = heard.doorbell {
                        self.say(Heard::Ring(doorbell)).await;
                    }
                    let now = platform::now();
                    if now.saturating_since(saved_at) >= SAVE_EVERY {
                        saved_at = now;
                        self.save_position(&key, heard.position).await;
                    }
                }
                Err(error) => tracing::debug!(%error, address, "skipped"),
            }
        }
    }

    async fn save_position(&self, key: &str, position: u64) {
        let put = StoreOp::Put { key: key.to_owned(), value: position.to_string().into_bytes() };
        if let Err(error) = self.store.write(vec![put]).await {
            // Nothing is lost by it: every repo is rung on connecting.
            tracing::debug!(%error, "the stream position is not saved");
        }
    }

    fn jetstream_has_failed(&self) -> bool {
        self.jetstreams.is_empty()
            || !self.jetstream_up.get() && self.jetstream_failures.get() as usize >= self.jetstreams.len()
    }

    // --- the hosts' own streams ---

    async fn listen_to_hosts(&self) {
        let mut running: BTreeMap<String, AbortHandle> = BTreeMap::new();
        let mut streams = FuturesUnordered::new();
        loop {
            let (wanted, connections) = (self.wanted_changed.version(), self.connections_changed.version());
            let hosts = if self.jetstream_has_failed() { self.hosts() } else { BTreeSet::new() };
            running.retain(|host, abort| {
                let keep = hosts.contains(host);
                if !keep {
                    abort.abort();
                    self.hosts_up.borrow_mut().remove(host);
                }
                keep
            });
            for host in hosts {
                if let std::collections::btree_map::Entry::Vacant(vacant) = running.entry(host.clone()) {
                    let (stream, abort) = abortable(async move { self.listen_to_host(&host).await });
                    streams.push(stream);
                    vacant.insert(abort);
                }
            }
            self.say_connected().await;
            let any_stream = async {
                if streams.next().await.is_none() {
                    futures_util::future::pending::<()>().await;
                }
            };
            select_biased! {
                () = self.wanted_changed.changed(wanted).fuse() => {}
                () = self.connections_changed.changed(connections).fuse() => {}
                () = any_stream.fuse() => {}
            }
        }
    }

    /// Listens to one host, again and again; ends only by being aborted.
    async fn listen_to_host(&self, host: &str) {
        let mut failures = 0;
        loop {
            let began = platform::now();
            let ended = self.hear_host(host).await;
            self.hosts_up.borrow_mut().remove(host);
            self.connections_changed.notify();
            let good = platform::now().saturating_since(began) >= GOOD;
            failures = if good { 1 } else { failures + 1 };
            tracing::info!(
                host,
                ended = ended.map_or_else(|e| e.to_string(), |()| "not needed".into()),
                "firehose"
            );
            self.wait_before_try(failures).await;
        }
    }

    async fn hear_host(&self, host: &str) -> Result<(), SocketError> {
        let mut version = self.wanted_changed.version();
        let Some(mut wanted) = self.wanted_at(host) else { return Ok(()) };
        let mut socket = Socket::connect(&firehose::subscription(host)).await?;
        self.hosts_up.borrow_mut().insert(host.to_owned());
        self.connections_changed.notify();
        self.ring(wanted.dids.clone()).await;
        loop {
            let message = select_biased! {
                () = self.wanted_changed.changed(version).fuse() => None,
                message = socket.next().fuse() => Some(message?),
            };
            let Some(message) = message else {
                version = self.wanted_changed.version();
                let Some(now_wanted) = self.wanted_at(host) else { return Ok(()) };
                let new: Vec<Did> = now_wanted.dids.difference(&wanted.dids).cloned().collect();
                wanted = now_wanted;
                self.ring(new).await;
                continue;
            };
            let Message::Binary(frame) = message else { continue };
            match firehose::parse(&frame, &wanted) {
                Ok(Some(doorbell)) => self.say(Heard::Ring(doorbell)).await,
                Ok(None) => {}
                Err(firehose::FrameError::Unreadable(error)) => tracing::debug!(error, host, "skipped"),
                Err(firehose::FrameError::Ended(reason)) => return Err(SocketError::Closed(reason)),
            }
        }
    }
}

fn position_key(address: &str) -> String {
    format!("stream/{address}")
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
