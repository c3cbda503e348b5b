//! Engines on disks, and views of them.

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
    shown::{Attached, GoingOn, News, OnItsWay, Splice, Told},
};

pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

pub(crate) async fn let_others_run() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Somebody whose server cannot be reached.
pub(crate) struct Away(Did);

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
pub(crate) struct Disk {
    pub(crate) kept: Memory,
    pub(crate) held_up: Rc<Cell<bool>>,
    /// Reading all that there is of a document takes its time.
    pub(crate) reads_slowly: Rc<Cell<bool>>,
    pub(crate) dead: Rc<Cell<bool>>,
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

pub(crate) type Mail = Rc<RefCell<BTreeMap<String, VecDeque<Told>>>>;

/// An engine on a disk, and what it has told views that they have not heard yet.
pub(crate) struct Life {
    pub(crate) engine: Engine,
    pub(crate) disk: Disk,
    pub(crate) mail: Mail,
}

/// Whose documents these are.
const OWNER: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

pub(crate) fn life(kept: &Memory) -> Life {
    life_of(OWNER, kept)
}

pub(crate) fn life_of(account: &str, kept: &Memory) -> Life {
    let disk =
        Disk { kept: kept.clone(), held_up: Rc::default(), reads_slowly: Rc::default(), dead: Rc::default() };
    let config = r#"{ "plc": "http://localhost:1", "doh": null, "jetstream": [] }"#;
    let client = Client::new(Parts {
        config: NetworkConfig::from_json(config).unwrap(),
        store: Rc::new(disk.clone()),
        locks: Rc::new(MemoryLocks::new()),
        account: Some(Rc::new(Away(account.parse().unwrap()))),
        name: None,
    });
    client.online(false);
    let mail = Mail::default();
    let sent = Rc::clone(&mail);
    let tell = move |view: &str, told| sent.borrow_mut().entry(view.to_owned()).or_default().extend(told);
    Life { engine: Engine::new(client, Rc::new(tell)), disk, mail }
}

/// The view's half, as `web/src/editor/crossing.ts` has it.
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) base: String,
    pub(crate) on_its_way: Option<(u32, Change)>,
    pub(crate) later: Vec<Change>,
    pub(crate) shown: String,
    pub(crate) seen: u32,
    pub(crate) number: u32,
    /// What it wrote in vain.
    pub(crate) not_taken: String,
}

pub(crate) fn plain(splices: &[text::Splice]) -> Vec<Splice> {
    splices.iter().cloned().map(Splice::from).collect()
}

impl View {
    pub(crate) fn new(name: &str) -> Self {
        let name = name.to_owned();
        let (base, shown) = (String::new(), String::new());
        Self {
            name,
            base,
            on_its_way: None,
            later: Vec::new(),
            shown,
            seen: 0,
            number: 0,
            not_taken: String::new(),
        }
    }

    pub(crate) async fn attach(&mut self, life: &Life, link: &DocumentLink, first: bool) {
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
    pub(crate) fn look(&mut self, life: &Life) -> Option<News> {
        let mut mail = life.mail.borrow_mut();
        let told = mail.get_mut(&self.name)?.pop_front_if(|told| matches!(told, Told::LastSeen { .. }))?;
        let Told::LastSeen { text, news } = told else { unreachable!("it was looked at") };
        self.shown.clone_from(&text);
        self.base = text;
        Some(news)
    }

    /// The engine has taken the view on.
    pub(crate) fn attached(&mut self, life: &Life, attached: Attached) {
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

    pub(crate) fn confirm(&mut self) {
        if let Some((_, change)) = self.on_its_way.take() {
            apply_splices(&mut self.base, &change.splices()).unwrap();
        }
    }

    pub(crate) fn come(&mut self, splices: Vec<Splice>) {
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

    pub(crate) fn hear(&mut self, life: &Life) -> bool {
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
            Some(Told::NotTaken(written)) => self.not_taken.push_str(&written),
            Some(Told::News(_) | Told::Check { .. }) => {}
            None => return false,
        }
        true
    }

    pub(crate) fn send(&mut self, life: &Life) {
        if self.on_its_way.is_some() || self.later.is_empty() {
            return;
        }
        self.number += 1;
        let change = self.later.remove(0);
        life.engine.change(&self.name, self.number, self.seen, plain(&change.splices()), None);
        self.on_its_way = Some((self.number, change));
    }

    /// What it has not taken to an engine yet is typed all the same.
    pub(crate) fn write_ahead(&mut self, splice: text::Splice) {
        let change = Change::of(std::slice::from_ref(&splice), utf16_len(&self.shown)).unwrap();
        apply_splices(&mut self.shown, &[splice]).unwrap();
        self.later.push(change);
    }

    pub(crate) fn write(&mut self, life: &Life, splice: text::Splice) {
        self.write_ahead(splice);
        self.send(life);
    }

    pub(crate) fn pending(&self) -> bool {
        self.on_its_way.is_some() || !self.later.is_empty()
    }
}

pub(crate) async fn document(kept: &Memory) -> DocumentLink {
    let life = life(kept);
    life.engine.create("Notes").await.unwrap().parse().unwrap()
}

/// A new document in two tabs.
pub(crate) async fn two_views(kept: &Memory) -> (Life, [View; 2]) {
    let link = document(kept).await;
    let life = life(kept);
    let mut views = ["a 1", "b 1"].map(View::new);
    for view in &mut views {
        view.attach(&life, &link, true).await;
    }
    (life, views)
}

pub(crate) async fn settle(life: &Life, views: &mut [View]) {
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
