//! Whom to be linked with: dialling, doubled links, what a peer may send, and to whom something is passed on.
//!
//! Up to [`FULL_MESH`] endpoints everyone is linked with everyone. With more of them each keeps links along a ring of all
//! endpoints, at distances that double, and passes on what is new to those who are not linked with its author: it reaches
//! everyone in as many steps as the number of people has binary digits.

use std::time::Duration;

use litemap::LiteMap;
use sheaf_repo::{did::Did, key::VerifyingKey};

use super::{EndpointId, Frame, LinkId, allowance::Allowance, frame::MAX_TOLD};
use crate::time::Timestamp;

/// Up to as many others everyone is linked with everyone. Twenty who type send each other fewer frames so than along a ring, where
/// what is passed on comes to some of them twice.
const FULL_MESH: usize = 24;
/// The most links at once, those of readers among them.
const MAX_LINKS: usize = 40;
/// The most readers who are linked.
const MAX_READERS: usize = 16;
/// The most of them that no record names, readers or still to show who they are: strangers leave room for editors.
const MAX_STRANGERS: usize = 16;
/// How long a peer has to show who they are.
const GREETING: Duration = Duration::from_secs(15);
/// A link along no edge of the ring is kept this long: it may be from a time when there were fewer.
const SETTLING: Duration = Duration::from_secs(20);
/// Two links that begin within so much are taken to be one, begun from both sides.
const AT_ONCE: Duration = Duration::from_secs(5);
/// The first wait after an endpoint could not be reached, doubling …
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// How long nobody links with an endpoint that misbehaved.
const SHUNNED: Duration = Duration::from_secs(300);
/// The most endpoints that are remembered to have misbehaved.
const MAX_SHUNNED: usize = 256;

/// Why a link is ended from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// There is another to the same endpoint, or no room.
    NotNeeded,
    /// The peer has not shown who they are in time.
    Silent,
    /// The peer did what no peer does.
    Misbehaved,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Not shown yet; what they said in greeting, once they did.
    Unknown(Option<Claim>),
    /// Somebody who reads along: nothing of theirs is taken. Where they claim to be somebody, that may be an editor of whom this
    /// device does not know yet.
    Reader(Claim),
    /// An editor.
    Editor(Did),
}

/// What somebody says in greeting: who they are, and the proof.
pub(crate) type Claim = (Option<Did>, Option<Vec<u8>>);

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) endpoint: EndpointId,
    dialled: bool,
    pub(crate) peer: Peer,
    since: Timestamp,
    /// With whom they say that they are linked.
    told: Vec<EndpointId>,
    /// Which sessions they have been shown.
    pub(crate) shown: Vec<VerifyingKey>,
    /// What they said before it was known who they are.
    pub(crate) early: Vec<Frame>,
    allowance: Allowance,
}

/// An endpoint that a verified record names.
#[derive(Debug)]
struct Known {
    did: Did,
    relay: Option<String>,
    until: Timestamp,
    dialling: bool,
    attempts: u32,
    retry_at: Timestamp,
}

/// All links of a document, and those that there could be.
#[derive(Debug, Default)]
pub(crate) struct Links {
    me: Option<EndpointId>,
    known: LiteMap<EndpointId, Known>,
    links: LiteMap<LinkId, Link>,
    shunned: LiteMap<EndpointId, Timestamp>,
    /// What the others were last told.
    told: Vec<EndpointId>,
}

impl Links {
    /// The transport is up, or gone and all links with it.
    pub(crate) fn set_me(&mut self, me: Option<EndpointId>) {
        if self.me != me {
            self.links.clear();
            self.told.clear();
            for known in self.known.iter_mut().map(|(_, known)| known) {
                (known.dialling, known.attempts, known.retry_at) = (false, 0, Timestamp::EPOCH);
            }
        }
        self.me = me;
    }

    /// A verified record says that an editor can be reached there.
    pub(crate) fn know(&mut self, did: &Did, endpoint: EndpointId, relay: Option<String>, until: Timestamp) {
        let known = self.known.entry(endpoint).or_insert_with(|| Known {
            did: did.clone(),
            relay: None,
            until,
            dialling: false,
            attempts: 0,
            retry_at: Timestamp::EPOCH,
        });
        // Whoever names an endpoint that is not theirs is found out in greeting; until then the first to name it stands.
        if known.did == *did {
            if known.relay != relay || known.until < until {
                (known.attempts, known.retry_at) = (0, Timestamp::EPOCH);
            }
            (known.relay, known.until) = (relay, until);
        }
    }

    /// Lets go of whoever does not write the document any more.
    pub(crate) fn retain(&mut self, editors: &[Did]) -> Vec<LinkId> {
        self.known.retain(|_, known| editors.contains(&known.did));
        let gone = |(id, link): (&LinkId, &Link)| match &link.peer {
            Peer::Editor(did) if !editors.contains(did) => Some(*id),
            _ => None,
        };
        self.links.iter().filter_map(gone).collect()
    }

    /// There is a new link. Those to be ended, which may be this one.
    pub(crate) fn linked(
        &mut self,
        now: Timestamp,
        id: LinkId,
        endpoint: EndpointId,
        dialled: bool,
    ) -> Vec<LinkId> {
        let ended = self.weigh(now, id, endpoint, dialled);
        if let Some(known) = self.known.get_mut(&endpoint).filter(|_| dialled) {
            known.dialling = false;
            // One that is of no use is not asked for again at once.
            known.attempts = if ended.contains(&id) { known.attempts + 1 } else { 0 };
            known.retry_at = now.saturating_add(wait(known.attempts));
        }
        ended
    }

    fn weigh(&mut self, now: Timestamp, id: LinkId, endpoint: EndpointId, dialled: bool) -> Vec<LinkId> {
        let Some(me) = self.me else { return vec![id] };
        self.shunned.retain(|_, until| *until > now);
        let is_stranger = |endpoint: &EndpointId| !self.known.contains_key(endpoint);
        let strangers = self.links.values().filter(|link| is_stranger(&link.endpoint)).count();
        let full = self.links.len() >= MAX_LINKS || is_stranger(&endpoint) && strangers >= MAX_STRANGERS;
        if self.shunned.contains_key(&endpoint) || endpoint == me || full {
            return vec![id];
        }
        let link = Link {
            endpoint,
            dialled,
            peer: Peer::Unknown(None),
            since: now,
            told: Vec::new(),
            shown: Vec::new(),
            early: Vec::new(),
            allowance: Allowance::new(now),
        };
        // Both may have dialled. Each side keeps the link that the lower endpoint began, so that it is the same one. One that
        // comes later is from a peer who has begun anew, and for whom the older one is gone.
        let begun_by = |link: &Link| if link.dialled { me } else { link.endpoint };
        let others: Vec<(LinkId, EndpointId, bool)> = self
            .links
            .iter()
            .filter(|(_, other)| other.endpoint == endpoint)
            .map(|(id, other)| (*id, begun_by(other), other.since.saturating_add(AT_ONCE) > now))
            .collect();
        if others.iter().any(|(_, other, at_once)| *at_once && *other < begun_by(&link)) {
            return vec![id];
        }
        self.links.insert(id, link);
        others.into_iter().map(|(other, ..)| other).collect()
    }

    /// Forgets a link that has ended or is being ended.
    pub(crate) fn unlinked(&mut self, now: Timestamp, id: LinkId) -> Option<Link> {
        let link = self.links.remove(&id)?;
        if let Some(known) = self.known.get_mut(&link.endpoint) {
            // One that ends as soon as it begins is tried less and less often.
            let lasted = now.saturating_since(link.since) > GREETING;
            known.attempts = if lasted { 0 } else { known.attempts + 1 };
            known.retry_at = now.saturating_add(wait(known.attempts));
        }
        Some(link)
    }

    /// A dial went wrong.
    pub(crate) fn not_reached(&mut self, now: Timestamp, endpoint: EndpointId) {
        if let Some(known) = self.known.get_mut(&endpoint) {
            known.dialling = false;
            known.attempts += 1;
            known.retry_at = now.saturating_add(wait(known.attempts));
        }
    }

    /// The network is back: whoever could not be reached is tried again.
    pub(crate) fn retry_now(&mut self) {
        for known in self.known.iter_mut().map(|(_, known)| known) {
            (known.attempts, known.retry_at) = (0, Timestamp::EPOCH);
        }
    }

    /// Does not link with this endpoint for a while.
    pub(crate) fn shun(&mut self, now: Timestamp, endpoint: EndpointId) {
        let until = now.saturating_add(SHUNNED);
        if self.shunned.len() >= MAX_SHUNNED {
            let first = self.shunned.first().map(|(endpoint, _)| *endpoint);
            first.map(|endpoint| self.shunned.remove(&endpoint));
        }
        self.shunned.insert(endpoint, until);
        if let Some(known) = self.known.get_mut(&endpoint) {
            known.retry_at = until;
        }
    }

    /// Whether a frame of this length may come in; with `None` there is no such link (any more).
    pub(crate) fn takes(&mut self, now: Timestamp, id: LinkId, len: usize) -> Option<bool> {
        Some(self.links.get_mut(&id)?.allowance.take(now, len))
    }

    pub(crate) fn get(&self, id: LinkId) -> Option<&Link> {
        self.links.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&id)
    }

    /// Somebody has shown that they read along; `false` when there is no room for one more.
    pub(crate) fn is_reader(&mut self, id: LinkId, claim: Claim) -> bool {
        let room = self.readers() < MAX_READERS;
        if let Some(link) = self.links.get_mut(&id).filter(|_| room) {
            link.peer = Peer::Reader(claim);
        }
        room
    }

    /// How many read along.
    pub(crate) fn readers(&self) -> usize {
        self.links.values().filter(|link| matches!(link.peer, Peer::Reader(_))).count()
    }

    /// Who of them says they are whom: each account once, in order. Nobody has proved it, for a reader's repo says nothing.
    pub(crate) fn claimed_by_readers(&self) -> Vec<&Did> {
        let mut claimed: Vec<&Did> = self
            .links
            .values()
            .filter_map(|link| match &link.peer {
                Peer::Reader((did, _)) => did.as_ref(),
                _ => None,
            })
            .collect();
        claimed.sort();
        claimed.dedup();
        claimed
    }

    /// Those who read along and turn out to be among these editors greet anew.
    pub(crate) fn reconsider(&mut self, editors: &[Did]) {
        for (_, link) in self.links.iter_mut() {
            if let Peer::Reader(claim @ (Some(did), _)) = &link.peer
                && editors.contains(did)
            {
                link.peer = Peer::Unknown(Some(claim.clone()));
            }
        }
    }

    /// Links whose other end has said who they are but not shown it yet.
    pub(crate) fn greeting(&self) -> Vec<LinkId> {
        let waits = |(id, link): (&LinkId, &Link)| matches!(link.peer, Peer::Unknown(Some(_))).then_some(*id);
        self.links.iter().filter_map(waits).collect()
    }

    /// All links, whoever is at the other end.
    pub(crate) fn all(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// Everybody who is linked and has shown who they are.
    pub(crate) fn open(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.links
            .iter()
            .filter(|(_, link)| !matches!(link.peer, Peer::Unknown(_)))
            .map(|(id, link)| (*id, link))
    }

    /// The editors who are linked.
    pub(crate) fn editors(&self) -> impl Iterator<Item = &Did> {
        self.links.values().filter_map(|link| match &link.peer {
            Peer::Editor(did) => Some(did),
            _ => None,
        })
    }

    /// To whom something by the author at this endpoint is passed on that came over a link: those who did not get it from
    /// the author.
    pub(crate) fn others(&self, from: LinkId, author: Option<EndpointId>) -> Vec<LinkId> {
        let has_it =
            |link: &Link| author.is_some_and(|author| link.endpoint == author || link.told.contains(&author));
        self.open().filter(|(id, link)| *id != from && !has_it(link)).map(|(id, _)| id).collect()
    }

    /// They tell with whom they are linked.
    pub(crate) fn told(&mut self, id: LinkId, endpoints: Vec<EndpointId>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.told = endpoints;
        }
    }

    /// What is to be told of one's own links, if it has changed.
    pub(crate) fn news(&mut self) -> Option<Vec<EndpointId>> {
        let mut now = Vec::new();
        self.open().take(MAX_TOLD).for_each(|(_, link)| add(&mut now, link.endpoint));
        (now != self.told).then(|| {
            self.told.clone_from(&now);
            now
        })
    }

    /// Whom to dial now.
    pub(crate) fn next_dials(&mut self, now: Timestamp) -> Vec<(EndpointId, Option<String>)> {
        let wanted = self.wanted(now);
        let mut dials = Vec::new();
        for endpoint in wanted {
            if let Some(known) = self.known.get_mut(&endpoint)
                && !known.dialling
                && known.retry_at <= now
            {
                known.dialling = true;
                dials.push((endpoint, known.relay.clone()));
            }
        }
        dials
    }

    /// Links whose peer has taken too long to show who they are.
    pub(crate) fn overdue(&self, now: Timestamp) -> Vec<LinkId> {
        let overdue =
            |link: &Link| matches!(link.peer, Peer::Unknown(_)) && link.since.saturating_add(GREETING) <= now;
        self.links.iter().filter(|(_, link)| overdue(link)).map(|(id, _)| *id).collect()
    }

    /// Links of a time when there were fewer people, which the ring does without.
    pub(crate) fn excess(&self, now: Timestamp) -> Vec<LinkId> {
        let settled = |(_, link): &(LinkId, &Link)| link.since.saturating_add(SETTLING) <= now;
        self.beyond_ring(now).filter(settled).map(|(id, _)| id).collect()
    }

    fn beyond_ring(&self, now: Timestamp) -> impl Iterator<Item = (LinkId, &Link)> {
        let full = self.editors().count() > FULL_MESH;
        let ring = self.me.filter(|_| full).map_or_else(Vec::new, |me| neighbours(me, &self.there(now)));
        let editors = self.open().filter(move |(_, link)| full && matches!(link.peer, Peer::Editor(_)));
        editors.filter(move |(_, link)| !ring.contains(&link.endpoint))
    }

    /// When something is to be done.
    pub(crate) fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        self.me?;
        let greetings = self
            .links
            .values()
            .filter(|link| matches!(link.peer, Peer::Unknown(_)))
            .map(|link| link.since.saturating_add(GREETING));
        let dials = self.wanted(now).into_iter().filter_map(|endpoint| {
            let known = self.known.get(&endpoint)?;
            (!known.dialling).then_some(known.retry_at)
        });
        let excess = self.beyond_ring(now).map(|(_, link)| link.since.saturating_add(SETTLING));
        let forgiven = self
            .shunned
            .iter()
            .filter(|(endpoint, until)| **until > now && self.known.contains_key(*endpoint));
        greetings.chain(dials).chain(excess).chain(forgiven.map(|(_, until)| *until)).min()
    }

    /// Times of the clock as it was before mean nothing now.
    pub(crate) fn clock_was_set_back(&mut self, now: Timestamp) {
        for known in self.known.iter_mut().map(|(_, known)| known) {
            known.retry_at = known.retry_at.min(now);
        }
        for link in self.links.iter_mut().map(|(_, link)| link) {
            link.since = link.since.min(now);
        }
        for until in self.shunned.iter_mut().map(|(_, until)| until) {
            *until = (*until).min(now.saturating_add(SHUNNED));
        }
    }

    /// All other endpoints that can be tried, in order.
    fn there(&self, now: Timestamp) -> Vec<EndpointId> {
        let there = |(endpoint, known): (&EndpointId, &Known)| {
            (known.until > now && Some(*endpoint) != self.me).then_some(*endpoint)
        };
        self.known.iter().filter_map(there).collect()
    }

    /// Endpoints to be linked with that are not.
    fn wanted(&self, now: Timestamp) -> Vec<EndpointId> {
        let Some(me) = self.me else { return Vec::new() };
        let linked = |endpoint: &EndpointId| self.links.values().any(|link| link.endpoint == *endpoint);
        let free = |endpoint: &EndpointId| {
            !linked(endpoint) && self.shunned.get(endpoint).is_none_or(|until| *until <= now)
        };
        neighbours(me, &self.there(now)).into_iter().filter(free).collect()
    }
}

/// With which of all others, which are in order, one is to be linked.
fn neighbours(me: EndpointId, others: &[EndpointId]) -> Vec<EndpointId> {
    if others.len() <= FULL_MESH {
        return others.to_vec();
    }
    let (n, place) = (others.len(), others.partition_point(|other| *other < me));
    let mut chosen = Vec::new();
    // Distances 1, 2, 4, … to both sides, of a ring in which this endpoint stands between `place - 1` and `place`.
    for distance in std::iter::successors(Some(1), |d| Some(d * 2)).take_while(|d| *d <= n / 2 + 1) {
        add(&mut chosen, others[(place + distance - 1) % n]);
        add(&mut chosen, others[(place + n - distance % n) % n]);
    }
    chosen
}

/// Puts an endpoint where it belongs in a list of them, once.
fn add(list: &mut Vec<EndpointId>, endpoint: EndpointId) {
    if let Err(at) = list.binary_search(&endpoint) {
        list.insert(at, endpoint);
    }
}

fn wait(attempts: u32) -> Duration {
    (FIRST_RETRY * (1 << attempts.saturating_sub(1).min(10))).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn endpoint(n: u16) -> EndpointId {
        let mut id = [0; 32];
        // In no order of their numbers, as keys are.
        id[..2].copy_from_slice(&n.wrapping_mul(40_503).to_be_bytes());
        id[2..4].copy_from_slice(&n.to_be_bytes());
        EndpointId(id)
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn few_are_all_linked_and_many_reach_each_other_in_few_steps() {
        for people in [2u16, 5, 20, 25, 26, 33, 100] {
            let all: BTreeSet<EndpointId> = (0..people).map(endpoint).collect();
            let mut links: BTreeMap<EndpointId, BTreeSet<EndpointId>> = BTreeMap::new();
            for me in &all {
                let others: Vec<EndpointId> = all.iter().filter(|other| *other != me).copied().collect();
                for other in neighbours(*me, &others) {
                    links.entry(*me).or_default().insert(other);
                    links.entry(other).or_default().insert(*me);
                }
            }
            let most = links.values().map(BTreeSet::len).max().unwrap();
            if people <= 25 {
                assert_eq!(most, usize::from(people) - 1);
            } else {
                assert!(most <= 16, "{most} links among {people}");
            }
            for start in &all {
                let mut reached = BTreeSet::from([*start]);
                let mut steps = 0;
                while reached.len() < all.len() {
                    let next: BTreeSet<_> = reached.iter().flat_map(|e| links[e].iter().copied()).collect();
                    reached.extend(next);
                    steps += 1;
                    assert!(steps <= 7, "{people}");
                }
            }
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn of_two_links_between_two_both_sides_keep_the_same() {
        let now = Timestamp::from_millis(1_000);
        let (low, high) = (EndpointId([1; 32]), EndpointId([2; 32]));
        for first_is_by_low in [true, false] {
            let mut at_low = Links::default();
            at_low.set_me(Some(low));
            let mut at_high = Links::default();
            at_high.set_me(Some(high));
            let (by_low, by_high) = (LinkId(1), LinkId(2));
            let mut ended = BTreeSet::new();
            for is_by_low in [first_is_by_low, !first_is_by_low] {
                let id = if is_by_low { by_low } else { by_high };
                ended.extend(at_low.linked(now, id, high, is_by_low));
                ended.extend(at_high.linked(now, id, low, !is_by_low));
            }
            assert_eq!(ended, BTreeSet::from([by_high]));
        }
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn who_cannot_be_reached_is_dialled_less_and_less_often() {
        let mut now = Timestamp::from_millis(1_000);
        let mut links = Links::default();
        let did: Did = "did:web:ada.example".parse().unwrap();
        links.set_me(Some(endpoint(0)));
        links.know(&did, endpoint(1), None, now.saturating_add(Duration::from_secs(3_600)));
        let mut dials = 0;
        for _ in 0..3_600 {
            now = now.saturating_add(Duration::from_secs(1));
            for (endpoint, _) in links.next_dials(now) {
                dials += 1;
                links.not_reached(now, endpoint);
            }
        }
        assert!((15..30).contains(&dials), "{dials}");
        assert!(links.next_dials(now.saturating_add(Duration::from_secs(400))).is_empty(), "it has expired");
    }
}
