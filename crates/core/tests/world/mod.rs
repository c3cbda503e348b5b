//! A small world for replicas: everyone's repo in memory, truly signed, virtual time, and answers in an order drawn from
//! a seed. It carries effects out as a driver would and checks what every driver may rely on.
#![allow(dead_code)] // each test binary uses its part

pub(crate) mod beginnings;
pub(crate) mod live;
mod mischief;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use sheaf_core::{
    client_id::ReplicaId,
    document_uri::DocumentUri,
    replica::{
        Doorbell, DoorbellKind, Effect, Event, FetchFailure, FetchWhat, Identity, Replica, ReplicaConfig,
        StoreOp, Swap, WriteAction, WriteFailure, WriteReceipt,
    },
    text::{Splice, Utf16Offset},
    time::Timestamp,
};
use sheaf_repo::{
    car,
    cid::Cid,
    did::Did,
    json,
    key::SigningKey,
    repo::{RecordWrite, Repo},
    tid::Tid,
};

pub(crate) const START: u64 = 1_780_000_000_000_000;

/// A seeded source of choices; every failure prints the seed it came from.
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Choices(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// Text as people write it: emoji, combining marks, right-to-left, line ends of both kinds.
    pub(crate) fn words(&mut self) -> String {
        const PIECES: [&str; 14] = [
            "a",
            "the ",
            "é",
            "e\u{301}",
            "👩‍👩‍👧",
            "😀",
            "שלום",
            "مرحبا",
            "\n",
            "\r\n",
            "汉字",
            "z",
            "\u{1F1E9}\u{1F1EA}",
            "-",
        ];
        (0..1 + self.below(4)).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }
}

/// One account: its repo and its key.
pub(crate) struct Account {
    pub(crate) did: Did,
    pub(crate) repo: Repo,
    key: SigningKey,
    /// Answers reads with this instead, while set.
    pub(crate) reads_fail: Option<FetchFailure>,
    /// Leaves out the blocks it is asked for, while set.
    pub(crate) withholds: bool,
    /// Refuses writes with this, while set.
    pub(crate) writes_fail: Option<WriteFailure>,
    /// Does write, but loses this many answers.
    pub(crate) lose_answers: u32,
    pub(crate) points: Vec<(Timestamp, u32)>,
    pub(crate) blobs: BTreeMap<Cid, Vec<u8>>,
    pub(crate) folds: u32,
    pub(crate) read_bytes: usize,
}

/// One replica with its store and what is on its way to it.
pub(crate) struct Device {
    pub(crate) replica: Replica,
    pub(crate) view: String,
    /// What was written in it in vain.
    pub(crate) not_taken: String,
    pub(crate) store: BTreeMap<String, Vec<u8>>,
    pub(crate) inbox: VecDeque<Event>,
    pub(crate) online: bool,
    pub(crate) store_fails: bool,
    pub(crate) config: ReplicaConfig,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) choices: Choices,
    pub(crate) accounts: BTreeMap<Did, Account>,
    pub(crate) devices: Vec<Device>,
    /// Whether commits ring everybody's doorbell.
    pub(crate) doorbells: bool,
    pub(crate) live: live::LiveNet,
}

impl World {
    pub(crate) fn new(seed: u64, accounts: usize) -> Self {
        let now = Timestamp::from_micros(START);
        let accounts = (0..accounts)
            .map(|n| {
                let did: Did =
                    format!("did:plc:{}", &"abcdefghijklmnopqrstuvwxyz234567"[n..n + 1].repeat(24))
                        .parse()
                        .unwrap();
                let mut secret = [7u8; 32];
                secret[31] = n as u8 + 1;
                let key = SigningKey::k256(&secret).expect("a valid scalar");
                let repo = Repo::new(did.clone(), key.clone(), Tid::from_micros(START - 1_000_000, n as u16));
                let account = Account {
                    did: did.clone(),
                    repo,
                    key,
                    reads_fail: None,
                    withholds: false,
                    writes_fail: None,
                    lose_answers: 0,
                    points: vec![],
                    blobs: BTreeMap::new(),
                    folds: 0,
                    read_bytes: 0,
                };
                (did, account)
            })
            .collect();
        World {
            now,
            choices: Choices::new(seed),
            accounts,
            devices: vec![],
            doorbells: true,
            live: Default::default(),
        }
    }

    pub(crate) fn did(&self, n: usize) -> Did {
        self.accounts.keys().nth(n).expect("an account of that number").clone()
    }

    pub(crate) fn uri(&self, owner: usize) -> DocumentUri {
        format!("at://{}/dev.sheaf.document/3jzfcijpj2z2a", self.did(owner)).parse().unwrap()
    }

    fn config(&self, uri: &DocumentUri, account: Option<usize>) -> ReplicaConfig {
        let n = self.devices.len();
        ReplicaConfig {
            document: uri.clone(),
            account: account.map(|n| self.did(n)),
            replica: format!("r{n}").parse::<ReplicaId>().unwrap(),
            adopt: vec![],
            via: vec![],
            session: None,
            name: Some(format!("Person {n}")),
            // Any that are far from each other, whatever they are divided by.
            seed: n as u64 * 331,
        }
    }

    pub(crate) fn create(&mut self, owner: usize, title: &str) -> usize {
        let config = self.config(&self.uri(owner), Some(owner));
        let (replica, effects) = Replica::create(config.clone(), title, vec![], self.now);
        self.add(config, replica, effects)
    }

    pub(crate) fn open(&mut self, uri: &DocumentUri, account: Option<usize>) -> usize {
        let config = self.config(uri, account);
        self.open_as(config)
    }

    /// Opens it with the live channel.
    pub(crate) fn open_live(&mut self, uri: &DocumentUri, account: Option<usize>) -> usize {
        let n = self.devices.len();
        let config = ReplicaConfig { session: Some([n as u8 + 1; 32]), ..self.config(uri, account) };
        let n = self.open_as(config);
        self.live_up(n);
        n
    }

    fn open_as(&mut self, config: ReplicaConfig) -> usize {
        let (replica, effects) = Replica::open(config.clone(), vec![], self.now);
        self.add(config, replica, effects)
    }

    /// Opens it by a link that names these accounts besides the owner's.
    pub(crate) fn open_via(&mut self, uri: &DocumentUri, via: &[usize]) -> usize {
        let via = via.iter().map(|n| self.did(*n)).collect();
        let config = ReplicaConfig { via, ..self.config(uri, None) };
        let (replica, effects) = Replica::open(config.clone(), vec![], self.now);
        self.add(config, replica, effects)
    }

    fn add(&mut self, config: ReplicaConfig, replica: Replica, effects: Vec<Effect>) -> usize {
        self.devices.push(Device {
            view: String::new(),
            not_taken: String::new(),
            replica,
            store: BTreeMap::new(),
            inbox: VecDeque::new(),
            online: true,
            store_fails: false,
            config,
        });
        let n = self.devices.len() - 1;
        self.carry_out(n, effects);
        self.hand(
            n,
            Event::Doorbells { connected: self.doorbells.then_some(DoorbellKind::Jetstream), hosts: vec![] },
        );
        n
    }

    /// The process dies; what is in the store is all that is left.
    pub(crate) fn restart(&mut self, n: usize) {
        let device = &mut self.devices[n];
        device.inbox.clear();
        let stored = device.store.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let (replica, effects) = Replica::open(device.config.clone(), stored, self.now);
        device.view = replica.text();
        device.replica = replica;
        self.carry_out(n, effects);
        let doorbell = self.doorbells.then_some(DoorbellKind::Jetstream);
        self.hand(n, Event::Doorbells { connected: doorbell, hosts: vec![] });
        if self.live.up.contains(&n) {
            self.live_cut(n);
            self.live_up(n);
        }
    }

    pub(crate) fn hand(&mut self, n: usize, event: Event) {
        let effects = self.devices[n].replica.handle(self.now, event);
        self.carry_out(n, effects);
    }

    /// The person at this device types; their view is the one they see.
    pub(crate) fn type_at(&mut self, n: usize, at: u32, delete: u32, insert: &str) {
        let splice = Splice { at: Utf16Offset(at), delete, insert: insert.to_owned() };
        sheaf_core::text::apply_splices(&mut self.devices[n].view, std::slice::from_ref(&splice)).unwrap();
        self.hand(n, Event::Edit(vec![splice]));
        assert_eq!(
            self.devices[n].view,
            self.devices[n].replica.text(),
            "the view and the replica agree after an edit"
        );
    }

    /// A random edit on character borders.
    pub(crate) fn type_something(&mut self, n: usize) {
        let text = self.devices[n].view.clone();
        let borders: Vec<u32> = std::iter::once(0)
            .chain(text.chars().scan(0u32, |at, ch| {
                *at += ch.len_utf16() as u32;
                Some(*at)
            }))
            .collect();
        let from = self.choices.below(borders.len());
        let to = if self.choices.below(3) == 0 {
            (from + self.choices.below(6)).min(borders.len() - 1)
        } else {
            from
        };
        let insert =
            if from == to || self.choices.below(2) == 0 { self.choices.words() } else { String::new() };
        self.type_at(n, borders[from], borders[to] - borders[from], &insert);
    }

    fn carry_out(&mut self, n: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Show(splices) => {
                    let device = &mut self.devices[n];
                    sheaf_core::text::apply_splices(&mut device.view, &splices)
                        .expect("splices fit the view");
                }
                Effect::Persist(batch) => {
                    let device = &mut self.devices[n];
                    if device.store_fails {
                        let reason = "the disk is full".to_owned();
                        device.inbox.push_back(Event::StoreFailed { batch: batch.id, reason });
                        continue;
                    }
                    for op in batch.ops {
                        match op {
                            StoreOp::Put { key, value } => device.store.insert(key, value),
                            StoreOp::Delete { key } => device.store.remove(&key),
                        };
                    }
                    device.inbox.push_back(Event::Stored(batch.id));
                }
                Effect::Resolve { did, .. } => {
                    let result = match self.accounts.get(&did) {
                        Some(account) => Ok(Identity {
                            did: did.clone(),
                            handle: None,
                            pds: "https://pds.test".into(),
                            key: account.key.verifying_key(),
                        }),
                        None => Err(sheaf_core::replica::ResolveFailure::NotFound),
                    };
                    self.devices[n].inbox.push_back(Event::Resolved { did, result });
                }
                Effect::Fetch(fetch) => {
                    let online = self.devices[n].online;
                    let account =
                        self.accounts.get_mut(&fetch.did).expect("only resolved accounts are fetched");
                    let result = if !online {
                        Err(FetchFailure::Unreachable("offline".into()))
                    } else if let Some(failure) = &account.reads_fail {
                        Err(failure.clone())
                    } else {
                        match fetch.what {
                            FetchWhat::Proof { collection, rkey } => {
                                Ok(account.repo.record_car(&format!("{collection}/{rkey}")))
                            }
                            FetchWhat::Blob { cid } => {
                                account.blobs.get(&cid).cloned().ok_or(FetchFailure::BlocksNotFound)
                            }
                            FetchWhat::Blocks { .. } if account.withholds => Ok(car::write(None, [])),
                            FetchWhat::Blocks { cids } => {
                                account.repo.blocks_car(&cids).ok_or(FetchFailure::BlocksNotFound)
                            }
                        }
                    };
                    account.read_bytes += result.as_ref().map_or(0, Vec::len);
                    self.devices[n].inbox.push_back(Event::Fetched { fetch: fetch.id, result });
                }
                Effect::Write(write) => {
                    let result = match write.action {
                        WriteAction::Put { collection, rkey, record, swap } => {
                            self.put(n, collection, &rkey, &record, swap)
                        }
                        WriteAction::PutWithBlob { collection, rkey, mut record, field, bytes, .. } => {
                            let cid = sheaf_repo::cid::of_blob(&bytes);
                            let reference = serde_json::json!({ "$link": cid.to_string() });
                            record[field] = serde_json::json!({
                                "$type": "blob", "ref": reference, "mimeType": "application/vnd.ipld.car", "size": bytes.len(),
                            });
                            let did = self.devices[n].config.account.clone().expect("only accounts write");
                            self.accounts.get_mut(&did).expect("it is there").blobs.insert(cid, bytes);
                            self.put(n, collection, &rkey, &record, None)
                        }
                        fold @ WriteAction::Fold { .. } => self.fold(n, fold),
                    };
                    self.devices[n].inbox.push_back(Event::Written { write: write.id, result, limits: None });
                }
                Effect::Live(effect) => self.carry_out_live(n, effect),
                Effect::NotTaken(written) => self.devices[n].not_taken.push_str(&written),
                Effect::Listen { .. } | Effect::Refresh => {}
            }
        }
    }

    fn put(
        &mut self,
        n: usize,
        collection: &str,
        rkey: &str,
        record: &serde_json::Value,
        swap: Option<Swap>,
    ) -> Result<WriteReceipt, WriteFailure> {
        if !self.devices[n].online {
            return Err(WriteFailure::Unreachable("offline".into()));
        }
        let did = self.devices[n].config.account.clone().expect("only accounts write");
        let now = self.now;
        let account = self.accounts.get_mut(&did).expect("the account is there");
        account.points.push((now, 2));
        if let Some(failure) = &account.writes_fail {
            return Err(failure.clone());
        }
        let path = format!("{collection}/{rkey}");
        let present: Option<Cid> = account.repo.get(&path).map(|(cid, _)| *cid);
        match swap {
            Some(Swap::Absent) if present.is_some() => return Err(WriteFailure::SwapMismatch),
            Some(Swap::Cid(expected)) if present != Some(expected) => return Err(WriteFailure::SwapMismatch),
            _ => {}
        }
        let bytes = json::to_cbor(record).expect("what is written is valid atproto JSON");
        let rev = account.repo.next_rev(now.as_micros());
        let cid = account.repo.put(&path, bytes, rev.clone());
        let receipt = WriteReceipt { cid: Some(cid), rev: Some(rev.clone()) };
        let lost = account.lose_answers > 0;
        account.lose_answers = account.lose_answers.saturating_sub(1);
        if self.doorbells {
            let bell = Doorbell { did, rev: Some(rev), path: Some(path), car: None };
            for device in self.devices.iter_mut().filter(|device| device.online) {
                device.inbox.push_back(Event::Doorbell(bell.clone()));
            }
        }
        if lost { Err(WriteFailure::TimedOut) } else { Ok(receipt) }
    }

    fn fold(&mut self, n: usize, action: WriteAction) -> Result<WriteReceipt, WriteFailure> {
        let WriteAction::Fold { collection, rkey, record, delete, head } = action else {
            unreachable!("a fold")
        };
        let did = self.devices[n].config.account.clone().expect("only accounts write");
        let now = self.now;
        let account = self.accounts.get_mut(&did).expect("the account is there");
        account.points.push((now, 2 + delete.len() as u32));
        if let Some(failure) = &account.writes_fail {
            return Err(failure.clone());
        }
        if *account.repo.head() != head {
            return Err(WriteFailure::SwapMismatch);
        }
        let bytes = json::to_cbor(&record).expect("what is written is valid atproto JSON");
        let put = RecordWrite::Put(format!("{collection}/{rkey}"), bytes);
        let delete = delete.iter().map(|rkey| RecordWrite::Delete(format!("{collection}/{rkey}")));
        let rev = account.repo.next_rev(now.as_micros());
        account.repo.apply(std::iter::once(put).chain(delete), rev.clone());
        account.folds += 1;
        let lost = account.lose_answers > 0;
        account.lose_answers = account.lose_answers.saturating_sub(1);
        let bell = Doorbell { did, rev: Some(rev.clone()), path: None, car: None };
        for device in self.devices.iter_mut().filter(|device| device.online) {
            device.inbox.push_back(Event::Doorbell(bell.clone()));
        }
        if lost { Err(WriteFailure::TimedOut) } else { Ok(WriteReceipt { cid: None, rev: Some(rev) }) }
    }

    /// Delivers one waiting event, of a device drawn by chance. `false` when none waits.
    pub(crate) fn deliver_one(&mut self) -> bool {
        let waiting: Vec<usize> =
            (0..self.devices.len()).filter(|n| !self.devices[*n].inbox.is_empty()).collect();
        if waiting.is_empty() {
            return false;
        }
        let n = waiting[self.choices.below(waiting.len())];
        let event = self.devices[n].inbox.pop_front().expect("it was not empty");
        self.hand(n, event);
        assert_eq!(
            self.devices[n].view,
            self.devices[n].replica.text(),
            "what is shown is what the replica has"
        );
        true
    }

    /// Lets time pass up to `limit` until nothing is left to do before then.
    pub(crate) fn run(&mut self, limit: Duration) {
        let end = self.now.saturating_add(limit);
        let mut steps = 0u32;
        loop {
            while self.deliver_one() {
                steps += 1;
                assert!(steps < 1_000_000, "the world never comes to rest");
            }
            let next =
                self.devices.iter().enumerate().filter_map(|(n, d)| Some((d.replica.deadline()?, n))).min();
            match next {
                Some((at, n)) if at <= end => {
                    self.now = self.now.max(at);
                    self.hand(n, Event::Tick);
                    steps += 1;
                    assert!(steps < 1_000_000, "the world never comes to rest");
                }
                _ => break,
            }
        }
        self.now = end;
    }

    pub(crate) fn set_online(&mut self, n: usize, online: bool) {
        self.devices[n].online = online;
        self.hand(n, Event::Online(online));
        if online {
            let connected = self.doorbells.then_some(DoorbellKind::Jetstream);
            self.hand(n, Event::Doorbells { connected: None, hosts: vec![] });
            self.hand(n, Event::Doorbells { connected, hosts: vec![] });
        }
    }

    pub(crate) fn texts(&self) -> BTreeSet<String> {
        self.devices.iter().map(|device| device.replica.text()).collect()
    }

    pub(crate) fn status(&self, n: usize) -> sheaf_core::replica::Status {
        self.devices[n].replica.status(self.now)
    }
}
