//! Views and engines, in whatever order things happen: all show one text, and nothing that was typed is lost or doubled, not
//! even when the engine dies.

#![cfg(not(target_arch = "wasm32"))]

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use sheaf_client::{
    Client, Parts,
    config::NetworkConfig,
    net::http::{HttpError, Request, Response},
    platform::LocalFuture,
    session::{Authed, AuthedError},
    slots::MemoryLocks,
    store::{Entry, Memory, Store, StoreError},
};
use sheaf_core::{
    document_link::DocumentLink,
    replica::StoreOp,
    text::{
        self, apply_splices,
        change::{Change, Comes},
        utf16_len,
    },
};
use sheaf_repo::did::Did;
use sheaf_web::{
    engine::Engine,
    shown::{GoingOn, OnItsWay, Splice, Told},
    timeline::{FateShown, RestoreError},
};

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

async fn let_others_run() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Somebody whose server cannot be reached.
struct Away(Did);

impl Authed for Away {
    fn did(&self) -> &Did {
        &self.0
    }

    fn handle(&self) -> Option<String> {
        None
    }

    fn pds(&self) -> String {
        "http://localhost:1".into()
    }

    fn send(&self, _: Request) -> LocalFuture<'_, Result<Response, AuthedError>> {
        Box::pin(async { Err(HttpError::Unreachable("no network".into()).into()) })
    }
}

/// A disk as one engine has it: slow while it is held up, and out of reach once the engine is dead.
#[derive(Clone)]
struct Disk {
    kept: Memory,
    held_up: Rc<Cell<bool>>,
    dead: Rc<Cell<bool>>,
}

impl Store for Disk {
    fn scan<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<Vec<Entry>, StoreError>> {
        self.kept.scan(prefix)
    }

    fn get<'a>(&'a self, key: &'a str) -> LocalFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        self.kept.get(key)
    }

    fn write(&self, ops: Vec<StoreOp>) -> LocalFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            while self.held_up.get() && !self.dead.get() {
                tokio::task::yield_now().await;
            }
            if self.dead.get() {
                std::future::pending::<()>().await;
            }
            let written = self.kept.write(ops).await;
            // It is there; whether the engine still hears of it is another matter.
            tokio::task::yield_now().await;
            if self.dead.get() {
                std::future::pending::<()>().await;
            }
            written
        })
    }

    fn erase<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<(), StoreError>> {
        self.kept.erase(prefix)
    }
}

type Mail = Rc<RefCell<BTreeMap<String, VecDeque<Told>>>>;

/// An engine on a disk, and what it has told views that they have not heard yet.
struct Life {
    engine: Engine,
    disk: Disk,
    mail: Mail,
}

fn life(kept: &Memory) -> Life {
    let disk = Disk { kept: kept.clone(), held_up: Rc::default(), dead: Rc::default() };
    let config = r#"{ "plc": "http://localhost:1", "doh": null, "jetstream": [] }"#;
    let client = Client::new(Parts {
        config: NetworkConfig::from_json(config).unwrap(),
        store: Rc::new(disk.clone()),
        locks: Rc::new(MemoryLocks::new()),
        account: Some(Rc::new(Away("did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap()))),
        name: None,
    });
    client.online(false);
    let mail = Mail::default();
    let sent = Rc::clone(&mail);
    let tell = move |view: &str, told| sent.borrow_mut().entry(view.to_owned()).or_default().push_back(told);
    Life { engine: Engine::new(client, Rc::new(tell)), disk, mail }
}

/// The view's half, as `web/src/editor/crossing.ts` has it.
struct View {
    name: String,
    base: String,
    on_its_way: Option<(u32, Change)>,
    later: Vec<Change>,
    shown: String,
    seen: u32,
    number: u32,
}

fn plain(splices: &[text::Splice]) -> Vec<Splice> {
    splices.iter().cloned().map(Splice::from).collect()
}

impl View {
    fn new(name: &str) -> Self {
        let name = name.to_owned();
        let (base, shown) = (String::new(), String::new());
        Self { name, base, on_its_way: None, later: Vec::new(), shown, seen: 0, number: 0 }
    }

    async fn attach(&mut self, life: &Life, link: &DocumentLink, first: bool) {
        life.mail.borrow_mut().remove(&self.name);
        let on_its_way = self
            .on_its_way
            .as_ref()
            .map(|(number, change)| OnItsWay { number: *number, splices: plain(&change.splices()) });
        let going_on = (!first).then(|| GoingOn { text: self.base.clone(), on_its_way });
        let attached = life.engine.attach(self.name.clone(), link, false, going_on).await.unwrap();
        if let Some(text) = attached.text {
            self.shown.clone_from(&text);
            self.base = text;
        }
        self.seen = 0;
        if attached.arrived {
            self.confirm();
        }
        self.come(attached.splices);
        match &self.on_its_way {
            Some((number, change)) => {
                life.engine.change(&self.name, *number, self.seen, plain(&change.splices()), None);
            }
            None => self.send(life),
        }
    }

    fn confirm(&mut self) {
        if let Some((_, change)) = self.on_its_way.take() {
            apply_splices(&mut self.base, &change.splices()).unwrap();
        }
    }

    fn come(&mut self, splices: Vec<Splice>) {
        for splice in splices {
            let splice = text::Splice::from(splice);
            let mut crossed = Change::of(std::slice::from_ref(&splice), utf16_len(&self.base)).unwrap();
            apply_splices(&mut self.base, &[splice]).unwrap();
            let mine = self.on_its_way.iter_mut().map(|(_, change)| change).chain(&mut self.later);
            for change in mine {
                let kept = change.map(&crossed, Comes::After).unwrap();
                crossed = crossed.map(change, Comes::Before).unwrap();
                *change = kept;
            }
            apply_splices(&mut self.shown, &crossed.splices()).unwrap();
            self.seen += 1;
        }
    }

    fn hear(&mut self, life: &Life) -> bool {
        let told = life.mail.borrow_mut().get_mut(&self.name).and_then(VecDeque::pop_front);
        match told {
            Some(Told::Text { number, splices, .. }) => {
                self.come(splices);
                assert_eq!(self.seen, number, "{} has missed something", self.name);
            }
            Some(Told::Done(number)) => {
                assert_eq!(self.on_its_way.as_ref().map(|(number, _)| *number), Some(number));
                self.confirm();
                self.send(life);
            }
            Some(Told::OutOfStep) => panic!("{} is out of step", self.name),
            Some(Told::News(_) | Told::Check { .. }) => {}
            None => return false,
        }
        true
    }

    fn send(&mut self, life: &Life) {
        if self.on_its_way.is_some() || self.later.is_empty() {
            return;
        }
        self.number += 1;
        let change = self.later.remove(0);
        life.engine.change(&self.name, self.number, self.seen, plain(&change.splices()), None);
        self.on_its_way = Some((self.number, change));
    }

    fn write(&mut self, life: &Life, splice: text::Splice) {
        let change = Change::of(std::slice::from_ref(&splice), utf16_len(&self.shown)).unwrap();
        apply_splices(&mut self.shown, &[splice]).unwrap();
        self.later.push(change);
        self.send(life);
    }

    fn pending(&self) -> bool {
        self.on_its_way.is_some() || !self.later.is_empty()
    }
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    fn place(&mut self, text: &str) -> u32 {
        let characters = text.chars().count();
        let at = self.below(characters + 1);
        text.chars().take(at).map(|character| character.len_utf16() as u32).sum()
    }

    /// Where a few whole characters begin, and how long they are.
    fn stretch(&mut self, text: &str) -> (u32, u32) {
        let skipped = self.below(text.chars().count() + 1);
        let length = self.below(20);
        let units =
            |characters: &mut dyn Iterator<Item = char>| characters.map(|c| c.len_utf16() as u32).sum();
        let mut characters = text.chars();
        (units(&mut characters.by_ref().take(skipped)), units(&mut characters.take(length)))
    }
}

fn seeds(cases: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number("SHEAF_TEST_SEED").unwrap_or(1);
    first..first + number("SHEAF_TEST_CASES").unwrap_or(cases)
}

async fn document(kept: &Memory) -> DocumentLink {
    let life = life(kept);
    life.engine.create("Notes").await.unwrap().parse().unwrap()
}

/// A new document in two tabs.
async fn two_views(kept: &Memory) -> (Life, [View; 2]) {
    let link = document(kept).await;
    let life = life(kept);
    let mut views = ["a 1", "b 1"].map(View::new);
    for view in &mut views {
        view.attach(&life, &link, true).await;
    }
    (life, views)
}

async fn settle(life: &Life, views: &mut [View]) {
    life.disk.held_up.set(false);
    for _ in 0..10_000 {
        let_others_run().await;
        let mut quiet = true;
        for view in views.iter_mut() {
            while view.hear(life) {
                quiet = false;
            }
            quiet &= !view.pending();
        }
        if quiet {
            return;
        }
    }
    panic!("it does not come to rest");
}

#[test]
fn all_views_show_one_text_whatever_order_things_happen_in() {
    run(async {
        for seed in seeds(60) {
            let mut chance = Chance(seed);
            let kept = Memory::new();
            let link = document(&kept).await;
            let life = life(&kept);
            let mut views = ["a 1", "a 2", "b 1"].map(View::new);
            for view in &mut views {
                view.attach(&life, &link, true).await;
            }
            for _ in 0..150 {
                let n = chance.below(views.len());
                let view = &mut views[n];
                match chance.below(8) {
                    0..3 => {
                        let at = chance.place(&view.shown);
                        let pieces = ["a", "👩‍👩‍👧", "e\u{301}", "\r\n", "שלום", "word "];
                        view.write(&life, text::Splice::insert(at, pieces[chance.below(pieces.len())]));
                    }
                    3 => {
                        let (at, length) = chance.stretch(&view.shown);
                        view.write(&life, text::Splice::delete(at, length));
                    }
                    4 => life.disk.held_up.set(!life.disk.held_up.get()),
                    5 => tokio::task::yield_now().await,
                    6 => let_others_run().await,
                    _ => drop(view.hear(&life)),
                }
            }
            settle(&life, &mut views).await;
            for view in &views {
                assert_eq!(view.shown, view.base, "seed {seed}");
                assert_eq!(view.shown, views[0].shown, "seed {seed}");
            }
        }
    });
}

#[test]
fn whenever_the_engine_dies_what_was_typed_is_there_once() {
    run(async {
        for seed in seeds(60) {
            let mut chance = Chance(seed);
            let kept = Memory::new();
            let link = document(&kept).await;
            let mut life = self::life(&kept);
            let mut views = ["a 1", "b 1"].map(View::new);
            for view in &mut views {
                view.attach(&life, &link, true).await;
            }
            let mut typed = Vec::new();
            for _ in 0..120 {
                let n = chance.below(views.len());
                let view = &mut views[n];
                match chance.below(8) {
                    0..3 => {
                        // One character that there is once.
                        let character = char::from_u32(0x20000 + typed.len() as u32).unwrap();
                        let at = chance.place(&view.shown);
                        view.write(&life, text::Splice::insert(at, character));
                        typed.push(character);
                    }
                    3 => life.disk.held_up.set(!life.disk.held_up.get()),
                    4 => tokio::task::yield_now().await,
                    5 => let_others_run().await,
                    6 if chance.below(4) == 0 => {
                        life.disk.dead.set(true);
                        life = self::life(&kept);
                        for view in &mut views {
                            view.attach(&life, &link, false).await;
                        }
                    }
                    _ => drop(view.hear(&life)),
                }
            }
            settle(&life, &mut views).await;
            for view in &views {
                assert_eq!(view.shown, views[0].shown, "seed {seed}");
                let mut there: Vec<char> = view.shown.chars().collect();
                there.sort_unstable();
                assert_eq!(there, typed, "seed {seed}: each once");
            }
        }
    });
}

#[test]
fn nothing_is_called_done_before_it_is_on_the_disk() {
    run(async {
        let kept = Memory::new();
        let (life, mut views) = two_views(&kept).await;
        life.disk.held_up.set(true);
        views[0].write(&life, text::Splice::insert(0, "typed"));
        let_others_run().await;
        while views[1].hear(&life) {}
        assert_eq!(views[1].shown, "typed", "others see it at once");
        while views[0].hear(&life) {}
        assert!(views[0].pending());
        life.disk.held_up.set(false);
        settle(&life, &mut views).await;
        assert!(!views[0].pending());
    });
}

#[test]
fn views_of_one_account_are_one_person_and_one_replica() {
    run(async {
        let kept = Memory::new();
        let link = document(&kept).await;
        let life = life(&kept);
        let (mut one, mut other) = (View::new("a 1"), View::new("b 1"));
        futures_util::join!(one.attach(&life, &link, true), other.attach(&life, &link, true));
        let mut views = [one, other];
        views[0].write(&life, text::Splice::insert(0, "one"));
        settle(&life, &mut views).await;
        views[1].write(&life, text::Splice::insert(0, "other "));
        settle(&life, &mut views).await;
        let logs: std::collections::BTreeSet<String> = kept
            .scan("doc/")
            .await
            .unwrap()
            .into_iter()
            .filter_map(|(key, _)| Some(key.split_once("/replica/")?.1.split('/').next()?.to_owned()))
            .collect();
        assert_eq!(logs.len(), 1, "one replica writes: {logs:?}");
        life.engine.detach("a 1").await;
        life.engine.detach("b 1").await;
        let mut late = View::new("c 1");
        late.attach(&life, &link, true).await;
        assert_eq!(late.shown, "other one");
    });
}

#[test]
fn a_view_that_makes_no_sense_is_told_to_begin_anew() {
    run(async {
        let kept = Memory::new();
        let link = document(&kept).await;
        let life = life(&kept);
        let mut view = View::new("a 1");
        view.attach(&life, &link, true).await;
        let next = |name: &str| life.mail.borrow_mut().get_mut(name).and_then(VecDeque::pop_front);
        life.engine.change("a 1", 1, 7, vec![], None);
        assert_eq!(next("a 1"), Some(Told::OutOfStep), "it cannot have seen seven");
        life.engine.change("a 1", 1, 0, plain(&[text::Splice::delete(3, 9)]), None);
        assert_eq!(next("a 1"), Some(Told::OutOfStep), "there is nothing to delete");
        life.engine.change("nobody", 1, 0, vec![], None);
        assert_eq!(next("nobody"), Some(Told::OutOfStep));
    });
}

#[test]
fn the_timeline_leads_back_by_an_edit_that_can_be_taken_back() {
    run(async {
        let kept = Memory::new();
        let (life, mut views) = two_views(&kept).await;
        assert_eq!(life.engine.timeline("a 1").unwrap().turns, vec![], "nothing was written yet");
        views[0].write(&life, text::Splice::insert(0, "first 🌾 e\u{301}"));
        settle(&life, &mut views).await;
        let timeline = life.engine.timeline("a 1").unwrap();
        assert_eq!(timeline.authors[0].did, "did:plc:ewvi7nxzyoun6zhxrhs64oiz");
        assert_eq!(timeline.turns.iter().map(|turn| turn.inserted).sum::<f64>(), 11.0);
        let moment = life.engine.moment("a 1", timeline.turns.len() - 1).unwrap();
        let added = moment.passages.iter().filter(|passage| passage.fate != FateShown::Removed);
        assert_eq!(added.map(|passage| passage.text.as_str()).collect::<String>(), "first 🌾 e\u{301}");
        assert!(life.engine.moment("b 1", 0).is_none(), "the other view looks at no timeline");
        assert!(life.engine.moment("a 1", 99).is_none());
        assert_eq!(life.engine.restore("a 1", timeline.turns.len() - 1), Ok(false), "it is that already");

        // The other goes on while one looks.
        views[1].write(&life, text::Splice::insert(6, "and second "));
        settle(&life, &mut views).await;
        assert_eq!(life.engine.restore("a 1", timeline.turns.len() - 1), Ok(true));
        settle(&life, &mut views).await;
        for view in &views {
            assert_eq!(view.shown, "first 🌾 e\u{301}");
        }
        life.engine.step("a 1", 2, true);
        let taken_back = |told: &Told| matches!(told, Told::Done(2));
        for _ in 0..1_000 {
            let_others_run().await;
            let told = life.mail.borrow_mut().get_mut("a 1").and_then(|mail| {
                let at = mail.iter().position(taken_back)?;
                mail.remove(at)
            });
            if told.is_some() {
                break;
            }
        }
        settle(&life, &mut views).await;
        for view in &views {
            assert_eq!(view.shown, "first and second 🌾 e\u{301}");
        }
        life.engine.close_timeline("a 1");
        assert!(life.engine.moment("a 1", 0).is_none());
        assert_eq!(life.engine.restore("a 1", 0), Err(RestoreError::NotLooking));
    });
}
