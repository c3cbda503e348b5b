//! A replica's log of segments through lost requests, lost replies, slow stores and crashes: nothing durable is lost, what is
//! sealed never changes, and readers of the repo alone get the text.

#![allow(clippy::print_stdout)] // Figures, for whoever asks with --nocapture.

mod document_support;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use document_support::{Chance, client, for_each_seed, random_splice};
use sheaf_core::{
    client_id::{ClientId, ReplicaId},
    document::{Document, WaitingRoom},
    document_uri::DocumentUri,
    door::{Allowed, scan},
    record::SegmentRecord,
    segment::{self, LogOp, MAX_ENTRIES_BYTES, SegmentLog, SegmentPlan, decode_entries},
    text::{Splice, Utf16Offset},
    time::Timestamp,
};

fn uri() -> DocumentUri {
    "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a"
        .parse()
        .expect("a document's address")
}

fn replica_id() -> ReplicaId {
    "r1".parse().expect("a replica id")
}

/// Records in a repo, as a PDS stores them.
type Repo = BTreeMap<u32, Vec<u8>>;

struct Author {
    client: ClientId,
    document: Document,
    waiting: WaitingRoom,
    log: SegmentLog,
    durable: u64,
    /// What has reached the store, and what is on its way there: the changes and how many edits they make durable.
    store: BTreeMap<String, Vec<u8>>,
    storing: VecDeque<(Vec<LogOp>, u64)>,
    repo: Repo,
    /// Every sealed version that was ever sent.
    sealed: Repo,
}

impl Author {
    fn new(number: u64) -> Author {
        Author {
            client: client(number),
            document: Document::new(client(number)),
            waiting: WaitingRoom::new(),
            log: SegmentLog::new(replica_id()),
            durable: 0,
            store: BTreeMap::new(),
            storing: VecDeque::new(),
            repo: Repo::new(),
            sealed: Repo::new(),
        }
    }

    fn edit(&mut self, now: Timestamp, splice: Splice) {
        let change = self.document.edit(now, &[splice]).expect("the splice fits the text");
        for update in change.updates.iter().flat_map(|update| update.split(segment::MAX_UPDATE)) {
            let ops = self.log.append(now, update.bytes());
            self.storing.push_back((ops, 1));
        }
    }

    fn store_next(&mut self) {
        let Some((ops, edits)) = self.storing.pop_front() else { return };
        self.durable += edits;
        for (key, value) in ops {
            match value {
                Some(value) => self.store.insert(key, value),
                None => self.store.remove(&key),
            };
        }
    }

    /// The PDS takes a write; the answer is another matter.
    fn send(&mut self, plan: &SegmentPlan) {
        let record = SegmentRecord {
            document: uri(),
            replica: replica_id(),
            seq: plan.seq,
            sealed: plan.sealed,
            through: None,
            carried: None,
            entries: plan.entries.clone(),
        };
        assert!(plan.entries.len() <= MAX_ENTRIES_BYTES, "{} bytes", plan.entries.len());
        let stored = sheaf_repo::json::to_cbor(&record.to_json()).expect("a record");
        assert_eq!(SegmentRecord::parse(&stored).as_ref(), Ok(&record));
        if let Some(sealed) = self.sealed.get(&plan.seq) {
            assert_eq!(*sealed, stored, "segment {} has changed after it was sealed", plan.seq);
        }
        if plan.sealed {
            self.sealed.insert(plan.seq, stored.clone());
        }
        let newest = self.repo.keys().next_back().copied().unwrap_or(0);
        assert!(plan.seq >= newest || self.repo.get(&plan.seq) == Some(&stored), "went back to {}", plan.seq);
        self.repo.insert(plan.seq, stored);
    }

    fn acknowledged(&mut self, plan: &SegmentPlan) {
        self.durable -= plan.covers;
        let ops = self.log.was_published(plan);
        self.storing.push_back((ops, 0));
    }

    /// Everything that is not in the store is gone; the document is read from the store and the two repos.
    fn crash(&mut self, other: &Repo) {
        self.storing.clear();
        self.log = SegmentLog::load(replica_id(), self.store.clone()).expect("the store is whole");
        self.durable = self.log.pending();
        self.document = Document::new(self.client);
        self.waiting = WaitingRoom::new();
        let own: Vec<Vec<u8>> = self.log.published().chain(self.log.waiting()).map(<[u8]>::to_vec).collect();
        let own_repo = self.repo.clone();
        self.read(&own_repo);
        self.read(other);
        for update in own {
            let update = scan(&update, Allowed::Author(self.client)).expect("an own update");
            self.waiting.offer(&mut self.document, update).expect("room enough");
        }
        assert!(self.waiting.is_empty(), "the device's own text waits for {:?}", self.waiting.missing());
    }

    fn read(&mut self, repo: &Repo) {
        for entry in entries(repo) {
            let update = scan(&entry, Allowed::Any).expect("a published update");
            self.waiting.offer(&mut self.document, update).expect("room enough");
        }
    }
}

fn entries(repo: &Repo) -> Vec<Vec<u8>> {
    let records = repo.values().map(|bytes| SegmentRecord::parse(bytes).expect("a segment"));
    records
        .flat_map(|record| decode_entries(&record.entries).expect("entries"))
        .map(|entry| entry.update)
        .collect()
}

fn text_of(repos: [&Repo; 2]) -> String {
    let mut reader = Author::new(99);
    for repo in repos {
        reader.read(repo);
    }
    assert!(
        reader.waiting.is_empty(),
        "a reader of the repos alone waits for {:?}",
        reader.waiting.missing()
    );
    reader.document.text()
}

fn something_happens(chance: &mut Chance, now: Timestamp, author: &mut Author, other: &Repo) {
    match chance.below(100) {
        0..50 => {
            let splice = random_splice(chance, &author.document.text());
            author.edit(now, splice);
        }
        50..52 => {
            let at = document_support::random_boundary(chance, &author.document.text());
            let paste = if chance.one_in(2) {
                "wörter\r\n😀 ".repeat(chance.below(3_000))
            } else {
                // Hardly anything to deflate: the longest record there may be.
                (0..chance.below(60_000)).map(|_| char::from(b' ' + chance.below(95) as u8)).collect()
            };
            author.edit(now, Splice::insert(at, paste));
        }
        52..72 => author.store_next(),
        72..92 => {
            if let Some(plan) = author.log.plan(author.durable) {
                match chance.below(4) {
                    0 => {}
                    1 => author.send(&plan),
                    _ => {
                        author.send(&plan);
                        author.acknowledged(&plan);
                    }
                }
            }
        }
        92..97 => {
            author.read(other);
            assert!(author.waiting.is_empty(), "waits for {:?}", author.waiting.missing());
        }
        _ => author.crash(other),
    }
}

fn settle(author: &mut Author) {
    loop {
        while !author.storing.is_empty() {
            author.store_next();
        }
        let Some(plan) = author.log.plan(author.durable) else { return };
        author.send(&plan);
        author.acknowledged(&plan);
    }
}

#[test]
fn nothing_durable_is_lost_and_nothing_sealed_changes() {
    for_each_seed(40, |_, chance| {
        let (mut alice, mut bob) = (Author::new(7), Author::new(8));
        let mut now = Timestamp::from_millis(1_795_401_000_000);
        for _ in 0..400 {
            now = now.saturating_add(Duration::from_millis(chance.next() % 9_000));
            if chance.one_in(2) {
                something_happens(chance, now, &mut alice, &bob.repo);
            } else {
                something_happens(chance, now, &mut bob, &alice.repo);
            }
        }
        settle(&mut alice);
        settle(&mut bob);
        assert_eq!(alice.log.pending(), 0);
        alice.read(&bob.repo);
        bob.read(&alice.repo);
        assert_eq!(alice.document.text(), bob.document.text());
        assert_eq!(text_of([&bob.repo, &alice.repo]), alice.document.text());
    });
}

#[test]
fn two_who_answer_each_other_within_a_minute_never_wait_for_each_other() {
    let (mut alice, mut bob) = (Author::new(7), Author::new(8));
    let now = Timestamp::from_millis(1_795_401_000_000);
    for n in 0..40 {
        let (author, other) = if n % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let end = author.document.len_utf16();
        author.edit(now, Splice::insert(end, if n % 2 == 0 { "a" } else { "b" }));
        settle(author);
        other.read(&author.repo);
    }
    assert_eq!(text_of([&alice.repo, &bob.repo]), "ab".repeat(20));
}

#[test]
fn five_minutes_of_typing_become_one_entry() {
    let mut alice = Author::new(7);
    let mut now = Timestamp::from_millis(1_795_401_000_000 / 300_000 * 300_000);
    for n in 0..240 {
        alice.edit(now, Splice::insert(n, "x"));
        now = now.saturating_add(Duration::from_millis(2_500));
        if n % 3 == 0 {
            settle(&mut alice);
        }
    }
    settle(&mut alice);
    assert_eq!(entries(&alice.repo).len(), 2, "ten minutes");
    assert_eq!(alice.repo.len(), 1);
}

#[test]
fn when_flushes_happen_leaves_no_trace_in_what_is_sealed() {
    for_each_seed(6, |_, chance| {
        let (mut often, mut seldom) = (Author::new(7), Author::new(7));
        let mut now = Timestamp::from_millis(1_795_401_000_000);
        for _ in 0..1_500 {
            now = now.saturating_add(Duration::from_millis(chance.next() % 3_000));
            let splice = random_splice(chance, &often.document.text());
            often.edit(now, splice.clone());
            seldom.edit(now, splice);
            if chance.one_in(3) {
                settle(&mut often);
            }
        }
        settle(&mut often);
        settle(&mut seldom);
        assert_eq!(often.repo, seldom.repo);
        assert!(often.sealed.len() > 1, "a test of sealing seals");
    });
}

#[test]
fn damage_in_the_store_is_named() {
    let mut alice = Author::new(7);
    let now = Timestamp::from_millis(1_795_401_000_000);
    for n in 0..3 {
        alice.edit(now, Splice::insert(n, "x"));
    }
    settle(&mut alice);
    for n in 3..6 {
        alice.edit(now, Splice::insert(n, "y"));
        alice.store_next();
    }
    let whole = alice.store.clone();
    assert_eq!(whole.len(), 4, "{:?}", whole.keys());
    let load = |store: &BTreeMap<String, Vec<u8>>| SegmentLog::load(replica_id(), store.clone());
    assert_eq!(load(&whole).expect("whole").pending(), 3);
    for key in whole.keys() {
        for len in 0..whole[key].len() {
            let mut torn = whole.clone();
            torn.get_mut(key).expect("there").truncate(len);
            assert_eq!(load(&torn).expect_err("torn").key, *key);
        }
        let mut more = whole.clone();
        more.get_mut(key).expect("there").push(0);
        assert_eq!(load(&more).expect_err("something after the end").key, *key);
    }
    let mut late = whole.clone();
    late.insert("entry/0000000000000002".into(), whole["entry/0000000000000003"].clone());
    assert_eq!(load(&late).expect("one more that is published already").pending(), 3);
    let mut gap = whole.clone();
    gap.remove("entry/0000000000000004");
    assert_eq!(load(&gap).expect_err("a gap").key, "entry/0000000000000004");
    for strange in ["entry/4", "entry/x", "entry/00000000000000004", "other", ""] {
        let mut with = whole.clone();
        with.insert(strange.into(), whole["active"].clone());
        assert_eq!(load(&with).expect_err("a strange key").key, strange);
    }
}

#[test]
fn a_plan_that_was_overtaken_changes_nothing() {
    let mut alice = Author::new(7);
    let now = Timestamp::from_millis(1_795_401_000_000);
    alice.edit(now, Splice::insert(0, "one"));
    alice.store_next();
    let first = alice.log.plan(alice.durable).expect("something to publish");
    alice.edit(now, Splice::insert(3, " two"));
    alice.store_next();
    let second = alice.log.plan(alice.durable).expect("something to publish");
    assert_eq!((first.covers, second.covers), (1, 2));
    alice.send(&second);
    assert!(!alice.log.was_published(&second).is_empty());
    assert!(alice.log.was_published(&first).is_empty(), "an answer that comes late");
    assert!(alice.log.was_published(&second).is_empty(), "an answer that comes twice");
    assert_eq!(alice.log.pending(), 0);
    assert_eq!(alice.log.plan(u64::MAX), None);
}

#[test]
fn what_is_not_durable_is_not_planned() {
    let mut alice = Author::new(7);
    let now = Timestamp::from_millis(1_795_401_000_000);
    for n in 0..3 {
        alice.edit(now, Splice::insert(n, "x"));
    }
    assert_eq!(alice.log.plan(0), None);
    assert_eq!(alice.log.plan(2).expect("two are durable").covers, 2);
    assert_eq!(alice.log.pending(), 3);
    assert_eq!(alice.log.pending_since(), Some(now));
}

#[derive(serde::Deserialize)]
struct Trace {
    txns: Vec<Transaction>,
}

#[derive(serde::Deserialize)]
struct Transaction {
    patches: Vec<(u32, u32, String)>,
}

#[test]
fn real_typing_becomes_few_small_records() {
    // A real paper as it was typed, five letters a second. It has no character beyond 16 bits, so its offsets are ours.
    let packed: &[u8] = include_bytes!("../../../testdata/automerge-paper.json.gz");
    let trace: Trace = serde_json::from_reader(flate2::read::GzDecoder::new(packed)).expect("the trace");
    let count = document_support::asked_for("SHEAF_TRACE").map_or(6_000, |count| count as usize);
    let mut alice = Author::new(0x1f_fff0_1234_5678);
    let (mut typed, mut flushes, mut sent) = (0, 0, 0);
    let mut now = Timestamp::from_millis(1_795_401_000_000);
    let mut flushed = Timestamp::EPOCH;
    for transaction in trace.txns.iter().take(count) {
        now = now.saturating_add(Duration::from_millis(200));
        for (at, delete, insert) in &transaction.patches {
            let splice = Splice { at: Utf16Offset(*at), delete: *delete, insert: insert.clone() };
            alice.edit(now, splice);
            typed += 1;
        }
        if now.saturating_since(flushed) < Duration::from_millis(500) {
            continue;
        }
        flushed = now;
        while !alice.storing.is_empty() {
            alice.store_next();
        }
        while let Some(plan) = alice.log.plan(alice.durable) {
            (flushes, sent) = (flushes + 1, sent + plan.entries.len());
            alice.send(&plan);
            alice.acknowledged(&plan);
        }
    }
    settle(&mut alice);
    let bytes: usize = alice.repo.values().map(Vec::len).sum();
    println!(
        "{typed} edits: {} records, {bytes} bytes in the repo; {flushes} flushes sent {} bytes each",
        alice.repo.len(),
        sent / flushes
    );
    assert_eq!(text_of([&alice.repo, &Repo::new()]), alice.document.text());
    assert!(alice.repo.len() <= 1 + typed / 1_000, "{} records", alice.repo.len());
    assert!(bytes <= typed * 3 / 2, "{bytes} bytes for {typed} edits");
}
