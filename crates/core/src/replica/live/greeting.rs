//! Showing who one is, and finding out who others are.

use std::time::Duration;

use sheaf_repo::did::Did;

use super::super::{Replica, StoreOp, store_keys};
use crate::{
    live::{EndpointId, Frame, Hangup, LinkId, Peer, Session, SessionRefusal},
    replica::storing::Matter,
    time::Timestamp,
};

/// How often a repo is looked at because somebody claims to be its account.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is known of who somebody claims to be.
enum Verdict {
    Editor(Did),
    Reader,
    /// The directory or a repo will tell.
    NotYet,
    /// They are not who they say.
    Liar(&'static str),
}

impl Replica {
    /// Begins a link: who this is, and the proof.
    pub(super) fn greet(&mut self, link: LinkId) {
        let did = self.config.account.clone().filter(|_| self.live.key.is_some());
        let proof = did.as_ref().and_then(|did| {
            let (key, me) = (self.live.key.as_ref()?, self.live.me.as_ref()?);
            let mine = |session: &&Session| session.author == *key.author() && session.endpoint == me.0;
            self.live.sessions.of(did).find(mine).map(|session| session.proof.clone())
        });
        self.tell(link, &Frame::Hello { document: self.config.document.clone(), did, proof });
    }

    /// They have said who they are.
    pub(super) fn greeted(
        &mut self,
        now: Timestamp,
        link: LinkId,
        did: Option<Did>,
        proof: Option<Vec<u8>>,
    ) -> Result<(), &'static str> {
        let known = self.live.links.get_mut(link).ok_or("there is no such link")?;
        if known.peer != Peer::Unknown(None) {
            return Err("it greets twice");
        }
        known.peer = Peer::Unknown(Some((did, proof)));
        self.find_out(now, link)
    }

    /// Looks again at who is still greeting: something new is known.
    pub(in super::super) fn greet_again(&mut self, now: Timestamp) {
        for link in self.live.links.greeting() {
            if let Err(why) = self.find_out(now, link) {
                tracing::warn!(?link, why, "a peer is hung up on");
                self.hang_up(now, link, Hangup::Misbehaved);
            }
        }
    }

    fn find_out(&mut self, now: Timestamp, id: LinkId) -> Result<(), &'static str> {
        let Some(link) = self.live.links.get(id) else { return Ok(()) };
        let (endpoint, Peer::Unknown(Some(claim))) = (link.endpoint, link.peer.clone()) else {
            return Ok(());
        };
        let (did, proof) = claim.clone();
        match self.verdict(now, endpoint, did, proof) {
            Verdict::Editor(did) => {
                tracing::info!(%did, %endpoint, "linked with an editor");
                if let Some(link) = self.live.links.get_mut(id) {
                    link.peer = Peer::Editor(did.clone());
                }
                self.people.is_linked(&did, now);
                self.opened(now, id);
            }
            Verdict::Reader if self.live.links.is_reader(id, claim) => self.opened(now, id),
            Verdict::Reader => self.hang_up(now, id, Hangup::NotNeeded),
            Verdict::NotYet => {}
            Verdict::Liar(why) => return Err(why),
        }
        Ok(())
    }

    /// The transport has proved the endpoint; the rest is what they say.
    fn verdict(
        &mut self,
        now: Timestamp,
        endpoint: EndpointId,
        did: Option<Did>,
        proof: Option<Vec<u8>>,
    ) -> Verdict {
        let Some(did) = did else { return Verdict::Reader };
        if self.charter.current().is_none() {
            return Verdict::NotYet;
        }
        if !self.is_editor(&did) {
            return Verdict::Reader;
        }
        let named = |session: &Session| session.endpoint == endpoint && session.expires_at > now;
        if self.live.sessions.of(&did).any(named) {
            return Verdict::Editor(did);
        }
        let identity = self.views.get(&did).and_then(|view| view.last_identity()).cloned();
        if let (Some(identity), Some(proof)) = (identity, &proof) {
            return match Session::verify(&self.config.document, &did, &identity.key, proof) {
                Ok(session) if session.endpoint != endpoint => {
                    Verdict::Liar("its proof names another endpoint")
                }
                Ok(session) if session.expires_at <= now => self.look_at(now, &did),
                Ok(session) => {
                    self.learn(now, session);
                    Verdict::Editor(did)
                }
                // A key may have been rotated since: the repo itself has the last word.
                Err(SessionRefusal::Unproved(_)) => self.look_at(now, &did),
                Err(_) => Verdict::Liar("its proof shows no session"),
            };
        }
        if proof.is_some() { Verdict::NotYet } else { self.look_at(now, &did) }
    }

    /// Looks at the repo of whoever somebody claims to be: now and then, for anybody may claim it.
    fn look_at(&mut self, now: Timestamp, did: &Did) -> Verdict {
        let due = self.live.looked_at.get(did).is_none_or(|at| now.saturating_since(*at) >= LOOK_EVERY);
        if due {
            self.live.looked_at.insert(did.clone(), now);
            let outcome = self.views.get_mut(did).map(|view| view.ring(now, None, &mut self.ids));
            self.take_outcome(now, did, outcome.unwrap_or_default());
        }
        Verdict::NotYet
    }

    /// A session that has just been verified.
    pub(in super::super) fn learn(&mut self, now: Timestamp, session: Session) {
        if !self.live.sessions.add(session.clone()) {
            return;
        }
        let key = store_keys::session(&self.config.document, &session.author);
        self.persist(vec![StoreOp::Put { key, value: session.proof.clone() }], Matter::default());
        if self.live.key.as_ref().is_some_and(|key| *key.author() == session.author) {
            // Those who are still finding out who this is need not look for it.
            for link in self.live.links.all() {
                self.tell(link, &Frame::Session(session.proof.clone()));
            }
        }
        self.can_be_reached(now, &session);
        let missed = self.live.missed.len();
        self.live.missed.retain(|did| *did != session.author.did);
        if self.live.missed.len() < missed {
            let have = self.have();
            self.tell_all(&have);
        }
        self.greet_again(now);
        self.verify_carried(now);
        self.dial(now);
    }

    /// So can everybody else of whom a session is known.
    pub(super) fn all_can_be_reached(&mut self, now: Timestamp) {
        let known: Vec<Session> = self.live.sessions.iter().cloned().collect();
        known.iter().for_each(|session| self.can_be_reached(now, session));
    }

    /// Somebody can be reached there, unless it is this device.
    pub(super) fn can_be_reached(&mut self, now: Timestamp, session: &Session) {
        let author = &session.author;
        let mine = self.live.key.as_ref().is_some_and(|key| {
            let own = key.author();
            (&own.did, &own.replica) == (&author.did, &author.replica)
        });
        if !mine && session.expires_at > now && self.is_editor(&author.did) {
            self.live.links.know(&author.did, session.endpoint, session.relay.clone(), session.expires_at);
        }
    }
}
