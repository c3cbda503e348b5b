//! The live channel of one open document: who is linked, and what follows for presence and for the pace of publishing.
//!
//! How it is used and what is believed is told in [`crate::live`]. Here it is tied to the rest: greeting (`greeting`), what is
//! sent (`speaking`), what is taken (`hearing`).

mod greeting;
mod hearing;
mod speaking;

use std::time::Duration;

use litemap::LiteMap;
use sheaf_repo::did::Did;

use super::{Effect, Replica, ReplicaConfig};
use crate::{
    client_id::ReplicaId,
    live::{EndpointId, Frame, Hangup, LinkId, Links, LiveEffect, LiveEvent, SessionKey, Sessions},
    record::LiveEndpoint,
    segment::carried::CarriedUpdates,
    time::Timestamp,
};

/// How long an announcement waits for the transport, so that it is written once and not twice.
const TRANSPORT_PATIENCE: Duration = Duration::from_secs(3);
/// How long a record's endpoint is to be tried. Much longer than presence: who cannot write to their repo may well be there.
const ENDPOINT_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// Somebody whom nothing was heard of for so long is not taken to be here, unless they are linked: carets are told anew more
/// often ([`speaking`]).
const HEARD_LATELY: Duration = Duration::from_secs(60);
/// What is carried and cannot be verified yet: the most that is kept of it.
const MAX_UNVERIFIED: usize = 256;

/// Everything that is known of the channel.
#[derive(Debug)]
pub(super) struct Live {
    /// Signs what this replica writes. Without one there is no channel.
    key: Option<SessionKey>,
    /// How others reach this device.
    me: Option<(EndpointId, Option<String>)>,
    /// Until when presence is not announced without an endpoint.
    announce_at: Timestamp,
    pub(super) links: Links,
    pub(super) sessions: Sessions,
    /// Whether everyone is live, as of the last event.
    pub(super) everyone: bool,
    caret: OwnCaret,
    /// The newest caret of each replica, and when it came.
    heard: LiteMap<(Did, ReplicaId), (u64, Timestamp)>,
    /// Own edits that were sent one by one since they were last sent as a whole.
    since_whole: usize,
    /// What others carry of authors who have not been looked up yet, with the carrier and the path of the record.
    unverified: Vec<(Did, String, CarriedUpdates)>,
    /// Whose updates came before it was known who they are: those who have them are asked again.
    missed: Vec<Did>,
    /// When an account's repo was last looked at because somebody claimed to be them.
    looked_at: LiteMap<Did, Timestamp>,
}

/// What the others know of this replica's caret.
#[derive(Debug, Default)]
struct OwnCaret {
    number: u64,
    told_at: Option<Timestamp>,
    /// There is something new to tell.
    news: bool,
}

/// The channel as a status tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveStatus {
    /// How many devices of editors are linked.
    pub linked: usize,
    /// How many read along: 16 at most.
    pub readers: usize,
    /// Who they say they are, as far as they say so, in order of their accounts: whoever does so with several devices is here once,
    /// and this account not at all.
    pub reading: Vec<Reading>,
    /// Whether everyone who is here is heard live.
    pub everyone: bool,
    /// How many updates are shown that their authors' repos do not hold yet.
    pub provisional: usize,
}

/// Somebody who reads along, as they say. It is no more than that: nothing in the repo of somebody who only reads could prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The account they say they have.
    pub did: Did,
    /// Its verified handle, where this device knows it for another reason, such as that they were an editor once. Nothing is
    /// looked up because somebody says so: they could choose where to.
    pub handle: Option<String>,
}

impl Live {
    pub(super) fn new(config: &ReplicaConfig, now: Timestamp) -> Live {
        let key = config.account.clone().zip(config.session.as_ref()).and_then(|(did, secret)| {
            SessionKey::new(secret, config.document.clone(), did, config.replica.clone())
        });
        Live {
            key,
            me: None,
            announce_at: now.saturating_add(TRANSPORT_PATIENCE),
            links: Links::default(),
            sessions: Sessions::default(),
            everyone: false,
            caret: OwnCaret::default(),
            heard: LiteMap::new(),
            since_whole: 0,
            unverified: Vec::new(),
            missed: Vec::new(),
            looked_at: LiteMap::new(),
        }
    }

    /// Until when presence had better wait for the transport, to be announced with it.
    pub(super) fn holds_presence(&self) -> Option<Timestamp> {
        (self.key.is_some() && self.me.is_none()).then_some(self.announce_at)
    }

    /// What presence says of the channel.
    pub(super) fn endpoint(&self, now: Timestamp) -> Option<LiveEndpoint> {
        let ((endpoint, relay), key) = self.me.clone().zip(self.key.as_ref())?;
        let expires_at = now.saturating_add(ENDPOINT_LIFE);
        Some(LiveEndpoint { endpoint, relay, key: key.author().key.clone(), expires_at })
    }
}

impl Replica {
    pub(super) fn live_happened(&mut self, now: Timestamp, event: LiveEvent) {
        match event {
            LiveEvent::Ready { endpoint, relay } => self.transport_is_up(now, endpoint, relay),
            LiveEvent::Down => {
                self.live.me = None;
                self.live.links.set_me(None);
                self.live.announce_at = now.saturating_add(TRANSPORT_PATIENCE);
                self.refresh();
            }
            LiveEvent::Linked { link, peer, dialled } => {
                let ended = self.live.links.linked(now, link, peer, dialled);
                if !ended.contains(&link) {
                    self.greet(link);
                }
                for link in ended {
                    self.hang_up(now, link, Hangup::NotNeeded);
                }
            }
            LiveEvent::NotReached { peer } => self.live.links.not_reached(now, peer),
            LiveEvent::Unlinked { link } => {
                if self.live.links.unlinked(now, link).is_some() {
                    self.links_changed();
                }
            }
            LiveEvent::Frame { link, bytes } => self.frame_came(now, link, &bytes),
        }
        self.dial(now);
    }

    fn transport_is_up(&mut self, now: Timestamp, endpoint: EndpointId, relay: Option<String>) {
        let me = Some((endpoint, relay));
        if self.live.me != me {
            self.live.me = me;
            self.live.links.set_me(Some(endpoint));
            self.own.news();
            tracing::info!(%endpoint, "the live channel is up");
        }
        self.all_can_be_reached(now);
        self.refresh();
    }

    fn frame_came(&mut self, now: Timestamp, link: LinkId, bytes: &[u8]) {
        match self.live.links.takes(now, link, bytes.len()) {
            None => return, // It was on its way when the link ended.
            Some(false) => return self.hang_up(now, link, Hangup::Misbehaved),
            Some(true) => {}
        }
        match Frame::parse(bytes) {
            Ok(frame) => {
                if let Err(why) = self.hear(now, link, frame) {
                    tracing::warn!(?link, why, "a peer is hung up on");
                    self.hang_up(now, link, Hangup::Misbehaved);
                }
            }
            Err(why) => {
                tracing::warn!(?link, %why, "a peer is hung up on");
                self.hang_up(now, link, Hangup::Misbehaved);
            }
        }
    }

    /// Ends a link.
    fn hang_up(&mut self, now: Timestamp, link: LinkId, why: Hangup) {
        if let Some(link) = self.live.links.unlinked(now, link) {
            if why == Hangup::Misbehaved {
                self.live.links.shun(now, link.endpoint);
            }
            self.links_changed();
        }
        self.effects.push(Effect::Live(LiveEffect::HangUp { link }));
    }

    /// Dials whoever is to be dialled.
    pub(super) fn dial(&mut self, now: Timestamp) {
        if !self.online {
            return;
        }
        for (peer, relay) in self.live.links.next_dials(now) {
            self.effects.push(Effect::Live(LiveEffect::Dial { peer, relay }));
        }
    }

    /// The network is back: whoever could not be reached is dialled again.
    pub(super) fn dial_again(&mut self, now: Timestamp) {
        self.live.links.retry_now();
        self.dial(now);
    }

    pub(super) fn live_deadline(&self) -> Option<Timestamp> {
        let links = self.live.links.deadline(self.latest).filter(|_| self.online);
        links.into_iter().chain(self.caret_due()).min()
    }

    pub(super) fn live_tick(&mut self, now: Timestamp) {
        for link in self.live.links.overdue(now) {
            self.hang_up(now, link, Hangup::Silent);
        }
        for link in self.live.links.excess(now) {
            self.hang_up(now, link, Hangup::NotNeeded);
        }
        self.dial(now);
        self.tell_caret(now);
        // Whoever is linked is here, however long they have been silent.
        for did in self.live.links.editors() {
            self.people.is_linked(did, now);
        }
    }

    /// Times of the clock as it was before mean nothing now.
    pub(super) fn live_clock_was_set_back(&mut self, now: Timestamp) {
        let live = &mut self.live;
        live.links.clock_was_set_back(now);
        live.caret.told_at = live.caret.told_at.map(|at| at.min(now));
        live.announce_at = live.announce_at.min(now.saturating_add(TRANSPORT_PATIENCE));
        live.looked_at.iter_mut().for_each(|(_, at)| *at = (*at).min(now));
        live.heard.iter_mut().for_each(|(_, (_, at))| *at = (*at).min(now));
    }

    fn links_changed(&mut self) {
        if let Some(links) = self.live.links.news() {
            self.tell_all(&Frame::Links(links));
        }
        self.refresh();
    }

    /// The editors have changed: whoever is none any more is hung up on, and whoever has become one may be known already.
    pub(super) fn live_editors_changed(&mut self, now: Timestamp) {
        let editors = self.editors();
        for link in self.live.links.retain(&editors) {
            self.hang_up(now, link, Hangup::NotNeeded);
        }
        self.live.links.reconsider(&editors);
        self.greet_again(now);
        self.all_can_be_reached(now);
        self.dial(now);
    }

    /// Whether everyone else who is here gets what is written at once, so that it need not be published in a hurry.
    pub(super) fn everyone_is_live(&self) -> bool {
        if self.live.links.editors().next().is_none() {
            return false;
        }
        let live = self.live_editors();
        self.people.iter().all(|(did, _)| live.binary_search(&did).is_ok())
    }

    /// The editors who are linked, or were heard of lately by those who are; in order.
    pub(super) fn live_editors(&self) -> Vec<&Did> {
        let lately = |at: Timestamp| self.latest.saturating_since(at) <= HEARD_LATELY;
        let heard = self.live.heard.iter().filter(|(_, (_, at))| lately(*at)).map(|((did, _), _)| did);
        let mut live: Vec<&Did> = self.live.links.editors().chain(heard).collect();
        live.sort_unstable();
        live.dedup();
        live.retain(|did| self.is_editor(did));
        live
    }

    pub(super) fn live_status(&self) -> LiveStatus {
        LiveStatus {
            linked: self.live.links.editors().count(),
            readers: self.live.links.readers(),
            reading: self.reading(),
            everyone: self.live.everyone,
            provisional: self.provisional.len(),
        }
    }

    fn reading(&self) -> Vec<Reading> {
        let others = self.live.links.claimed_by_readers().into_iter();
        let others = others.filter(|did| self.config.account.as_ref() != Some(*did));
        let named = |did: &Did| {
            let identity = self.views.get(did).and_then(|view| view.last_identity());
            let handle = identity.and_then(|identity| identity.handle.as_ref()).map(ToString::to_string);
            Reading { did: did.clone(), handle }
        };
        others.map(named).collect()
    }
}
