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
    last_seen,
    shown::{Attached, GoingOn, News, OnItsWay, Role, Splice, Told},
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
    /// Reading all that there is of a document takes its time.
    reads_slowly: Rc<Cell<bool>>,
    dead: Rc<Cell<bool>>,
}

impl Store for Disk {
    fn scan<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(async move {
            while self.reads_slowly.get() {
                tokio::task::yield_now().await;
            }
            self.kept.scan(prefix).await
        })
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
    let disk =
        Disk { kept: kept.clone(), held_up: Rc::default(), reads_slowly: Rc::default(), dead: Rc::default() };
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
        self.look(life);
        self.attached(life, attached);
    }

    /// Shows the text as it was last seen, if that is what the engine has told; with what was known beside it.
    fn look(&mut self, life: &Life) -> Option<News> {
        let mut mail = life.mail.borrow_mut();
        let told = mail.get_mut(&self.name)?.pop_front_if(|told| matches!(told, Told::LastSeen { .. }))?;
        let Told::LastSeen { text, news } = told else { unreachable!("it was looked at") };
        self.shown.clone_from(&text);
        self.base = text;
        Some(news)
    }

    /// The engine has taken the view on.
    fn attached(&mut self, life: &Life, attached: Attached) {
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
            Some(Told::LastSeen { .. }) => panic!("{} has begun already", self.name),
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

    /// What it has not taken to an engine yet is typed all the same.
    fn write_ahead(&mut self, splice: text::Splice) {
        let change = Change::of(std::slice::from_ref(&splice), utf16_len(&self.shown)).unwrap();
        apply_splices(&mut self.shown, &[splice]).unwrap();
        self.later.push(change);
    }

    fn write(&mut self, life: &Life, splice: text::Splice) {
        self.write_ahead(splice);
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

/// A document whose text as last seen is older than what the device has: `seen` was, `since` came after it.
async fn seen_and_since(kept: &Memory, seen: &str, since: &str) -> DocumentLink {
    // What came after it has no time to be kept as it is seen.
    tokio::time::pause();
    let link = document(kept).await;
    let life = life(kept);
    let mut views = [View::new("a 1")];
    views[0].attach(&life, &link, true).await;
    views[0].write(&life, text::Splice::insert(0, seen));
    settle(&life, &mut views).await;
    life.engine.detach("a 1").await;
    views[0].attach(&life, &link, false).await;
    views[0].write(&life, text::Splice::insert(utf16_len(seen), since));
    settle(&life, &mut views).await;
    // Killed, and so it keeps nothing more.
    life.disk.dead.set(true);
    link
}

/// What a view that begins is told before the engine has read anything, and then its being taken on.
async fn begin_slowly(
    life: &Life,
    view: &mut View,
    link: &DocumentLink,
    meanwhile: impl FnOnce(&mut View, Option<News>),
) -> Attached {
    life.disk.reads_slowly.set(true);
    let attaching = life.engine.attach(view.name.clone(), link, false, None);
    let looking = async {
        let_others_run().await;
        let news = view.look(life);
        meanwhile(view, news);
        life.disk.reads_slowly.set(false);
    };
    futures_util::join!(attaching, looking).0.unwrap()
}

#[test]
fn a_text_is_shown_as_last_seen_before_it_is_read_and_goes_on_from_there() {
    run(async {
        let kept = Memory::new();
        let link = seen_and_since(&kept, "Seen 😀. ", "Since. ").await;
        let life = life(&kept);
        let mut view = View::new("b 1");
        let attached = begin_slowly(&life, &mut view, &link, |view, news| {
            assert_eq!(view.shown, "Seen 😀. ");
            let news = news.expect("what was last seen");
            assert_eq!((news.title.as_str(), news.status.role), ("Notes", Role::Owner));
            assert_eq!((news.link, news.status.sentence.as_str()), (link.fragment(), "Opening"));
            view.write_ahead(text::Splice::insert(0, "Typed. "));
        })
        .await;
        assert_eq!(attached.text, None, "the view has one");
        view.attached(&life, attached);
        let mut views = [view];
        settle(&life, &mut views).await;
        assert_eq!(views[0].shown, "Typed. Seen 😀. Since. ");
        assert_eq!(views[0].base, views[0].shown);

        let mut other = View::new("c 1");
        other.attach(&life, &link, true).await;
        assert_eq!(other.shown, "Typed. Seen 😀. Since. ");
        // What was typed meanwhile is what is taken back.
        life.engine.step("b 1", 2, true);
        let [view] = views;
        let mut views = [other, view];
        life.mail.borrow_mut().get_mut("b 1").unwrap().retain(|told| !matches!(told, Told::Done(2)));
        settle(&life, &mut views).await;
        for view in &views {
            assert_eq!(view.shown, "Seen 😀. Since. ");
        }
    });
}

#[test]
fn an_engine_that_dies_while_it_reads_takes_nothing_along() {
    run(async {
        let kept = Memory::new();
        let link = seen_and_since(&kept, "Seen. ", "Since. ").await;
        let mut life = life(&kept);
        life.disk.reads_slowly.set(true);
        let mut view = View::new("b 1");
        {
            let attaching = life.engine.attach(view.name.clone(), &link, false, None);
            let looking = async {
                let_others_run().await;
                view.look(&life).expect("what was last seen");
                view.write_ahead(text::Splice::insert(6, "Typed. "));
            };
            futures_util::pin_mut!(attaching);
            let select = futures_util::future::select(attaching, Box::pin(looking));
            assert!(matches!(select.await, futures_util::future::Either::Right(_)), "it was slower");
        }
        life.disk.dead.set(true);
        life = self::life(&kept);
        view.attach(&life, &link, false).await;
        let mut views = [view];
        settle(&life, &mut views).await;
        let text = &views[0].shown;
        assert!(["Seen. Typed. Since. ", "Seen. Since. Typed. "].contains(&text.as_str()), "{text}");
    });
}

#[test]
fn without_a_text_as_last_seen_a_view_waits_for_the_text() {
    run(async {
        let kept = Memory::new();
        let link = seen_and_since(&kept, "Seen. ", "Since. ").await;
        let note = format!("note/{}/{}", link.document, last_seen::NOTE);
        for note in [
            StoreOp::Put { key: note.clone(), value: b"damaged".to_vec() },
            StoreOp::Delete { key: note.clone() },
        ] {
            kept.write(vec![note]).await.unwrap();
            let life = life(&kept);
            let mut view = View::new("b 1");
            let attached = begin_slowly(&life, &mut view, &link, |_, news| assert_eq!(news, None)).await;
            view.attached(&life, attached);
            assert_eq!(view.shown, "Seen. Since. ");
            life.disk.dead.set(true);
        }
    });
}

#[test]
fn what_another_tab_has_open_is_told_as_it_is() {
    run(async {
        let kept = Memory::new();
        let link = seen_and_since(&kept, "Seen. ", "Since. ").await;
        let life = life(&kept);
        View::new("b 1").attach(&life, &link, true).await;
        let mut view = View::new("c 1");
        let attached = life.engine.attach("c 1".into(), &link, false, None).await.unwrap();
        assert_eq!(view.look(&life), None);
        assert_eq!(attached.text.as_deref(), Some("Seen. Since. "));
    });
}

#[test]
fn a_text_at_rest_is_kept_as_it_is_seen_and_goes_with_the_document() {
    run(async {
        tokio::time::pause();
        let kept = Memory::new();
        let link = document(&kept).await;
        let life = life(&kept);
        let mut views = [View::new("a 1")];
        views[0].attach(&life, &link, true).await;
        views[0].write(&life, text::Splice::insert(0, "At rest."));
        settle(&life, &mut views).await;
        let client = life.engine.client();
        let seen = async || {
            let note = client.note(&link.document, last_seen::NOTE).await.unwrap()?;
            last_seen::LastSeen::of_note(&note).map(|seen| seen.text)
        };
        while seen().await.is_none_or(|text| text.is_empty()) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(seen().await.as_deref(), Some("At rest."));
        life.engine.detach("a 1").await;
        client.discard(&link.document).await.unwrap();
        assert_eq!(seen().await, None);
    });
}
