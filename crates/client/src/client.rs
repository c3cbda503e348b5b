//! The client: one account (or none) on one device, and the documents it opens.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use sheaf_core::{
    client_id::ReplicaId,
    document_link::DocumentLink,
    document_uri::DocumentUri,
    replica::{Effect, Event, Identity, Replica, ReplicaConfig, ResolveFailure, StoreOp},
};
use sheaf_repo::{did::Did, tid::Tid};

use crate::{
    config::NetworkConfig,
    driver::{self, Change, Open, World},
    handle::DocumentHandle,
    library::{self, LibraryEntry, LibraryError, Notes},
    net::{
        doorbell,
        http::Http,
        identity::{Account, AccountError, Directory},
        live::{Happening, LiveTransport, Switchboard},
    },
    notes, platform, secrets,
    session::Authed,
    slots::{self, Held, Locks, Slot},
    store::{SharedStore, StoreError},
};

/// What a client is made of.
pub struct Parts {
    /// Which network.
    pub config: NetworkConfig,
    /// Where this device keeps things.
    pub store: SharedStore,
    /// What keeps two tabs or processes from being the same replica.
    pub locks: Rc<dyn Locks>,
    /// Who is signed in; `None` reads without signing in.
    pub account: Option<Rc<dyn Authed>>,
    /// What to call the person to others; their handle if `None`.
    pub name: Option<String>,
}

/// One account (or none) on one device. Cheap to clone.
#[derive(Clone)]
pub struct Client(Rc<Inner>);

struct Inner {
    config: NetworkConfig,
    world: Rc<World>,
    locks: Rc<dyn Locks>,
    did: Option<Did>,
    name: Option<String>,
    online: Cell<bool>,
    announced: Cell<bool>,
    open: RefCell<Vec<Weak<Open>>>,
    /// Whether documents that are opened take part in the live channel.
    live: Cell<bool>,
    /// Keeps other processes of this store from having the same endpoint.
    endpoint: RefCell<Option<Box<dyn Held>>>,
}

/// A client that may be gone by the time it is needed.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) struct WeakClient(Weak<Inner>);

#[cfg(not(target_arch = "wasm32"))]
impl WeakClient {
    pub(crate) fn upgrade(&self) -> Option<Client> {
        self.0.upgrade().map(Client)
    }
}

/// Why a document could not be opened or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The device's store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Making a document takes an account.
    #[error("sign in to make a document")]
    NotSignedIn,
}

/// Why a document was not forgotten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgetError {
    /// It holds changes that exist nowhere else.
    #[error("this document holds {0} unpublished changes of yours; they would be lost")]
    Unpublished(usize),
    /// It is open, perhaps in another tab or program.
    #[error("the document is open, here or in another window; close it first")]
    Open,
    /// The device's store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Client {
    /// A client of these parts. It asks nobody anything by itself.
    pub fn new(parts: Parts) -> Self {
        let http = Http::new();
        let did = parts.account.as_ref().map(|account| account.did().clone());
        let name = parts.name.or_else(|| parts.account.as_ref().and_then(|account| account.handle()));
        let world = World {
            directory: Directory::new(parts.config.clone(), http.clone()).remembering(parts.store.clone()),
            http,
            store: parts.store,
            account: RefCell::new(parts.account),
            switchboard: Switchboard::new(parts.config.reach()),
        };
        Self(Rc::new(Inner {
            config: parts.config,
            world: Rc::new(world),
            locks: parts.locks,
            did,
            name,
            online: Cell::new(true),
            announced: Cell::new(true),
            open: RefCell::default(),
            live: Cell::new(false),
            endpoint: RefCell::default(),
        }))
    }

    /// The network it speaks to.
    pub fn config(&self) -> &NetworkConfig {
        &self.0.config
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient(Rc::downgrade(&self.0))
    }

    /// Documents that are opened from now on take part in the live channel, once there is a transport
    /// ([`connect_live`](Self::connect_live)). Gives the secret of the endpoint that the transport is to have.
    ///
    /// # Errors
    /// [`StoreError`] when the device's store does not work.
    pub async fn expect_live(&self) -> Result<[u8; 32], StoreError> {
        let (secret, held) = secrets::endpoint(&*self.0.world.store, &*self.0.locks).await?;
        *self.0.endpoint.borrow_mut() = held;
        self.0.live.set(true);
        Ok(secret)
    }

    /// There is a transport for the live channel.
    pub fn connect_live(&self, transport: Rc<dyn LiveTransport>) {
        self.0.world.switchboard.connect(transport);
    }

    /// Something happened on that transport.
    pub fn live_happened(&self, happening: Happening) {
        self.0.world.switchboard.happened(happening);
    }

    /// From now on nobody is told that somebody is here: for a program that looks something up or leaves something behind,
    /// which is no person in front of a document.
    pub fn stay_unannounced(&self) {
        self.0.announced.set(false);
    }

    /// Who is signed in.
    pub fn account(&self) -> Option<Did> {
        self.0.did.clone()
    }

    /// The signed-in account's handle, to show.
    pub fn handle(&self) -> Option<String> {
        self.0.world.account.borrow().as_ref().and_then(|account| account.handle())
    }

    /// The same account signed in again: open documents go on publishing.
    ///
    /// # Panics
    /// When it is another account: that is another client's business.
    pub fn set_account(&self, account: Rc<dyn Authed>) {
        assert_eq!(Some(account.did()), self.0.did.as_ref(), "a client is of one account for life");
        *self.0.world.account.borrow_mut() = Some(account);
        self.for_each_open(|open| open.happen(Event::Session(true)));
    }

    /// The device says whether it has a network.
    pub fn online(&self, online: bool) {
        self.0.online.set(online);
        self.for_each_open(|open| open.online(online));
    }

    /// Whether the device has a network, as far as it said.
    pub fn is_online(&self) -> bool {
        self.0.online.get()
    }

    fn for_each_open(&self, mut act: impl FnMut(&Open)) {
        let open: Vec<Rc<Open>> = self.0.open.borrow().iter().filter_map(Weak::upgrade).collect();
        open.iter().filter(|open| !open.closed.get()).for_each(|open| act(open));
    }

    /// Opens a document with what this device has of it, at once; the network follows. A document this device does not
    /// have yet opens too, and says in its status that it is being looked for.
    ///
    /// # Errors
    /// [`OpenError::Store`] when the device's store does not work.
    pub async fn open(&self, uri: &DocumentUri) -> Result<DocumentHandle, OpenError> {
        self.start(DocumentLink::new(uri.clone()), None).await
    }

    /// [`open`](Self::open) by a link, which may name others to ask should the owner's server be gone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_link(&self, link: &DocumentLink) -> Result<DocumentHandle, OpenError> {
        self.start(link.clone(), None).await
    }

    /// Makes a document; works without a network.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn create(&self, title: &str) -> Result<DocumentHandle, OpenError> {
        let owner = self.0.did.clone().ok_or(OpenError::NotSignedIn)?;
        let clock = (platform::random_u64() % 1024) as u16;
        let uri = DocumentUri::new(owner, &Tid::from_micros(platform::now().as_micros(), clock));
        self.start(DocumentLink::new(uri), Some(title)).await
    }

    async fn start(&self, link: DocumentLink, create: Option<&str>) -> Result<DocumentHandle, OpenError> {
        let uri = &link.document;
        let Inner { world, locks, did, .. } = &*self.0;
        let slot = match did {
            Some(account) => Some(slots::take(&*world.store, &**locks, account, uri).await?),
            None => None,
        };
        let mut config = self.replica_config(&link, slot.as_ref());
        if let (true, Some(account)) = (self.0.live.get(), did) {
            config.session = Some(secrets::session(&*world.store, account, uri, &config.replica).await?);
        }
        let mut stored = Vec::new();
        for prefix in Replica::store_prefixes(&config) {
            stored.extend(world.store.scan(&prefix).await?);
        }
        let notes = Notes::begin(&*world.store, did.clone(), uri).await?;
        let now = platform::now();
        let mut opened = match create {
            Some(title) => Replica::create(config, title, stored, now),
            None => Replica::open(config, stored, now),
        };
        if !self.0.announced.get() {
            let (replica, effects) = &mut opened;
            effects.extend(replica.handle(now, Event::Hidden(true)));
        }
        Ok(self.run(uri, opened, slot, notes))
    }

    fn replica_config(&self, link: &DocumentLink, slot: Option<&Slot>) -> ReplicaConfig {
        let reader = || ReplicaId::parse("reader").expect("a constant that is a replica id");
        ReplicaConfig {
            document: link.document.clone(),
            account: self.0.did.clone(),
            replica: slot.map_or_else(reader, |slot| slot.replica.clone()),
            adopt: slot.map(|slot| slot.adopted.clone()).unwrap_or_default(),
            via: link.via.clone(),
            session: None,
            name: self.0.name.clone(),
            seed: platform::random_u64(),
        }
    }

    fn run(
        &self,
        uri: &DocumentUri,
        (replica, effects): (Replica, Vec<Effect>),
        slot: Option<Slot>,
        notes: Notes,
    ) -> DocumentHandle {
        let world = &self.0.world;
        let (listener, heard, listening) =
            doorbell::doorbell(self.0.config.jetstream.clone(), world.store.clone());
        let (open, inner) = Open::new(uri.clone(), replica, effects, world.clone(), slot, (listener, heard));
        notes.take(&open);
        let weak = Rc::downgrade(&open);
        open.subscribe(Rc::new(RefCell::new(move |change| match (change, weak.upgrade()) {
            (Change::Show(_), _) => notes.touch(),
            (Change::Refresh, Some(open)) => notes.take(&open),
            (Change::NotTaken(_), _) | (Change::Refresh, None) => {}
        })));
        platform::spawn(driver::run(open.clone(), inner, listening));
        if self.0.live.get() {
            world.switchboard.join(&open);
        }
        if !self.0.online.get() {
            open.online(false);
        }
        let mut all = self.0.open.borrow_mut();
        all.retain(|open| open.upgrade().is_some_and(|open| !open.closed.get()));
        all.push(Rc::downgrade(&open));
        DocumentHandle::new(open)
    }

    /// Finds an account by what a person typed: a handle, with or without `@`, or a DID.
    ///
    /// # Errors
    /// [`AccountError`], a sentence to show.
    pub async fn find_account(&self, typed: &str) -> Result<Account, AccountError> {
        self.0.world.directory.find_account(typed).await
    }

    /// The documents this device knows, newest first, without asking anybody.
    ///
    /// # Errors
    /// [`StoreError`] when the device's store does not work.
    pub async fn documents(&self) -> Result<Vec<LibraryEntry>, StoreError> {
        let list = library::list(&*self.0.world.store, self.0.did.as_ref()).await?;
        Ok(self.as_open_now(list))
    }

    /// The same list after asking the account's repo for documents made or shared elsewhere.
    ///
    /// # Errors
    /// [`LibraryError`]; what the device knows is still there through [`documents`](Self::documents).
    pub async fn refresh_documents(&self) -> Result<Vec<LibraryEntry>, LibraryError> {
        let account = self.0.world.account.borrow().clone();
        match account {
            Some(account) => {
                let list = library::refresh(&self.0.world, account.did(), &account.pds()).await?;
                Ok(self.as_open_now(list))
            }
            None => Ok(self.documents().await?),
        }
    }

    /// What is open knows best how much of it waits.
    fn as_open_now(&self, mut list: Vec<LibraryEntry>) -> Vec<LibraryEntry> {
        self.for_each_open(|open| {
            let status = open.replica.borrow().status(platform::now());
            for entry in list.iter_mut().filter(|entry| entry.uri == open.uri) {
                entry.waiting = status.waiting + status.unsaved;
            }
        });
        list
    }

    /// Who an account is by what the directory says now, asked anew.
    ///
    /// # Errors
    /// [`ResolveFailure`], by what can be done about it.
    pub async fn identity(&self, did: &Did) -> Result<Identity, ResolveFailure> {
        self.0.world.directory.resolve(did, true).await
    }

    /// A note that was kept beside a document.
    ///
    /// # Errors
    /// [`StoreError`] when the device's store does not work.
    pub async fn note(&self, document: &DocumentUri, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.world.store.get(&notes::key(document, name)).await
    }

    /// Keeps a note beside a document, or with `None` throws it away; it is durable once this returns.
    ///
    /// # Errors
    /// [`StoreError`] when the device's store does not work.
    pub async fn set_note(
        &self,
        document: &DocumentUri,
        name: &str,
        note: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.0.world.store.write(vec![notes::op(document, name, note)]).await
    }

    /// How many changes to this document are on this device and nowhere else, whether it is open or not.
    ///
    /// # Errors
    /// [`StoreError`] when the device's store does not work.
    pub async fn unpublished(&self, document: &DocumentUri) -> Result<usize, StoreError> {
        Ok(slots::left_behind(&*self.0.world.store, document).await?.unpublished())
    }

    /// Erases a document from this device. It stays in its editors' repos.
    ///
    /// # Errors
    /// [`ForgetError`], above all while changes of one's own are in it that exist nowhere else.
    pub async fn forget(&self, uri: &DocumentUri) -> Result<(), ForgetError> {
        self.erase(uri, false).await
    }

    /// [`forget`](Self::forget), and changes of one's own that exist nowhere else with it: they are lost for good.
    ///
    /// # Errors
    /// [`ForgetError`], but not [`ForgetError::Unpublished`].
    pub async fn discard(&self, uri: &DocumentUri) -> Result<(), ForgetError> {
        self.erase(uri, true).await
    }

    async fn erase(&self, uri: &DocumentUri, even_unpublished: bool) -> Result<(), ForgetError> {
        let Inner { world, locks, did, open, .. } = &*self.0;
        let is_open =
            open.borrow().iter().filter_map(Weak::upgrade).any(|open| open.uri == *uri && !open.closed.get());
        if is_open {
            return Err(ForgetError::Open);
        }
        let store = &*world.store;
        // Another tab or program may have it open, or be about to: nobody may until it is gone.
        let _closed_off = match did {
            Some(did) => {
                let closed_off = slots::close_off(store, &**locks, did, uri).await?;
                Some(closed_off.ok_or(ForgetError::Open)?)
            }
            None => None,
        };
        // The list's own count may be older than the last edit: what is in the store itself is what would be lost.
        let kept = store.scan(&format!("doc/{uri}/")).await?;
        let mut keys: Vec<String> = kept.iter().map(|(key, _)| key.clone()).collect();
        let unpublished = Replica::left_behind(uri, kept).unpublished();
        if unpublished > 0 && !even_unpublished {
            return Err(ForgetError::Unpublished(unpublished));
        }
        if let Some(did) = did {
            keys.extend(store.scan(&slots::prefix(did, uri)).await?.into_iter().map(|(key, _)| key));
            keys.extend(store.scan(&secrets::sessions(did, uri)).await?.into_iter().map(|(key, _)| key));
        }
        keys.extend(store.scan(&notes::prefix(uri)).await?.into_iter().map(|(key, _)| key));
        keys.push(format!("{}{uri}", library::prefix(did.as_ref())));
        // Key by key: what a tab that opens it at this very moment writes is not among them.
        store.write(keys.into_iter().map(|key| StoreOp::Delete { key }).collect()).await?;
        Ok(())
    }
}
