//! One open document and the views that show it, in whichever tabs they are.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

use sheaf_client::{Change, DocumentHandle, Subscription, platform};
use sheaf_core::{
    replica::{Mark, Presence},
    text::{self, Utf16Offset, apply_splices, differences, utf16_len},
};

use crate::{
    last_seen::{self, LastSeen},
    shown::{Attached, Editor, GoingOn, News, Person, Role, Splice, Status, Told, carets},
    timeline::{Looking, Moment, RestoreError, Timeline},
    view_text::{OutOfStep, ViewText, sum},
};

/// Once the text has been at rest for so long, the views are asked whether theirs is the same.
const REST: Duration = Duration::from_secs(1);

/// A text that has just been opened is kept as it is seen after so long: once it is drawn.
const DRAWN: Duration = Duration::from_millis(100);

/// Tells a view what there is to tell it, in order and at once, so that it is drawn at once: it is called in any turn, and must
/// not call back in the same.
pub type Tell = Rc<dyn Fn(&str, Vec<Told>)>;

/// An open document with its views.
pub(crate) struct OpenDocument {
    pub(crate) handle: DocumentHandle,
    views: RefCell<Vec<View>>,
    tell: Tell,
    /// Whether the views are about to be told what is new.
    announced: Cell<bool>,
    /// Counts what happened to the text.
    changes: Cell<u64>,
    /// As what it is kept for whoever opens it next: with how many changes, which title and which role, or as not here.
    kept: RefCell<Option<(u64, String, Option<Role>)>>,
    watching: Cell<bool>,
    subscription: RefCell<Option<Subscription>>,
}

/// One view.
struct View {
    name: String,
    text: ViewText,
    hidden: bool,
    /// Its change on its way to the store: its number, and how many edits must be durable for it to be.
    waits: Option<(u32, u64)>,
    /// What happens now is what it asked for.
    follows: bool,
    /// What is refused now is what it wrote.
    writes: bool,
    /// What it is to be told next.
    untold: Vec<Told>,
    /// What it was last told.
    news: News,
    /// The timeline that its person looks at.
    looking: Option<Looking>,
}

impl OpenDocument {
    pub(crate) fn new(handle: DocumentHandle, tell: Tell) -> Rc<Self> {
        let document = Rc::new(Self {
            handle,
            views: RefCell::default(),
            tell,
            announced: Cell::new(false),
            changes: Cell::new(0),
            kept: RefCell::default(),
            watching: Cell::new(false),
            subscription: RefCell::default(),
        });
        let weak = Rc::downgrade(&document);
        let subscription = document.handle.on_change(move |change| {
            let Some(document) = weak.upgrade() else { return };
            match change {
                Change::Show(splices) => document.show(&splices, None),
                Change::NotTaken(written) => document.not_taken(&written),
                Change::Refresh => {}
            }
            document.announce();
        });
        document.subscription.replace(Some(subscription));
        document
    }

    // --- views come and go ---

    /// A view begins here, or goes on from what it had of another engine.
    ///
    /// # Errors
    /// What it says is on its way is no change of the text it says it has.
    pub(crate) fn attach(
        self: &Rc<Self>,
        name: String,
        hidden: bool,
        going_on: Option<GoingOn>,
    ) -> Result<Attached, text::SpliceError> {
        self.views.borrow_mut().retain(|view| view.name != name);
        let now = self.handle.text();
        let (mut arrived, mut whole, mut splices) = (false, None, Vec::new());
        let mut view_text = match going_on {
            None => {
                let length = utf16_len(&now);
                whole = Some(now);
                ViewText::new(length)
            }
            Some(GoingOn { mut text, on_its_way }) => {
                if let Some(change) = on_its_way
                    && self.handle.mark_of(&name) >= Some(change.number)
                {
                    arrived = true;
                    let change: Vec<text::Splice> = change.splices.into_iter().map(Into::into).collect();
                    apply_splices(&mut text, &change)?;
                }
                splices = differences(&text, &now);
                ViewText::new(utf16_len(&text))
            }
        };
        if view_text.show(&splices).is_err() {
            unreachable!("the differences of two texts are changes of the first");
        }
        let news = self.news();
        let view = View {
            name,
            text: view_text,
            hidden,
            waits: None,
            follows: false,
            writes: false,
            untold: Vec::new(),
            news: news.clone(),
            looking: None,
        };
        self.views.borrow_mut().push(view);
        self.tell_whether_hidden();
        self.watch();
        self.keep_once_drawn();
        let splices = splices.into_iter().map(Splice::from).collect();
        Ok(Attached { text: whole, arrived, splices, news })
    }

    /// A view is no longer there; whether any is.
    pub(crate) fn detach(&self, name: &str) -> bool {
        self.views.borrow_mut().retain(|view| view.name != name);
        self.tell_whether_hidden();
        self.has_views()
    }

    pub(crate) fn has_views(&self) -> bool {
        !self.views.borrow().is_empty()
    }

    /// Waits until all edits so far are durable on this device, or the document is closed.
    pub(crate) async fn durable(&self) {
        let (made, _) = self.handle.edits();
        self.handle.until(|handle| handle.edits().1 >= made).await;
    }

    // --- what a view does ---

    /// A change of the view's own.
    pub(crate) fn change(
        self: &Rc<Self>,
        name: &str,
        number: u32,
        seen: u32,
        splices: Vec<Splice>,
        selection: Option<(u32, u32)>,
    ) {
        let splices: Vec<text::Splice> = splices.into_iter().map(Into::into).collect();
        let taken = self.with(name, |view| view.text.take(seen, &splices, selection));
        let Some(Ok(taken)) = taken else {
            self.is_out_of_step(name);
            return;
        };
        self.show(&taken.splices, Some(name));
        self.with(name, |view| view.writes = true);
        self.handle.edit_once(taken.splices, Mark { view: name.to_owned(), number });
        let (made, _) = self.handle.edits();
        self.with(name, |view| {
            view.writes = false;
            view.waits = Some((number, made));
        });
        if let Some((anchor, head)) = taken.selection {
            self.handle.select(Utf16Offset(anchor), Utf16Offset(head));
        }
        self.announce();
    }

    /// The view wants its person's last change taken back, or what was taken back brought back.
    pub(crate) fn step(self: &Rc<Self>, name: &str, number: u32, back: bool) {
        self.with(name, |view| view.follows = true);
        if back {
            self.handle.undo();
        } else {
            self.handle.redo();
        }
        self.with(name, |view| {
            view.follows = false;
            view.untold.push(Told::Done(number));
        });
        self.announce();
    }

    pub(crate) fn select(&self, name: &str, seen: u32, selection: (u32, u32)) {
        // A view that is out of step is told so with its next change.
        if let Some(Ok((anchor, head))) = self.with(name, |view| view.text.place(seen, selection)) {
            self.handle.select(Utf16Offset(anchor), Utf16Offset(head));
        }
    }

    pub(crate) fn hidden(&self, name: &str, hidden: bool) {
        self.with(name, |view| view.hidden = hidden);
        self.tell_whether_hidden();
    }

    /// Several views of one account are one person, who is here while one of them is seen.
    fn tell_whether_hidden(&self) {
        let hidden = self.views.borrow().iter().all(|view| view.hidden);
        self.handle.hidden(hidden);
        if hidden {
            self.keep_last_seen();
        }
    }

    // --- the timeline ---

    /// The view looks at the timeline as it is now.
    pub(crate) fn timeline(&self, name: &str) -> Option<Timeline> {
        let looking = Looking::at(self.handle.history());
        let timeline = looking.timeline(&self.handle.audit(), &self.handle.people());
        self.with(name, |view| view.looking = Some(looking))?;
        Some(timeline)
    }

    /// The text after a turn of the timeline that the view looks at.
    pub(crate) fn moment(&self, name: &str, turn: usize) -> Option<Moment> {
        self.with(name, |view| view.looking.as_ref()?.moment(turn))?
    }

    /// Makes the text what it was after a turn, for the view's person; whether anything had to be done for it.
    pub(crate) fn restore(self: &Rc<Self>, name: &str, turn: usize) -> Result<bool, RestoreError> {
        if !self.handle.role().can_write() {
            return Err(RestoreError::MayNotWrite);
        }
        let now = self.handle.text();
        let way_back = self.with(name, |view| view.looking.as_ref()?.way_back(turn, &now)).flatten();
        let splices = way_back.ok_or(RestoreError::NotLooking)?;
        if splices.is_empty() {
            return Ok(false);
        }
        self.show(&splices, None);
        self.handle.restore(splices);
        self.announce();
        Ok(true)
    }

    /// The view looks at no timeline any more.
    pub(crate) fn close_timeline(&self, name: &str) {
        self.with(name, |view| view.looking = None);
    }

    // --- what views are told ---

    /// The document did not take what a view wrote.
    fn not_taken(&self, written: &str) {
        for view in self.views.borrow_mut().iter_mut().filter(|view| view.writes) {
            view.untold.push(Told::NotTaken(written.to_owned()));
        }
    }

    /// The text changed, by the view `by` or by nobody here.
    fn show(self: &Rc<Self>, splices: &[text::Splice], by: Option<&str>) {
        self.changes.set(self.changes.get() + 1);
        for view in self.views.borrow_mut().iter_mut().filter(|view| by != Some(view.name.as_str())) {
            let told = view.text.show(splices);
            view.tell_text(told);
        }
        self.watch();
    }

    /// Tells every view what is new; once for all that happens in this turn.
    pub(crate) fn announce(self: &Rc<Self>) {
        if self.announced.replace(true) {
            return;
        }
        let document = Rc::downgrade(self);
        platform::spawn(async move {
            if let Some(document) = document.upgrade() {
                document.announced.set(false);
                document.announce_now();
            }
        });
    }

    /// The same at once.
    pub(crate) fn announce_now(self: &Rc<Self>) {
        let (_, durable) = self.handle.edits();
        let now = self.news();
        let mut is_seen_otherwise = false;
        for view in self.views.borrow_mut().iter_mut() {
            if let Some((number, _)) = view.waits.take_if(|(_, made)| *made <= durable) {
                view.untold.push(Told::Done(number));
                let told = view.text.release();
                view.tell_text(told);
            }
            let mut news = now.clone();
            if view.text.is_even().is_none() {
                // Where others are counts in a text that this view does not know yet.
                news.people.clone_from(&view.news.people);
                news.carets.clone_from(&view.news.carets);
            }
            if let Some(new) = news.since(&view.news) {
                is_seen_otherwise |= news.is_seen_otherwise_than(&view.news);
                view.news = news;
                view.untold.push(Told::News(new));
            }
            view.tell_now(&self.tell);
        }
        if is_seen_otherwise {
            self.watch();
        }
    }

    pub(crate) fn news(&self) -> News {
        let (status, people) = (self.handle.status(), self.handle.people());
        News {
            title: self.handle.title(),
            link: self.handle.link().fragment(),
            status: Some(Status::from(&status)),
            editors: Some(status.editors.iter().map(Editor::from).collect()),
            carets: Some(carets(&people)),
            people: Some(people.into_iter().map(Person::from).collect()),
            can_undo: self.handle.can_undo(),
            can_redo: self.handle.can_redo(),
        }
    }

    /// Once the text is at rest, has every view compare its own, and keeps it as it is seen.
    fn watch(self: &Rc<Self>) {
        if self.watching.replace(true) {
            return;
        }
        let document = Rc::downgrade(self);
        platform::spawn(async move {
            let changes = |document: &Weak<Self>| document.upgrade().map(|document| document.changes.get());
            let mut before = changes(&document);
            loop {
                platform::sleep(REST).await;
                let now = changes(&document);
                if now == before {
                    break;
                }
                before = now;
            }
            if let Some(document) = document.upgrade() {
                document.watching.set(false);
                document.check();
            }
        });
    }

    fn check(&self) {
        self.keep_last_seen();
        let text = self.handle.text();
        let (length, sum) = (utf16_len(&text), sum(&text));
        for view in self.views.borrow_mut().iter_mut() {
            if let Some(number) = view.text.is_even() {
                view.untold.push(Told::Check { number, length, sum });
                view.tell_now(&self.tell);
            }
        }
    }

    /// A document that is opened for a moment only is worth being kept as it is seen, too.
    fn keep_once_drawn(self: &Rc<Self>) {
        if self.kept.borrow().is_some() {
            return;
        }
        let document = Rc::downgrade(self);
        platform::spawn(async move {
            platform::sleep(DRAWN).await;
            if let Some(document) = document.upgrade() {
                document.keep_last_seen();
            }
        });
    }

    /// This is what is kept of it.
    pub(crate) fn is_kept_as(&self, seen: &LastSeen) {
        if self.kept.borrow().is_none() && self.handle.text() == seen.text {
            self.kept.replace(Some((self.changes.get(), seen.title.clone(), Some(seen.role))));
        }
    }

    /// Keeps the text as it is seen now, for whoever opens the document next; nothing where there is none to see.
    fn keep_last_seen(&self) {
        let is_here = self.handle.status().document == Presence::Here;
        let role = is_here.then(|| self.handle.role().into());
        let now = (self.changes.get(), self.handle.title(), role);
        if self.kept.borrow().as_ref() == Some(&now) {
            return;
        }
        let seen = role.map(|role| LastSeen { title: now.1.clone(), role, text: self.handle.text() });
        self.kept.replace(Some(now));
        self.handle.note(last_seen::NOTE, seen.and_then(|seen| seen.to_note()));
    }

    fn is_out_of_step(&self, name: &str) {
        (self.tell)(name, vec![Told::OutOfStep]);
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut View) -> T) -> Option<T> {
        self.views.borrow_mut().iter_mut().find(|view| view.name == name).map(act)
    }
}

impl View {
    fn tell_text(&mut self, told: Result<Option<crate::view_text::Told>, OutOfStep>) {
        match told {
            Ok(None) => {}
            Ok(Some(crate::view_text::Told { number, splices })) => {
                let splices = splices.into_iter().map(Splice::from).collect();
                self.untold.push(Told::Text { number, splices, own: self.follows });
            }
            Err(_) => self.untold.push(Told::OutOfStep),
        }
    }

    fn tell_now(&mut self, tell: &Tell) {
        if !self.untold.is_empty() {
            tell(&self.name, std::mem::take(&mut self.untold));
        }
    }
}
