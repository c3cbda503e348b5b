use std::{cell::RefCell, rc::Rc};

use sheaf_client::{
    Client, Parts,
    config::NetworkConfig,
    session,
    slots::WebLocks,
    store::{IndexedDb, StoreError},
};
use sheaf_core::document_link::DocumentLink;
use sheaf_repo::did::Did;
use tsify::Ts;
use wasm_bindgen::prelude::*;

use crate::{
    details::Details,
    engine::Engine,
    live::{self, LiveSettings, Transport},
    open_document::Tell,
    sentence::{self, refusal},
    shown::{Account, Attached, Editors, GoingOn, Library, SignInSettings, SignedIn, Splices, show},
    timeline::{Moment, RestoreError, Timeline},
};

const NOT_OPEN: &str = "this document is not open";

/// The engine of an account, or of nobody's.
#[wasm_bindgen]
pub struct Sheaf {
    config: NetworkConfig,
    engine: Engine,
    fetch: js_sys::Function,
    /// The secret of this device's endpoint on the live channel, where there is to be one.
    endpoint: Option<[u8; 32]>,
}

#[wasm_bindgen]
impl Sheaf {
    /// Starts the engine. `config` is the text of `config.json`, or nothing for the public network. What is kept on this
    /// device is kept under the name `store`, another for each account; from now on no engine that was started before
    /// writes to it.
    ///
    /// `fetch(url, init)` is `fetch` with the account's proof of session added; it rejects with an error named
    /// `SignInAgain` once the session is over. `tell(view, told)` tells a view what there is to tell it. `stopped` is called should the
    /// engine ever stop by a mistake of its own: whatever is asked of it after that has no effect.
    ///
    /// # Errors
    /// The configuration or the account cannot be used, or the browser refuses storage; as a sentence. An error named
    /// `StoreDamaged` says that what is kept there is, and will be the next time.
    pub async fn start(
        config: Option<String>,
        account: Option<Ts<SignedIn>>,
        store: String,
        #[wasm_bindgen(unchecked_param_type = "(url: string, init: RequestInit) => Promise<Response>")] fetch: js_sys::Function,
        #[wasm_bindgen(unchecked_param_type = "(view: string, told: Told[]) => void")] tell: js_sys::Function,
        #[wasm_bindgen(unchecked_param_type = "() => void")] stopped: js_sys::Function,
    ) -> Result<Sheaf, JsValue> {
        on_panic(stopped);
        let config = match config {
            Some(json) => NetworkConfig::from_json(&json).map_err(refusal)?,
            None => NetworkConfig::default(),
        };
        let account = match account {
            Some(account) => Some(session(&account.to_rust().map_err(refusal)?, &fetch)?),
            None => None,
        };
        let store = open(&store).await.map_err(|error| store_refusal(&error))?;
        let client = Client::new(Parts {
            config: config.clone(),
            store: Rc::new(store),
            locks: Rc::new(WebLocks::new()),
            account,
            name: None,
        });
        let endpoint = match config.relays.is_empty() {
            true => None,
            // Without it everything goes on through the repos.
            false => client.expect_live().await.ok(),
        };
        let tell: Tell = Rc::new(move |view, told| {
            // The page's own failure is the page's: it is on its console already.
            let told: js_sys::Array = told.iter().map(|told| JsValue::from(show(told))).collect();
            let _ = tell.call2(&JsValue::NULL, &JsValue::from_str(view), &told);
        });
        Ok(Sheaf { config, engine: Engine::new(client, tell), fetch, endpoint })
    }

    /// What the page's OAuth client needs to know.
    #[wasm_bindgen(js_name = signInSettings)]
    pub fn sign_in_settings(&self) -> Ts<SignInSettings> {
        show(&SignInSettings::of(&self.config))
    }

    /// The same account has signed in again: open documents go on publishing.
    ///
    /// # Errors
    /// It is another account, or malformed.
    #[wasm_bindgen(js_name = signedInAgain)]
    pub fn signed_in_again(&self, account: Ts<SignedIn>) -> Result<(), JsError> {
        let session = session(&account.to_rust().map_err(refusal)?, &self.fetch)?;
        let client = self.engine.client();
        if client.account().as_ref() != Some(session.did()) {
            return Err(refusal("another account has signed in"));
        }
        client.set_account(session);
        Ok(())
    }

    /// The browser says that the network came or went.
    pub fn online(&self, online: bool) {
        self.engine.client().online(online);
    }

    /// What a transport for the live channel is to be made with; nothing where there is to be none.
    #[wasm_bindgen(js_name = liveSettings)]
    pub fn live_settings(&self) -> Option<LiveSettings> {
        let secret = self.endpoint?.to_vec();
        Some(LiveSettings { secret, relays: self.config.relays.clone() })
    }

    /// There is one: what it tells is to be handed to [`live_happened`](Self::live_happened).
    #[wasm_bindgen(js_name = connectLive)]
    pub fn connect_live(&self, transport: Transport) {
        self.engine.client().connect_live(live::handed(transport));
    }

    /// What it tells.
    #[wasm_bindgen(js_name = liveHappened)]
    pub fn live_happened(&self, kind: &str, link: f64, text: String, bytes: Vec<u8>, dialled: bool) {
        if let Some(happening) = live::happening(kind, link, text, bytes, dialled) {
            self.engine.client().live_happened(happening);
        }
    }

    /// Looks an account up by handle or DID.
    ///
    /// # Errors
    /// A sentence: malformed, unknown, or out of reach.
    #[wasm_bindgen(js_name = findAccount)]
    pub async fn find_account(&self, handle: String) -> Result<Ts<Account>, JsError> {
        let account = self.engine.client().find_account(&handle).await.map_err(refusal)?;
        Ok(show(&Account {
            did: account.did.to_string(),
            handle: account.handle.map(|handle| handle.to_string()),
            pds: account.pds,
        }))
    }

    /// The documents this device knows, newest first; at once.
    ///
    /// # Errors
    /// The device's storage fails; as a sentence.
    pub async fn documents(&self) -> Result<Ts<Library>, JsError> {
        let documents = self.engine.client().documents().await.map_err(refusal)?;
        Ok(show(&Library(documents.into_iter().map(Into::into).collect())))
    }

    /// The same after asking the account's repo too.
    ///
    /// # Errors
    /// The account's server or the device's storage fails; as a sentence.
    #[wasm_bindgen(js_name = refreshDocuments)]
    pub async fn refresh_documents(&self) -> Result<Ts<Library>, JsError> {
        let documents = self.engine.client().refresh_documents().await.map_err(refusal)?;
        Ok(show(&Library(documents.into_iter().map(Into::into).collect())))
    }

    /// Makes a document of this account and returns the fragment that leads to it, once it is safe on this device. Needs
    /// no network.
    ///
    /// # Errors
    /// Nobody is signed in, or the device's storage fails; as a sentence.
    pub async fn create(&self, title: String) -> Result<String, JsError> {
        self.engine.create(&title).await.map_err(refusal)
    }

    /// A view of the document that a fragment leads to begins, with what this device has; the network follows. Or a view
    /// goes on that was another engine's.
    ///
    /// # Errors
    /// The fragment leads to no document, or the device's storage fails; as a sentence.
    pub async fn attach(
        &self,
        view: String,
        fragment: String,
        hidden: bool,
        going_on: Option<Ts<GoingOn>>,
    ) -> Result<Ts<Attached>, JsError> {
        let link: DocumentLink = fragment.parse().map_err(refusal)?;
        let going_on = going_on.map(|going_on| going_on.to_rust()).transpose().map_err(refusal)?;
        Ok(show(&self.engine.attach(view, &link, hidden, going_on).await.map_err(refusal)?))
    }

    /// A view is closed; resolves once everything in its document is safe on this device.
    pub async fn detach(&self, view: String) {
        self.engine.detach(&view).await;
    }

    /// A tab is gone with all of its views, whose names begin like this.
    #[wasm_bindgen(js_name = detachAll)]
    pub async fn detach_all(&self, prefix: String) {
        self.engine.detach_all(&prefix).await;
    }

    /// The person changed the text: the view's change of this number, made when it had seen so many splices of ours. Each
    /// splice begins where the one before it ended, or later. `anchor` and `head` are the selection after it.
    ///
    /// # Errors
    /// The splices are none.
    pub fn change(
        &self,
        view: &str,
        number: u32,
        seen: u32,
        splices: Ts<Splices>,
        anchor: u32,
        head: u32,
    ) -> Result<(), JsError> {
        let splices = splices.to_rust().map_err(refusal)?.0;
        self.engine.change(view, number, seen, splices, Some((anchor, head)));
        Ok(())
    }

    /// Takes back the person's own last change.
    pub fn undo(&self, view: &str, number: u32) {
        self.engine.step(view, number, true);
    }

    /// Brings back what was last taken back.
    pub fn redo(&self, view: &str, number: u32) {
        self.engine.step(view, number, false);
    }

    /// The person's caret, or selection, in UTF-16 code units, while no change of the view is on its way.
    pub fn select(&self, view: &str, seen: u32, anchor: u32, head: u32) {
        self.engine.select(view, seen, anchor, head);
    }

    /// The view was hidden, or is seen again.
    pub fn hidden(&self, view: &str, hidden: bool) {
        self.engine.hidden(view, hidden);
    }

    /// The owner renames the document; resolves once that is safe on this device.
    #[wasm_bindgen(js_name = setTitle)]
    pub async fn set_title(&self, view: String, title: String) {
        self.engine.set_title(&view, &title).await;
    }

    /// Lets an account write. Whether it may is told by who does then: a document has room for so many.
    ///
    /// # Errors
    /// The DID is malformed.
    #[wasm_bindgen(js_name = addEditor)]
    pub fn add_editor(&self, view: &str, did: &str) -> Result<Ts<Editors>, JsError> {
        Ok(show(&Editors(self.engine.add_editor(view, did.parse().map_err(refusal)?))))
    }

    /// What this account writes from now on is no longer taken in. Returns who may write then.
    ///
    /// # Errors
    /// The DID is malformed.
    #[wasm_bindgen(js_name = removeEditor)]
    pub fn remove_editor(&self, view: &str, did: &str) -> Result<Ts<Editors>, JsError> {
        Ok(show(&Editors(self.engine.remove_editor(view, did.parse().map_err(refusal)?))))
    }

    /// The document's timeline as it is now, for the view to look at until it closes it.
    ///
    /// # Errors
    /// There is no such view; as a sentence.
    pub fn timeline(&self, view: &str) -> Result<Ts<Timeline>, JsError> {
        self.engine.timeline(view).map(|timeline| show(&timeline)).ok_or_else(|| refusal(NOT_OPEN))
    }

    /// The text after a turn of that timeline, beside the text before it.
    ///
    /// # Errors
    /// The view looks at no timeline with such a turn; as a sentence.
    pub fn moment(&self, view: &str, turn: usize) -> Result<Ts<Moment>, JsError> {
        self.engine
            .moment(view, turn)
            .map(|moment| show(&moment))
            .ok_or_else(|| refusal(RestoreError::NotLooking))
    }

    /// Makes the text what it was after that turn, by an edit like any other. Whether anything changed: nothing does where the
    /// text is that already.
    ///
    /// # Errors
    /// The view looks at no timeline with such a turn, or its person may not write; as a sentence.
    pub fn restore(&self, view: &str, turn: usize) -> Result<bool, JsError> {
        self.engine.restore(view, turn).map_err(refusal)
    }

    /// The view has done with the timeline.
    #[wasm_bindgen(js_name = closeTimeline)]
    pub fn close_timeline(&self, view: &str) {
        self.engine.close_timeline(view);
    }

    /// What is behind the view's status line.
    ///
    /// # Errors
    /// There is no such view; as a sentence.
    pub fn details(&self, view: &str) -> Result<Ts<Details>, JsError> {
        self.engine.details(view).map(|details| show(&details)).ok_or_else(|| refusal(NOT_OPEN))
    }

    /// Tells the view what is new, if anything is.
    pub fn look(&self, view: &str) {
        self.engine.look(view);
    }
}

async fn open(name: &str) -> Result<IndexedDb, StoreError> {
    IndexedDb::open(name).await?.claim().await
}

/// The page has other ways out where trying again will not help.
fn store_refusal(error: &StoreError) -> JsValue {
    let said = js_sys::Error::new(&sentence::of(&error.to_string()));
    if matches!(error, StoreError::Corrupted(_) | StoreError::TooNew | StoreError::Failed(_)) {
        said.set_name("StoreDamaged");
    }
    said.into()
}

fn session(account: &SignedIn, fetch: &js_sys::Function) -> Result<Rc<dyn session::Authed>, JsError> {
    let did: Did = account.did.parse().map_err(refusal)?;
    let session = session::Browser::new(did, account.handle.clone(), &account.pds, fetch.clone());
    Ok(Rc::new(session.map_err(refusal)?))
}

/// A panic leaves the engine as it was in the middle of a thought, and WebAssembly cannot unwind: it has ended.
fn on_panic(stopped: js_sys::Function) {
    // The hook must be `Send`, which a function of the page's is not; there is one thread.
    thread_local!(static STOPPED: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) });
    STOPPED.with(|kept| kept.replace(Some(stopped)));
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let stopped = STOPPED.try_with(|kept| kept.try_borrow().ok().and_then(|kept| kept.clone()));
        if let Ok(Some(stopped)) = stopped {
            // There is nobody left to tell should this fail too.
            let _ = stopped.call0(&JsValue::NULL);
        }
    }));
}
