//! What this replica knows of one editor's repo, and how it moves to a newer head (Merkle range sync).
//!
//! A [`RepoView`] follows one repo and, of that repo, only a few ranges of keys: those of one document. When a doorbell
//! rings it *pursues* the new head: it asks for the head commit with the path to a key in its ranges, checks revision and
//! signature, walks the tree through the nodes it has, asks for those it has not, and only when the walk is complete does
//! it say what changed. So whatever it reports is proved to be in the signed repo, and nothing in the ranges was withheld.
//! There is no other way for foreign data to get in.
//!
//! It does no IO: it says what it wants as [`Ask`]s and is given the answers.

mod outcome;
mod pursuit;
mod ring;
mod saved;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sheaf_repo::{blocks::Blocks, cid::Cid, did::Did, mst::KeyRange, tid::Tid};

pub use self::{
    outcome::{Advance, Ask, Head, Outcome},
    trouble::Trouble,
};
use self::{
    pursuit::{Arrival, Known, Pursuit, Step, Written},
    ring::{Awaited, FalseAlarms, Ring},
};
use crate::{
    record,
    replica::{Doorbell, FetchFailure, FetchId, Identity, ResolveFailure},
    time::Timestamp,
};

/// After a failure, however long the wait was to be, a bell has the repo looked at this much later.
const RUNG_RETRY: Duration = Duration::from_secs(5);
/// Changed places remembered while a repo is being read: two (text and presence) are the rule.
const MAX_RUNG_PATHS: usize = 4;
/// How often in a row a repo that moved on is followed at once,
const MOVED_ON_AT_ONCE: u32 = 4;
/// how long is waited the next time, doubling (so some four seconds at the end),
const MOVED_ON_WAIT: Duration = Duration::from_millis(50);
/// and how often altogether before it counts as a failure of its server.
const MAX_MOVED_ON: u32 = 11;
/// Carried states that are kept until the account's key is known.
const MAX_CARRIED: usize = 4;

/// One editor's repo, seen from one document.
#[derive(Debug)]
pub struct RepoView {
    did: Did,
    /// The last is the one that most is expected in: looks begin with it.
    ranges: Vec<KeyRange>,
    identity: Option<Identity>,
    /// Who that was when last looked up, while it is to be looked up anew.
    last_identity: Option<Identity>,
    resolving: bool,
    head: Option<Head>,
    /// The head's commit; with the nodes it proves the entries to anyone.
    commit: Option<Vec<u8>>,
    /// What others carry of this repo, while its key is not known yet.
    carried: Vec<(Cid, Blocks)>,
    /// The newest head that brought something new in our ranges.
    changed_at: Option<Tid>,
    entries: BTreeMap<String, Cid>,
    /// What was written since `head` was verified, and at which revision.
    written: Written,
    /// Whether `entries` is all there is at `head`; after a restart some may have to be fetched anew.
    complete: bool,
    /// The tree's nodes in our ranges at `head`; a cache, never trusted for absence.
    nodes: Blocks,
    pursuit: Option<Pursuit>,
    /// Blocks of a pursuit that the repo ran away from: most of them are in its newer state too.
    salvaged: Blocks,
    /// Something rang while busy: look again afterwards.
    rung: Option<Ring>,
    /// Paths that rang since the last arrival: where the repo is changing.
    rung_paths: BTreeSet<String>,
    /// A revision that a bell named and the PDS does not show yet.
    awaited: Option<Awaited>,
    trouble: Option<Trouble>,
    failed_at: Timestamp,
    attempts: u32,
    /// How often in a row the repo had moved on before its blocks could be read.
    moved_on: u32,
    false_alarms: FalseAlarms,
    /// Nothing is asked before this.
    retry_at: Option<Timestamp>,
    /// Look again then, or sooner.
    again_at: Option<Timestamp>,
    verified_at: Option<Timestamp>,
    jitter: u64,
}

impl RepoView {
    /// A view that knows nothing yet. A look begins where the last of `ranges` does; what proves the others lies mostly on
    /// the way there, and asking for a proof of each would be a request more.
    pub fn new(did: Did, ranges: Vec<KeyRange>, jitter: u64) -> Self {
        RepoView {
            did,
            ranges,
            identity: None,
            last_identity: None,
            resolving: false,
            head: None,
            commit: None,
            carried: Vec::new(),
            changed_at: None,
            entries: BTreeMap::new(),
            written: Written::new(),
            complete: false,
            nodes: Blocks::default(),
            pursuit: None,
            salvaged: Blocks::default(),
            rung: None,
            rung_paths: BTreeSet::new(),
            awaited: None,
            trouble: None,
            failed_at: Timestamp::EPOCH,
            attempts: 0,
            moved_on: 0,
            false_alarms: FalseAlarms::default(),
            retry_at: None,
            again_at: None,
            verified_at: None,
            jitter,
        }
    }

    /// This device has written there, and the repo was at this revision then. What stands there at an older head is no news any
    /// more; whatever stands there at that one or a newer is, even if it is what stood there before: a late copy of an earlier
    /// write, or somebody's taking it back. Whether something else stands there already, so that the repo is to be looked at: it
    /// was read when this device did not know yet what it would replace, and is told once more.
    #[must_use = "what stands there is told with the next look"]
    pub fn written(&mut self, path: String, rev: Tid, cid: Option<&Cid>) -> bool {
        if self.head.as_ref().is_none_or(|head| head.rev < rev) {
            self.written.insert(path, rev);
            return false;
        }
        let is_replaced = cid.is_some_and(|cid| self.entries.get(&path).is_some_and(|there| there != cid));
        if is_replaced {
            self.entries.remove(&path);
            self.complete = false;
        }
        is_replaced
    }

    /// Whose repo.
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// Who that is, once looked up.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Who that is or, while a server that fails has them looked up anew, who it was.
    pub fn last_identity(&self) -> Option<&Identity> {
        self.identity.as_ref().or(self.last_identity.as_ref())
    }

    /// The newest verified head.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The newest revision found in this session at which something in the ranges had changed.
    pub fn changed_at(&self) -> Option<&Tid> {
        self.changed_at.as_ref()
    }

    /// When the repo was last found to be at that head, or moved to it.
    pub fn verified_at(&self) -> Option<Timestamp> {
        self.verified_at
    }

    /// What keeps it from being followed further.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Whether nothing is known yet and nothing keeps it from being.
    pub fn is_open(&self) -> bool {
        self.verified_at.is_none() && self.trouble.is_none()
    }

    /// The record at this path at the verified head.
    pub fn entry(&self, path: &str) -> Option<&Cid> {
        self.entries.get(path)
    }

    /// Every record in the ranges at the verified head, by path.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Cid)> {
        self.entries.iter()
    }

    /// When it wants [`RepoView::tick`] to be called.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.retry_at.into_iter().chain(self.again_at).min()
    }

    /// Times of the clock as it was before mean nothing now.
    pub fn clock_was_set_back(&mut self, now: Timestamp) {
        self.retry_at = self.retry_at.map(|at| at.min(now));
        self.again_at = self.again_at.map(|at| at.min(now));
        self.failed_at = self.failed_at.min(now);
    }

    /// Something says that the repo may have changed, or it is time to look.
    pub fn ring(&mut self, now: Timestamp, doorbell: Option<&Doorbell>, ids: &mut u64) -> Outcome {
        let ring = match doorbell {
            Some(bell) => {
                if let (Some(rev), Some(head)) = (&bell.rev, &self.head)
                    && *rev <= head.rev
                {
                    return Outcome::default();
                }
                let path =
                    bell.path.clone().filter(|path| self.ranges.iter().any(|range| range.contains(path)));
                if let Some(path) = path.clone().filter(|_| self.rung_paths.len() < MAX_RUNG_PATHS) {
                    self.rung_paths.insert(path);
                }
                if let Some(rev) = &bell.rev {
                    Awaited::named(&mut self.awaited, rev);
                }
                Ring::bell(path, bell.car.clone())
            }
            None => Ring::look(),
        };
        Ring::merge(&mut self.rung, ring);
        if self.trouble.is_some() && doorbell.is_some() {
            // Whoever can ring this bell can do so all day: it shortens a long wait, but never to less than a poll's.
            self.try_by(self.failed_at.saturating_add(RUNG_RETRY));
        }
        self.go_on(now, ids)
    }

    /// The network is back or the person asks: try now whatever was put off.
    pub fn retry_now(&mut self, now: Timestamp, ids: &mut u64) -> Outcome {
        self.attempts = 0;
        self.moved_on = 0;
        self.retry_at = None;
        self.again_at = None;
        Ring::merge(&mut self.rung, Ring::look());
        self.go_on(now, ids)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Timestamp, ids: &mut u64) -> Outcome {
        let retry = self.retry_at.take_if(|at| *at <= now).is_some();
        let again = self.again_at.take_if(|at| *at <= now).is_some();
        if !retry && !again {
            return Outcome::default();
        }
        if again {
            Ring::merge(&mut self.rung, Ring::again());
        }
        if retry && self.trouble.is_some() {
            Ring::merge(&mut self.rung, Ring::look());
        }
        self.go_on(now, ids)
    }

    /// The answer to [`Ask::Resolve`].
    pub fn resolved(
        &mut self,
        now: Timestamp,
        result: Result<Identity, ResolveFailure>,
        ids: &mut u64,
    ) -> Outcome {
        if !std::mem::take(&mut self.resolving) {
            return Outcome::default();
        }
        match result {
            Ok(identity) if identity.did == self.did => {
                self.identity = Some(identity);
                let carried = std::mem::take(&mut self.carried);
                let shown =
                    carried.into_iter().filter_map(|(commit, blocks)| self.carry(now, commit, blocks));
                let mut outcome = Outcome { advance: shown.reduce(Advance::then), ..Outcome::default() };
                outcome.add(self.go_on(now, ids));
                outcome
            }
            Ok(_) => self.fail(now, Trouble::Resolve(ResolveFailure::Malformed("another account".into()))),
            Err(failure) => self.fail(now, Trouble::Resolve(failure)),
        }
    }

    /// The answer to one [`Ask::Fetch`]; `None` when the fetch is not this view's.
    pub fn fetched(
        &mut self,
        now: Timestamp,
        fetch: FetchId,
        result: &Result<Vec<u8>, FetchFailure>,
        ids: &mut u64,
    ) -> Option<Outcome> {
        let pursuit = self.pursuit.as_mut().filter(|pursuit| pursuit.awaits(fetch))?;
        match result {
            Ok(car) => match pursuit.received(fetch, car) {
                Ok(()) => Some(self.go_on(now, ids)),
                Err(why) => Some(self.fail(now, Trouble::Invalid(why))),
            },
            Err(FetchFailure::BlocksNotFound) if self.moved_on < MAX_MOVED_ON => {
                Some(self.follow_on(now, ids))
            }
            Err(failure) => Some(self.fail(now, Trouble::Fetch(failure.clone()))),
        }
    }

    /// Somebody carries a state of this repo: a commit, and the blocks that hang on it in the ranges of the text. It is
    /// verified like everything else, so it does not matter who they are; it only serves where it is newer than what is
    /// known. The repo itself is asked all the same.
    pub fn carry(&mut self, now: Timestamp, commit: Cid, blocks: Blocks) -> Option<Advance> {
        let Some(identity) = self.identity.clone() else {
            if self.carried.len() < MAX_CARRIED {
                self.carried.push((commit, blocks));
            }
            return None;
        };
        // Presence and snapshots are not carried: of them a carried state says nothing.
        let text = |path: &str| path.starts_with(record::SEGMENT) || path.starts_with(record::DOCUMENT);
        let ranges: Vec<KeyRange> = self.ranges.iter().filter(|range| text(range.from())).cloned().collect();
        let (of_text, rest) = std::mem::take(&mut self.entries).into_iter().partition(|(path, _)| text(path));
        self.entries = of_text;
        let known = Known {
            head: self.head.as_ref(),
            complete: false,
            entries: &self.entries,
            written: &self.written,
            nodes: &self.nodes,
            ranges: &ranges,
        };
        let step = Pursuit::from_carried(commit, blocks).step(now, &identity, &known);
        let advance = match step {
            Step::Arrived(arrival) if self.head.as_ref().is_none_or(|head| head.rev < arrival.head.rev) => {
                let advance = self.arrive(arrival);
                // Of the other ranges it says nothing.
                self.complete = false;
                Some(advance)
            }
            Step::Arrived(_) | Step::Unchanged => None,
            Step::Failed(why) => {
                tracing::info!(did = %self.did, %why, "what somebody carries of a repo is not believed");
                None
            }
            Step::Wait | Step::Ask(_) | Step::CheckKey => {
                tracing::info!(did = %self.did, "what somebody carries of a repo does not prove itself");
                None
            }
        };
        self.entries.extend(rest);
        advance
    }

    /// Moves to a newer head; what is news there. What this device wrote itself since that head is known already: what stood
    /// there before is none, neither an older record nor that there was one.
    fn arrive(&mut self, arrival: Box<Arrival>) -> Advance {
        let Arrival { head, commit, entries, nodes, mut changed } = *arrival;
        self.written.retain(|_, rev| *rev > head.rev);
        let is_news = |path: &String| !self.written.contains_key(path);
        changed.retain(|(path, ..)| is_news(path));
        let gone = self.entries.keys().filter(|path| !entries.contains_key(*path) && is_news(path));
        let advance = Advance { changed, gone: gone.cloned().collect() };
        self.head = Some(head);
        self.commit = Some(commit);
        self.entries = entries;
        self.nodes = nodes;
        advance
    }

    /// Does whatever can be done now.
    fn go_on(&mut self, now: Timestamp, ids: &mut u64) -> Outcome {
        let mut outcome = Outcome::default();
        if self.resolving || self.retry_at.is_some_and(|at| at > now) {
            return outcome;
        }
        let Some(identity) = self.identity.clone() else {
            self.resolving = true;
            outcome.asks.push(Ask::Resolve { fresh: self.attempts > 1 });
            return outcome;
        };
        if self.pursuit.is_none() {
            let Some(mut ring) = self.rung.take() else { return outcome };
            let salvaged = std::mem::take(&mut self.salvaged);
            let by_bell = ring.is_bell();
            self.pursuit = Some(match Pursuit::from_frames(ring.take_frames()) {
                Some(pursuit) => {
                    // Whatever rang beside the frames is looked after once they are in.
                    self.rung = Some(ring).filter(Ring::wants_a_look);
                    pursuit
                }
                None => Pursuit::new(self.probes(ring.path()), salvaged, by_bell),
            });
        }
        let pursuit = self.pursuit.as_mut().expect("set just above");
        let known = Known {
            head: self.head.as_ref(),
            complete: self.complete,
            entries: &self.entries,
            written: &self.written,
            nodes: &self.nodes,
            ranges: &self.ranges,
        };
        match pursuit.step(now, &identity, &known) {
            Step::Wait => outcome,
            Step::Ask(wants) => {
                for what in wants {
                    *ids += 1;
                    let id = FetchId(*ids);
                    pursuit.asked(id, &what);
                    outcome.asks.push(Ask::Fetch { id, pds: identity.pds.clone(), what });
                }
                outcome
            }
            Step::CheckKey | Step::Failed(_) if pursuit.began_with_frame() => {
                // What a doorbell carried proves nothing and so says nothing against the repo either: ask the PDS.
                self.pursuit = None;
                Ring::merge(&mut self.rung, Ring::again());
                self.go_on(now, ids)
            }
            Step::CheckKey => {
                self.resolving = true;
                outcome.asks.push(Ask::Resolve { fresh: true });
                outcome
            }
            Step::Unchanged => {
                let by_bell = pursuit.was_begun_by_a_bell();
                self.settle(now);
                if by_bell && let Some(wait) = self.false_alarms.another(now) {
                    self.retry_at = Some(now.saturating_add(wait));
                }
                self.then_again(now, ids, outcome)
            }
            Step::Arrived(arrival) => {
                let rev = arrival.head.rev.clone();
                let advance = self.arrive(arrival);
                if !advance.changed.is_empty() || !advance.gone.is_empty() {
                    self.changed_at = Some(rev);
                }
                outcome.advance = Some(advance);
                self.complete = true;
                self.false_alarms = FalseAlarms::default();
                self.settle(now);
                self.then_again(now, ids, outcome)
            }
            Step::Failed(trouble) => self.fail(now, trouble),
        }
    }

    fn settle(&mut self, now: Timestamp) {
        self.pursuit = None;
        self.salvaged = Blocks::default();
        self.rung_paths.clear();
        self.trouble = None;
        self.attempts = 0;
        self.moved_on = 0;
        self.again_at = None;
        self.verified_at = Some(now);
        // A server may be behind its own stream for a moment. Whether it is, or the bell lied, only time can tell.
        if let Some(wait) = Awaited::wait(&mut self.awaited, self.head.as_ref().map(|head| &head.rev)) {
            self.again_at = Some(now.saturating_add(wait));
        }
    }

    /// The repo moved on while it was read: begin again at its newer head, which is progress, not failure. Someone who
    /// types fast can outrun a slow reader, so the reader keeps what it has and asks for every place that rang at once.
    fn follow_on(&mut self, now: Timestamp, ids: &mut u64) -> Outcome {
        self.moved_on += 1;
        if let Some(pursuit) = self.pursuit.take() {
            self.salvaged = pursuit.into_blocks();
        }
        Ring::merge(&mut self.rung, Ring::again());
        if self.moved_on > MOVED_ON_AT_ONCE {
            let wait = MOVED_ON_WAIT.saturating_mul(1 << (self.moved_on - MOVED_ON_AT_ONCE - 1));
            self.retry_at = Some(now.saturating_add(wait));
        }
        self.go_on(now, ids)
    }

    /// Something rang while this pursuit was under way: look again at once.
    fn then_again(&mut self, now: Timestamp, ids: &mut u64, mut outcome: Outcome) -> Outcome {
        if self.rung.is_some() {
            // A pursuit that starts with a frame's own blocks can arrive at once.
            outcome.add(self.go_on(now, ids));
        }
        outcome
    }

    fn fail(&mut self, now: Timestamp, trouble: Trouble) -> Outcome {
        self.attempts += 1;
        let jitter = self.jitter.rotate_left(self.attempts * 10);
        let mut at = trouble::next_try(now, self.attempts, trouble.is_passing(), jitter);
        self.failed_at = now;
        if let Trouble::Fetch(FetchFailure::RateLimited { retry_after: Some(wait) }) = &trouble {
            at = at.max(now.saturating_add(*wait));
            self.failed_at = at;
        }
        // The account may have moved to another PDS: look it up anew on the next try.
        if matches!(trouble, Trouble::Fetch(_)) && self.attempts > 1 {
            self.last_identity = self.identity.take().or(self.last_identity.take());
        }
        self.retry_at = Some(at);
        self.again_at = None;
        self.trouble = Some(trouble);
        self.pursuit = None;
        Outcome::default()
    }

    /// Brings a later try forward.
    fn try_by(&mut self, at: Timestamp) {
        self.retry_at = self.retry_at.map(|planned| planned.min(at));
    }

    /// Where to begin: the path that rang, or else the start of the last range. The proof of a key, there or not, brings the
    /// commit and the nodes on the way, so most looks need a single request.
    fn probes(&self, path: Option<&str>) -> Vec<(String, String)> {
        let starts: Vec<&str> = match path {
            _ if self.moved_on > 0 && !self.rung_paths.is_empty() => {
                self.rung_paths.iter().map(String::as_str).collect()
            }
            Some(path) => vec![path],
            None => self.ranges.last().map(KeyRange::from).into_iter().collect(),
        };
        starts
            .iter()
            .filter_map(|path| path.split_once('/'))
            .map(|(c, k)| (c.to_owned(), k.to_owned()))
            .collect()
    }
}
