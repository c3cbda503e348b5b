//! One account's voice on this device: the client, the documents that are open, and the views of all tabs.
//!
//! Every tab shows documents; one of them runs this, for all of them. A view is named by its tab: no two have one name, and
//! it keeps its name from engine to engine. What a view is told comes through [`Tell`], in order; see
//! [`crate::view_text`] for how its text and the engine's stay one.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use futures_util::lock::Mutex;
use sheaf_client::{Client, OpenError};
use sheaf_core::{document_link::DocumentLink, document_uri::DocumentUri, text::SpliceError};
use sheaf_repo::did::Did;

use crate::{
    details::Details,
    last_seen::{self, LastSeen},
    open_document::{OpenDocument, Tell},
    shown::{Attached, Editor, GoingOn, Splice, Told},
    timeline::{Moment, RestoreError, Timeline},
};

/// The engine: what there is one of for an account, however many tabs it has.
pub struct Engine {
    client: Client,
    tell: Tell,
    documents: RefCell<BTreeMap<DocumentUri, Rc<OpenDocument>>>,
    views: RefCell<BTreeMap<String, Rc<OpenDocument>>>,
    /// The document just made, kept open until a view comes.
    fresh: RefCell<Option<DocumentUri>>,
    /// Two views that come at once must not open one document twice.
    opening: Mutex<()>,
}

/// Why a view could not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The document cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What it says it has makes no sense.
    #[error("this tab and the engine do not understand each other ({0}); reload it")]
    Nonsense(#[from] SpliceError),
}

impl Engine {
    /// An engine for this client, that tells views what is new through `tell`.
    pub fn new(client: Client, tell: Tell) -> Self {
        Self {
            client,
            tell,
            documents: RefCell::default(),
            views: RefCell::default(),
            fresh: RefCell::default(),
            opening: Mutex::new(()),
        }
    }

    /// The client below.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes a document, durable when this returns, and gives the fragment that leads to it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn create(&self, title: &str) -> Result<String, OpenError> {
        let handle = self.client.create(title).await?;
        let link = handle.link().fragment();
        handle.until(|handle| handle.is_stored() || handle.status().store_trouble.is_some()).await;
        let uri = handle.uri().clone();
        self.documents.borrow_mut().insert(uri.clone(), OpenDocument::new(handle, Rc::clone(&self.tell)));
        let unused = self.fresh.replace(Some(uri));
        if let Some(unused) = unused {
            let unused = self.documents.borrow_mut().remove(&unused);
            if let Some(document) = unused.filter(|document| document.has_views()) {
                self.documents.borrow_mut().insert(document.handle.uri().clone(), document);
            }
        }
        Ok(link)
    }

    /// A view of a document begins, or goes on from what another engine told it.
    ///
    /// # Errors
    /// [`AttachError`].
    pub async fn attach(
        &self,
        view: String,
        link: &DocumentLink,
        hidden: bool,
        going_on: Option<GoingOn>,
    ) -> Result<Attached, AttachError> {
        let seen = match going_on {
            Some(_) => None,
            None => self.show_last_seen(&view, link).await,
        };
        let document = self.document(link).await?;
        if let Some(seen) = &seen {
            document.is_kept_as(seen);
        }
        let going_on = going_on.or(seen.map(|seen| GoingOn { text: seen.text, on_its_way: None }));
        if going_on.as_ref().is_some_and(|going_on| going_on.on_its_way.is_some()) {
            // What is said to have arrived must not get lost any more.
            document.durable().await;
        }
        self.views.borrow_mut().insert(view.clone(), Rc::clone(&document));
        Ok(document.attach(view, hidden, going_on)?)
    }

    /// While the engine reads and weaves what the device has of a document, the view shows the text as it was last seen, and goes on
    /// from there.
    async fn show_last_seen(&self, view: &str, link: &DocumentLink) -> Option<LastSeen> {
        if self.documents.borrow().contains_key(&link.document) {
            return None;
        }
        // Without it the view waits for the text.
        let note = self.client.note(&link.document, last_seen::NOTE).await.ok()??;
        let seen = LastSeen::of_note(&note)?;
        let news = seen.news(link, self.client.is_online());
        (self.tell)(view, vec![Told::LastSeen { text: seen.text.clone(), news }]);
        Some(seen)
    }

    async fn document(&self, link: &DocumentLink) -> Result<Rc<OpenDocument>, OpenError> {
        let _alone = self.opening.lock().await;
        self.fresh.borrow_mut().take_if(|fresh| *fresh == link.document);
        if let Some(open) = self.documents.borrow().get(&link.document) {
            return Ok(Rc::clone(open));
        }
        let document = OpenDocument::new(self.client.open_link(link).await?, Rc::clone(&self.tell));
        self.documents.borrow_mut().insert(link.document.clone(), Rc::clone(&document));
        Ok(document)
    }

    /// A view is closed; returns once everything in its document is safe on this device.
    pub async fn detach(&self, view: &str) {
        let document = self.views.borrow_mut().remove(view);
        let Some(document) = document else { return };
        if document.detach(view) {
            document.durable().await;
            return;
        }
        self.documents.borrow_mut().retain(|_, open| !Rc::ptr_eq(open, &document));
        document.handle.clone().close().await;
    }

    /// A tab is gone, with all of its views: those whose name begins like this.
    pub async fn detach_all(&self, prefix: &str) {
        let gone: Vec<String> =
            self.views.borrow().keys().filter(|view| view.starts_with(prefix)).cloned().collect();
        for view in gone {
            self.detach(&view).await;
        }
    }

    /// A view changed the text: its change of this number, made when it had seen so many of ours; its selection after that.
    pub fn change(
        &self,
        view: &str,
        number: u32,
        seen: u32,
        splices: Vec<Splice>,
        selection: Option<(u32, u32)>,
    ) {
        match self.view(view) {
            Some(document) => document.change(view, number, seen, splices, selection),
            None => (self.tell)(view, vec![Told::OutOfStep]),
        }
    }

    /// A view wants its person's last change taken back ; or, unless `back`, what was taken back brought back.
    pub fn step(&self, view: &str, number: u32, back: bool) {
        match self.view(view) {
            Some(document) => document.step(view, number, back),
            None => (self.tell)(view, vec![Told::OutOfStep]),
        }
    }

    /// A view's selection, while none of its changes is on its way and it had seen so many of ours.
    pub fn select(&self, view: &str, seen: u32, anchor: u32, head: u32) {
        if let Some(document) = self.view(view) {
            document.select(view, seen, (anchor, head));
        }
    }

    /// A view was hidden, or is seen again.
    pub fn hidden(&self, view: &str, hidden: bool) {
        if let Some(document) = self.view(view) {
            document.hidden(view, hidden);
        }
    }

    /// The owner renames the document; returns once that is safe on this device.
    pub async fn set_title(&self, view: &str, title: &str) {
        let Some(document) = self.view(view) else { return };
        document.handle.set_title(title);
        document.announce();
        document.handle.until(|handle| handle.is_stored() || handle.status().store_trouble.is_some()).await;
    }

    /// Lets an account write; who may then, for a document has room for so many.
    pub fn add_editor(&self, view: &str, did: Did) -> Vec<Editor> {
        self.with_editors(view, |document| document.handle.add_editor(did))
    }

    /// Stops taking in what an account writes; who may write then.
    pub fn remove_editor(&self, view: &str, did: Did) -> Vec<Editor> {
        self.with_editors(view, |document| document.handle.remove_editor(did))
    }

    fn with_editors(&self, view: &str, act: impl FnOnce(&OpenDocument)) -> Vec<Editor> {
        let Some(document) = self.view(view) else { return Vec::new() };
        act(&document);
        // Whether it is published is told before who may write.
        document.announce_now();
        document.handle.status().editors.iter().map(Editor::from).collect()
    }

    /// Tells a view what is new, if anything is.
    pub fn look(&self, view: &str) {
        if let Some(document) = self.view(view) {
            document.announce();
        }
    }

    /// The timeline as it is now, for a view to look at.
    pub fn timeline(&self, view: &str) -> Option<Timeline> {
        self.view(view)?.timeline(view)
    }

    /// The text after one of its turns, if the view looks at a timeline that has it.
    pub fn moment(&self, view: &str, turn: usize) -> Option<Moment> {
        self.view(view)?.moment(view, turn)
    }

    /// Makes the text what it was after that turn, by an edit of the view's person. Whether that changed anything.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(&self, view: &str, turn: usize) -> Result<bool, RestoreError> {
        self.view(view).ok_or(RestoreError::NotLooking)?.restore(view, turn)
    }

    /// The view looks at no timeline any more.
    pub fn close_timeline(&self, view: &str) {
        if let Some(document) = self.view(view) {
            document.close_timeline(view);
        }
    }

    /// What is behind a view's status line.
    pub fn details(&self, view: &str) -> Option<Details> {
        self.view(view).map(|document| Details::from(&document.handle.status()))
    }

    fn view(&self, view: &str) -> Option<Rc<OpenDocument>> {
        self.views.borrow().get(view).cloned()
    }
}
