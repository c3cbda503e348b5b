//! What is sent on the live channel, or carried in a segment, by somebody who is no honest peer.

use sheaf_core::{
    client_id::{ClientId, ReplicaId},
    document_uri::DocumentUri,
    live::{Frame, SessionKey, SignedUpdate},
    record::{self, AwarenessRecord, LiveEndpoint, SegmentRecord},
    segment::{
        self,
        carried::{CarriedUpdates, encode_carried},
    },
    time::Timestamp,
};
use sheaf_repo::{did::Did, json, repo::RecordWrite};

use crate::{
    forger,
    live::{endpoint, secret},
    tally::Occurrence,
    world::World,
};

/// The secret of a session key that nobody's repo has ever named.
const STOLEN: [u8; 32] = [88; 32];
/// The segments of whoever carries what was never signed.
const CARRIER: &str = "carrier";

impl World {
    /// What the device `from` sends to another instead of what an honest one would.
    pub(crate) fn mischief(&mut self, from: usize, to: usize) -> Vec<Vec<u8>> {
        self.tally.count(Occurrence::PeerMisbehaved);
        let victim = self.live.chances.below(self.devices.len());
        let kind = self.live.chances.below(7);
        let hello = |did| Frame::Hello { document: self.document.clone(), did, proof: None };
        let frames = match kind {
            0 => return vec![vec![0x83, 0x18]],
            1 if !self.live.heard.is_empty() => {
                let n = self.live.chances.below(self.live.heard.len());
                return vec![self.live.heard[n].clone()];
            }
            2 => vec![hello(self.devices[victim].config.account.clone())],
            // The other knows their own words best.
            _ if victim == to || victim == from => self.under_anothers_clocks(from, to),
            3 => self.wrongly_signed(victim, &self.document, from),
            4 => self.wrongly_signed(victim, &another_document(), victim),
            5 => self.under_a_forged_session(victim),
            _ => self.under_anothers_clocks(from, victim),
        };
        frames.iter().map(Frame::encode).collect()
    }

    /// In somebody's name, signed with the session key of `by`, or with their own for another document.
    fn wrongly_signed(&self, author: usize, document: &DocumentUri, by: usize) -> Vec<Frame> {
        let Some((did, replica)) = self.who(author) else { return Vec::new() };
        let signed = self.sign(&secret(by), document, &did, &replica, self.next_words(&did, &replica));
        vec![Frame::Update { did, replica, signed }]
    }

    /// In somebody's name, with a proof of a session that their repo's key has not signed.
    fn under_a_forged_session(&self, author: usize) -> Vec<Frame> {
        let Some((did, replica)) = self.who(author) else { return Vec::new() };
        let Some(proof) = self.forged_session(author, &replica) else { return Vec::new() };
        let words = self.next_words(&did, &replica);
        let signed = self.sign(&STOLEN, &self.document, &did, &replica, words);
        vec![Frame::Session(proof), Frame::Update { did, replica, signed }]
    }

    /// In one's own name and truly signed, but under somebody else's client id.
    fn under_anothers_clocks(&self, from: usize, other: usize) -> Vec<Frame> {
        let (Some((did, replica)), Some(theirs)) = (self.who(from), self.who(other)) else {
            return Vec::new();
        };
        let words = self.next_words(&theirs.0, &theirs.1);
        let signed = self.sign(&secret(from), &self.document, &did, &replica, words);
        vec![Frame::Update { did, replica, signed }]
    }

    /// An editor's repo gets a segment that carries what somebody else has never signed: with the true proof of their
    /// session, or with one that is forged as well.
    pub(crate) fn carry_what_nobody_signed(&mut self) {
        let (carrier, victim) =
            (self.live.chances.below(self.hosts.accounts.len()), self.live.chances.below(self.devices.len()));
        let forged = self.live.chances.chance(500);
        let Some((did, replica)) = self.who(victim) else { return };
        if self.hosts.accounts[carrier].did == did {
            return;
        }
        let (proof, replica) = if forged {
            let Some(proof) = self.forged_session(victim, &replica) else { return };
            (proof, replica)
        } else {
            let path = self.document.awareness_path();
            let Some(account) = self.hosts.accounts.iter().find(|account| account.did == did) else { return };
            let record = account.repo.get(&path).and_then(|(_, bytes)| AwarenessRecord::parse(bytes).ok());
            let Some(record) = record else { return };
            (account.repo.record_car(&path), record.replica)
        };
        self.tally.count(Occurrence::ForgeryCarried);
        let words = self.next_words(&did, &replica);
        let updates = vec![self.sign(&STOLEN, &self.document, &did, &replica, words)];
        let record = SegmentRecord {
            document: self.document.clone(),
            replica: CARRIER.parse().expect("a plain name"),
            seq: 0,
            sealed: false,
            through: None,
            entries: segment::encode_entries(&[]),
            carried: Some(encode_carried(&[CarriedUpdates { proof, updates }])),
        };
        let bytes = json::to_cbor(&record.to_json()).expect("a segment is a record");
        let path = format!("{}/{}", record::SEGMENT, record.key());
        self.write_past_everything(carrier, RecordWrite::Put(path, bytes));
    }

    fn who(&self, device: usize) -> Option<(Did, ReplicaId)> {
        let config = &self.devices[device].config;
        Some((config.account.clone()?, config.replica.clone()))
    }

    /// What is forged in somebody's name goes on where they are: under clocks that are known it would be nothing new.
    fn next_words(&self, did: &Did, replica: &ReplicaId) -> Vec<u8> {
        let client = ClientId::derive(did.as_str(), &self.document.to_string(), replica);
        forger::next_update(client, self.ledger.extent(did, replica).clock(), self.now)
    }

    fn sign(
        &self,
        secret: &[u8; 32],
        document: &DocumentUri,
        did: &Did,
        replica: &ReplicaId,
        update: Vec<u8>,
    ) -> SignedUpdate {
        let key = SessionKey::new(secret, document.clone(), did.clone(), replica.clone());
        key.expect("a secret that is a key").sign(Timestamp::from_micros(self.now), update)
    }

    /// The proof of a session of this device, of a repo that somebody else has signed.
    fn forged_session(&self, device: usize, replica: &ReplicaId) -> Option<Vec<u8>> {
        let account = &self.hosts.accounts[self.devices[device].account?];
        let key = SessionKey::new(&STOLEN, self.document.clone(), account.did.clone(), replica.clone())?;
        let expires_at = Timestamp::from_micros(self.now + 86_400_000_000);
        let key = key.author().key.clone();
        let live = LiveEndpoint { endpoint: endpoint(device), relay: None, key, expires_at };
        let record = AwarenessRecord {
            document: self.document.clone(),
            replica: replica.clone(),
            name: None,
            color: None,
            caret: None,
            live: Some(live),
            expires_at,
        };
        let path = self.document.awareness_path();
        let mut repo = forger::impostor(account, &self.document, self.now);
        let rev = repo.next_rev(self.now + 2_000);
        repo.apply(vec![RecordWrite::Put(path.clone(), json::to_cbor(&record.to_json()).ok()?)], rev);
        Some(repo.record_car(&path))
    }
}

fn another_document() -> DocumentUri {
    "at://did:web:elsewhere.example/dev.sheaf.document/3jzfcijpj2z2a".parse().expect("a document's at-URI")
}
