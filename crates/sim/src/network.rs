//! Carrying out effects: disks, requests and their answers, doorbells.

use std::collections::{BTreeMap, BTreeSet};

use sheaf_core::{
    client_id::{ClientId, ReplicaId},
    door::{self, Allowed},
    extent::Extent,
    live::Frame,
    record::{self, SegmentRecord},
    replica::{
        Batch, Doorbell, Effect, Event, Fetch, FetchFailure, FetchWhat, ResolveFailure, WriteAction,
        WriteFailure, WriteId,
    },
    segment,
    text::apply_splices,
};
use sheaf_repo::{cid, did::Did, json, repo::RecordWrite, tid::Tid};

use crate::{
    invariants::{Invariant, deleted_clients},
    ledger,
    pds::{Commit, OnlyIf},
    tally::Occurrence,
    trace,
    world::{Happening, World},
};

/// How long a device waits for an answer, in microseconds. Every request arrives earlier or not at all.
const PATIENCE: u64 = 15_000_000;

/// A request on its way.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Resolve { did: Did, fresh: bool },
    Fetch(Fetch),
    Write { id: WriteId, commit: Commit },
}

impl World {
    /// Does what a replica wants done, in order; a process that is to die does so between two of these.
    pub(crate) fn carry_out(&mut self, n: usize, effects: Vec<Effect>) {
        for effect in effects {
            if self.dies_now(n) {
                return;
            }
            self.note(|| format!("d{n} -> {}", trace::effect(&effect)));
            match effect {
                Effect::Show(splices) => {
                    if let Err(why) = apply_splices(&mut self.devices[n].view, &splices) {
                        self.fail(
                            Invariant::ViewFollows,
                            format!("device {n} cannot show {splices:?}: {why}"),
                        );
                    }
                    self.check_screen(n);
                }
                Effect::Persist(batch) => {
                    self.check_undo(n, &batch);
                    self.persist(n, batch);
                }
                Effect::Resolve { did, fresh } => self.send(n, Request::Resolve { did, fresh }),
                Effect::Fetch(fetch) => {
                    self.devices[n].fetches += 1;
                    self.send(n, Request::Fetch(fetch));
                }
                Effect::Write(write) => {
                    self.devices[n].writes += 1;
                    let commit = commit_of(write.action);
                    self.check_durable(n, &commit);
                    self.check_whole(n, &commit);
                    self.send(n, Request::Write { id: write.id, commit });
                }
                Effect::Listen { repos, .. } => {
                    self.devices[n].stream.listening = repos.into_iter().map(|repo| repo.did).collect();
                }
                Effect::Live(effect) => self.carry_out_live(n, effect),
                Effect::NotTaken(_) | Effect::Refresh => {}
            }
        }
        self.dies_now(n);
    }

    fn dies_now(&mut self, n: usize) -> bool {
        let Some(dying) = &mut self.devices[n].dying else { return false };
        if dying.after > 0 {
            dying.after -= 1;
            return false;
        }
        let dying = *dying;
        self.die(n, dying.down, dying.renamed);
        true
    }

    fn persist(&mut self, n: usize, batch: Batch) {
        let now = self.now;
        let device = &mut self.devices[n];
        let takes = if device.chances.chance(100) {
            device.chances.between(1, 400)
        } else {
            device.chances.between(0, 5)
        };
        let at = (now + takes * 1_000).max(device.disk.busy_until);
        device.disk.busy_until = at;
        let life = device.life;
        self.expect(at, Happening::Disk { device: n, life, batch });
    }

    pub(crate) fn reach_disk(&mut self, n: usize, life: u32, batch: Batch) {
        let now = self.now;
        let device = &mut self.devices[n];
        if device.life != life {
            return;
        }
        let event = if device.disk.full_until > now && !device.chances.chance(device.disk.leaks) {
            self.tally.count(Occurrence::BatchRefused);
            Event::StoreFailed { batch: batch.id, reason: "the disk is full".to_owned() }
        } else {
            for op in batch.ops {
                if let Some(did) = device.config.account.clone()
                    && let Err(violation) = self.ledger.stored(&self.document, &did, &op)
                {
                    self.violation.get_or_insert(violation);
                }
                device.disk.apply(op);
            }
            Event::Stored(batch.id)
        };
        let device = &mut self.devices[n];
        let at = now + 1_000 * device.chances.between(0, 3);
        self.expect(at, Happening::Event { device: n, life, event });
    }

    // --- requests ---

    fn send(&mut self, n: usize, request: Request) {
        let now = self.now;
        let device = &self.devices[n];
        let life = device.life;
        let host = match &request {
            Request::Resolve { .. } => None,
            Request::Fetch(fetch) => Some(self.hosts.host(&fetch.pds)),
            Request::Write { .. } => device.account.map(|account| self.hosts.accounts[account].host),
        };
        let cut_off =
            host.and_then(|host| device.link.partitions.get(&host)).is_some_and(|until| *until > now);
        let device = &mut self.devices[n];
        if device.link.offline_until > now || cut_off {
            let at = now + 1_000 * device.chances.between(1, 2_000);
            let event = failed(&request, false);
            return self.expect(at, Happening::Event { device: n, life, event });
        }
        let given_up_at = now + PATIENCE;
        let bad = device.link.bad_until > now;
        if bad && device.chances.chance(device.link.lost) {
            self.tally.count(Occurrence::RequestLost);
            let event = failed(&request, true);
            if self.cast.late_writes && matches!(request, Request::Write { .. }) {
                // It hangs somewhere on the way and gets there after its sender has gone on.
                let at = given_up_at + 1_000 * self.devices[n].chances.between(0, 10_000);
                self.expect(at, Happening::ArrivesTooLate { device: n, request });
            }
            return self.expect(given_up_at, Happening::Event { device: n, life, event });
        }
        let at = (now + self.latency(n)).min(given_up_at - 1);
        self.expect(at, Happening::Arrives { device: n, life, request, given_up_at });
    }

    fn latency(&mut self, n: usize) -> u64 {
        let (least, most) = self.cast.latency;
        let device = &mut self.devices[n];
        let slow =
            if device.link.bad_until > self.now { device.chances.between(0, device.link.slow) } else { 0 };
        1_000 * (device.chances.between(least, most) + slow)
    }

    /// A request is at its server, which answers it; whether the answer comes home is another matter.
    pub(crate) fn arrive(&mut self, n: usize, life: u32, request: Request, given_up_at: u64) {
        let timed_out = failed(&request, true);
        let event = self.answer(n, request);
        let now = self.now;
        let device = &mut self.devices[n];
        let lost = device.link.offline_until > now
            || (device.link.bad_until > now && device.chances.chance(device.link.unanswered));
        let at = now + self.latency(n);
        let what = if lost || at >= given_up_at {
            self.tally.count(Occurrence::AnswerLost);
            self.expect(given_up_at, Happening::Event { device: n, life, event: timed_out });
            return;
        } else {
            Happening::Event { device: n, life, event }
        };
        self.expect(at, what);
    }

    /// The server's answer.
    pub(crate) fn answer(&mut self, n: usize, request: Request) -> Event {
        let now = self.now;
        match request {
            Request::Resolve { did, fresh } => {
                let result = match self.hosts.number(&did) {
                    Some(number) => Ok(self.hosts.accounts[number].identity(now, fresh)),
                    None => Err(ResolveFailure::NotFound),
                };
                Event::Resolved { did, result }
            }
            Request::Fetch(Fetch { id, did, pds, what }) => {
                let result = match self.hosts.number(&did) {
                    Some(number) => {
                        self.count_read(number, &what);
                        self.hosts.read(number, &pds, &what, now, &mut self.chances)
                    }
                    None => Err(FetchFailure::RepoNotFound),
                };
                Event::Fetched { fetch: id, result }
            }
            Request::Write { id, commit } => {
                let Some(number) = self.devices[n].account else {
                    return Event::Written {
                        write: id,
                        result: Err(WriteFailure::SignInAgain),
                        limits: None,
                    };
                };
                if let Some(status) = self.hosts.fails(self.hosts.accounts[number].host, now) {
                    let result = Err(WriteFailure::Server { status });
                    return Event::Written { write: id, result, limits: None };
                }
                if self.devices[n].signed_out_until > now {
                    self.tally.count(Occurrence::WriteRefusedForSession);
                    return Event::Written {
                        write: id,
                        result: Err(WriteFailure::SignInAgain),
                        limits: None,
                    };
                }
                let before = self.hosts.accounts[number].repo.rev().clone();
                let (result, limits) = self.hosts.accounts[number].write(&commit, now);
                self.tally.count(match &result {
                    Ok(_) => commit.what,
                    Err(WriteFailure::SwapMismatch) => Occurrence::ConditionFailed,
                    Err(_) => Occurrence::WriteRefusedForRate,
                });
                if *self.hosts.accounts[number].repo.rev() != before {
                    let paths = commit.writes.iter().map(|write| match write {
                        RecordWrite::Put(path, _) | RecordWrite::Delete(path) => path.clone(),
                    });
                    self.ring(number, paths.collect());
                }
                Event::Written { write: id, result, limits }
            }
        }
    }

    fn count_read(&mut self, number: usize, what: &FetchWhat) {
        if self.hosts.accounts[number].lie.is_some_and(|(_, until)| until > self.now) {
            self.tally.count(Occurrence::LieTold);
        } else if let FetchWhat::Blob { .. } = what {
            self.tally.count(Occurrence::BlobRead);
        }
    }

    // --- doorbells ---

    /// A repo has changed: its stream tells everybody who listens, late, twice, or not at all.
    pub(crate) fn ring(&mut self, number: usize, paths: BTreeSet<String>) {
        let account = &self.hosts.accounts[number];
        let (did, rev): (Did, Tid) = (account.did.clone(), account.repo.rev().clone());
        let path = paths.into_iter().next();
        let car = path.as_ref().map(|path| account.repo.record_car(path));
        for n in 0..self.devices.len() {
            let device = &self.devices[n];
            let listens = device.stream.up
                && device.stream.deaf_until <= self.now
                && device.link.offline_until <= self.now
                && device.stream.listening.contains(&did);
            if !listens {
                continue;
            }
            let car = car.clone().filter(|_| device.stream.firehose);
            let bell = Doorbell { did: did.clone(), rev: Some(rev.clone()), path: path.clone(), car };
            let life = device.life;
            let device = &mut self.devices[n];
            let times = match device.chances.below(40) {
                0 => 0,
                1 => 2,
                _ => 1,
            };
            for _ in 0..times {
                let late = if self.devices[n].chances.chance(30) {
                    self.devices[n].chances.between(0, 8_000)
                } else {
                    0
                };
                let at = self.now + self.latency(n) + late * 1_000;
                self.expect(at, Happening::Event { device: n, life, event: Event::Doorbell(bell.clone()) });
            }
        }
    }

    // --- what is watched on the way ---

    fn is_kept(&self, did: &Did, replica: &ReplicaId, sent: &Extent) -> bool {
        let mut kept = self.ledger.extent(did, replica);
        if kept.covers(sent) {
            return true;
        }
        let account = self.hosts.accounts.iter().find(|account| account.did == *did);
        let published = account.map(|account| ledger::published(&self.document, account)).unwrap_or_default();
        kept.unite(&Extent::of(
            published.iter().filter(|(name, _)| name == replica).map(|(_, update)| update),
        ));
        kept.covers(sent)
    }

    /// What leaves the device must be on its disk, or in its account's repo already, put there by whoever goes by its name.
    fn check_durable(&mut self, n: usize, commit: &Commit) {
        let Some(did) = self.devices[n].config.account.clone() else { return };
        for write in &commit.writes {
            let RecordWrite::Put(path, bytes) = write else { continue };
            if !path.starts_with(record::SEGMENT) {
                continue;
            }
            let sent = SegmentRecord::parse(bytes).ok().and_then(|record| {
                let client = ClientId::derive(did.as_str(), &self.document.to_string(), &record.replica);
                let entries = segment::decode_entries(&record.entries).ok()?;
                let updates: Result<Vec<_>, _> =
                    entries.iter().map(|entry| door::scan(&entry.update, Allowed::Author(client))).collect();
                Some((record.replica, Extent::of(&updates.ok()?)))
            });
            match sent {
                Some((replica, sent)) if self.is_kept(&did, &replica, &sent) => {}
                Some(_) => self
                    .fail(Invariant::DurableFirst, format!("device {n} sends {path}, which is not stored")),
                None => self
                    .fail(Invariant::NothingLost, format!("device {n} sends {path}, which nobody can read")),
            }
        }
    }

    /// Nor does anything go out live before it is stored.
    pub(crate) fn check_said(&mut self, n: usize, frame: &[u8]) {
        let config = &self.devices[n].config;
        let Ok(Frame::Update { did, replica, signed }) = Frame::parse(frame) else { return };
        if config.account.as_ref() != Some(&did) || config.replica != replica {
            return;
        }
        let client = ClientId::derive(did.as_str(), &self.document.to_string(), &replica);
        match door::scan(&signed.update, Allowed::Author(client)) {
            Ok(said) if self.is_kept(&did, &replica, &Extent::of([&said])) => {}
            Ok(_) => self.fail(Invariant::DurableFirst, format!("device {n} says live what is not stored")),
            Err(why) => {
                self.fail(Invariant::NothingLost, format!("device {n} says live what nobody can read: {why}"))
            }
        }
    }

    /// What is published can be read by whoever has nothing but the repos: it builds on what they show, or carries it.
    fn check_whole(&mut self, n: usize, commit: &Commit) {
        let Some(did) = self.devices[n].config.account.clone() else { return };
        let read = |write: &RecordWrite| match write {
            RecordWrite::Put(path, bytes) if path.starts_with(record::SEGMENT) => {
                SegmentRecord::parse(bytes).ok()
            }
            _ => None,
        };
        let sent: Vec<SegmentRecord> = commit.writes.iter().filter_map(read).collect();
        if sent.iter().any(|segment| segment.carried.is_some()) {
            self.tally.count(Occurrence::SomethingCarried);
        }
        let own = self.hosts.accounts.iter().find(|account| account.did == did);
        let before = own.into_iter().flat_map(ledger::segments);
        let mut there: BTreeMap<ClientId, u32> = BTreeMap::new();
        let shown = self.hosts.accounts.iter().flat_map(|account| account.shown.clone());
        let carried = before.chain(sent.iter().cloned()).flat_map(|segment| ledger::carried(&segment));
        let carried = carried.flat_map(|update| update.provides().clone()).map(|(client, r)| (client, r.end));
        for (client, clock) in shown.chain(carried) {
            let most = there.entry(client).or_default();
            *most = (*most).max(clock);
        }
        // What the device itself goes by, or went by, it publishes one after the other.
        let by_name = |name| ClientId::derive(did.as_str(), &self.document.to_string(), name);
        let own: Vec<ClientId> = self.devices[n].names().map(by_name).collect();
        for segment in &sent {
            let needed = ledger::entries(by_name(&segment.replica), segment)
                .into_iter()
                .flat_map(|update| update.requires().clone());
            let lacks = |(client, clock): &(ClientId, u32)| {
                !own.contains(client) && there.get(client).is_none_or(|reaches| reaches < clock)
            };
            if let Some((client, clock)) = needed.into_iter().find(lacks) {
                let seq = segment.seq;
                let why = format!(
                    "device {n} publishes a segment {seq} on {clock} of {client:?}, which is nowhere"
                );
                return self.fail(Invariant::PublishedWhole, why);
            }
        }
    }

    /// An undo deletes what this replica wrote and nothing else.
    fn check_undo(&mut self, n: usize, batch: &Batch) {
        let Some(did) = self.devices[n].config.account.clone() else { return };
        for op in &batch.ops {
            let Some((replica, number, update)) = ledger::own_change(&self.document, &did, op) else {
                continue;
            };
            let device = &mut self.devices[n];
            if replica != device.config.replica || device.saved_upto.is_some_and(|upto| number <= upto) {
                continue; // offered again
            }
            device.saved_upto = Some(number);
            if device.unsaved.pop_front() != Some(true) {
                continue;
            }
            let own = ClientId::derive(did.as_str(), &self.document.to_string(), &replica);
            let deleted = deleted_clients(&Extent::of([&update]).deletes()).unwrap_or_default();
            if deleted.iter().any(|client| *client != own.get()) {
                self.fail(Invariant::UndoIsOnesOwn, format!("device {n} takes back what {deleted:?} wrote"));
            }
        }
    }
}

/// A write as its PDS does it. (Whatever else a replica may want written has its place here.)
fn commit_of(action: WriteAction) -> Commit {
    match action {
        WriteAction::Put { collection, rkey, record, swap } => {
            let path = format!("{collection}/{rkey}");
            let bytes = json::to_cbor(&record).expect("what a replica writes is atproto's JSON");
            let only_if = swap.map(|swap| OnlyIf::Record(path.clone(), swap));
            let what = match collection {
                record::SEGMENT => Occurrence::SegmentWritten,
                record::DOCUMENT => Occurrence::DocumentWritten,
                record::SNAPSHOT => Occurrence::SnapshotInRecord,
                _ => Occurrence::PresenceWritten,
            };
            Commit { what, writes: vec![RecordWrite::Put(path, bytes)], only_if, points: 2, blob: None }
        }
        WriteAction::PutWithBlob { collection, rkey, mut record, field, media_type, bytes } => {
            let link = serde_json::json!({ "$link": cid::of_blob(&bytes).to_string() });
            let size = bytes.len();
            record[field] =
                serde_json::json!({ "$type": "blob", "ref": link, "mimeType": media_type, "size": size });
            let record = json::to_cbor(&record).expect("what a replica writes is atproto's JSON");
            let write = RecordWrite::Put(format!("{collection}/{rkey}"), record);
            let what = Occurrence::SnapshotInBlob;
            Commit { what, writes: vec![write], only_if: None, points: 2, blob: Some(bytes) }
        }
        WriteAction::Fold { collection, rkey, record, delete, head } => {
            let bytes = json::to_cbor(&record).expect("what a replica writes is atproto's JSON");
            let points = 2 + delete.len() as u32;
            let mut writes = vec![RecordWrite::Put(format!("{collection}/{rkey}"), bytes)];
            writes.extend(delete.iter().map(|rkey| RecordWrite::Delete(format!("{collection}/{rkey}"))));
            let what =
                if delete.is_empty() { Occurrence::LateWritePutBack } else { Occurrence::SegmentsFolded };
            Commit { what, writes, only_if: Some(OnlyIf::Head(head)), points, blob: None }
        }
    }
}

/// How a request fails that is not answered.
fn failed(request: &Request, in_silence: bool) -> Event {
    let reason = || "no route".to_owned();
    match request {
        Request::Resolve { did, .. } => {
            Event::Resolved { did: did.clone(), result: Err(ResolveFailure::Unreachable(reason())) }
        }
        Request::Fetch(fetch) => {
            let why = if in_silence { FetchFailure::TimedOut } else { FetchFailure::Unreachable(reason()) };
            Event::Fetched { fetch: fetch.id, result: Err(why) }
        }
        Request::Write { id, .. } => {
            let why = if in_silence { WriteFailure::TimedOut } else { WriteFailure::Unreachable(reason()) };
            Event::Written { write: *id, result: Err(why), limits: None }
        }
    }
}
