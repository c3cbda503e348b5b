use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use sheaf_client::{Change, DocumentHandle, Subscription};
use sheaf_core::text::{self, Utf16Offset};
use tsify::Ts;
use wasm_bindgen::prelude::*;

use crate::{
    sentence::refusal,
    shown::{Editors, People, Splice, Splices, Status, show},
};

/// One open document.
#[wasm_bindgen]
pub struct DocumentSession {
    document: DocumentHandle,
    news: Rc<News>,
    _subscription: Subscription,
}

/// What gathered since the page last asked.
#[derive(Default)]
struct News {
    splices: RefCell<Vec<text::Splice>>,
    callback: RefCell<Option<js_sys::Function>>,
    /// Whether a microtask is on its way to tell the page.
    announced: Cell<bool>,
}

impl News {
    fn announce(self: &Rc<Self>) {
        if self.announced.replace(true) {
            return;
        }
        let news = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            news.announced.set(false);
            let callback = news.callback.borrow().clone();
            if let Some(callback) = callback {
                // The page's own failure is the page's: it is on its console already.
                let _ = callback.call0(&JsValue::NULL);
            }
        });
    }
}

impl DocumentSession {
    pub(crate) fn new(document: DocumentHandle) -> Self {
        let news = Rc::new(News::default());
        let heard = Rc::clone(&news);
        let subscription = document.on_change(move |change| {
            if let Change::Show(splices) = change {
                heard.splices.borrow_mut().extend(splices);
            }
            heard.announce();
        });
        Self { document, news, _subscription: subscription }
    }
}

#[wasm_bindgen]
impl DocumentSession {
    /// The fragment that leads here, to pass on.
    pub fn link(&self) -> String {
        self.document.link().fragment()
    }

    /// The whole text as it is now. It includes everything not yet taken by [`Self::take_changes`], which is forgotten
    /// here: whoever takes the whole text starts from it.
    pub fn text(&self) -> String {
        self.news.splices.borrow_mut().clear();
        self.document.text()
    }

    /// Calls `callback` when there is something new: text to take, or a title, people or status to read again. It is
    /// called in a microtask, once for however much there is.
    #[wasm_bindgen(js_name = onChange)]
    pub fn on_change(&self, #[wasm_bindgen(unchecked_param_type = "() => void")] callback: js_sys::Function) {
        self.news.callback.replace(Some(callback));
    }

    /// What changed in the text by others, or by undo and redo, since the last call.
    #[wasm_bindgen(js_name = takeChanges)]
    pub fn take_changes(&self) -> Ts<Splices> {
        show(&Splices(self.news.splices.take().into_iter().map(Splice::from).collect()))
    }

    /// The person changed the text. Offsets count in the text as it is now, with everything taken.
    ///
    /// # Errors
    /// The splices are none: the page broke its own contract.
    pub fn edit(&self, splices: Ts<Splices>) -> Result<(), JsError> {
        self.document.edit(splices.to_rust().map_err(refusal)?.0.into_iter().map(Into::into).collect());
        Ok(())
    }

    /// Takes back the person's own last change.
    pub fn undo(&self) {
        self.document.undo();
    }

    /// Brings back what was last taken back.
    pub fn redo(&self) {
        self.document.redo();
    }

    /// The person's caret, or selection, in UTF-16 code units.
    pub fn select(&self, anchor: u32, head: u32) {
        self.document.select(Utf16Offset(anchor), Utf16Offset(head));
    }

    /// The page was hidden, or is seen again.
    pub fn hidden(&self, hidden: bool) {
        self.document.hidden(hidden);
    }

    /// The title.
    pub fn title(&self) -> String {
        self.document.title()
    }

    /// The owner renames the document.
    #[wasm_bindgen(js_name = setTitle)]
    pub fn set_title(&self, title: &str) {
        self.document.set_title(title);
    }

    /// Lets an account write. Whether it may is told by [`Self::editors`] right after: a document has room for so many.
    ///
    /// # Errors
    /// The DID is malformed.
    #[wasm_bindgen(js_name = addEditor)]
    pub fn add_editor(&self, did: &str) -> Result<(), JsError> {
        self.document.add_editor(did.parse().map_err(refusal)?);
        Ok(())
    }

    /// What this account writes from now on is no longer taken in.
    ///
    /// # Errors
    /// The DID is malformed.
    #[wasm_bindgen(js_name = removeEditor)]
    pub fn remove_editor(&self, did: &str) -> Result<(), JsError> {
        self.document.remove_editor(did.parse().map_err(refusal)?);
        Ok(())
    }

    /// Who may write.
    pub fn editors(&self) -> Ts<Editors> {
        show(&Editors::of(&self.document.status()))
    }

    /// Who is here.
    pub fn people(&self) -> Ts<People> {
        show(&People(self.document.people().into_iter().map(Into::into).collect()))
    }

    /// What is true of the document right now.
    pub fn status(&self) -> Ts<Status> {
        show(&Status::from(&self.document.status()))
    }

    /// Leaves the document; resolves once everything is safe on this device.
    pub async fn close(self) {
        self.news.callback.take();
        self.document.close().await;
    }
}
