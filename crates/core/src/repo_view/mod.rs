//! What this replica knows of one editor's repo, and how it moves to a newer head (Merkle range sync).
//!
//! A [`RepoView`] follows one repo and, of that repo, only a few ranges of keys: those of one document. When a doorbell
//! rings it *pursues* the new head: it asks for the head commit with the path to a key in its ranges, checks revision and
//! signature, walks the tree through the nodes it has, asks for those it has not, and only when the walk is complete does
//! it say what changed. So whatever it reports is proved to be in the signed repo, and nothing in the ranges was withheld.
//! There is no other way for foreign data to get in.
//!
//! It does no IO: it says what it wants as [`Ask`]s and is given the answers.

mod pursuit;
mod trouble;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use sheaf_repo::{blocks::Blocks, cid::Cid, did::Did, mst::KeyRange, tid::Tid};

use self::pursuit::{Known, Pursuit, Step};
pub use self::trouble::Trouble;
use crate::{
    replica::{Doorbell, FetchFailure, FetchId, FetchWhat, Identity, ResolveFailure},
    time::Timestamp,
};

/// A head that was verified, signature and ranges both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The commit.
    #[serde(with = "crate::repo_view::text")]
    pub commit: Cid,
    /// Its revision; only ever grows.
    #[serde(with = "crate::repo_view::text")]
    pub rev: Tid,
    /// The root of its tree.
    #[serde(with = "crate::repo_view::text")]
    pub data: Cid,
}

/// What a view wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Look the account up; `fresh` past every cache.
    Resolve {
        /// Whether a signature has just failed.
        fresh: bool,
    },
    /// Get blocks from the account's PDS.
    Fetch {
        /// To answer with.
        id: FetchId,
        /// The PDS's origin.
        pds: String,
        /// What.
        what: FetchWhat,
    },
}

/// What a completed pursuit found out, all of it proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// New or overwritten records in the ranges: path, CID and bytes.
    pub changed: Vec<(String, Cid, Vec<u8>)>,
    /// Paths that are no longer there.
    pub gone: Vec<String>,
}

/// What came of an input.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What to do next.
    pub asks: Vec<Ask>,
    /// What is now proved.
    pub advance: Option<Advance>,
}

/// One editor's repo, seen from one document.
#[derive(Debug)]
pub struct RepoView {
    did: Did,
    ranges: Vec<KeyRange>,
    identity: Option<Identity>,
    resolving: bool,
    head: Option<Head>,
    entries: BTreeMap<String, Cid>,
    /// Whether `entries` is all there is at `head`; after a restart some may have to be fetched anew.
    complete: bool,
    /// The tree's nodes in our ranges at `head`; a cache, never trusted for absence.
    nodes: Blocks,
    pursuit: Option<Pursuit>,
    /// Something rang while busy: look again afterwards.
    rung: Option<Ring>,
    trouble: Option<Trouble>,
    attempts: u32,
    false_alarms: u32,
    retry_at: Option<Timestamp>,
    verified_at: Option<Timestamp>,
    jitter: u64,
}

#[derive(Debug, Clone, Default)]
struct Ring {
    path: Option<String>,
    car: Option<Vec<u8>>,
}

/// The part of a view that survives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    head: Head,
    complete: bool,
    entries: BTreeMap<String, String>,
}

impl RepoView {
    /// A view that knows nothing yet. Each of `ranges` is also where a first look begins.
    pub fn new(did: Did, ranges: Vec<KeyRange>, jitter: u64) -> Self {
        RepoView {
            did,
            ranges,
            identity: None,
            resolving: false,
            head: None,
            entries: BTreeMap::new(),
            complete: false,
            nodes: Blocks::default(),
            pursuit: None,
            rung: None,
            trouble: None,
            attempts: 0,
            false_alarms: 0,
            retry_at: None,
            verified_at: None,
            jitter,
        }
    }

    /// Takes up where [`RepoView::save`] left off. Bytes that make no sense are as good as none: everything is walked again.
    pub fn restore(&mut self, saved: &[u8]) {
        let Ok(saved) = serde_json::from_slice::<Saved>(saved) else { return };
        let entries: Result<BTreeMap<String, Cid>, _> =
            saved.entries.into_iter().map(|(path, cid)| cid.parse::<Cid>().map(|cid| (path, cid))).collect();
        if let Ok(entries) = entries {
            self.head = Some(saved.head);
            self.complete = saved.complete;
            self.entries = entries;
        }
    }

    /// What to keep over a restart, once there is anything. `keep` says which entries are safely stored: the others will be
    /// fetched anew.
    pub fn save(&self, keep: impl Fn(&str, &Cid) -> bool) -> Option<Vec<u8>> {
        let kept = self.entries.iter().filter(|(path, cid)| keep(path, cid));
        let entries: BTreeMap<_, _> = kept.map(|(path, cid)| (path.clone(), cid.to_string())).collect();
        let complete = self.complete && entries.len() == self.entries.len();
        let saved = Saved { head: self.head.clone()?, complete, entries };
        Some(serde_json::to_vec(&saved).expect("strings and maps of strings always serialise"))
    }

    /// Whose repo.
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// Who that is, once looked up.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The newest verified head.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// When the repo was last found to be at that head, or moved to it.
    pub fn verified_at(&self) -> Option<Timestamp> {
        self.verified_at
    }

    /// What keeps it from being followed further.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// The record at this path at the verified head.
    pub fn entry(&self, path: &str) -> Option<&Cid> {
        self.entries.get(path)
    }

    /// When it wants [`RepoView::tick`] to be called.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.retry_at
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
                Ring { path, car: bell.car.clone() }
            }
            None => Ring::default(),
        };
        self.rung = Some(ring);
        if self.trouble.as_ref().is_some_and(|t| !t.is_passing()) && doorbell.is_some() {
            // A bell that anyone can ring must not defeat the back-off; the retry will look.
            return Outcome::default();
        }
        self.go_on(now, ids)
    }

    /// The network is back or the person asks: try now whatever was put off.
    pub fn retry_now(&mut self, now: Timestamp, ids: &mut u64) -> Outcome {
        self.attempts = 0;
        self.retry_at = None;
        self.rung.get_or_insert_default();
        self.go_on(now, ids)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Timestamp, ids: &mut u64) -> Outcome {
        if self.retry_at.is_none_or(|at| at > now) {
            return Outcome::default();
        }
        self.retry_at = None;
        if self.trouble.is_some() {
            self.rung.get_or_insert_default();
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
                self.go_on(now, ids)
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
            // The repo moved on while we were reading: begin again at its newer head, which is progress, not failure.
            Err(FetchFailure::BlocksNotFound) if self.attempts < 4 => {
                self.attempts += 1;
                self.pursuit = None;
                self.rung = Some(Ring::default());
                Some(self.go_on(now, ids))
            }
            Err(failure) => Some(self.fail(now, Trouble::Fetch(failure.clone()))),
        }
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
            let Some(ring) = self.rung.take() else { return outcome };
            self.pursuit = Some(match ring.car.as_deref().and_then(Pursuit::from_frame) {
                Some(pursuit) => pursuit,
                None => Pursuit::new(self.probes(ring.path.as_deref())),
            });
        }
        let pursuit = self.pursuit.as_mut().expect("set just above");
        let known = Known {
            head: self.head.as_ref(),
            complete: self.complete,
            entries: &self.entries,
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
                self.rung = Some(Ring::default());
                self.go_on(now, ids)
            }
            Step::CheckKey => {
                self.resolving = true;
                outcome.asks.push(Ask::Resolve { fresh: true });
                outcome
            }
            Step::Unchanged => {
                self.settle(now);
                self.false_alarm(now);
                self.then_again(now, ids, outcome)
            }
            Step::Arrived(arrival) => {
                let gone = self.entries.keys().filter(|path| !arrival.entries.contains_key(*path));
                outcome.advance = Some(Advance { changed: arrival.changed, gone: gone.cloned().collect() });
                self.head = Some(arrival.head);
                self.entries = arrival.entries;
                self.nodes = arrival.nodes;
                self.complete = true;
                self.false_alarms = 0;
                self.settle(now);
                self.then_again(now, ids, outcome)
            }
            Step::Failed(trouble) => self.fail(now, trouble),
        }
    }

    fn settle(&mut self, now: Timestamp) {
        self.pursuit = None;
        self.trouble = None;
        self.attempts = 0;
        self.verified_at = Some(now);
    }

    /// Bells that ring for nothing are answered more and more slowly, up to every five seconds: a stream that makes events
    /// up costs its listeners little.
    fn false_alarm(&mut self, now: Timestamp) {
        self.false_alarms = (self.false_alarms + 1).min(16);
        if self.false_alarms > 4 {
            let wait = (50u64 << (self.false_alarms - 4)).min(5_000);
            self.retry_at = Some(now.saturating_add(Duration::from_millis(wait)));
        }
    }

    /// Something rang while this pursuit was under way: look again at once.
    fn then_again(&mut self, now: Timestamp, ids: &mut u64, mut outcome: Outcome) -> Outcome {
        if self.rung.is_some() {
            let more = self.go_on(now, ids);
            outcome.asks.extend(more.asks);
            // A pursuit that starts with a frame's own blocks can arrive at once; merge what it proves.
            if let Some(newer) = more.advance {
                let advance =
                    outcome.advance.get_or_insert_with(|| Advance { changed: vec![], gone: vec![] });
                advance.changed.retain(|(path, ..)| {
                    !newer.gone.contains(path) && !newer.changed.iter().any(|(p, ..)| p == path)
                });
                advance.gone.retain(|path| !newer.changed.iter().any(|(p, ..)| p == path));
                advance.changed.extend(newer.changed);
                advance.gone.extend(newer.gone);
            }
        }
        outcome
    }

    fn fail(&mut self, now: Timestamp, trouble: Trouble) -> Outcome {
        self.attempts += 1;
        let jitter = self.jitter.rotate_left(self.attempts * 10);
        let mut at = trouble::next_try(now, self.attempts, trouble.is_passing(), jitter);
        if let Trouble::Fetch(FetchFailure::RateLimited { retry_after: Some(wait) }) = &trouble {
            at = at.max(now.saturating_add(*wait));
        }
        // The account may have moved to another PDS: look it up anew on the next try.
        if matches!(trouble, Trouble::Fetch(_)) && self.attempts > 1 {
            self.identity = None;
        }
        self.retry_at = Some(at);
        self.trouble = Some(trouble);
        self.pursuit = None;
        Outcome::default()
    }

    /// Where to begin: the path that rang, or else the start of every range. The proof of a key, there or not, brings the
    /// commit and the nodes on the way, so most looks need a single request.
    fn probes(&self, path: Option<&str>) -> Vec<(String, String)> {
        let starts: Vec<&str> = match path {
            Some(path) => vec![path],
            // Once the nodes are known one look at the head tells whether anything changed.
            None if self.head.is_some() && !self.nodes.is_empty() => {
                vec![self.ranges.last().map_or("", |r| r.from())]
            }
            None => self.ranges.iter().map(KeyRange::from).collect(),
        };
        starts
            .iter()
            .filter_map(|path| path.split_once('/'))
            .map(|(c, k)| (c.to_owned(), k.to_owned()))
            .collect()
    }
}

/// Serialises what has a strict text form as that text.
pub(crate) mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error>
    where
        T::Err: Display,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
