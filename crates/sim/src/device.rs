//! One device: a process that may die, a disk that outlives it, a clock that is wrong, and a network that may not be there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sheaf_core::{
    client_id::ReplicaId,
    document_uri::DocumentUri,
    replica::{DoorbellKind, Replica, ReplicaConfig, StoreOp},
    time::Timestamp,
};
use sheaf_repo::{did::Did, tid::Tid};

use crate::{choices::Choices, schedule::Seat};

/// Longer than what is heard live may wait to be stored, in microseconds: twice as long, as clocks are set back.
const LEISURE: u64 = 600_000;

pub(crate) struct Device {
    pub(crate) account: Option<usize>,
    pub(crate) config: ReplicaConfig,
    /// How many processes have died here: what was meant for one does not reach the next.
    pub(crate) life: u32,
    pub(crate) replica: Option<Replica>,
    /// What the person sees: made of splices alone.
    pub(crate) view: String,
    pub(crate) disk: Disk,
    /// What to add to the true time, in microseconds.
    pub(crate) skew: i64,
    pub(crate) link: Link,
    pub(crate) stream: Stream,
    /// Until when the account's PDS knows no session of this device.
    pub(crate) signed_out_until: u64,
    pub(crate) dying: Option<Dying>,
    /// How many updates it had that no repo shows, when its disk had come to rest just before it died.
    pub(crate) unproved: usize,
    /// When something was last said to it live, µs.
    pub(crate) heard_at: u64,
    /// When the process wants to be woken, in true time.
    pub(crate) wake_at: Option<u64>,
    /// What happened in this second so far.
    pub(crate) busy: (u64, u32),
    /// Own changes of this process that have not been given to the disk yet: whether each is an undo or redo.
    pub(crate) unsaved: VecDeque<bool>,
    /// The number of the last one that has.
    pub(crate) saved_upto: Option<u64>,
    /// The newest revision that this process has verified of each repo.
    pub(crate) heads: BTreeMap<Did, Tid>,
    /// Requests sent.
    pub(crate) fetches: u32,
    pub(crate) writes: u32,
    /// Own chances of this device's messages.
    pub(crate) chances: Choices,
}

/// The store: what is in it survives.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) contents: BTreeMap<String, Vec<u8>>,
    /// When the last write asked for so far will be through: they keep their order.
    pub(crate) busy_until: u64,
    pub(crate) full_until: u64,
    /// How many writes of a thousand succeed while it is full.
    pub(crate) leaks: u32,
}

/// The way to everybody else.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) offline_until: u64,
    /// PDSes that cannot be reached, and until when.
    pub(crate) partitions: BTreeMap<usize, u64>,
    pub(crate) bad_until: u64,
    pub(crate) lost: u32,
    pub(crate) unanswered: u32,
    pub(crate) slow: u64,
}

/// The live doorbell.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) firehose: bool,
    pub(crate) up: bool,
    pub(crate) deaf_until: u64,
    pub(crate) listening: BTreeSet<Did>,
}

/// A process that is about to die.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dying {
    pub(crate) after: u8,
    pub(crate) down: u64,
    pub(crate) renamed: bool,
}

impl Device {
    pub(crate) fn new(
        number: usize,
        seat: &Seat,
        did: Option<Did>,
        document: &DocumentUri,
        seed: u64,
    ) -> Device {
        Device {
            account: seat.account,
            config: ReplicaConfig {
                document: document.clone(),
                account: did,
                replica: name(number, 0),
                via: vec![],
                adopt: vec![],
                session: None,
                name: Some(format!("Person {number}")),
                seed: number as u64,
            },
            life: 0,
            replica: None,
            view: String::new(),
            disk: Disk::default(),
            skew: seat.skew,
            link: Link::default(),
            stream: Stream { firehose: seat.firehose, up: true, deaf_until: 0, listening: BTreeSet::new() },
            signed_out_until: 0,
            dying: None,
            unproved: 0,
            heard_at: 0,
            wake_at: None,
            busy: (0, 0),
            unsaved: VecDeque::new(),
            saved_upto: None,
            heads: BTreeMap::new(),
            fetches: 0,
            writes: 0,
            chances: Choices::new(seed, 100 + number as u64),
        }
    }

    /// The time by this device's clock.
    pub(crate) fn clock(&self, now: u64) -> Timestamp {
        Timestamp::from_micros(now.saturating_add_signed(self.skew))
    }

    /// Notes what a process that is about to die has heard and need not hear again.
    pub(crate) fn note_unproved(&mut self, now: u64) {
        let status = self.replica.as_ref().map(|replica| replica.status(self.clock(now)));
        let at_rest = self.disk.is_at_rest(now) && self.heard_at + LEISURE < now;
        let kept = status.filter(|status| at_rest && status.store_trouble.is_none());
        self.unproved = kept.map_or(0, |status| status.live.provisional);
    }

    /// Looks at when the process wants to be woken; never at once, as no driver does.
    pub(crate) fn set_alarm(&mut self, now: u64) {
        let deadline = self.replica.as_ref().and_then(Replica::deadline);
        self.wake_at = deadline.map(|at| at.as_micros().saturating_add_signed(-self.skew).max(now + 1_000));
    }

    /// The kind of doorbell that is connected, if the network is there.
    pub(crate) fn doorbell(&self, now: u64) -> Option<DoorbellKind> {
        let kind = if self.stream.firehose { DoorbellKind::Firehose } else { DoorbellKind::Jetstream };
        (self.stream.up && self.link.offline_until <= now).then_some(kind)
    }

    /// The next process goes by another name and takes up what the last ones left, as one does that finds the old slot
    /// locked at first.
    pub(crate) fn rename(&mut self, number: usize) {
        let next = name(number, self.config.adopt.len() + 1);
        let before = std::mem::replace(&mut self.config.replica, next);
        self.config.adopt.push(before);
    }

    /// Every name that was ever used here.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ReplicaId> {
        self.config.adopt.iter().chain([&self.config.replica])
    }
}

impl Disk {
    /// Whether everything that was asked of it is through, and its process knows.
    fn is_at_rest(&self, now: u64) -> bool {
        self.busy_until + 5_000 < now
    }

    /// What a new process finds.
    pub(crate) fn read(&self) -> Vec<(String, Vec<u8>)> {
        self.contents.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// One change of a batch that happens as a whole.
    pub(crate) fn apply(&mut self, op: StoreOp) {
        match op {
            StoreOp::Put { key, value } => self.contents.insert(key, value),
            StoreOp::Delete { key } => self.contents.remove(&key),
        };
    }
}

fn name(device: usize, use_: usize) -> ReplicaId {
    let name = if use_ == 0 { format!("r{device}") } else { format!("r{device}n{use_}") };
    name.parse().expect("a plain name")
}
