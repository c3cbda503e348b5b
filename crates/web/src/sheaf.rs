use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use sheaf_client::{
    Client, DocumentHandle, Parts, config::NetworkConfig, session, slots::WebLocks, store::IndexedDb,
};
use sheaf_core::document_link::DocumentLink;
use sheaf_repo::did::Did;
use tsify::Ts;
use wasm_bindgen::prelude::*;

use crate::{
    document_session::DocumentSession,
    sentence::refusal,
    shown::{Account, Library, SignInSettings, show},
};

/// The engine: one for the page.
#[wasm_bindgen]
pub struct Sheaf {
    config: NetworkConfig,
    client: RefCell<Client>,
    /// What the browser last said of the network, for clients to come.
    online: Cell<bool>,
    /// The document just made, handed over when the page opens it, so that it is not closed and opened in between.
    fresh: RefCell<Option<DocumentHandle>>,
}

#[wasm_bindgen]
impl Sheaf {
    /// Starts the engine without an account. `config` is the text of `config.json`, or nothing for the public network.
    /// `stopped` is called should the engine ever stop by a mistake of its own: whatever is asked of it after that has no
    /// effect.
    ///
    /// # Errors
    /// The configuration cannot be used, or the browser refuses storage; as a sentence.
    pub async fn start(
        config: Option<String>,
        #[wasm_bindgen(unchecked_param_type = "() => void")] stopped: js_sys::Function,
    ) -> Result<Sheaf, JsError> {
        on_panic(stopped);
        let config = match config {
            Some(json) => NetworkConfig::from_json(&json).map_err(refusal)?,
            None => NetworkConfig::default(),
        };
        let client = client(&config, None).await?;
        Ok(Sheaf { config, client: RefCell::new(client), online: Cell::new(true), fresh: RefCell::new(None) })
    }

    /// What the page's OAuth client needs to know.
    #[wasm_bindgen(js_name = signInSettings)]
    pub fn sign_in_settings(&self) -> Ts<SignInSettings> {
        show(&SignInSettings::of(&self.config))
    }

    /// Goes on as this account. `fetch(url, init)` is `fetch` with the account's proof of session added; it rejects with
    /// an error named `SignInAgain` once the session is over. What is kept for this account on this device is kept apart
    /// from every other's.
    ///
    /// # Errors
    /// The DID or address is malformed, or the browser refuses storage; as a sentence.
    #[wasm_bindgen(js_name = signedIn)]
    pub async fn signed_in(
        &self,
        did: &str,
        handle: Option<String>,
        pds: &str,
        #[wasm_bindgen(unchecked_param_type = "(url: string, init: RequestInit) => Promise<Response>")] fetch: js_sys::Function,
    ) -> Result<(), JsError> {
        let did: Did = did.parse().map_err(refusal)?;
        let session: Rc<dyn session::Authed> =
            Rc::new(session::Browser::new(did.clone(), handle, pds, fetch).map_err(refusal)?);
        let same = self.client.borrow().account() == Some(did.clone());
        if same {
            self.client.borrow().set_account(session);
        } else {
            let client = client(&self.config, Some((did, session))).await?;
            self.go_on_with(client);
        }
        Ok(())
    }

    /// Goes on without an account. What is on this device stays, unpublished changes too, for the next time.
    ///
    /// # Errors
    /// The browser refuses storage; as a sentence.
    #[wasm_bindgen(js_name = signedOut)]
    pub async fn signed_out(&self) -> Result<(), JsError> {
        self.fresh.take();
        let client = client(&self.config, None).await?;
        self.go_on_with(client);
        Ok(())
    }

    /// The browser says that the network came or went.
    pub fn online(&self, online: bool) {
        self.online.set(online);
        self.client.borrow().online(online);
    }

    /// Looks an account up by handle or DID.
    ///
    /// # Errors
    /// A sentence: malformed, unknown, or out of reach.
    #[wasm_bindgen(js_name = findAccount)]
    pub async fn find_account(&self, handle: String) -> Result<Ts<Account>, JsError> {
        let client = self.client.borrow().clone();
        let account = client.find_account(&handle).await.map_err(refusal)?;
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
        let client = self.client.borrow().clone();
        Ok(show(&Library(client.documents().await.map_err(refusal)?.into_iter().map(Into::into).collect())))
    }

    /// The same after asking the account's repo too.
    ///
    /// # Errors
    /// The account's server or the device's storage fails; as a sentence.
    #[wasm_bindgen(js_name = refreshDocuments)]
    pub async fn refresh_documents(&self) -> Result<Ts<Library>, JsError> {
        let client = self.client.borrow().clone();
        Ok(show(&Library(
            client.refresh_documents().await.map_err(refusal)?.into_iter().map(Into::into).collect(),
        )))
    }

    /// Makes a document of this account and returns the fragment that leads to it. Needs no network.
    ///
    /// # Errors
    /// Nobody is signed in, or the device's storage fails; as a sentence.
    pub async fn create(&self, title: String) -> Result<String, JsError> {
        let client = self.client.borrow().clone();
        let document = client.create(&title).await.map_err(refusal)?;
        let link = document.link().fragment();
        self.fresh.replace(Some(document));
        Ok(link)
    }

    /// Opens the document a fragment leads to, with what this device has; the network follows.
    ///
    /// # Errors
    /// The fragment leads to no document, or the device's storage fails; as a sentence.
    pub async fn open(&self, fragment: String) -> Result<DocumentSession, JsError> {
        let link: DocumentLink = fragment.parse().map_err(refusal)?;
        let client = self.client.borrow().clone();
        let fresh = self.fresh.take().filter(|document| *document.uri() == link.document);
        let document = match fresh {
            Some(document) => document,
            None => client.open_link(&link).await.map_err(refusal)?,
        };
        Ok(DocumentSession::new(document))
    }
}

impl Sheaf {
    fn go_on_with(&self, client: Client) {
        client.online(self.online.get());
        self.client.replace(client);
    }
}

/// A panic leaves the engine as it was in the middle of a thought, and WebAssembly cannot unwind: it has ended.
fn on_panic(stopped: js_sys::Function) {
    // The hook must be `Send`, which a function of the page's is not; the page has one thread.
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

async fn client(
    config: &NetworkConfig,
    account: Option<(Did, Rc<dyn session::Authed>)>,
) -> Result<Client, JsError> {
    let database = match &account {
        Some((did, _)) => format!("sheaf {did}"),
        None => "sheaf".to_owned(),
    };
    let store = Rc::new(IndexedDb::open(&database).await.map_err(refusal)?);
    Ok(Client::new(Parts {
        config: config.clone(),
        store,
        locks: Rc::new(WebLocks::new()),
        account: account.map(|(_, session)| session),
        name: None,
    }))
}
