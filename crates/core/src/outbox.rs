//! What is durable here and not yet published, and the one write that is under way.
//!
//! Everything this account publishes from this replica goes through here, one write at a time, so that order, retries and
//! quota are decided in one place. A write whose answer was lost is repeated as it was: `putRecord` of the same record is
//! the same as once.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    client_id::ReplicaId,
    record::DocumentRecord,
    replica::{Stalled, WriteFailure, WriteId},
    segment::{Entry, LogOp, SegmentLog, SegmentPlan},
    time::Timestamp,
};

/// A server that refuses a change as it is gets asked again this seldom.
const AFTER_REFUSAL: Duration = Duration::from_secs(600);
/// After a fold that failed, usually because something else was written, the next is tried this much later.
const AFTER_FOLD: Duration = Duration::from_secs(20);
/// The first wait after a failure …
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// … and after finding that the document record has changed: a look at the repo takes no longer.
const FIRST_MISMATCH: Duration = Duration::from_millis(200);
/// The longest of both.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

fn doubled(first: Duration, times: u32) -> Duration {
    (first * (1 << times.saturating_sub(1).min(10))).min(LONGEST_RETRY)
}

/// What a write carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Cargo {
    /// The owner's document record, carrying out the intents up to this number.
    Document {
        /// The last intent in it.
        upto: u64,
        /// What it says: by the time of the answer the repo view may have shown an older state, from which this would not
        /// follow any more.
        record: Box<DocumentRecord>,
    },
    /// A replica's segment.
    Segment {
        /// Whose.
        replica: ReplicaId,
        /// What of its log.
        plan: SegmentPlan,
        /// What it brings along of others.
        carried: Option<Vec<u8>>,
    },
    /// Presence.
    Awareness,
    /// Several sealed segments as one.
    Fold,
    /// What others have written, with the proofs.
    Snapshot,
}

/// Own changes on their way into the account's repo.
#[derive(Debug)]
pub struct Outbox {
    replica: ReplicaId,
    logs: BTreeMap<ReplicaId, Log>,
    in_flight: Option<(WriteId, String, Cargo)>,
    /// A segment write that may or may not have happened: repeated before anything else of that log.
    unsure: BTreeMap<ReplicaId, SegmentPlan>,
    last_flush: Option<Timestamp>,
    /// When the document record was last sent.
    last_document: Option<Timestamp>,
    /// It was refused or had changed meanwhile, which is no reason to keep back the text: it alone waits.
    document_not_before: Option<Timestamp>,
    /// How often in a row it had changed meanwhile.
    mismatches: u32,
    fold_not_before: Timestamp,
    snapshot_not_before: Timestamp,
    attempts: u32,
    not_before: Option<Timestamp>,
    stalled: Option<Stalled>,
    hurry: bool,
    session: bool,
    seed: u64,
    published_any: bool,
}

#[derive(Debug)]
struct Log {
    segments: SegmentLog,
    /// Of the entries pending in `segments`, how many the store has confirmed.
    durable: u64,
}

impl Outbox {
    /// Nothing to publish yet.
    pub fn new(replica: ReplicaId, seed: u64) -> Self {
        let log = Log { segments: SegmentLog::new(replica.clone()), durable: 0 };
        Outbox {
            logs: BTreeMap::from([(replica.clone(), log)]),
            replica,
            in_flight: None,
            unsure: BTreeMap::new(),
            last_flush: None,
            last_document: None,
            document_not_before: None,
            mismatches: 0,
            fold_not_before: Timestamp::EPOCH,
            snapshot_not_before: Timestamp::EPOCH,
            attempts: 0,
            not_before: None,
            stalled: None,
            hurry: false,
            session: true,
            seed,
            published_any: false,
        }
    }

    /// Takes a log found in the store: everything in it is durable.
    pub fn restore(&mut self, segments: SegmentLog) {
        let durable = segments.pending();
        self.published_any |= segments.published_any();
        self.logs.insert(segments.replica().clone(), Log { segments, durable });
    }

    /// Every log whose edits go out from here.
    pub fn logs(&self) -> impl Iterator<Item = &SegmentLog> {
        self.logs.values().map(|log| &log.segments)
    }

    /// Adds an own update and says what to store for it, as key suffixes and values.
    pub fn append(&mut self, at: Timestamp, update: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
        self.own_log().segments.append(at, update)
    }

    /// The store has confirmed this many more entries.
    pub fn durable(&mut self, replica: &ReplicaId, entries: u64) {
        if let Some(log) = self.logs.get_mut(replica) {
            log.durable += entries;
        }
    }

    /// Own edits of this replica that are durable and not published, oldest first.
    pub fn own_durable(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        let log = &self.logs[&self.replica];
        let durable = usize::try_from(log.durable.min(log.segments.pending())).unwrap_or(0);
        log.segments.waiting_entries().take(durable)
    }

    /// Publish at once, whatever the window says.
    pub fn hurry(&mut self) {
        self.hurry = true;
        self.not_before = None;
    }

    /// Whether it was asked to since the last flush.
    pub fn hurries(&self) -> bool {
        self.hurry
    }

    /// The network is back: what failed is tried again now.
    pub fn network_is_back(&mut self) {
        if matches!(self.stalled, Some(Stalled::Unreachable { .. })) {
            self.attempts = 0;
            self.not_before = None;
            self.stalled = None;
        }
    }

    /// Whether the account's session can write.
    pub fn set_session(&mut self, usable: bool) {
        self.session = usable;
        if usable {
            self.stalled = None;
            self.not_before = None;
            self.document_not_before = None;
            self.attempts = 0;
        } else {
            self.stalled = Some(Stalled::SignInAgain);
        }
    }

    /// Edits durable here or about to be, and not published.
    pub fn waiting(&self) -> u64 {
        self.logs.values().map(|log| log.segments.pending()).sum()
    }

    /// Since when the oldest of them waits.
    pub fn waiting_since(&self) -> Option<Timestamp> {
        self.logs.values().filter_map(|log| log.segments.pending_since()).min()
    }

    /// Whether anything of this device has ever been published here.
    pub fn published_any(&self) -> bool {
        self.published_any
    }

    /// Why things wait longer than a flush window.
    pub fn stalled(&self) -> Option<&Stalled> {
        self.stalled.as_ref()
    }

    /// Whether a write may start now as far as failures go; else when, if time alone will tell.
    pub fn may_write(&self, now: Timestamp) -> Result<(), Option<Timestamp>> {
        if self.in_flight.is_some() || !self.session {
            return Err(None);
        }
        match self.not_before {
            Some(at) if at > now => Err(Some(at)),
            _ => Ok(()),
        }
    }

    /// When the flush window lets the next segment out, given its length. `None` when nothing durable waits.
    pub fn flush_at(&self, window: Duration) -> Option<Timestamp> {
        let any = self.logs.values().any(|log| log.durable > 0) || !self.unsure.is_empty();
        any.then(|| match self.last_flush {
            Some(last) if !self.hurry => last.saturating_add(window),
            _ => Timestamp::from_micros(0),
        })
    }

    /// When the document record may go, given the flush window: changes of a title come by the letter.
    pub fn document_at(&self, window: Duration) -> Timestamp {
        let paced = self.last_document.map_or(Timestamp::EPOCH, |last| last.saturating_add(window));
        self.document_not_before.map_or(paced, |at| at.max(paced))
    }

    /// When folding may be tried.
    pub fn fold_at(&self) -> Timestamp {
        self.fold_not_before
    }

    /// When a snapshot may be tried.
    pub fn snapshot_at(&self) -> Timestamp {
        self.snapshot_not_before
    }

    /// Times of the clock as it was before mean nothing now: whatever waits is tried soon.
    pub fn clock_was_set_back(&mut self, now: Timestamp) {
        for at in [
            &mut self.last_flush,
            &mut self.last_document,
            &mut self.not_before,
            &mut self.document_not_before,
        ] {
            *at = at.map(|at| at.min(now));
        }
        for at in [&mut self.fold_not_before, &mut self.snapshot_not_before] {
            *at = (*at).min(now.saturating_add(AFTER_FOLD));
        }
    }

    /// The next segment to write.
    pub fn next_segment(&self) -> Option<(ReplicaId, SegmentPlan)> {
        if let Some((replica, plan)) = self.unsure.iter().next() {
            return Some((replica.clone(), plan.clone()));
        }
        let mine = self.logs.get_key_value(&self.replica);
        let others = self.logs.iter().filter(|(replica, _)| **replica != self.replica);
        mine.into_iter().chain(others).find_map(|(replica, log)| {
            let plan = log.segments.plan(log.durable)?;
            Some((replica.clone(), plan))
        })
    }

    /// This replica's active segment as it is, to be written once more for what it brings along.
    pub fn same_segment(&self) -> Option<(ReplicaId, SegmentPlan)> {
        Some((self.replica.clone(), self.logs.get(&self.replica)?.segments.plan_again()))
    }

    /// A write to this path has been sent.
    pub fn sent(&mut self, now: Timestamp, id: WriteId, path: String, cargo: Cargo) {
        if let Cargo::Segment { replica, plan, .. } = &cargo {
            self.last_flush = Some(now);
            self.unsure.insert(replica.clone(), plan.clone());
        }
        if let Cargo::Document { .. } = cargo {
            self.last_document = Some(now);
        }
        self.in_flight = Some((id, path, cargo));
    }

    /// The answer to the write under way: its path and cargo, or `None` for an answer to something else.
    pub fn answered(&mut self, id: WriteId) -> Option<(String, Cargo)> {
        match self.in_flight.take() {
            Some((flying, path, cargo)) if flying == id => Some((path, cargo)),
            other => {
                self.in_flight = other;
                None
            }
        }
    }

    /// A segment is in the repo: what to store now, as key suffixes and values.
    pub fn segment_published(
        &mut self,
        replica: &ReplicaId,
        plan: &SegmentPlan,
    ) -> Vec<(String, Option<Vec<u8>>)> {
        self.unsure.remove(replica);
        self.published_any = true;
        let Some(log) = self.logs.get_mut(replica) else { return Vec::new() };
        log.durable = log.durable.saturating_sub(plan.covers);
        if log.durable == 0 {
            self.hurry = false;
        }
        log.segments.was_published(plan)
    }

    /// The repo holds more of this log than the device has published, as far as is known, and of what waits the first
    /// `published_of_waiting`. Says what to store; `None` while a write of it is under way or may have happened, which will tell.
    pub fn go_on_from(
        &mut self,
        replica: &ReplicaId,
        seq: u32,
        published: Vec<Entry>,
        published_of_waiting: u64,
    ) -> Option<Vec<LogOp>> {
        if self.unsure.contains_key(replica) {
            return None;
        }
        let log = self.logs.get_mut(replica).filter(|log| published_of_waiting <= log.durable)?;
        log.durable -= published_of_waiting;
        self.published_any = true;
        Some(log.segments.go_on_from(seq, published, published_of_waiting))
    }

    /// A write went well: failures before it are history.
    pub fn succeeded(&mut self, cargo: &Cargo) {
        self.attempts = 0;
        self.not_before = None;
        if let Cargo::Document { .. } = cargo {
            self.document_not_before = None;
            self.mismatches = 0;
        }
        if self.document_not_before.is_none() {
            self.stalled = None;
        }
    }

    /// A write did not (certainly) go well.
    pub fn failed(&mut self, now: Timestamp, failure: &WriteFailure, cargo: &Cargo) {
        let later = |wait: Duration| now.saturating_add(wait);
        match (failure, cargo) {
            (WriteFailure::SignInAgain | WriteFailure::RateLimited { .. }, _) => {}
            // Presence is worth no stall: the next one says it anew.
            (_, Cargo::Awareness) => return,
            // So can folding, and carrying.
            (failure, Cargo::Fold | Cargo::Snapshot) => {
                let refused = matches!(failure, WriteFailure::Refused { .. });
                let at = if *cargo == Cargo::Fold {
                    &mut self.fold_not_before
                } else {
                    &mut self.snapshot_not_before
                };
                *at = later(if refused { AFTER_REFUSAL } else { AFTER_FOLD });
                return;
            }
            (WriteFailure::SwapMismatch, Cargo::Document { .. }) => {
                self.mismatches += 1;
                self.document_not_before = Some(later(doubled(FIRST_MISMATCH, self.mismatches)));
                return;
            }
            (WriteFailure::Refused { message, .. }, Cargo::Document { .. }) => {
                self.document_not_before = Some(later(AFTER_REFUSAL));
                self.stalled = Some(Stalled::Refused(message.clone()));
                return;
            }
            _ => {}
        }
        self.attempts += 1;
        self.hurry = false;
        let backoff = self.backoff();
        let (stalled, until) = match failure {
            WriteFailure::SignInAgain => {
                self.session = false;
                (Some(Stalled::SignInAgain), None)
            }
            WriteFailure::RateLimited { retry_after } => {
                let until = later(retry_after.unwrap_or(Duration::from_secs(60)).max(backoff));
                (Some(Stalled::QuotaUsed { until }), Some(until))
            }
            WriteFailure::Refused { message, .. } => {
                (Some(Stalled::Refused(message.clone())), Some(later(AFTER_REFUSAL)))
            }
            WriteFailure::SwapMismatch
            | WriteFailure::Unreachable(_)
            | WriteFailure::TimedOut
            | WriteFailure::Server { .. }
            | WriteFailure::Malformed(_) => {
                let until = later(backoff);
                (Some(Stalled::Unreachable { reason: failure.to_string(), until }), Some(until))
            }
        };
        self.stalled = stalled.or(self.stalled.take());
        self.not_before = until;
    }

    /// A second, doubling, at most a minute, and up to a quarter more so that many replicas do not return as one.
    fn backoff(&self) -> Duration {
        let base = doubled(FIRST_RETRY, self.attempts).as_millis() as u64;
        let spread = self.seed.rotate_left(self.attempts * 7) & 1023;
        Duration::from_millis(base + base * spread / 4096)
    }

    fn own_log(&mut self) -> &mut Log {
        self.logs.get_mut(&self.replica).expect("made in new() and never removed")
    }
}
