//! `sheaf-repo` and the reference implementation of repos (npm `@atproto/repo`) agree, over random sessions of commits
//! and in both directions: the same bytes come of the same writes, and each verifies what the other wrote.
//!
//! `SHEAF_TEST_CASES` asks for another number of sessions; `SHEAF_TEST_SEED` runs the one again that a failure names.

#![allow(clippy::print_stderr, reason = "the seed of what failed, and what was compared")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use serde_json::{Value, json};
use sheaf_repo::{
    blocks::Blocks,
    car::{self, Car, CarLimits},
    cid::{self, Cid},
    commit::Commit,
    did::Did,
    json as record_json,
    key::{SigningKey, VerifyingKey},
    mst::{self, KeyRange, MstError, Walk},
    proof::prove,
    repo::{RecordWrite, Repo},
    tid::Tid,
};

/// Enough for every run; thousands are for whoever changes trees or proofs.
const SESSIONS: u64 = 500;
/// Each has a process of its own to ask.
const WORKERS: usize = 2;
const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const LIMITS: CarLimits = CarLimits { max_bytes: 1 << 24, max_blocks: 10_000, max_block_bytes: 1 << 20 };

type Records = BTreeMap<String, Cid>;

#[tokio::test(flavor = "multi_thread")]
async fn both_write_the_same_repos_and_believe_each_other() {
    let installed = sheaf_devnet::setup(Arc::new(|_| {})).await.unwrap();
    let node = installed.node().to_owned();
    let asked = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (first, count) =
        (asked("SHEAF_TEST_SEED").unwrap_or(1), asked("SHEAF_TEST_CASES").unwrap_or(SESSIONS));
    let seeds = Arc::new(Mutex::new(first..first + count));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (node, seeds) = (node.clone(), Arc::clone(&seeds));
            tokio::task::spawn_blocking(move || {
                let mut oracle = Oracle::start(&node);
                let mut figures = Figures::default();
                while let Some(seed) = next(&seeds) {
                    let guard = SayOnPanic(seed);
                    Session::random(seed).hold(&mut oracle, &mut figures);
                    std::mem::forget(guard);
                }
                figures
            })
        })
        .collect();
    let mut figures = Figures::default();
    for worker in workers {
        figures.add(&worker.await.expect("they agree"));
    }
    // Those that compare nothing would agree too.
    assert!(
        count < SESSIONS
            || (figures.commits > 3 * count && figures.absent > count / 2 && figures.deepest >= 3)
    );
    eprintln!("{count} sessions: {figures:?}");
}

/// Where the two differ, the reference is wrong: a commit that makes the only record, takes it away again and goes on
/// leaves nodes without keys above the rest, if that record stood at a higher layer. That is no valid tree, and our
/// readers refuse it. No honest app writes such a commit.
#[tokio::test(flavor = "multi_thread")]
async fn the_reference_errs_where_a_commit_empties_the_repo_and_goes_on() {
    let installed = sheaf_devnet::setup(Arc::new(|_| {})).await.unwrap();
    let mut oracle = Oracle::start(installed.node());
    let path_at = |layer| {
        let mut paths = (0..).map(|n| format!("dev.sheaf.segment/{n:04}"));
        paths.find(|path| mst::layer_of(path) == layer).expect("there are many")
    };
    let write = |action, path: &str| Write { action, path: path.to_owned(), record: json!({ "a": 1 }) };
    let (high, low) = (path_at(2), path_at(0));
    let (make, take, other) = (write("create", &high), write("delete", &high), write("create", &low));
    let mut play = |writes: [&Write; 3]| {
        let commits = [writes.map(Write::to_json)];
        let play =
            json!({ "did": DID, "curve": "k256", "secret": "07".repeat(32), "commits": commits, "ask": [] });
        let played = oracle.ask(&json!({ "play": play }), "played");
        let root = cid::parse(text(&played["commits"][0]["data"])).expect("a CID");
        mst::walk(&root, &car(&played["repo"]).blocks, &[KeyRange::new("", "\u{7f}")])
    };
    assert_eq!(play([&make, &take, &other]), Err(MstError::EmptyBranch));
    let Ok(Walk::Complete { entries, .. }) = play([&make, &other, &take]) else { panic!("a valid tree") };
    assert_eq!(entries.into_keys().collect::<Vec<_>>(), [low]);
}

fn next(seeds: &Mutex<Range<u64>>) -> Option<u64> {
    seeds.lock().ok()?.next()
}

/// What was compared.
#[derive(Debug, Default)]
struct Figures {
    commits: u64,
    writes: u64,
    present: u64,
    absent: u64,
    deepest: u32,
}

impl Figures {
    fn add(&mut self, other: &Figures) {
        self.commits += other.commits;
        self.writes += other.writes;
        self.present += other.present;
        self.absent += other.absent;
        self.deepest = self.deepest.max(other.deepest);
    }
}

struct SayOnPanic(u64);

impl Drop for SayOnPanic {
    fn drop(&mut self) {
        eprintln!("failed with SHEAF_TEST_SEED={} SHEAF_TEST_CASES=1", self.0);
    }
}

/// The reference implementation, in a process of its own that ends with this.
struct Oracle {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    fn start(node: &Path) -> Oracle {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("network/oracle.mjs");
        let mut process = Command::new(node)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the pinned Node runs");
        let (requests, answers) = (process.stdin.take(), process.stdout.take());
        Oracle { process, requests, answers: BufReader::new(answers.expect("it is piped")) }
    }

    fn ask(&mut self, request: &Value, answer: &str) -> Value {
        let requests = self.requests.as_mut().expect("it is piped");
        writeln!(requests, "{request}").expect("the oracle listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the oracle answers");
        let mut said: Value = serde_json::from_str(&line).expect("the oracle speaks JSON");
        assert!(said["error"].is_null(), "the reference implementation refuses: {}", said["error"]);
        said[answer].take()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It reads until there is nothing more to read.
        drop(self.requests.take());
        let _ = self.process.wait();
    }
}

/// One account's writes, commit by commit.
struct Session {
    curve: &'static str,
    secret: [u8; 32],
    commits: Vec<Vec<Write>>,
    /// Paths to prove at the end, whether there is a record or not.
    ask: Vec<String>,
}

struct Write {
    action: &'static str,
    path: String,
    record: Value,
}

impl Session {
    fn random(seed: u64) -> Session {
        let mut chance = Chance(seed);
        let mut there: Vec<String> = Vec::new();
        let commits = (0..1 + chance.below(8)).map(|n| {
            // Some sessions begin with so much that their trees have several layers.
            let writes =
                if n == 0 && chance.below(10) == 0 { 40 + chance.below(160) } else { chance.below(12) };
            (0..writes).map(|n| write(&mut chance, &mut there, n + 1 == writes)).collect()
        });
        let commits = commits.collect();
        let mut ask = vec![path(&mut chance)];
        ask.extend((!there.is_empty()).then(|| there[chance.below(there.len())].clone()));
        // The reference takes its time for the second.
        let curve = ["k256", "k256", "k256", "p256"][chance.below(4)];
        Session { curve, secret: [1 + chance.below(200) as u8; 32], commits, ask }
    }

    fn hold(&self, oracle: &mut Oracle, figures: &mut Figures) {
        let key = match self.curve {
            "p256" => SigningKey::p256(&self.secret),
            _ => SigningKey::k256(&self.secret),
        };
        let key = key.expect("a secret key");
        let secret: String = self.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let writes = |commit: &Vec<Write>| commit.iter().map(Write::to_json).collect::<Vec<Value>>();
        let commits: Vec<Vec<Value>> = self.commits.iter().map(writes).collect();
        let play =
            json!({ "did": DID, "curve": self.curve, "secret": secret, "commits": commits, "ask": self.ask });
        let played = oracle.ask(&json!({ "play": play }), "played");
        assert_eq!(key.verifying_key().to_did_key(), text(&played["key"]));

        let states = self.replay(&key, &played, figures);
        let newest = states.last().expect("a repo begins with a commit");
        check_repo(&played["repo"], newest, &key.verifying_key(), figures);
        for (path, proof) in self.ask.iter().zip(played["proofs"].as_array().expect("a list")) {
            check_proof(&key.verifying_key(), &bytes(proof), path, newest, figures);
        }
        self.be_judged(oracle, &states, &key.verifying_key());
    }

    /// Makes the same commits with the same revisions, and compares each. Gives the repo after each of them.
    fn replay(&self, key: &SigningKey, played: &Value, figures: &mut Figures) -> Vec<Repo> {
        let mut repo = Repo::new(did(), key.clone(), rev(&played["first"]["rev"]));
        let mut states = vec![repo.clone()];
        assert_eq!(repo.head().to_string(), text(&played["first"]["head"]));
        for (writes, told) in self.commits.iter().zip(played["commits"].as_array().expect("a list")) {
            repo.apply(writes.iter().map(Write::to_repo), rev(&told["rev"]));
            assert_eq!(repo.data().to_string(), text(&told["data"]), "the same tree");
            // Signing is deterministic, so this compares every byte of the commit.
            assert_eq!(repo.head().to_string(), text(&told["head"]), "the same commit");

            let before = states.last().expect("one before");
            let added = car(&told["added"]);
            for (cid, _) in new_blocks(before, &repo) {
                assert!(added.blocks.get(cid).is_some(), "the reference adds {cid} too");
            }
            for (cid, bytes) in added.blocks.iter() {
                assert_eq!(repo.all_blocks().get(cid), Some(bytes), "the reference adds nothing else");
            }
            // Each proof costs a signature's check; a few will do.
            for write in writes.iter().take(2) {
                let frame = with_known(&told["frame"], &write.path, before, &repo);
                check_proof(&key.verifying_key(), &frame, &write.path, &repo, figures);
            }
            figures.commits += 1;
            figures.writes += writes.len() as u64;
            states.push(repo.clone());
        }
        states
    }

    /// Has the reference implementation read what we wrote: commit by commit, whole, and by proofs.
    fn be_judged(&self, oracle: &mut Oracle, states: &[Repo], key: &VerifyingKey) {
        let newest = states.last().expect("a repo begins with a commit");
        let diffs: Vec<String> =
            states.windows(2).map(|pair| BASE64.encode(added(&pair[0], &pair[1]))).collect();
        let proof = |path: &String| json!({ "path": path, "car": BASE64.encode(newest.record_car(path)) });
        let judge = json!({
            "did": DID,
            "key": key.to_did_key(),
            "first": BASE64.encode(states[0].export_car()),
            "diffs": diffs,
            "repo": BASE64.encode(newest.export_car()),
            "proofs": self.ask.iter().map(proof).collect::<Vec<Value>>(),
        });
        let judged = oracle.ask(&json!({ "judge": judge }), "judged");
        assert_eq!(text(&judged["head"]), newest.head().to_string());
        assert_eq!(text(&judged["afterDiffs"]), newest.head().to_string());
        assert_eq!(judged["blocks"], newest.all_blocks().len());
        assert_eq!(judged["contents"], json!(changes(&Records::new(), &records(newest))));
        for (pair, told) in states.windows(2).zip(judged["changes"].as_array().expect("a list")) {
            assert_eq!(told, &json!(changes(&records(&pair[0]), &records(&pair[1]))));
        }
        for (path, proved) in self.ask.iter().zip(judged["proved"].as_array().expect("a list")) {
            let there = newest.get(path).is_some();
            assert_eq!(proved, &json!({ "absent": !there, "found": there }), "{path}");
        }
    }
}

/// What the reference implementation wrote as a whole repo, read and verified here.
fn check_repo(repo: &Value, own: &Repo, key: &VerifyingKey, figures: &mut Figures) {
    let car = car(repo);
    assert_eq!(car.roots, [*own.head()]);
    let bytes = car.blocks.get(own.head()).expect("the commit is there");
    let commit = Commit::parse(bytes).expect("a commit");
    assert_eq!(commit.verify(key), Ok(()));
    assert_eq!(commit.encode(), bytes);
    let everything = [KeyRange::new("", "\u{7f}")];
    let Ok(Walk::Complete { entries, nodes }) = mst::walk(commit.data(), &car.blocks, &everything) else {
        panic!("a whole tree");
    };
    assert_eq!(entries, records(own));
    let mut built = Blocks::default();
    assert_eq!(&mst::build(&entries, &mut built), own.data());
    assert_eq!(built.len(), nodes.len());
    assert_eq!(&car.blocks, own.all_blocks(), "the same blocks and no others");
    let layers = entries.keys().map(|key| mst::layer_of(key)).max();
    figures.deepest = figures.deepest.max(layers.unwrap_or(0));
}

fn check_proof(key: &VerifyingKey, car: &[u8], path: &str, repo: &Repo, figures: &mut Figures) {
    let proof = prove(&did(), key, car, path, &LIMITS).expect("a proof");
    assert_eq!(&proof.rev, repo.rev());
    assert_eq!(proof.record.as_ref().map(|(cid, bytes)| (cid, &bytes[..])), repo.get(path), "{path}");
    match proof.record {
        Some(_) => figures.present += 1,
        None => figures.absent += 1,
    }
}

/// A commit's frame, with the record at this path if it is one that was in the repo before: then the frame leaves it out.
fn with_known(frame: &Value, path: &str, before: &Repo, after: &Repo) -> Vec<u8> {
    let mut car = car(frame);
    if let Some((cid, _)) = after.get(path) {
        car.blocks.copy_from(before.all_blocks(), cid);
    }
    car::write(Some(after.head()), car.blocks.iter())
}

fn new_blocks<'a>(before: &'a Repo, after: &'a Repo) -> impl Iterator<Item = (&'a Cid, &'a [u8])> {
    after.all_blocks().iter().filter(|(cid, _)| before.all_blocks().get(cid).is_none())
}

fn records(repo: &Repo) -> Records {
    repo.paths().map(|path| (path.to_owned(), *repo.get(path).expect("a path of it").0)).collect()
}

/// What changed between two states, as the reference tells it.
fn changes(before: &Records, after: &Records) -> Vec<[String; 3]> {
    let mut changes = BTreeMap::new();
    for (path, cid) in after {
        match before.get(path) {
            None => drop(changes.insert(path, ("create", cid))),
            Some(old) if old != cid => drop(changes.insert(path, ("update", cid))),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|(path, _)| !after.contains_key(*path));
    changes.extend(gone.map(|(path, cid)| (path, ("delete", cid))));
    changes
        .into_iter()
        .map(|(path, (action, cid))| [path.clone(), action.to_owned(), cid.to_string()])
        .collect()
}

/// A commit's own blocks: what is new, and each record that was set, even if one like it was there before.
fn added(before: &Repo, after: &Repo) -> Vec<u8> {
    let (old, new) = (records(before), records(after));
    let set: BTreeSet<&Cid> =
        new.iter().filter(|(path, cid)| old.get(*path) != Some(cid)).map(|(_, cid)| cid).collect();
    let blocks = after.all_blocks().iter();
    let own = blocks.filter(|(cid, _)| set.contains(cid) || before.all_blocks().get(cid).is_none());
    car::write(Some(after.head()), own)
}

fn did() -> Did {
    DID.parse().expect("a DID")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn rev(value: &Value) -> Tid {
    text(value).parse().expect("a revision")
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64.decode(text(value)).expect("base64")
}

fn car(value: &Value) -> Car {
    car::parse(&bytes(value), &LIMITS).expect("a CAR")
}

impl Write {
    fn to_json(&self) -> Value {
        json!({ "action": self.action, "path": self.path, "record": self.record })
    }

    fn to_repo(&self) -> RecordWrite {
        match self.action {
            "delete" => RecordWrite::Delete(self.path.clone()),
            _ => RecordWrite::Put(self.path.clone(), record_json::to_cbor(&self.record).expect("a record")),
        }
    }
}

/// A small random generator (SplitMix64), so that a seed gives the same session everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// A write that fits what is there: a record made, changed, or taken away. The only record there is goes only in the last
/// write of a commit: see `the_reference_errs_where_a_commit_empties_the_repo_and_goes_on`.
fn write(chance: &mut Chance, there: &mut Vec<String>, is_last: bool) -> Write {
    if !there.is_empty() && chance.below(3) == 0 {
        let at = chance.below(there.len());
        return match chance.below(2) {
            _ if there.len() == 1 && !is_last => {
                Write { action: "update", path: there[at].clone(), record: record(chance) }
            }
            0 => Write { action: "update", path: there[at].clone(), record: record(chance) },
            _ => Write { action: "delete", path: there.swap_remove(at), record: Value::Null },
        };
    }
    let path = path(chance);
    let action = if there.contains(&path) {
        "update"
    } else {
        there.push(path.clone());
        "create"
    };
    Write { action, path, record: record(chance) }
}

/// A path, now and then one that was used before; many share prefixes and some are prefixes of others.
fn path(chance: &mut Chance) -> String {
    let collections = ["app.bsky.feed.post", "app.bsky.feed.postgate", "dev.sheaf.segment", "zz.example.a"];
    let collection = collections[chance.below(collections.len())];
    let rkey = match chance.below(4) {
        0 => Tid::from_micros(1_780_000_000_000_000 + chance.below(300) as u64, 0).to_string(),
        1 => format!("3jzfcijpj2z2a:r{}:{:08}", chance.below(4), chance.below(12)),
        2 => ["self", "a", "A", "a~", "a.b", "-", "_"][chance.below(7)].to_owned(),
        _ => "ab".repeat(1 + chance.below(20)),
    };
    format!("{collection}/{rkey}")
}

fn record(chance: &mut Chance) -> Value {
    const WORDS: [&str; 10] = ["a", "", "é", "e\u{301}", "👩‍👩‍👧", "שלום", "\r\n", "\"\\", "\u{0}", "汉字"];
    const NAMES: [&str; 6] = ["a", "bb", "é", "z", "createdAt", "😀"];
    // Where the encoding of numbers takes another byte.
    const LARGE: [i64; 9] = [0, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_296, 9_007_199_254_740_990];
    const BYTES: [&str; 4] = ["", "AA", "AQID", "gICAgICAgICAgICAgICAgICAgICAgICAgA"];
    let special = |kind: &str, text: &str| json!({ (kind): text });
    let word = |chance: &mut Chance| {
        (0..chance.below(4)).map(|_| WORDS[chance.below(WORDS.len())]).collect::<String>()
    };
    let mut record = json!({ "$type": "app.example.note", "text": word(chance) });
    // Few enough kinds that some records are the same.
    for _ in 0..chance.below(4) {
        let value = match chance.below(9) {
            0 => Value::Null,
            1 => json!(chance.below(2) == 0),
            2 => json!(LARGE[chance.below(LARGE.len())]),
            3 => json!(-1 - LARGE[chance.below(LARGE.len())]),
            4 => special("$bytes", BYTES[chance.below(BYTES.len())]),
            5 => special("$link", &cid::of_record(&[chance.below(5) as u8]).to_string()),
            6 => json!([word(chance), [[], {}], { "b": 1, "aa": 2, "": 3 }]),
            7 => {
                let link = special("$link", &cid::of_record(b"\xa0").to_string());
                json!({ "deep": { "deeper": [link] } })
            }
            _ => json!(word(chance)),
        };
        record[NAMES[chance.below(NAMES.len())]] = value;
    }
    record
}
