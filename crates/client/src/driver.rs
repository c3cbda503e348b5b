//! The one loop that carries out a replica's effects, natively and in the browser alike.
//!
//! Events enter through [`Open::happen`], in whichever turn they happen; what they change on screen is shown before that
//! turn ends, so that a view never falls behind the replica its next edit is made against. Everything that waits for
//! something (store, network, clock, doorbell) waits in [`run`].

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use futures_channel::mpsc;
use futures_util::{FutureExt, StreamExt, future::pending, pin_mut, select_biased, stream::FuturesUnordered};
use sheaf_core::{
    document_uri::DocumentUri,
    replica::{Batch, BatchId, Effect, Event, Fetch, Replica, StoreOp, Write, WriteFailure},
    text::Splice,
    time::Timestamp,
};
use sheaf_repo::did::Did;

use crate::{
    net::{
        doorbell::{Heard, Listener},
        http::Http,
        identity::Directory,
        live::Switchboard,
        pds,
    },
    platform::{self, LocalFuture},
    session::Authed,
    signal::Signal,
    slots::Slot,
    store::{SharedStore, StoreError},
};

/// How long closing waits for writes that are under way.
const WRITING_PATIENCE: Duration = Duration::from_secs(5);
/// How long closing waits for the device's store; a disk that takes longer does not work.
const STORING_PATIENCE: Duration = Duration::from_secs(20);
/// How long closing waits for the account's session to be renewed, where that is under way.
const RENEWING_PATIENCE: Duration = Duration::from_secs(30);
/// However late a deadline is, other things get their turn first.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// What a document's view is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The text changed by something other than the view's own edit: make these changes, one after another.
    Show(Vec<Splice>),
    /// The document did not take an edit of the view's, and that was taken back: this is what was written by it.
    NotTaken(String),
    /// Title, people, status, role or the possibility of undoing may have changed: read them again.
    Refresh,
}

/// What all open documents share.
pub(crate) struct World {
    pub(crate) http: Http,
    pub(crate) directory: Directory,
    pub(crate) store: SharedStore,
    pub(crate) account: RefCell<Option<Rc<dyn Authed>>>,
    pub(crate) switchboard: Switchboard,
}

/// Work that takes time, on its way to the loop.
enum Work {
    Persist(Batch),
    /// A write of the client's own, which nobody waits for.
    Keep(Vec<StoreOp>),
    Resolve {
        did: Did,
        fresh: bool,
    },
    Fetch(Fetch),
    Write(Write),
}

type Callback = Rc<RefCell<dyn FnMut(Change)>>;

/// One open document: the replica, and whoever watches it.
pub(crate) struct Open {
    pub(crate) uri: DocumentUri,
    pub(crate) replica: RefCell<Replica>,
    effects: RefCell<VecDeque<Effect>>,
    carrying_out: Cell<bool>,
    work: mpsc::UnboundedSender<Work>,
    doorbell: Listener,
    world: Rc<World>,
    callbacks: RefCell<BTreeMap<u64, Callback>>,
    next_callback: Cell<u64>,
    /// Something may have changed: for those who wait for a condition, and for the loop to look at its deadline again.
    pub(crate) changed: Signal,
    closing: Cell<bool>,
    pub(crate) closed: Cell<bool>,
}

/// What [`run`] needs beside the document.
pub(crate) struct Loop {
    work: mpsc::UnboundedReceiver<Work>,
    heard: mpsc::Receiver<Heard>,
    world: Rc<World>,
    slot: Option<Slot>,
}

impl Open {
    /// An open document and the loop that serves it. Nothing happens before [`run`] runs.
    pub(crate) fn new(
        uri: DocumentUri,
        replica: Replica,
        effects: Vec<Effect>,
        world: Rc<World>,
        slot: Option<Slot>,
        (doorbell, heard): (Listener, mpsc::Receiver<Heard>),
    ) -> (Rc<Self>, Loop) {
        let (sender, work) = mpsc::unbounded();
        let open = Rc::new(Self {
            uri,
            replica: RefCell::new(replica),
            effects: RefCell::new(effects.into()),
            carrying_out: Cell::new(false),
            work: sender,
            doorbell,
            world: world.clone(),
            callbacks: RefCell::default(),
            next_callback: Cell::new(0),
            changed: Signal::default(),
            closing: Cell::new(false),
            closed: Cell::new(false),
        });
        open.carry_out();
        (open, Loop { work, heard, world, slot })
    }

    /// Hands an event to the replica and shows what changed before returning.
    pub(crate) fn happen(&self, event: Event) {
        let from_outside =
            matches!(event, Event::Fetched { .. } | Event::Written { .. } | Event::Doorbell(_));
        let effects = self.replica.borrow_mut().handle(platform::now(), event);
        if from_outside {
            self.doorbell.found(self.replica.borrow().revisions());
        }
        self.effects.borrow_mut().extend(effects);
        self.carry_out();
    }

    /// Carries effects out in order. A callback that causes further ones gets them after those before it.
    fn carry_out(&self) {
        if self.carrying_out.replace(true) {
            return;
        }
        loop {
            // A statement of its own: the borrow must end before anybody is called.
            let next = self.effects.borrow_mut().pop_front();
            let Some(effect) = next else { break };
            match effect {
                Effect::Show(splices) => self.tell(&Change::Show(splices)),
                Effect::NotTaken(written) => self.tell(&Change::NotTaken(written)),
                Effect::Refresh => self.tell(&Change::Refresh),
                Effect::Listen { repos, collections } => self.doorbell.listen(repos, collections),
                Effect::Live(effect) => self.world.switchboard.carry_out(&self.uri, effect),
                Effect::Persist(batch) => self.queue(Work::Persist(batch)),
                Effect::Resolve { did, fresh } => self.queue(Work::Resolve { did, fresh }),
                Effect::Fetch(fetch) => self.queue(Work::Fetch(fetch)),
                Effect::Write(write) => self.queue(Work::Write(write)),
            }
        }
        self.carrying_out.set(false);
        self.changed.notify();
    }

    fn queue(&self, work: Work) {
        // The loop is gone once the document is closed, and nothing is carried out any more.
        let _ = self.work.unbounded_send(work);
    }

    fn tell(&self, change: &Change) {
        let callbacks: Vec<Callback> = self.callbacks.borrow().values().cloned().collect();
        for callback in callbacks {
            (callback.borrow_mut())(change.clone());
        }
    }

    /// Calls back on every change until [`Open::unsubscribe`].
    pub(crate) fn subscribe(&self, callback: Callback) -> u64 {
        let id = self.next_callback.get();
        self.next_callback.set(id + 1);
        self.callbacks.borrow_mut().insert(id, callback);
        id
    }

    pub(crate) fn unsubscribe(&self, id: u64) {
        // Dropped after the borrow ends: what the callback holds may want to look here as it goes.
        let removed = self.callbacks.borrow_mut().remove(&id);
        drop(removed);
    }

    /// Writes something of the client's own to the store, some time soon.
    pub(crate) fn keep(&self, ops: Vec<StoreOp>) {
        self.queue(Work::Keep(ops));
    }

    /// The device has or has not a network.
    pub(crate) fn online(&self, online: bool) {
        if online {
            self.doorbell.retry_now();
        }
        self.happen(Event::Online(online));
    }

    /// Whether it is being closed, or is.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Begins to close; [`Open::closed`] is set once the loop has ended.
    pub(crate) fn close(&self) {
        if !self.closing.replace(true) {
            self.happen(Event::Close);
        }
    }
}

/// A batch on its way to the store, and whether core waits for it.
struct Storing {
    id: Option<BatchId>,
    ops: Vec<StoreOp>,
}

/// Serves one open document until it is closed.
pub(crate) async fn run(open: Rc<Open>, inner: Loop, doorbell: impl Future<Output = ()>) {
    let Loop { mut work, mut heard, world, slot } = inner;
    let doorbell = doorbell.fuse();
    pin_mut!(doorbell);
    let mut in_flight: FuturesUnordered<LocalFuture<'static, Event>> = FuturesUnordered::new();
    let mut to_store: VecDeque<Storing> = VecDeque::new();
    let mut storing: Option<LocalFuture<'static, Stored>> = None;
    let mut writes = 0usize;
    let mut alarm = Alarm::default();
    let mut closing_since: Option<Timestamp> = None;
    loop {
        let version = open.changed.version();
        // What has been asked for so far is in the channel by now.
        while let Ok(more) = work.try_recv() {
            take_up(more, &world, &in_flight, &mut to_store, &mut writes);
        }
        if storing.is_none() && !to_store.is_empty() {
            storing = Some(store_all(world.store.clone(), std::mem::take(&mut to_store)));
        }
        if open.closing.get() {
            let now = platform::now();
            let began = *closing_since.get_or_insert(now);
            // What the store refused is offered again by core a moment later.
            let stored = storing.is_none() && open.replica.borrow().is_stored();
            let until = match (stored, writes) {
                (false, _) => began.saturating_add(STORING_PATIENCE),
                (true, 1..) => began.saturating_add(WRITING_PATIENCE),
                (true, 0) => now,
            };
            if until <= now {
                break;
            }
            let retry = open.replica.borrow().deadline().filter(|_| !stored);
            alarm.set(Some(retry.map_or(until, |retry| retry.min(until))));
        } else {
            let deadline = open.replica.borrow().deadline();
            alarm.set(deadline);
        }
        select_biased! {
            more = work.next() => {
                // `open` holds the other end, so there is always one.
                if let Some(more) = more {
                    take_up(more, &world, &in_flight, &mut to_store, &mut writes);
                }
            }
            (batches, result) = finished(&mut storing).fuse() => {
                for id in batches {
                    open.happen(match &result {
                        Ok(()) => Event::Stored(id),
                        Err(error) => Event::StoreFailed { batch: id, reason: error.to_string() },
                    });
                }
            }
            event = in_flight.select_next_some() => {
                if matches!(event, Event::Written { .. }) {
                    writes -= 1;
                }
                open.happen(event);
            }
            heard = heard.next() => match heard {
                Some(Heard::Ring(bell)) => open.happen(Event::Doorbell(bell)),
                Some(Heard::Connected(connected, hosts)) => open.happen(Event::Doorbells { connected, hosts }),
                None => unreachable!("`open` holds the listener, which holds a sender"),
            },
            () = doorbell => unreachable!("a doorbell listens for ever"),
            () = alarm.rings().fuse() => if !open.closing.get() || !open.replica.borrow().is_stored() {
                open.happen(Event::Tick);
            },
            () = open.changed.changed(version).fuse() => {}
        }
    }
    world.switchboard.leave(&open);
    drop((in_flight, slot));
    let account = world.account.borrow().clone();
    if let Some(account) = account {
        // A renewal that is broken off would take the session with it.
        let _ = platform::within(RENEWING_PATIENCE, account.renewed()).await;
    }
    tracing::debug!(document = %open.uri, "closed");
    open.closed.set(true);
    open.changed.notify();
}

fn take_up(
    work: Work,
    world: &Rc<World>,
    in_flight: &FuturesUnordered<LocalFuture<'static, Event>>,
    to_store: &mut VecDeque<Storing>,
    writes: &mut usize,
) {
    match work {
        Work::Persist(Batch { id, ops }) => to_store.push_back(Storing { id: Some(id), ops }),
        Work::Keep(ops) => to_store.push_back(Storing { id: None, ops }),
        Work::Resolve { did, fresh } => {
            let directory = world.directory.clone();
            in_flight.push(Box::pin(async move {
                let result = directory.resolve(&did, fresh).await;
                Event::Resolved { did, result }
            }));
        }
        Work::Fetch(fetch) => {
            let http = world.http.clone();
            in_flight.push(Box::pin(async move {
                let result = pds::fetch(&http, &fetch).await;
                Event::Fetched { fetch: fetch.id, result }
            }));
        }
        Work::Write(Write { id, action }) => {
            *writes += 1;
            let account = world.account.borrow().clone();
            in_flight.push(Box::pin(async move {
                let (result, limits) = match account {
                    Some(account) => pds::write(&*account, &action).await,
                    None => (Err(WriteFailure::SignInAgain), None),
                };
                Event::Written { write: id, result, limits }
            }));
        }
    }
}

/// What became of one write to the store: which of core's batches it held, and how it went.
type Stored = (Vec<BatchId>, Result<(), StoreError>);

/// Waits for the write under way, if any.
async fn finished(storing: &mut Option<LocalFuture<'static, Stored>>) -> Stored {
    let Some(under_way) = storing else { return pending().await };
    let stored = under_way.await;
    *storing = None;
    stored
}

/// Everything that waits goes into one write: a slow disk then costs one wait, not one a keystroke.
fn store_all(store: SharedStore, batches: VecDeque<Storing>) -> LocalFuture<'static, Stored> {
    let ids = batches.iter().filter_map(|batch| batch.id).collect();
    let ops = batches.into_iter().flat_map(|batch| batch.ops).collect();
    Box::pin(async move {
        let result = store.write(ops).await;
        if let Err(error) = &result {
            tracing::warn!(%error, "changes are not stored");
        }
        (ids, result)
    })
}

/// One timer, set anew only when its time changes.
#[derive(Default)]
struct Alarm {
    at: Option<Timestamp>,
    sleep: Option<LocalFuture<'static, ()>>,
}

impl Alarm {
    fn set(&mut self, at: Option<Timestamp>) {
        if self.at != at || self.sleep.is_none() {
            self.at = at;
            self.sleep = at.map(|at| {
                let wait = at.saturating_since(platform::now()).max(SHORTEST_SLEEP);
                Box::pin(platform::sleep(wait)) as LocalFuture<'static, ()>
            });
        }
    }

    async fn rings(&mut self) {
        match &mut self.sleep {
            Some(sleep) => sleep.await,
            None => pending().await,
        }
        self.sleep = None;
    }
}
