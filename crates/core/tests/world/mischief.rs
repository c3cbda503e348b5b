//! What accounts and servers do past every check: vandals, forgers, late writes, other histories.

use sheaf_core::{
    client_id::{ClientId, ReplicaId},
    document::Document,
    door,
    live::{EndpointId, Frame, SessionKey},
    record::{AwarenessRecord, Carried, Content, SegmentRecord, SnapshotRecord},
    replica::{Doorbell, Event},
    segment::{
        self,
        carried::{CarriedUpdates, decode_carried, encode_carried},
    },
    text::{Splice, Utf16Offset},
};
use sheaf_repo::{did::Did, json, key::SigningKey, repo::Repo, tid::Tid};

use super::World;

impl World {
    /// Somebody with the account's password, and no respect for the document's editors, adds to the account's segments.
    pub(crate) fn vandalise(&mut self, did: &Did) {
        let at = self.now;
        self.with_segment(did, |record, client| {
            let mut entries = segment::decode_entries(&record.entries).unwrap();
            let mut document = Document::new(client);
            for entry in &entries {
                document.apply(&door::scan(&entry.update, door::Allowed::Author(client)).unwrap());
            }
            let splice = Splice { at: Utf16Offset(0), delete: 3, insert: "VANDALISM".into() };
            let change = document.edit(at, &[splice]).unwrap();
            entries.extend(change.updates.iter().map(|u| segment::Entry { at, update: u.bytes().to_vec() }));
            record.entries = segment::encode_entries(&entries);
        });
    }

    /// An editor says in an old segment's place that they had written something else from the beginning.
    pub(crate) fn rewrite(&mut self, did: &Did, text: &str) {
        let at = self.now;
        self.with_segment(did, |record, client| {
            let change = Document::new(client).edit(at, &[Splice::insert(0, text)]).unwrap();
            let entries = change.updates.iter().map(|u| segment::Entry { at, update: u.bytes().to_vec() });
            record.entries = segment::encode_entries(&entries.collect::<Vec<_>>());
        });
    }

    /// An editor writes a word each under many replicas' names.
    pub(crate) fn write_as_many(&mut self, did: &Did, replicas: usize) {
        for n in 0..replicas {
            let replica: ReplicaId = format!("many{n}").parse().unwrap();
            let record = self.only_word(did, replica, &format!("{n} "));
            let path = format!("dev.sheaf.segment/{}", record.key());
            self.commit(did, &path, Some(json::to_cbor(&record.to_json()).unwrap()));
        }
    }

    /// A segment with nothing before it, in which this replica of `did` has written `text`.
    fn only_word(&self, did: &Did, replica: ReplicaId, text: &str) -> SegmentRecord {
        let document = self.uri(0);
        let client = ClientId::derive(did.as_str(), &document.to_string(), &replica);
        let change = Document::new(client).edit(self.now, &[Splice::insert(0, text)]).unwrap();
        let entry = segment::Entry { at: self.now, update: change.updates[0].bytes().to_vec() };
        let entries = segment::encode_entries(&[entry]);
        SegmentRecord { document, replica, seq: 0, sealed: false, through: None, entries, carried: None }
    }

    /// A snapshot in `carrier`'s repo of a repo of `victim` that somebody else has signed.
    pub(crate) fn carry_forged(&mut self, carrier: &Did, victim: &Did, text: &str) {
        let document = self.uri(0);
        let replica: ReplicaId = "forged".parse().unwrap();
        let record = self.only_word(victim, replica, text);
        let mut forged = Repo::new(
            victim.clone(),
            SigningKey::k256(&[9; 32]).expect("a valid scalar"),
            Tid::from_micros(self.now.as_micros(), 0),
        );
        let rev = forged.next_rev(self.now.as_micros() + 1);
        let path = format!("dev.sheaf.segment/{}", record.key());
        let cid = forged.put(&path, json::to_cbor(&record.to_json()).unwrap(), rev.clone());
        let snapshot = SnapshotRecord {
            document: document.clone(),
            created_at: self.now,
            repos: vec![Carried { did: victim.clone(), rev, segments: vec![(record.key(), cid)] }],
            content: Content::Inline(forged.export_car()),
        };
        let path = format!("dev.sheaf.snapshot/{}", document.rkey());
        self.commit(carrier, &path, Some(json::to_cbor(&snapshot.to_json()).unwrap()));
    }

    /// The keys of an account's segments.
    pub(crate) fn segments(&self, did: &Did) -> Vec<String> {
        let paths = self.accounts[did].repo.paths();
        paths.filter_map(|path| path.strip_prefix("dev.sheaf.segment/")).map(str::to_owned).collect()
    }

    /// An account gets another key, as it does when it moves; what its server says is signed with that from now on.
    pub(crate) fn rotate_key(&mut self, did: &Did) {
        let account = self.accounts.get_mut(did).expect("the account is there");
        account.key = SigningKey::p256(&[11; 32]).expect("a valid scalar");
        account.repo.set_key(account.key.clone());
    }

    /// Another history of an account's repo, which says something else at the revision that it is at now.
    pub(crate) fn other_history(&self, did: &Did, before: &Repo) -> Repo {
        let record = self.only_word(did, "other".parse().unwrap(), "never said ");
        let (mut other, path) = (before.clone(), format!("dev.sheaf.segment/{}", record.key()));
        let rev = self.accounts[did].repo.rev().clone();
        other.put(&path, json::to_cbor(&record.to_json()).unwrap(), rev);
        other
    }

    /// An account's segment is taken out of its repo.
    pub(crate) fn withdraw(&mut self, did: &Did, rkey: &str) {
        self.commit(did, &format!("dev.sheaf.segment/{rkey}"), None);
    }

    /// A write of long ago reaches the account's PDS.
    pub(crate) fn arrive_late(&mut self, did: &Did, rkey: &str, record: Vec<u8>) {
        self.commit(did, &format!("dev.sheaf.segment/{rkey}"), Some(record));
    }

    /// The owner deletes the document with some other program.
    pub(crate) fn delete_document(&mut self) {
        let (owner, path) = (self.did(0), self.uri(0).document_path());
        self.commit(&owner, &path, None);
    }

    fn commit(&mut self, did: &Did, path: &str, record: Option<Vec<u8>>) {
        let account = self.accounts.get_mut(did).expect("the account is there");
        let rev = account.repo.next_rev(self.now.as_micros());
        match record {
            Some(record) => {
                account.repo.put(path, record, rev.clone());
            }
            None => {
                account.repo.delete(path, rev.clone());
            }
        }
        let bell = Doorbell { did: did.clone(), rev: Some(rev), path: Some(path.to_owned()), car: None };
        for device in &mut self.devices {
            device.inbox.push_back(Event::Doorbell(bell.clone()));
        }
    }

    fn with_segment(&mut self, did: &Did, change: impl FnOnce(&mut SegmentRecord, ClientId)) {
        let account = self.accounts.get_mut(did).expect("the account is there");
        let path = account
            .repo
            .paths()
            .find(|path| path.starts_with("dev.sheaf.segment/"))
            .expect("a segment")
            .to_owned();
        let mut record = SegmentRecord::parse(account.repo.get(&path).expect("it is there").1).unwrap();
        let client = ClientId::derive(did.as_str(), &record.document.to_string(), &record.replica);
        change(&mut record, client);
        self.commit(did, &path, Some(json::to_cbor(&record.to_json()).unwrap()));
    }

    // --- on the live channel ---

    /// The session key of this device.
    pub(crate) fn session_key(&self, n: usize) -> SessionKey {
        let config = &self.devices[n].config;
        let (did, secret) = (config.account.clone().unwrap(), config.session.unwrap());
        SessionKey::new(&secret, config.document.clone(), did, config.replica.clone()).unwrap()
    }

    /// The proof of an account's session that anybody could fetch.
    pub(crate) fn session_proof(&self, account: usize) -> Vec<u8> {
        let path = self.uri(0).awareness_path();
        self.accounts[&self.did(account)].repo.record_car(&path)
    }

    /// A frame with a word that `key` signs, at the beginning of its replica's clocks.
    pub(crate) fn word_by(&self, key: &SessionKey, word: &str) -> Frame {
        let (did, replica) = (key.author().did.clone(), key.author().replica.clone());
        let client = ClientId::derive(did.as_str(), &self.uri(0).to_string(), &replica);
        let change = Document::new(client).edit(self.now, &[Splice::insert(0, word)]).unwrap();
        Frame::Update { did, replica, signed: key.sign(self.now, change.updates[0].bytes().to_vec()) }
    }

    /// An editor's newest segment carries something that its author has not signed.
    pub(crate) fn carry_forged_update(&mut self, carrier: &Did, victim: &Did, replica: &str, text: &str) {
        let document = self.uri(0);
        let path = document.awareness_path();
        let proof = self.accounts[victim].repo.record_car(&path);
        let key = SessionKey::new(&[99; 32], document, victim.clone(), replica.parse().unwrap()).unwrap();
        let Frame::Update { signed, .. } = self.word_by(&key, text) else { unreachable!("a word") };
        self.with_segment(carrier, |record, _| {
            record.carried = Some(encode_carried(&[CarriedUpdates { proof, updates: vec![signed] }]));
        });
    }

    /// An account's presence names this endpoint, with a session key of this secret.
    pub(crate) fn claims_endpoint(&mut self, did: &Did, endpoint: EndpointId, secret: &[u8; 32]) {
        let path = self.uri(0).awareness_path();
        let (_, bytes) = self.accounts[did].repo.get(&path).expect("they were here");
        let mut record = AwarenessRecord::parse(bytes).unwrap();
        let live = record.live.as_mut().expect("they were live");
        live.endpoint = endpoint;
        live.key = SigningKey::k256(secret).unwrap().verifying_key();
        record.expires_at = self.now.saturating_add(std::time::Duration::from_secs(200));
        self.commit(did, &path, Some(json::to_cbor(&record.to_json()).unwrap()));
    }

    /// How many updates an account's segments carry.
    pub(crate) fn carried_by(&self, account: usize) -> usize {
        let repo = &self.accounts[&self.did(account)].repo;
        let segments = repo.paths().filter(|path| path.starts_with("dev.sheaf.segment/"));
        let carried = segments.filter_map(|path| SegmentRecord::parse(repo.get(path)?.1).ok()?.carried);
        carried
            .map(|carried| decode_carried(&carried).unwrap().iter().map(|c| c.updates.len()).sum::<usize>())
            .sum()
    }
}
