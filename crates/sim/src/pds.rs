//! Personal data servers: accounts' repos, truly signed, with the quota of the real thing.

use std::{collections::BTreeMap, time::Duration};

use sheaf_core::{
    client_id::ClientId,
    record::{self, SegmentRecord},
    replica::{FetchFailure, FetchWhat, Identity, RateLimits, Swap, WriteFailure, WriteReceipt},
    time::Timestamp,
};
use sheaf_repo::{
    cid::{self, Cid},
    did::Did,
    key::{SigningKey, VerifyingKey},
    repo::{RecordWrite, Repo},
    tid::Tid,
};

use crate::{choices::Choices, ledger, liar, schedule::Lie, tally::Occurrence};

/// How many older states of a repo are kept, for those who lie with them.
const OLDER_STATES: usize = 4;

/// One account: its repo, where it lives, and what its PDS does with it.
pub(crate) struct Account {
    pub(crate) did: Did,
    /// Which PDS holds the repo.
    pub(crate) host: usize,
    pub(crate) repo: Repo,
    key: SigningKey,
    keys_used: u8,
    number: u8,
    /// What those hear who ask a directory's cache, and until when.
    stale_key: Option<(VerifyingKey, u64)>,
    pub(crate) blobs: BTreeMap<Cid, Vec<u8>>,
    /// States of the repo before some of its commits.
    pub(crate) older: Vec<Repo>,
    /// The same repo as somebody else would have it.
    pub(crate) impostor: Option<Repo>,
    pub(crate) lie: Option<(Lie, u64)>,
    /// Until when writes are refused for no reason of ours, and what the refusal says.
    pub(crate) throttled: Option<(u64, Option<u64>)>,
    hour: Window,
    day: Window,
    /// How often the quota itself refused a write.
    pub(crate) overspent: u32,
    /// How far the repo has ever shown what the account's replicas wrote. An old write that arrives late hides some of it until
    /// its author puts it back.
    pub(crate) shown: BTreeMap<ClientId, u32>,
}

/// One of a PDS's counters: a window of fixed length that begins with the first write in it.
#[derive(Debug, Clone)]
struct Window {
    length: u64,
    limit: u32,
    used: u32,
    resets_at: u64,
}

/// What is written in one commit: all of it or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    /// For the tally.
    pub(crate) what: Occurrence,
    /// By path.
    pub(crate) writes: Vec<RecordWrite>,
    /// What must be so for it to happen.
    pub(crate) only_if: Option<OnlyIf>,
    /// What it costs.
    pub(crate) points: u32,
    /// A blob that goes up before it.
    pub(crate) blob: Option<Vec<u8>>,
}

/// What a conditional commit expects to find.
#[derive(Debug, Clone)]
pub(crate) enum OnlyIf {
    /// At this path.
    Record(String, Swap),
    /// As the repo's newest commit.
    Head(Cid),
}

impl Account {
    pub(crate) fn new(number: usize, host: usize, points_an_hour: u32, now: u64) -> Account {
        let letter = &"abcdefghijklmnopqrstuvwx"[number..=number];
        let did: Did =
            format!("did:plc:{}", letter.repeat(24)).parse().expect("24 letters are an identifier");
        let number = number as u8;
        let key = key(number, 0);
        let repo = Repo::new(did.clone(), key.clone(), Tid::from_micros(now - 1_000_000, number.into()));
        Account {
            did,
            host,
            repo,
            key,
            keys_used: 1,
            number,
            stale_key: None,
            blobs: BTreeMap::new(),
            older: vec![],
            impostor: None,
            lie: None,
            throttled: None,
            hour: Window::new(3_600, points_an_hour),
            day: Window::new(86_400, points_an_hour * 7),
            overspent: 0,
            shown: BTreeMap::new(),
        }
    }

    /// What the directory says; from a cache, unless asked not to.
    pub(crate) fn identity(&self, now: u64, fresh: bool) -> Identity {
        let key = match &self.stale_key {
            Some((old, until)) if !fresh && *until > now => old.clone(),
            _ => self.key.verifying_key(),
        };
        Identity { did: self.did.clone(), handle: None, pds: origin(self.host), key }
    }

    /// A new key; caches go on telling the old one for a minute.
    pub(crate) fn rotate_key(&mut self, now: u64) {
        self.stale_key = Some((self.key.verifying_key(), now + 60_000_000));
        self.key = key(self.number, self.keys_used);
        self.keys_used += 1;
        self.repo.set_key(self.key.clone());
        // As a real PDS does: a commit that changes nothing, under the new key.
        self.commit(vec![], now);
    }

    /// Writes into the repo, past every check, as the server itself can.
    pub(crate) fn commit(&mut self, writes: Vec<RecordWrite>, now: u64) -> Tid {
        if self.older.len() < OLDER_STATES {
            self.older.push(self.repo.clone());
        }
        for write in &writes {
            let RecordWrite::Put(path, bytes) = write else { continue };
            let Some(segment) =
                SegmentRecord::parse(bytes).ok().filter(|_| path.starts_with(record::SEGMENT))
            else {
                continue;
            };
            let document = segment.document.to_string();
            let client = ClientId::derive(self.did.as_str(), &document, &segment.replica);
            let ends = ledger::entries(client, &segment).into_iter();
            let end = ends.filter_map(|update| Some(update.provides().get(&client)?.end)).max();
            let shown = self.shown.entry(client).or_default();
            *shown = (*shown).max(end.unwrap_or_default());
        }
        let rev = self.repo.next_rev(now);
        self.repo.apply(writes, rev.clone());
        rev
    }

    /// What a client's write comes to, and what the headers say about it.
    pub(crate) fn write(
        &mut self,
        commit: &Commit,
        now: u64,
    ) -> (Result<WriteReceipt, WriteFailure>, Option<RateLimits>) {
        if let Some((until, retry_after)) = self.throttled
            && until > now
        {
            let retry_after = retry_after.map(|_| Duration::from_micros(until - now));
            return (Err(WriteFailure::RateLimited { retry_after }), None);
        }
        let fits = [&mut self.hour, &mut self.day].into_iter().all(|window| window.has(commit.points, now));
        if !fits {
            self.overspent += 1;
            let limits = self.limits();
            let wait = limits.reset.saturating_since(Timestamp::from_micros(now));
            return (Err(WriteFailure::RateLimited { retry_after: Some(wait) }), Some(limits));
        }
        self.hour.used += commit.points;
        self.day.used += commit.points;
        let limits = Some(self.limits());
        if let Some(blob) = &commit.blob {
            self.blobs.insert(cid::of_blob(blob), blob.clone());
        }
        let holds = match &commit.only_if {
            None => true,
            Some(OnlyIf::Head(head)) => self.repo.head() == head,
            Some(OnlyIf::Record(path, swap)) => match (swap, self.repo.get(path)) {
                (Swap::Absent, present) => present.is_none(),
                (Swap::Cid(cid), present) => present.is_some_and(|(present, _)| present == cid),
            },
        };
        if !holds {
            return (Err(WriteFailure::SwapMismatch), limits);
        }
        // A record that is there already is no commit, as on the real PDS.
        let unchanged = commit.writes.iter().all(|write| match write {
            RecordWrite::Put(path, bytes) => self.repo.get(path).is_some_and(|(_, present)| present == bytes),
            RecordWrite::Delete(path) => self.repo.get(path).is_none(),
        });
        let rev = if unchanged { self.repo.rev().clone() } else { self.commit(commit.writes.clone(), now) };
        let cid = commit.writes.iter().find_map(|write| match write {
            RecordWrite::Put(path, _) => self.repo.get(path).map(|(cid, _)| *cid),
            RecordWrite::Delete(_) => None,
        });
        (Ok(WriteReceipt { cid, rev: Some(rev) }), limits)
    }

    /// What the headers say: the window with the least left.
    fn limits(&self) -> RateLimits {
        let window = if self.hour.left() <= self.day.left() { &self.hour } else { &self.day };
        RateLimits {
            limit: window.limit,
            remaining: window.left(),
            reset: Timestamp::from_micros(window.resets_at),
            window: Duration::from_micros(window.length),
        }
    }
}

impl Window {
    fn new(seconds: u64, limit: u32) -> Window {
        Window { length: seconds * 1_000_000, limit, used: 0, resets_at: 0 }
    }

    fn has(&mut self, points: u32, now: u64) -> bool {
        if self.resets_at <= now {
            self.used = 0;
            self.resets_at = now + self.length;
        }
        points <= self.left()
    }

    fn left(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

/// The key that an account uses after so many others.
fn key(number: u8, before: u8) -> SigningKey {
    let mut secret = [7u8; 32];
    (secret[30], secret[31]) = (before, number + 1);
    SigningKey::k256(&secret).expect("a valid scalar")
}

/// Nobody's key.
pub(crate) fn stolen_key() -> SigningKey {
    SigningKey::k256(&[66; 32]).expect("a valid scalar")
}

fn origin(host: usize) -> String {
    format!("https://pds{host}.test")
}

/// All PDSes and the directory that tells who is where.
pub(crate) struct Hosts {
    pub(crate) accounts: Vec<Account>,
    /// Until when each PDS fails, and with which status.
    pub(crate) failing: Vec<(u64, u16)>,
}

impl Hosts {
    pub(crate) fn number(&self, did: &Did) -> Option<usize> {
        self.accounts.iter().position(|account| account.did == *did)
    }

    pub(crate) fn fails(&self, host: usize, now: u64) -> Option<u16> {
        self.failing.get(host).filter(|(until, _)| *until > now).map(|(_, status)| *status)
    }

    /// Which PDS an origin names.
    pub(crate) fn host(&self, pds: &str) -> usize {
        (0..self.failing.len()).find(|host| origin(*host) == pds).unwrap_or_default()
    }

    /// What the PDS answers to a read, lies included.
    pub(crate) fn read(
        &self,
        number: usize,
        pds: &str,
        what: &FetchWhat,
        now: u64,
        choices: &mut Choices,
    ) -> Result<Vec<u8>, FetchFailure> {
        let account = &self.accounts[number];
        if let Some(status) = self.fails(self.host(pds), now) {
            return Err(FetchFailure::Server { status });
        }
        if origin(account.host) != pds {
            return Err(FetchFailure::RepoNotFound);
        }
        match account.lie {
            Some((lie, until)) if until > now => {
                let other = &self.accounts[(number + 1) % self.accounts.len()];
                liar::read(lie, account, other, what, choices)
            }
            _ => honest(account, &account.repo, what),
        }
    }
}

/// What an honest PDS answers, or one that believes the repo to be in this state.
pub(crate) fn honest(account: &Account, repo: &Repo, what: &FetchWhat) -> Result<Vec<u8>, FetchFailure> {
    match what {
        FetchWhat::Proof { collection, rkey } => Ok(repo.record_car(&format!("{collection}/{rkey}"))),
        FetchWhat::Blocks { cids } => repo.blocks_car(cids).ok_or(FetchFailure::BlocksNotFound),
        FetchWhat::Blob { cid } => account.blobs.get(cid).cloned().ok_or(FetchFailure::BlocksNotFound),
    }
}
