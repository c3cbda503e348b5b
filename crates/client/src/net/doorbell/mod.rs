//! One doorbell in front of every kind of stream.
//!
//! Each kind is a small reader of its own (`bell.rs`, with Jetstream's two versions and a PDS's own stream behind it); one
//! loop serves any of them (`line.rs`); and a policy decides which are needed and what core is told (`policy.rs`). Several
//! may run at once, and one commit rings once. After every (re)connection all of a stream's repos are rung once: what
//! happened while nobody listened is found by walking to the head, so that nothing depends on any stream's memory.
//!
//! Only hints come out of here. Why it is as it is: `docs/adr/0013-doorbells.md`.

pub(crate) mod bell;
mod line;
mod policy;
mod position;
mod rung;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use futures_channel::mpsc;
use futures_util::{
    FutureExt, SinkExt, StreamExt,
    future::{AbortHandle, abortable, pending},
    select_biased,
    stream::FuturesUnordered,
};
use sheaf_core::{
    replica::{Doorbell, DoorbellKind, Listening},
    time::Timestamp,
};
use sheaf_repo::{did::Did, tid::Tid};

use self::{
    bell::Bell,
    policy::{Decision, Lines, Source},
    rung::Rung,
};
use super::{
    firehose::Firehose,
    jetstream::{Version, Wanted, v1::V1, v2::V2},
    origin::authority_of,
};
use crate::{platform, signal::Signal, store::SharedStore};

/// What comes out of a doorbell.
#[derive(Debug, Clone)]
pub enum Heard {
    /// A repo may have changed.
    Ring(Doorbell),
    /// Which kind is connected from now on, and the hosts of the streams that are up.
    Connected(Option<DoorbellKind>, Vec<String>),
}

/// Rings kept for a core that is busy; further ones wait in their connections.
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
    lines: RefCell<Lines>,
    /// Something changed that the policy goes by.
    changed: Signal,
    rung: RefCell<Rung>,
    said: RefCell<(Option<DoorbellKind>, BTreeSet<Source>)>,
    out: RefCell<mpsc::Sender<Heard>>,
}

/// A doorbell: the listener to steer it, what is heard, and the future that does the work and never ends.
pub fn doorbell(
    jetstreams: Vec<String>,
    store: SharedStore,
) -> (Listener, mpsc::Receiver<Heard>, impl Future<Output = ()>) {
    let (out, heard) = mpsc::channel(BACKLOG);
    let listener = Listener(Rc::new(Shared {
        lines: RefCell::new(Lines::new(jetstreams.len())),
        jetstreams,
        store,
        repos: RefCell::default(),
        collections: RefCell::default(),
        wanted_changed: Signal::default(),
        retry: Signal::default(),
        changed: Signal::default(),
        rung: RefCell::default(),
        said: RefCell::default(),
        out: RefCell::new(out),
    }));
    let shared = listener.0.clone();
    (listener, heard, async move { shared.serve().await })
}

impl Listener {
    /// From now on these repos and collections matter.
    pub fn listen(&self, repos: BTreeSet<Listening>, collections: Vec<&'static str>) {
        let shared = &self.0;
        shared.rung.borrow_mut().keep(&repos.iter().map(|repo| repo.did.clone()).collect());
        shared.lines.borrow_mut().keep(&repos);
        *shared.repos.borrow_mut() = repos;
        *shared.collections.borrow_mut() = collections;
        shared.wanted_changed.notify();
        shared.changed.notify();
    }

    /// The device is back online: connect now rather than later.
    pub fn retry_now(&self) {
        self.0.lines.borrow_mut().try_all_now();
        self.0.retry.notify();
    }

    /// These revisions have brought something, however they were found. A stream that does not tell of them is deaf.
    pub fn found<'a>(&self, revisions: impl Iterator<Item = (&'a Did, &'a Tid)>) {
        let (repos, mut lines, now) = (self.0.repos.borrow(), self.0.lines.borrow_mut(), platform::now());
        let mut news = false;
        for (did, rev) in revisions {
            news |= lines.found(did, rev, &repos, now);
        }
        if news {
            self.0.changed.notify();
        }
    }
}

impl Shared {
    /// Runs the streams that are needed, and those alone.
    async fn serve(&self) {
        let mut running: BTreeMap<Source, AbortHandle> = BTreeMap::new();
        let mut lines = FuturesUnordered::new();
        loop {
            let version = self.changed.version();
            let Decision { run, renew, again_at, .. } = self.decide().await;
            running.retain(|source, abort| {
                let useless = renew.contains(source);
                if useless {
                    tracing::info!(?source, "a stream is deaf and is connected anew");
                    self.went_down(source);
                } else if !run.contains(source) {
                    self.lines.borrow_mut().let_go(source);
                }
                let keep = run.contains(source) && !useless;
                if !keep {
                    abort.abort();
                }
                keep
            });
            for source in run {
                if !running.contains_key(&source) && !renew.contains(&source) {
                    let (line, abort) = abortable(self.serve_line(source.clone()));
                    lines.push(line);
                    running.insert(source, abort);
                }
            }
            let any_line = async {
                match lines.next().await {
                    Some(ended) => ended,
                    None => pending().await,
                }
            };
            select_biased! {
                () = self.changed.changed(version).fuse() => {}
                () = until(again_at).fuse() => {}
                ended = any_line.fuse() => {
                    // One that was stopped is off the list already.
                    if let Ok(source) = ended {
                        running.remove(&source);
                    }
                }
            }
        }
    }

    /// What is to be so now; core is told when what is connected has changed.
    async fn decide(&self) -> Decision {
        let decision = self.lines.borrow_mut().decide(&self.repos.borrow(), platform::now());
        let now = (decision.connected, decision.up.clone());
        if self.said.replace(now.clone()) != now {
            tracing::info!(connected = ?decision.connected, up = ?decision.up, "doorbell");
            let hosts =
                decision.up.iter().map(|source| authority_of(self.origin(source)).to_owned()).collect();
            self.say(Heard::Connected(decision.connected, hosts)).await;
        }
        decision
    }

    /// A stream failed: the next try waits.
    fn went_down(&self, source: &Source) {
        let now = platform::now();
        let mut lines = self.lines.borrow_mut();
        let wait = platform::jittered(lines.down(source, now));
        lines.wait_until(source, now.saturating_add(wait));
        self.changed.notify();
    }

    /// Where it is: a URL.
    fn origin<'a>(&'a self, source: &'a Source) -> &'a str {
        match source {
            Source::Jetstream(n) => &self.jetstreams[*n],
            Source::Host(origin) => origin,
        }
    }

    fn bell(&self, source: &Source) -> Box<dyn Bell> {
        match source {
            Source::Jetstream(_) => {
                let address = self.origin(source).to_owned();
                match Version::of(&address) {
                    Version::V1 => Box::new(V1 { address }),
                    Version::V2 => Box::new(V2 { address }),
                }
            }
            Source::Host(origin) => Box::new(Firehose::of(origin)),
        }
    }

    /// What this stream is to tell of; `None` when there is nothing.
    fn wanted(&self, source: &Source) -> Option<Wanted> {
        let repos = self.repos.borrow();
        let here = repos.iter().filter(|repo| match source {
            Source::Jetstream(_) => true,
            Source::Host(origin) => repo.pds.as_ref() == Some(origin),
        });
        let dids: BTreeSet<Did> = here.map(|repo| repo.did.clone()).collect();
        (!dids.is_empty()).then(|| Wanted { dids, collections: self.collections.borrow().clone() })
    }

    /// Hands a ring on, unless another stream was first.
    async fn ring(&self, doorbell: Doorbell) {
        let new = self.rung.borrow_mut().is_new(&doorbell);
        if new {
            self.say(Heard::Ring(doorbell)).await;
        }
    }

    async fn ring_all(&self, dids: impl IntoIterator<Item = Did>) {
        for did in dids {
            self.ring(Doorbell { did, rev: None, path: None, car: None }).await;
        }
    }

    /// A full backlog holds up whoever rings, never what has been said already: dropping this future drops nothing.
    async fn say(&self, heard: Heard) {
        let mut out = self.out.borrow().clone();
        // The driver went away: so does this, soon.
        let _ = out.send(heard).await;
    }
}

/// Waits until then, or for ever.
async fn until(at: Option<Timestamp>) {
    match at {
        // A little later than planned, so that the time has certainly come.
        Some(at) => {
            platform::sleep(at.saturating_since(platform::now()) + std::time::Duration::from_millis(1)).await
        }
        None => pending().await,
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
