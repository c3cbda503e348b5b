//! A view of somebody's repo moves only to what is proved, and says in words what kept it from moving.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::time::Duration;

use sheaf_core::{
    replica::{Doorbell, FetchFailure, FetchWhat, Identity},
    repo_view::{Advance, Ask, Outcome, RepoView, Trouble},
    time::Timestamp,
};
use sheaf_repo::{car, car::CarLimits, did::Did, key::SigningKey, mst::KeyRange, repo::Repo, tid::Tid};

const LIMITS: CarLimits = CarLimits { max_bytes: 1 << 24, max_blocks: 10_000, max_block_bytes: 1 << 20 };
const RANGE: &str = "dev.example.note/doc:";

/// How a PDS answers.
type Pds = dyn Fn(&FetchWhat) -> Result<Vec<u8>, FetchFailure>;

/// A repo on a PDS that does as it is told, and a view of it.
struct Scene {
    now: Timestamp,
    repo: Repo,
    key: SigningKey,
    view: RepoView,
    ids: u64,
    reads: usize,
}

impl Scene {
    fn new() -> Scene {
        let key = SigningKey::k256(&[3; 32]).unwrap();
        let now = Timestamp::from_millis(1_780_000_000_000);
        let mut repo = Repo::new(did(), key.clone(), Tid::from_micros(now.as_micros() - 10, 0));
        for n in 0..300 {
            let rev = repo.next_rev(now.as_micros());
            let collection = ["app.example.post", "dev.example.note", "zz.example.like"][n % 3];
            repo.put(&format!("{collection}/other{n:04}"), record(n), rev);
        }
        let view = RepoView::new(did(), vec![KeyRange::new(RANGE, "dev.example.note/doc;")], 1);
        Scene { now, repo, key, view, ids: 0, reads: 0 }
    }

    fn write(&mut self, name: &str, n: usize) -> Tid {
        let rev = self.repo.next_rev(self.now.as_micros());
        self.repo.put(&format!("{RANGE}{name}"), record(n), rev.clone());
        rev
    }

    /// Answers everything the view asks for, truly, and gives what it found out.
    fn settle(&mut self, outcome: Outcome) -> Option<Advance> {
        let repo = self.repo.clone();
        self.settle_with(outcome, &move |what| Ok(honest(&repo, what)))
    }

    fn settle_with(&mut self, outcome: Outcome, pds: &Pds) -> Option<Advance> {
        let mut advance = outcome.advance;
        let mut asks = outcome.asks;
        while let Some(ask) = asks.pop() {
            let more = match ask {
                Ask::Resolve { .. } => {
                    let key = self.key.verifying_key();
                    let identity = Identity { did: did(), handle: None, pds: "https://pds.test".into(), key };
                    self.view.resolved(self.now, Ok(identity), &mut self.ids)
                }
                Ask::Fetch { id, what, .. } => {
                    self.reads += 1;
                    self.view
                        .fetched(self.now, id, &pds(&what), &mut self.ids)
                        .expect("the view asked for it")
                }
            };
            advance = more.advance.or(advance);
            asks.extend(more.asks);
        }
        advance
    }

    fn look(&mut self) -> Option<Advance> {
        let outcome = self.view.ring(self.now, None, &mut self.ids);
        self.settle(outcome)
    }

    fn bell(&mut self, rev: Option<Tid>, car: Option<Vec<u8>>) -> Outcome {
        let bell = Doorbell { did: did(), rev, path: None, car };
        self.view.ring(self.now, Some(&bell), &mut self.ids)
    }
}

fn did() -> Did {
    "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap()
}

fn record(n: usize) -> Vec<u8> {
    sheaf_repo::json::to_cbor(&serde_json::json!({ "n": n, "text": "e\u{301} 👩‍👩‍👧" })).unwrap()
}

fn honest(repo: &Repo, what: &FetchWhat) -> Vec<u8> {
    match what {
        FetchWhat::Proof { collection, rkey } => repo.record_car(&format!("{collection}/{rkey}")),
        FetchWhat::Blocks { cids } => repo.blocks_car(cids).expect("the view asks for blocks that are there"),
        FetchWhat::Blob { .. } => unreachable!("a view asks for no blobs"),
    }
}

fn paths(advance: &Option<Advance>) -> Vec<&str> {
    let changed = advance.iter().flat_map(|advance| &advance.changed);
    changed.map(|(path, ..)| path.strip_prefix(RANGE).unwrap()).collect()
}

#[test]
fn it_finds_what_is_in_its_range_then_only_what_changed() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.look(),
        Some(Advance { changed: vec![], gone: vec![] }),
        "an empty range is proved to be empty"
    );
    for n in 0..80 {
        scene.write(&format!("{n:04}"), n);
    }
    assert_eq!(paths(&scene.look()).len(), 80);
    scene.reads = 0;
    scene.write("0007", 1_000);
    scene.write("0200", 1_001);
    let rev = scene.repo.next_rev(scene.now.as_micros());
    scene.repo.delete(&format!("{RANGE}0003"), rev);
    let advance = scene.look();
    assert_eq!(paths(&advance), ["0007", "0200"]);
    assert_eq!(advance.unwrap().gone, [format!("{RANGE}0003")]);
    assert!(scene.reads <= 5, "{} reads for three changes", scene.reads);
    assert_eq!(scene.view.head().unwrap().rev, *scene.repo.rev());
}

#[test]
fn after_a_restart_it_goes_on_from_what_was_kept() {
    let mut scene = Scene::new();
    for n in 0..20 {
        scene.write(&format!("{n:04}"), n);
    }
    scene.look();
    let saved = scene.view.save(|_, _| true).unwrap();
    scene.write("0003", 99);
    scene.view = RepoView::new(did(), vec![KeyRange::new(RANGE, "dev.example.note/doc;")], 1);
    scene.view.restore(&saved);
    assert_eq!(paths(&scene.look()), ["0003"]);

    scene.view = RepoView::new(did(), vec![KeyRange::new(RANGE, "dev.example.note/doc;")], 1);
    scene.view.restore(b"{\"torn\":");
    assert_eq!(paths(&scene.look()).len(), 20, "a torn note is as good as none");
}

#[test]
fn a_rolled_back_repo_is_reported_and_not_followed() {
    let mut scene = Scene::new();
    scene.write("a", 1);
    let old = scene.repo.clone();
    scene.write("a", 2);
    scene.look();
    let outcome = scene.view.ring(scene.now, None, &mut scene.ids);
    assert_eq!(scene.settle_with(outcome, &move |what| Ok(honest(&old, what))), None);
    assert_eq!(scene.view.trouble(), Some(&Trouble::RolledBack));
    assert_eq!(scene.view.head().unwrap().rev, *scene.repo.rev(), "what was seen stays");
}

#[test]
fn two_histories_of_one_revision_are_noticed() {
    let mut scene = Scene::new();
    let mut other = scene.repo.clone();
    let rev = scene.write("a", 1);
    other.put(&format!("{RANGE}a"), record(2), rev);
    scene.look();
    let outcome = scene.view.ring(scene.now, None, &mut scene.ids);
    scene.settle_with(outcome, &move |what| Ok(honest(&other, what)));
    assert_eq!(scene.view.trouble(), Some(&Trouble::TwoHistories));
}

#[test]
fn a_wrong_signature_is_refused_once_the_key_was_looked_up_again() {
    let mut scene = Scene::new();
    scene.look();
    let thief = SigningKey::p256(&[9; 32]).unwrap();
    let mut forged = Repo::new(did(), thief.clone(), scene.repo.next_rev(scene.now.as_micros()));
    let rev = forged.next_rev(scene.now.as_micros() + 5);
    forged.put(&format!("{RANGE}a"), record(1), rev);
    let stolen = forged.clone();
    let outcome = scene.view.ring(scene.now, None, &mut scene.ids);
    assert_eq!(scene.settle_with(outcome, &move |what| Ok(honest(&stolen, what))), None);
    assert_eq!(scene.view.trouble(), Some(&Trouble::BadSignature));

    // The same commit under a key that the account has rotated to is fine.
    scene.key = thief;
    scene.repo = forged;
    scene.now = scene.view.deadline().unwrap();
    let outcome = scene.view.tick(scene.now, &mut scene.ids);
    assert_eq!(paths(&scene.settle(outcome)), ["a"]);
    assert_eq!(scene.view.trouble(), None);
}

#[test]
fn a_server_that_withholds_a_block_proves_nothing() {
    let mut scene = Scene::new();
    for n in 0..60 {
        scene.write(&format!("{n:04}"), n);
    }
    let repo = scene.repo.clone();
    let stingy = move |what: &FetchWhat| match what {
        FetchWhat::Proof { .. } => Ok(honest(&repo, what)),
        FetchWhat::Blob { .. } => Err(FetchFailure::BlocksNotFound),
        FetchWhat::Blocks { .. } => Ok(car::write(None, [])),
    };
    let outcome = scene.view.ring(scene.now, None, &mut scene.ids);
    assert_eq!(scene.settle_with(outcome, &stingy), None);
    assert!(matches!(scene.view.trouble(), Some(Trouble::Invalid(_))), "{:?}", scene.view.trouble());
    assert!(scene.view.entry(&format!("{RANGE}0001")).is_none());
    scene.now = scene.view.deadline().unwrap();
    let outcome = scene.view.tick(scene.now, &mut scene.ids);
    assert_eq!(paths(&scene.settle(outcome)).len(), 60, "and an honest answer later heals it");
}

#[test]
fn a_frames_own_blocks_need_no_fetch_and_a_forged_frame_costs_one() {
    let mut scene = Scene::new();
    scene.write("a", 1);
    scene.look();
    scene.reads = 0;
    let rev = scene.write("b", 2);
    let frame = scene.repo.record_car(&format!("{RANGE}b"));
    let outcome = scene.bell(Some(rev), Some(frame));
    assert_eq!(paths(&scene.settle(outcome)), ["b"]);
    assert_eq!(scene.reads, 0);

    let thief = SigningKey::k256(&[9; 32]).unwrap();
    let mut forged = Repo::new(did(), thief, scene.repo.next_rev(scene.now.as_micros()));
    let rev = forged.next_rev(scene.now.as_micros() + 5);
    forged.put(&format!("{RANGE}evil"), record(6), rev.clone());
    let frame = forged.record_car(&format!("{RANGE}evil"));
    let outcome = scene.bell(Some(rev), Some(frame));
    assert_eq!(paths(&scene.settle(outcome)), Vec::<&str>::new());
    assert_eq!(scene.reads, 1);
    assert_eq!(scene.view.trouble(), None, "a doorbell says nothing against the repo");
    assert!(scene.view.entry(&format!("{RANGE}evil")).is_none());
}

#[test]
fn bells_that_ring_for_nothing_are_answered_ever_more_slowly() {
    let mut scene = Scene::new();
    scene.look();
    scene.reads = 0;
    for n in 0..500 {
        scene.now = scene.now.saturating_add(Duration::from_millis(10));
        let lie = Tid::from_micros(scene.now.as_micros() + 1_000_000 + n, 0);
        let outcome = scene.bell(Some(lie), None);
        scene.settle(outcome);
        if scene.view.deadline().is_some_and(|at| at <= scene.now) {
            let outcome = scene.view.tick(scene.now, &mut scene.ids);
            scene.settle(outcome);
        }
    }
    assert!(scene.reads < 20, "{} fetches for 500 false alarms in five seconds", scene.reads);
    // And a true one still gets through.
    scene.write("a", 1);
    let outcome = scene.bell(Some(scene.repo.rev().clone()), None);
    let mut found = scene.settle(outcome);
    while found.is_none() {
        scene.now = scene.view.deadline().expect("it will look again");
        let outcome = scene.view.tick(scene.now, &mut scene.ids);
        found = scene.settle(outcome);
    }
    assert_eq!(paths(&found), ["a"]);
}

#[test]
fn looks_of_our_own_that_find_nothing_do_not_dull_the_ear_for_bells() {
    let mut scene = Scene::new();
    for _ in 0..30 {
        scene.look();
        scene.now = scene.now.saturating_add(Duration::from_secs(5));
    }
    scene.look();
    let rev = scene.write("a", 1);
    let outcome = scene.bell(Some(rev), None);
    assert_eq!(paths(&scene.settle(outcome)), ["a"], "at once");
}

#[test]
fn someone_who_writes_faster_than_we_read_is_followed_without_a_long_wait() {
    let mut scene = Scene::new();
    for n in 0..60 {
        scene.write(&format!("{n:04}"), n);
    }
    scene.look();
    let began = scene.now;
    // Two places change at once, so that one proof does not bring everything; and what is asked for is gone each time.
    let rev = scene.write("0003", 1_000);
    scene.write("0050", 1_001);
    let repo = scene.repo.clone();
    let gone = std::cell::Cell::new(8u32);
    let runs_away = move |what: &FetchWhat| match what {
        FetchWhat::Blocks { .. } if gone.replace(gone.get().saturating_sub(1)) > 0 => {
            Err(FetchFailure::BlocksNotFound)
        }
        what => Ok(honest(&repo, what)),
    };
    let bell = Doorbell { did: did(), rev: Some(rev), path: Some(format!("{RANGE}0003")), car: None };
    let outcome = scene.view.ring(scene.now, Some(&bell), &mut scene.ids);
    let mut found = scene.settle_with(outcome, &runs_away);
    while found.is_none() {
        assert_eq!(scene.view.trouble(), None, "a repo in use is no repo in trouble");
        scene.now = scene.view.deadline().expect("it goes on trying");
        let outcome = scene.view.tick(scene.now, &mut scene.ids);
        found = scene.settle_with(outcome, &runs_away);
    }
    assert_eq!(paths(&found), ["0003", "0050"]);
    let took = scene.now.saturating_since(began);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn every_place_that_rang_is_asked_for_once_the_repo_has_run_away() {
    let mut scene = Scene::new();
    for n in 0..60 {
        scene.write(&format!("{n:04}"), n);
    }
    scene.look();
    scene.write("0003", 1_000);
    scene.write("0030", 1_001);
    let rev = scene.write("0055", 1_002);
    let repo = scene.repo.clone();
    // No block can ever be had apart from its proof.
    let proofs_only = move |what: &FetchWhat| match what {
        FetchWhat::Blocks { .. } => Err(FetchFailure::BlocksNotFound),
        what => Ok(honest(&repo, what)),
    };
    let bell = |name: &str| Doorbell {
        did: did(),
        rev: Some(rev.clone()),
        path: Some(format!("{RANGE}{name}")),
        car: None,
    };
    let mut outcome = scene.view.ring(scene.now, Some(&bell("0003")), &mut scene.ids);
    for name in ["0030", "0055"] {
        let more = scene.view.ring(scene.now, Some(&bell(name)), &mut scene.ids);
        outcome.asks.extend(more.asks);
    }
    assert_eq!(paths(&scene.settle_with(outcome, &proofs_only)), ["0003", "0030", "0055"]);
}

#[test]
fn a_server_that_is_behind_its_own_stream_is_asked_again() {
    let mut scene = Scene::new();
    scene.look();
    let behind = scene.repo.clone();
    let rev = scene.write("a", 1);
    let outcome = scene.bell(Some(rev), None);
    assert_eq!(scene.settle_with(outcome, &move |what| Ok(honest(&behind, what))), None);
    let at = scene.view.deadline().expect("it looks again");
    assert!(at.saturating_since(scene.now) < Duration::from_secs(1));
    scene.now = at;
    let outcome = scene.view.tick(scene.now, &mut scene.ids);
    assert_eq!(paths(&scene.settle(outcome)), ["a"]);
    assert_eq!(scene.view.deadline(), None);
}

#[test]
fn a_bell_shortens_a_long_wait_but_not_to_less_than_a_polls() {
    let mut scene = Scene::new();
    scene.look();
    let failing: [(FetchFailure, bool); 3] = [
        (FetchFailure::Server { status: 502 }, true),
        (FetchFailure::RepoDeactivated, true),
        (FetchFailure::RateLimited { retry_after: Some(Duration::from_secs(120)) }, false),
    ];
    for (n, (failure, shortened)) in failing.into_iter().enumerate() {
        let failed = {
            let failure = failure.clone();
            move |_: &FetchWhat| Err(failure.clone())
        };
        let mut failures = 0;
        let mut outcome = scene.view.retry_now(scene.now, &mut scene.ids);
        loop {
            scene.settle_with(outcome, &failed);
            failures += 1;
            if failures == 5 {
                break;
            }
            scene.now = scene.view.deadline().expect("it will try again");
            outcome = scene.view.tick(scene.now, &mut scene.ids);
        }
        let wait = |scene: &Scene| scene.view.deadline().unwrap().saturating_since(scene.now);
        assert!(wait(&scene) >= Duration::from_secs(16), "{failure}: {:?}", wait(&scene));
        let rev = scene.write("a", n);
        for _ in 0..100 {
            let outcome = scene.bell(Some(rev.clone()), None);
            assert!(outcome.asks.is_empty(), "{failure}: not at once");
        }
        assert_eq!(wait(&scene) <= Duration::from_secs(5), shortened, "{failure}: {:?}", wait(&scene));
        scene.now = scene.view.deadline().unwrap();
        let outcome = scene.view.tick(scene.now, &mut scene.ids);
        assert_eq!(paths(&scene.settle(outcome)), ["a"], "{failure}");
    }
}

#[test]
fn frames_that_come_while_busy_need_no_fetch_either() {
    let mut scene = Scene::new();
    for n in 0..60 {
        scene.write(&format!("{n:04}"), n);
    }
    scene.look();
    let before = scene.repo.clone();
    let busy = scene.view.ring(scene.now, None, &mut scene.ids);
    for (name, n) in [("0003", 1_000), ("0050", 1_001), ("0003", 1_002)] {
        let rev = scene.write(name, n);
        let frame = scene.repo.record_car(&format!("{RANGE}{name}"));
        let outcome = scene.bell(Some(rev), Some(frame));
        assert!(outcome.asks.is_empty(), "one thing after another");
    }
    scene.reads = 0;
    let found = scene.settle_with(busy, &move |what| Ok(honest(&before, what)));
    assert_eq!(paths(&found), ["0003", "0050"]);
    assert_eq!(scene.reads, 1, "the look that kept it busy");
    assert_eq!(scene.view.head().unwrap().rev, *scene.repo.rev());
}

#[test]
fn answers_of_every_bad_kind_are_survived() {
    let mut scene = Scene::new();
    scene.write("a", 1);
    let html = |_: &FetchWhat| Ok(b"<!doctype html><h1>504</h1>".to_vec());
    let empty = |_: &FetchWhat| Ok(vec![]);
    let repo = scene.repo.clone();
    let cut = move |what: &FetchWhat| Ok(honest(&repo, what)[..100].to_vec());
    let hangs = |_: &FetchWhat| Err(FetchFailure::TimedOut);
    let answers: [&Pds; 4] = [&html, &empty, &cut, &hangs];
    for answer in answers {
        let outcome = scene.view.retry_now(scene.now, &mut scene.ids);
        assert_eq!(scene.settle_with(outcome, answer), None);
        assert!(scene.view.trouble().is_some());
        assert!(scene.view.deadline().is_some_and(|at| at > scene.now), "it will try again");
    }
    let outcome = scene.view.retry_now(scene.now, &mut scene.ids);
    assert_eq!(paths(&scene.settle(outcome)), ["a"]);
}

#[test]
fn every_flipped_byte_of_a_first_look_is_harmless() {
    let mut scene = Scene::new();
    scene.write("a", 1);
    let whole = scene.repo.record_car(&format!("{RANGE}a"));
    assert!(car::parse(&whole, &LIMITS).is_ok());
    for at in 0..whole.len() {
        let mut view = RepoView::new(did(), vec![KeyRange::new(RANGE, "dev.example.note/doc;")], 1);
        std::mem::swap(&mut scene.view, &mut view);
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        let repo = scene.repo.clone();
        let answer = move |what: &FetchWhat| match what {
            FetchWhat::Proof { .. } => Ok(flipped.clone()),
            FetchWhat::Blocks { cids } => repo.blocks_car(cids).ok_or(FetchFailure::BlocksNotFound),
            FetchWhat::Blob { .. } => unreachable!("a view asks for no blobs"),
        };
        let outcome = scene.view.ring(scene.now, None, &mut scene.ids);
        for (path, _, bytes) in
            scene.settle_with(outcome, &answer).into_iter().flat_map(|advance| advance.changed)
        {
            assert_eq!((path.as_str(), bytes), ("dev.example.note/doc:a", record(1)), "byte {at}");
        }
    }
}
