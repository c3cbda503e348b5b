//! One open document, as its view or a command line holds it.

use std::{cell::RefCell, rc::Rc};

use sheaf_core::{
    archive::ArchiveError,
    document_link::DocumentLink,
    document_uri::DocumentUri,
    history::History,
    replica::{Audit, Event, Mark, Person, Role, Status, ToArchive},
    text::{Splice, Utf16Offset, apply_splices},
};
use sheaf_repo::did::Did;

use crate::{
    driver::{Change, Open},
    notes, platform,
};

/// An open document. Clones are the same document; it closes when the last one is dropped, or on [`close`](Self::close).
///
/// Everything but [`until`](Self::until) and `close` is synchronous: an edit changes the text at once, is made durable and
/// published by the driver, and what became of it shows in [`status`](Self::status).
#[derive(Clone)]
pub struct DocumentHandle(Rc<Holder>);

/// Closes the document when nobody holds it any more.
struct Holder(Rc<Open>);

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl std::fmt::Debug for DocumentHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DocumentHandle").field(self.uri()).finish()
    }
}

/// Stops calling back when dropped.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription {
    open: std::rc::Weak<Open>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(open) = self.open.upgrade() {
            open.unsubscribe(self.id);
        }
    }
}

impl DocumentHandle {
    pub(crate) fn new(open: Rc<Open>) -> Self {
        Self(Rc::new(Holder(open)))
    }

    fn open(&self) -> &Open {
        &self.0.0
    }

    /// Which document it is.
    pub fn uri(&self) -> &DocumentUri {
        &self.open().uri
    }

    /// The link to pass on: besides the owner it names editors in whose repos a newcomer finds the document should the
    /// owner's server be gone.
    pub fn link(&self) -> DocumentLink {
        self.open().replica.borrow().link()
    }

    // --- what the person does ---

    /// Changes the text; offsets are into [`text`](Self::text) as it is now. Splices that do not fit are refused as a whole
    /// and change nothing.
    pub fn edit(&self, splices: Vec<Splice>) {
        self.open().happen(Event::Edit(splices));
    }

    /// Goes back to an earlier text by an [`edit`](Self::edit) that is undone by itself.
    pub fn restore(&self, splices: Vec<Splice>) {
        self.open().happen(Event::Restore(splices));
    }

    /// [`edit`](Self::edit), and with it, in the same write to the device's store, a note that [`Client::note`] gives back:
    /// so whoever mirrors the document somewhere knows after a crash which of their changes are in it. `false` when the edit
    /// was not taken; then nothing is noted either.
    ///
    /// [`Client::note`]: crate::Client::note
    #[must_use = "an edit that was not taken is still to be made"]
    pub fn edit_noting(&self, splices: Vec<Splice>, name: &str, note: Vec<u8>) -> bool {
        let mut expected = self.text();
        if apply_splices(&mut expected, &splices).is_err() {
            return false;
        }
        // Both are with the loop before it has its turn, which writes everything it is given in a turn at once.
        self.edit(splices);
        let is_taken = self.text() == expected;
        if is_taken {
            self.note(name, Some(note));
        }
        is_taken
    }

    /// Keeps a note beside the document, or with `None` throws it away, with whatever goes to the device's store next:
    /// [`Client::note`] gives it back. Nobody is told when that fails.
    ///
    /// [`Client::note`]: crate::Client::note
    pub fn note(&self, name: &str, note: Option<Vec<u8>>) {
        self.open().keep(vec![notes::op(self.uri(), name, note)]);
    }

    /// [`edit`](Self::edit) by a view that may offer the same change again: see [`Mark`].
    pub fn edit_once(&self, splices: Vec<Splice>, mark: Mark) {
        self.open().happen(Event::EditOnce { splices, mark });
    }

    /// Takes back the person's own last change; shown through [`Change::Show`] before this returns.
    pub fn undo(&self) {
        self.open().happen(Event::Undo);
    }

    /// Brings back what was last undone; shown through [`Change::Show`] before this returns.
    pub fn redo(&self) {
        self.open().happen(Event::Redo);
    }

    /// The person's caret or selection moved.
    pub fn select(&self, anchor: Utf16Offset, head: Utf16Offset) {
        self.open().happen(Event::Select { anchor, head });
    }

    /// The page was hidden (`true`) or shown again.
    pub fn hidden(&self, hidden: bool) {
        self.open().happen(Event::Hidden(hidden));
    }

    /// The owner renames the document.
    pub fn set_title(&self, title: &str) {
        self.open().happen(Event::SetTitle(title.to_owned()));
    }

    /// The owner lets this account write.
    pub fn add_editor(&self, did: Did) {
        self.open().happen(Event::AddEditor(did));
    }

    /// The owner stops accepting what this account writes from now on.
    pub fn remove_editor(&self, did: Did) {
        self.open().happen(Event::RemoveEditor(did));
    }

    /// Publishes what waits, without waiting for the flush window.
    pub fn flush(&self) {
        self.open().happen(Event::FlushNow);
    }

    // --- what is true now ---

    /// The text.
    pub fn text(&self) -> String {
        self.open().replica.borrow().text()
    }

    /// The document as one Yjs update (v1), in a text named `text`: for other programs to go on with.
    pub fn to_yjs(&self) -> Vec<u8> {
        self.open().replica.borrow().to_yjs()
    }

    /// What was written, by whom and when, and the text as it was at any moment.
    pub fn history(&self) -> History {
        self.open().replica.borrow().history()
    }

    /// All that is known of what proves the document, for whoever wants to look closely.
    pub fn audit(&self) -> Audit {
        self.open().replica.borrow().audit()
    }

    /// The document with all that proves it, to be kept as a file.
    ///
    /// # Errors
    /// [`ArchiveError::OwnerUnproved`] as long as the owner's repo has never been verified here.
    pub fn to_archive(&self) -> Result<ToArchive, ArchiveError> {
        self.open().replica.borrow().to_archive(platform::now())
    }

    /// What the document is called; empty while unknown.
    pub fn title(&self) -> String {
        self.open().replica.borrow().title()
    }

    /// Everything a status line and its details need.
    pub fn status(&self) -> Status {
        self.open().replica.borrow().status(platform::now())
    }

    /// Who is here now.
    pub fn people(&self) -> Vec<Person> {
        self.open().replica.borrow().people()
    }

    /// What the signed-in account may do.
    pub fn role(&self) -> Role {
        self.open().replica.borrow().role()
    }

    /// Who may write, the owner first.
    pub fn editors(&self) -> Vec<Did> {
        self.open().replica.borrow().editors()
    }

    /// How many own edits were made since the document was opened, and how many of them are durable: always the first ones.
    pub fn edits(&self) -> (u64, u64) {
        self.open().replica.borrow().edits()
    }

    /// Whether everything is durable on this device.
    pub fn is_stored(&self) -> bool {
        self.open().replica.borrow().is_stored()
    }

    /// The last change of this view that is in the text, by its number.
    pub fn mark_of(&self, view: &str) -> Option<u32> {
        self.open().replica.borrow().mark_of(view)
    }

    /// Whether there is an own edit to take back.
    pub fn can_undo(&self) -> bool {
        self.open().replica.borrow().can_undo()
    }

    /// Whether there is an undone edit to bring back.
    pub fn can_redo(&self) -> bool {
        self.open().replica.borrow().can_redo()
    }

    // --- watching it ---

    /// Calls back on every change until the subscription is dropped.
    ///
    /// The call comes in the turn that changed the replica, with nothing borrowed: the getters may be called inside, and a
    /// view that passes on each of its own changes at once is never behind. A callback should not keep a handle of the
    /// document, or it never closes by being dropped.
    pub fn on_change(&self, callback: impl FnMut(Change) + 'static) -> Subscription {
        let id = self.open().subscribe(Rc::new(RefCell::new(callback)));
        Subscription { open: Rc::downgrade(&self.0.0), id }
    }

    /// Waits until `condition` holds, looking again after every change. It has no time limit of its own; put it into
    /// [`platform::within`] where one is wanted. Ends, too, when the document is closed.
    pub async fn until(&self, mut condition: impl FnMut(&Self) -> bool) {
        loop {
            let version = self.open().changed.version();
            if self.open().closed.get() || condition(self) {
                return;
            }
            self.open().changed.changed(version).await;
        }
    }

    /// Closes the document: waits until everything is durable on this device, however often the store has to be asked
    /// within some 20 seconds, and a few seconds for writes under way. What is not published by then goes out the next time
    /// the document is opened.
    ///
    /// Returns how things stood at the end: `unsaved` edits are lost, and `store_trouble` says why.
    pub async fn close(self) -> Status {
        let open = self.0.0.clone();
        open.close();
        drop(self);
        loop {
            let version = open.changed.version();
            if open.closed.get() {
                return open.replica.borrow().status(platform::now());
            }
            open.changed.changed(version).await;
        }
    }
}
