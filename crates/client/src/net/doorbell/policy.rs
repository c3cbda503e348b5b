//! Which streams to run, and what to say is connected: decided from what is known of each, and from nothing else.
//!
//! A Jetstream first. It is filtered by its server, so that it costs next to nothing however large the editors' hosts are.
//! A PDS's own stream is fresher and brings the blocks along, but it carries every account of that host; it does the work
//! where no Jetstream does: while none answers, and beside one that does not hear of a repo (a host that no relay follows).
//! One that is too loud is let go, for polling is cheaper. A repo that no stream covers makes core poll.
//!
//! A stream counts as deaf to a repo when something new was found there, by whatever way, and the stream had not told of it
//! even some time later. That is the only sign of a dead stream that works in a browser, where nothing can be asked of the
//! other end; and it notices a stream that lives and lies by silence, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sheaf_core::{
    replica::{Doorbell, DoorbellKind, Listening},
    time::Timestamp,
};
use sheaf_repo::{did::Did, tid::Tid};

/// The first wait after a failure; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A connection that lived this long was a good one: its end is the first failure of a new count.
const GOOD: Duration = Duration::from_secs(10);
/// How long streams that are needed no more go on beside the one that took over.
const OVERLAP: Duration = Duration::from_secs(3);
/// How late a stream may tell of something that was found otherwise. A relay's stream lags by seconds now and then.
const GRACE: Duration = Duration::from_secs(15);
/// What is found sooner than this after connecting may well have happened before.
const JUST_CONNECTED: Duration = Duration::from_secs(5);
/// The most hosts listened to at once.
pub(super) const MAX_HOSTS: usize = 16;
/// What a host's stream may bring about strangers, in bytes a second: two orders more than polling a document's repos,
const LOUD_RATE: f64 = 32.0 * 1024.0;
/// and how much above that at times, in bytes.
const LOUD_BURST: f64 = 2.0 * 1024.0 * 1024.0;
/// How long a host that was too loud is not listened to.
const LOUD_FOR: Duration = Duration::from_secs(15 * 60);

/// One stream that could be listened to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The configured Jetstream with this number.
    Jetstream(usize),
    /// The own stream of the PDS with this origin.
    Host(String),
}

/// What is to be so.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// The streams to run; any other is let go.
    pub(super) run: BTreeSet<Source>,
    /// Of these, those whose present connection is of no use.
    pub(super) renew: BTreeSet<Source>,
    /// What to tell core; `None` makes it poll.
    pub(super) connected: Option<DoorbellKind>,
    /// Of those to run, the ones that are up.
    pub(super) up: BTreeSet<Source>,
    /// When to decide again if nothing happens before.
    pub(super) again_at: Option<Timestamp>,
}

/// What is known of one stream.
#[derive(Debug, Default)]
struct Line {
    up: Option<Timestamp>,
    heard_at: Option<Timestamp>,
    failures: u32,
    not_before: Option<Timestamp>,
    /// The newest revision it told of.
    told: BTreeMap<Did, Tid>,
    /// Something newer than this revision was found, then, and it has not told of it.
    owes: BTreeMap<Did, (Tid, Timestamp)>,
    deaf_to: BTreeSet<Did>,
    foreign: f64,
    foreign_at: Option<Timestamp>,
    loud_until: Option<Timestamp>,
}

/// What is known of all streams.
#[derive(Debug, Default)]
pub(super) struct Lines {
    jetstreams: usize,
    lines: BTreeMap<Source, Line>,
    /// The newest revision of each repo that is known to matter.
    found: BTreeMap<Did, Tid>,
}

impl Lines {
    /// With so many Jetstreams, of which nothing is known yet.
    pub(super) fn new(jetstreams: usize) -> Self {
        Self { jetstreams, ..Self::default() }
    }

    fn line(&mut self, source: &Source) -> &mut Line {
        self.lines.entry(source.clone()).or_default()
    }

    // --- what happens to them ---

    /// It is connected.
    pub(super) fn up(&mut self, source: &Source, now: Timestamp) {
        let line = self.line(source);
        let Line { failures, loud_until, .. } = *line;
        *line = Line { up: Some(now), heard_at: Some(now), failures, loud_until, ..Line::default() };
    }

    /// It failed, or could not be reached. How long to wait before the next try; the caller adds its jitter.
    pub(super) fn down(&mut self, source: &Source, now: Timestamp) -> Duration {
        let line = self.line(source);
        let good = line.up.is_some_and(|up| now.saturating_since(up) >= GOOD);
        let failures = if good { 1 } else { line.failures.saturating_add(1) };
        let loud_until = line.loud_until;
        *line = Line { failures, loud_until, ..Line::default() };
        FIRST_WAIT.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_WAIT)
    }

    /// It was let go, through no fault of its own.
    pub(super) fn let_go(&mut self, source: &Source) {
        let line = self.line(source);
        let Line { failures, not_before, loud_until, .. } = *line;
        *line = Line { failures, not_before, loud_until, ..Line::default() };
    }

    /// It is not to be tried before.
    pub(super) fn wait_until(&mut self, source: &Source, at: Timestamp) {
        self.line(source).not_before = Some(at);
    }

    /// When it may be tried, if not yet. A wait longer than any means that the clock was set back.
    pub(super) fn not_before(&self, source: &Source, now: Timestamp) -> Option<Timestamp> {
        let longest = now.saturating_add(LONGEST_WAIT * 2);
        self.lines.get(source)?.not_before.filter(|at| *at > now && *at <= longest)
    }

    /// The device is back online: nothing is worth waiting for.
    pub(super) fn try_all_now(&mut self) {
        self.lines.values_mut().for_each(|line| line.not_before = None);
    }

    /// It said something that makes sense; `bell` if it rang.
    pub(super) fn heard(&mut self, source: &Source, bell: Option<&Doorbell>, now: Timestamp) {
        let line = self.line(source);
        line.heard_at = Some(now);
        line.failures = 0;
        let Some(Doorbell { did, rev: Some(rev), .. }) = bell else { return };
        if line.told.get(did).is_none_or(|told| told < rev) {
            line.told.insert(did.clone(), rev.clone());
        }
        if line.owes.get(did).is_some_and(|(before, _)| before < rev) {
            line.owes.remove(did);
        }
        line.deaf_to.remove(did);
    }

    /// It brought so many bytes about strangers. Whether that is too much, and it is to be let go.
    pub(super) fn heard_of_strangers(&mut self, source: &Source, bytes: usize, now: Timestamp) -> bool {
        let line = self.line(source);
        line.heard_at = Some(now);
        line.failures = 0;
        let since = line.foreign_at.replace(now).map_or(Duration::ZERO, |at| now.saturating_since(at));
        line.foreign = (line.foreign - since.as_secs_f64() * LOUD_RATE).max(0.0) + bytes as f64;
        let loud = line.foreign > LOUD_BURST;
        if loud {
            line.loud_until = Some(now.saturating_add(LOUD_FOR));
        }
        loud
    }

    /// This revision is known to have brought something: a walk proved it, or it is one's own write. Whether that was news.
    pub(super) fn found(
        &mut self,
        did: &Did,
        rev: &Tid,
        repos: &BTreeSet<Listening>,
        now: Timestamp,
    ) -> bool {
        if self.found.get(did).is_some_and(|found| found >= rev) {
            return false;
        }
        // Of what was there when this began nobody could tell.
        let Some(before) = self.found.insert(did.clone(), rev.clone()) else { return false };
        let host = repos.iter().find(|repo| repo.did == *did).and_then(|repo| repo.pds.as_deref());
        for (source, line) in &mut self.lines {
            let covers = match source {
                Source::Jetstream(_) => true,
                Source::Host(origin) => host == Some(origin.as_str()),
            };
            let listened = line.up.is_some_and(|up| now.saturating_since(up) >= JUST_CONNECTED);
            if covers && listened && line.told.get(did).is_none_or(|told| *told <= before) {
                line.owes.entry(did.clone()).or_insert((before.clone(), now));
            }
        }
        true
    }

    /// Forgets repos that nobody asks for any more.
    pub(super) fn keep(&mut self, repos: &BTreeSet<Listening>) {
        let wanted = |did: &Did| repos.iter().any(|repo| repo.did == *did);
        self.found.retain(|did, _| wanted(did));
        for line in self.lines.values_mut() {
            line.told.retain(|did, _| wanted(did));
            line.owes.retain(|did, _| wanted(did));
            line.deaf_to.retain(wanted);
        }
    }

    // --- what follows ---

    /// What is to be so now.
    pub(super) fn decide(&mut self, repos: &BTreeSet<Listening>, now: Timestamp) -> Decision {
        let mut decision = Decision::default();
        if repos.is_empty() {
            return decision;
        }
        let mut again = Again { now, at: None };
        self.judge(&mut again, &mut decision);
        let none = Line::default();
        let line = |source: &Source| self.lines.get(source).unwrap_or(&none);

        let jetstream = (0..self.jetstreams).map(Source::Jetstream).min_by_key(|source| {
            let line = line(source);
            (line.up.is_none(), line.deaf_to.len(), line.failures)
        });
        let jetstream_up = jetstream.as_ref().and_then(|source| line(source).up);
        let by_jetstream = |did: &Did| {
            let chosen = jetstream.as_ref().filter(|_| jetstream_up.is_some());
            chosen.is_some_and(|source| !line(source).deaf_to.contains(did))
        };
        // While the first Jetstreams are still being tried there is no need of anything else.
        let jetstreams_failed = (0..self.jetstreams).all(|n| line(&Source::Jetstream(n)).failures > 0);
        let hosts_needed = jetstream_up.is_some() || jetstreams_failed;
        let handing_over = again.within(jetstream_up, OVERLAP);
        decision.run.extend(jetstream.clone());

        let mut covered = true;
        let mut hosts = 0;
        for Listening { did, pds } in repos {
            let host = pds.clone().map(Source::Host);
            let heard = host
                .as_ref()
                .is_some_and(|host| line(host).up.is_some() && !line(host).deaf_to.contains(did));
            covered &= by_jetstream(did) || heard;
            let Some(host) = host.filter(|host| !decision.run.contains(host)) else { continue };
            let loud_until = line(&host).loud_until.filter(|at| *at <= now.saturating_add(LOUD_FOR));
            let loud = again.before(loud_until);
            let needed = hosts_needed && !by_jetstream(did);
            let leaving = handing_over && line(&host).up.is_some();
            if (needed || leaving) && !loud && hosts < MAX_HOSTS {
                hosts += 1;
                decision.run.insert(host);
            }
        }
        decision.connected = covered.then_some(match jetstream_up {
            Some(_) => DoorbellKind::Jetstream,
            None => DoorbellKind::Firehose,
        });
        decision.up = decision.run.iter().filter(|source| line(source).up.is_some()).cloned().collect();
        decision.again_at = again.at;
        decision
    }

    /// Who owes us something for too long is deaf to that repo; who has said nothing at all meanwhile is dead.
    fn judge(&mut self, again: &mut Again, decision: &mut Decision) {
        for (source, line) in &mut self.lines {
            let mut silent = false;
            let Line { owes, deaf_to, heard_at, .. } = line;
            owes.retain(|did, (_, since)| {
                *since = (*since).min(again.now);
                if again.within(Some(*since), GRACE) {
                    return true;
                }
                deaf_to.insert(did.clone());
                silent |= heard_at.is_none_or(|at| at <= *since);
                false
            });
            if silent && line.up.is_some() {
                decision.renew.insert(source.clone());
            }
        }
    }
}

/// Gathers when the next decision may turn out otherwise.
struct Again {
    now: Timestamp,
    at: Option<Timestamp>,
}

impl Again {
    /// Whether it is still before that time.
    fn before(&mut self, at: Option<Timestamp>) -> bool {
        let Some(at) = at.filter(|at| *at > self.now) else { return false };
        self.at = Some(self.at.map_or(at, |earlier| earlier.min(at)));
        true
    }

    /// Whether no more than this has passed since then.
    fn within(&mut self, since: Option<Timestamp>, span: Duration) -> bool {
        self.before(since.map(|since| since.saturating_add(span)))
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
