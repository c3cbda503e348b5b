//! What is taken of what peers send, and of what segments carry.

use std::time::Duration;

use sheaf_repo::did::Did;

use super::{
    super::{
        Replica, StoreOp,
        provisional::{self, Taken},
        store_keys,
        storing::Matter,
    },
    MAX_UNVERIFIED,
};
use crate::{
    client_id::{ClientId, ReplicaId},
    document::Bias,
    door::{self, Allowed, VettedUpdate},
    extent::Extent,
    live::{Frame, LinkId, Peer, Session, SignedCaret, SignedUpdate},
    segment::carried::CarriedUpdates,
    text::{Utf16Offset, utf16_len},
    time::Timestamp,
};

/// An update made longer ago says where its author was, not that they are here.
const JUST_NOW: Duration = Duration::from_secs(180);

/// As much is kept of what somebody says before it is known who they are.
const MAX_EARLY: usize = 8;

/// What came of a signed update.
enum Outcome {
    /// It is new, and in the text or waiting for what it builds on.
    New,
    /// It was known, or counts for nothing.
    Nothing,
    /// No session is known that could have signed it.
    Unknown,
    /// It is not what its author signed, or nothing that an author may write.
    Refused(String),
}

impl Replica {
    /// A frame of a peer. An error is why they are hung up on.
    pub(super) fn hear(&mut self, now: Timestamp, link: LinkId, frame: Frame) -> Result<(), &'static str> {
        let peer = self.live.links.get(link).map(|link| link.peer.clone()).ok_or("there is no such link")?;
        match (peer, frame) {
            (_, Frame::Hello { document, did, proof }) => {
                if document != self.config.document {
                    return Err("it is about another document");
                }
                self.greeted(now, link, did, proof)
            }
            (Peer::Unknown(None), _) => Err("it does not greet"),
            (Peer::Unknown(Some(_)), Frame::Session(proof)) => {
                self.shown_session(now, &proof);
                Ok(())
            }
            (Peer::Unknown(Some(_)), early @ (Frame::Have(_) | Frame::Links(_))) => {
                if let Some(link) = self.live.links.get_mut(link).filter(|link| link.early.len() < MAX_EARLY)
                {
                    link.early.push(early);
                }
                Ok(())
            }
            // Once they are known they are told what is here, and say the rest again.
            (Peer::Unknown(Some(_)), _) => Ok(()),
            (_, Frame::Have(have)) => {
                self.answer(link, &have);
                Ok(())
            }
            (_, Frame::Links(endpoints)) => {
                self.live.links.told(link, endpoints);
                Ok(())
            }
            (Peer::Reader((None, _)), _) => Err("a reader has nothing to say"),
            // Perhaps they are an editor since a moment ago. If so, they are asked for it again.
            (Peer::Reader(_), _) => Ok(()),
            (Peer::Editor(_), Frame::Session(proof)) => {
                self.shown_session(now, &proof);
                Ok(())
            }
            (Peer::Editor(_), Frame::Update { did, replica, signed }) => {
                self.said_live(now, link, did, replica, signed)
            }
            (Peer::Editor(_), Frame::Caret { did, replica, signed }) => {
                self.is_at(now, link, did, replica, signed)
            }
        }
    }

    /// Somebody shows who an author is.
    fn shown_session(&mut self, now: Timestamp, proof: &[u8]) {
        let Some(did) = Session::claimed_by(proof) else { return };
        let Some(identity) = self.views.get(&did).and_then(|view| view.last_identity()) else { return };
        match Session::verify(&self.config.document, &did, &identity.key, proof) {
            Ok(session) => self.learn(now, session),
            // It may have been true before a key was rotated: no reason to hang up.
            Err(why) => tracing::info!(%did, %why, "what should show a session does not"),
        }
    }

    fn said_live(
        &mut self,
        now: Timestamp,
        link: LinkId,
        did: Did,
        replica: ReplicaId,
        signed: SignedUpdate,
    ) -> Result<(), &'static str> {
        match self.take_signed(now, &did, &replica, &signed) {
            Outcome::New => {
                let others = self.live.links.others(link, self.endpoint_of(&did, &replica));
                self.pass_on(&others, did, replica, signed);
                Ok(())
            }
            Outcome::Nothing => Ok(()),
            Outcome::Unknown => {
                tracing::debug!(%did, "an update of somebody whose session is not known");
                if !self.live.missed.contains(&did) {
                    self.live.missed.push(did);
                }
                Ok(())
            }
            Outcome::Refused(why) => {
                tracing::warn!(%did, %replica, why, "a live update is refused");
                Err("it passes on what nobody may have written")
            }
        }
    }

    /// The one way in for what is signed and not in its author's repo yet, whoever brought it.
    fn take_signed(
        &mut self,
        now: Timestamp,
        did: &Did,
        replica: &ReplicaId,
        signed: &SignedUpdate,
    ) -> Outcome {
        let own = self.config.account.as_ref() == Some(did) && self.config.replica == *replica;
        if own || !self.counts(did) {
            return Outcome::Nothing;
        }
        let client = ClientId::derive(did.as_str(), &self.config.document.to_string(), replica);
        let vetted = match door::scan(&signed.update, Allowed::Author(client)) {
            Ok(vetted) if vetted.has_holes() => {
                return Outcome::Refused("its edits do not follow each other".into());
            }
            Ok(vetted) => vetted,
            Err(why) => return Outcome::Refused(why.to_string()),
        };
        // What is known needs no look at its signature, which costs the most of all this.
        if self.provisional.knows(did, replica, &vetted) || self.is_proved(did, replica, &vetted) {
            return Outcome::Nothing;
        }
        let key = match self.live.sessions.signed_by(did, replica, |author| author.wrote(signed)) {
            None => return Outcome::Unknown,
            Some(None) => return Outcome::Refused("it is not signed by its author".into()),
            Some(Some(session)) => session.author.key.clone(),
        };
        self.let_in_live(now, did, replica, client, key, signed.clone(), vetted)
    }

    #[allow(clippy::too_many_arguments)] // what makes up one signed update, used once
    fn let_in_live(
        &mut self,
        now: Timestamp,
        did: &Did,
        replica: &ReplicaId,
        client: ClientId,
        key: sheaf_repo::key::VerifyingKey,
        signed: SignedUpdate,
        vetted: VettedUpdate,
    ) -> Outcome {
        let value = provisional::write(&key, &signed);
        let made = signed.at;
        match self.provisional.take(did, replica, client, key, signed, vetted.clone()) {
            Taken::Known | Taken::Refused => Outcome::Nothing,
            Taken::New { number, replaced, contradicts } => {
                let document = &self.config.document;
                let mut ops =
                    vec![StoreOp::Put { key: store_keys::live(document, did, replica, number), value }];
                ops.extend(
                    replaced.into_iter().map(|number| StoreOp::Delete {
                        key: store_keys::live(document, did, replica, number),
                    }),
                );
                self.persist_at_leisure(now, ops);
                if contradicts {
                    tracing::warn!(%did, %replica, "somebody has signed two texts for one place: the text is made anew");
                    self.reweave();
                } else {
                    let counts = self.limits.apply(did, replica, &vetted);
                    let shown = self.apply_one(counts);
                    let age = now.saturating_since(made).max(made.saturating_since(now));
                    if let Some(last) = shown.last().filter(|_| age <= JUST_NOW) {
                        let at = Utf16Offset(last.at.0 + utf16_len(&last.insert));
                        let caret = self.document.sticky(at, Bias::Before);
                        self.people.edited(did, replica, made, caret, now);
                    }
                    self.show(shown);
                }
                self.refresh();
                Outcome::New
            }
        }
    }

    /// Whether what this account writes, or once wrote, is part of the document.
    fn counts(&self, did: &Did) -> bool {
        self.is_editor(did) || self.is_former(did)
    }

    /// Whether an update is in its author's repo as far as that is verified.
    fn is_proved(&self, did: &Did, replica: &ReplicaId, update: &VettedUpdate) -> bool {
        let beyond = update.provides().values().any(|range| range.end > self.evidence.clock(did, replica));
        !beyond && self.evidence.reach(did, replica).covers(&Extent::of([update]))
    }

    /// A replica's repo shows more than before: what is in there is proved.
    pub(in super::super) fn is_proved_now(
        &mut self,
        did: &Did,
        replica: &ReplicaId,
        updates: &[VettedUpdate],
    ) {
        if !self.provisional.is_of(did, replica) {
            return;
        }
        let reach = self.evidence.reach(did, replica);
        let (gone, contradicted) = self.provisional.proved(did, replica, &reach, updates);
        let key = |number| store_keys::live(&self.config.document, did, replica, number);
        let ops = gone.into_iter().map(|number| StoreOp::Delete { key: key(number) }).collect();
        self.persist(ops, Matter::default());
        if contradicted {
            tracing::warn!(%did, %replica, "somebody's repo says something else than they said live: the repo counts");
            self.reweave();
        }
    }

    // --- what segments carry ---

    /// A verified segment of `carrier` brings along what others signed.
    pub(in super::super) fn take_carried_updates(
        &mut self,
        now: Timestamp,
        carrier: &Did,
        path: &str,
        carried: &[CarriedUpdates],
    ) {
        self.keep_unverified(carrier, path, carried);
        self.verify_carried(now);
    }

    /// Keeps what somebody carries until its author is looked up.
    pub(in super::super) fn keep_unverified(
        &mut self,
        carrier: &Did,
        path: &str,
        carried: &[CarriedUpdates],
    ) {
        for one in carried {
            if self.live.unverified.len() >= MAX_UNVERIFIED {
                // It stays in the store, and is tried again with the next start.
                tracing::warn!(%carrier, "more is carried by others than can be kept unverified");
                return;
            }
            self.live.unverified.push((carrier.clone(), path.to_owned(), one.clone()));
        }
    }

    /// Takes in what can be verified by now of what others carry.
    pub(in super::super) fn verify_carried(&mut self, now: Timestamp) {
        for (carrier, path, carried) in std::mem::take(&mut self.live.unverified) {
            match self.verify_one(now, &carried) {
                Ok(true) => {}
                Ok(false) => self.live.unverified.push((carrier, path, carried)),
                Err(why) => {
                    tracing::warn!(%carrier, path, why, "what a segment carries is refused");
                    let why = format!("what it carries of others is refused: {why}");
                    self.quarantined.entry(carrier).or_default().insert(path, why);
                    self.refresh();
                }
            }
        }
    }

    /// Takes in what is carried of one replica; `false` when its author has not been looked up yet.
    fn verify_one(&mut self, now: Timestamp, carried: &CarriedUpdates) -> Result<bool, String> {
        let did = Session::claimed_by(&carried.proof).ok_or("the proof of a session is none")?;
        let document = self.config.document.clone();
        // It may be known by the very same proof.
        let known = self.live.sessions.of(&did).find(|session| session.proof == carried.proof).cloned();
        let session = match known {
            Some(session) => session,
            None => {
                let Some(identity) = self.views.get(&did).and_then(|view| view.last_identity()) else {
                    return Ok(!self.views.contains_key(&did));
                };
                let session = Session::verify(&document, &did, &identity.key, &carried.proof);
                session.map_err(|why| why.to_string())?
            }
        };
        let replica = session.author.replica.clone();
        self.learn(now, session);
        for signed in &carried.updates {
            match self.take_signed(now, &did, &replica, signed) {
                Outcome::Refused(why) => return Err(format!("{did}: {why}")),
                Outcome::New | Outcome::Nothing | Outcome::Unknown => {}
            }
        }
        Ok(true)
    }

    // --- where others are ---

    fn is_at(
        &mut self,
        now: Timestamp,
        link: LinkId,
        did: Did,
        replica: ReplicaId,
        signed: SignedCaret,
    ) -> Result<(), &'static str> {
        let who = (did, replica);
        let known = self.live.heard.get(&who).is_some_and(|(number, _)| *number >= signed.number);
        if known || !self.is_editor(&who.0) {
            return Ok(());
        }
        let (did, replica) = &who;
        let name = match self.live.sessions.signed_by(did, replica, |author| author.is_at(&signed)) {
            None => return Ok(()),
            Some(None) => return Err("it passes on a caret that is not signed"),
            Some(Some(session)) => session.name.clone(),
        };
        self.live.heard.insert(who.clone(), (signed.number, now));
        if self.config.account.as_ref() != Some(did) {
            let caret = signed.caret.as_ref().map(|caret| (caret.anchor, caret.head));
            self.people.is_at(did, replica, name, caret, now);
            self.refresh();
        }
        let others = self.live.links.others(link, self.endpoint_of(did, replica));
        let (did, replica) = who;
        let frame = Frame::Caret { did: did.clone(), replica, signed };
        self.pass_caret_on(&others, &did, &frame);
        Ok(())
    }
}
