//! Sessions by OAuth, for programs: the person signs in on their server's own page, which then sends the browser to a
//! port of this machine. The protocol is `atrium-oauth`'s; this module gives it our HTTP with its limits, keeps the
//! session, and has it write.

use std::{
    cell::RefCell,
    convert::Infallible,
    error::Error,
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use atrium_api::{
    types::string::{Did as AtriumDid, Handle as AtriumHandle},
    xrpc::{self, HttpClient, InputDataOrBytes, XrpcClient, XrpcRequest},
};
use atrium_common::{resolver::Resolver, store::Store};
use atrium_identity::did::{CommonDidResolver, CommonDidResolverConfig};
use atrium_oauth::{
    AtprotoLocalhostClientMetadata, AuthorizeOptions, CallbackParams, OAuthClient, OAuthClientConfig,
    OAuthResolverConfig, OAuthSession, Scope,
    store::{
        session::{Session, SessionStore as AtriumSessionStore},
        state::MemoryStateStore,
    },
};
use futures_util::FutureExt;
use sheaf_core::record::COLLECTIONS;
use sheaf_repo::did::Did;

use super::{Authed, AuthedError, Saved, SessionStore, SignInError, Tokens, loopback::Loopback};
use crate::{
    config::NetworkConfig,
    net::{
        http::{Http, HttpError, Method, Request, Response},
        identity::Directory,
    },
    platform::{self, LocalFuture},
};

/// How long a person may take on their server's page.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

type Granted = OAuthSession<Bridge, CommonDidResolver<Bridge>, NoHandles, Kept>;
type Library = OAuthClient<MemoryStateStore, Kept, CommonDidResolver<Bridge>, NoHandles, Bridge>;

/// A session by OAuth.
pub struct OAuth {
    did: Did,
    library: Library,
    /// The same store the library has.
    kept: Kept,
    /// What the library says of its last request in the account's name.
    heard: Heard,
    store: Rc<dyn SessionStore>,
    saved: RefCell<Saved>,
    /// Requests go one at a time, so that what was heard belongs to the one that asked. Holds the library's session once
    /// there was a network to set it up with.
    turn: futures_util::lock::Mutex<Option<Granted>>,
}

impl std::fmt::Debug for OAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.saved.borrow().fmt(f)
    }
}

impl OAuth {
    /// Signs in with a handle or DID on the page of the account's own server. `open` is handed the address to show in a
    /// browser on this machine; the session is kept in `store`.
    ///
    /// # Errors
    /// [`SignInError`], each a sentence to show.
    pub async fn sign_in(
        config: &NetworkConfig,
        identifier: &str,
        store: Rc<dyn SessionStore>,
        open: impl FnOnce(&str),
    ) -> Result<Rc<Self>, SignInError> {
        let account = Directory::new(config.clone(), Http::new()).find_account(identifier).await?;
        let pds = account.pds.clone();
        let refused = |message: String| SignInError::Refused { pds: pds.clone(), message };
        let loopback =
            Loopback::listen().await.map_err(|e| refused(format!("no port to come back to: {e}")))?;
        let redirect = loopback.address();
        let kept = Kept::default();
        let heard = Heard::default();
        let library = library(config, &redirect, kept.clone(), heard.clone()).map_err(refused)?;
        let options = AuthorizeOptions { scopes: scopes(), ..AuthorizeOptions::default() };
        let page = calmly(library.authorize(account.did.as_str(), options)).await.map_err(refused)?;
        open(&page);
        let answer = platform::within(PATIENCE, loopback.answer()).await;
        let answer = answer.map_err(|_| refused("nobody signed in on the page".into()))?.map_err(refused)?;
        let params = CallbackParams { code: answer.code, state: answer.state, iss: answer.issuer };
        let (granted, _) = calmly(library.callback(params)).await.map_err(refused)?;
        let session = kept.get_now().ok_or_else(|| refused("it granted no session".into()))?;
        if session.token_set.sub.as_str() != account.did.as_str() {
            return Err(refused("somebody else signed in".into()));
        }
        let handle = account.handle.map(|handle| handle.to_string());
        let tokens = Tokens::OAuth { redirect, session: written(&session) };
        let saved = Saved { did: account.did.to_string(), handle, pds, tokens };
        store.save(&saved)?;
        let turn = futures_util::lock::Mutex::new(Some(granted));
        Ok(Rc::new(Self { did: account.did, library, kept, heard, store, saved: RefCell::new(saved), turn }))
    }

    /// The session as it was kept; asks no server.
    pub(super) fn restore(
        config: &NetworkConfig,
        did: Did,
        store: Rc<dyn SessionStore>,
        saved: Saved,
    ) -> Result<Self, SignInError> {
        let damaged = |message: String| SignInError::Refused { pds: saved.pds.clone(), message };
        let Tokens::OAuth { redirect, session } = &saved.tokens else {
            unreachable!("the caller has looked at the kind of tokens");
        };
        let kept = Kept::default();
        kept.set_now(Some(
            read(session).ok_or_else(|| damaged("the session kept cannot be read; sign in again".into()))?,
        ));
        let heard = Heard::default();
        let library = library(config, redirect, kept.clone(), heard.clone()).map_err(damaged)?;
        Ok(Self { did, library, kept, heard, store, saved: RefCell::new(saved), turn: Default::default() })
    }

    async fn send_in_turn(&self, request: Request) -> Result<Response, AuthedError> {
        let mut turn = self.turn.lock().await;
        self.take_over_renewed(&mut turn);
        if turn.is_none() {
            let did = self.did.as_str().parse::<AtriumDid>().map_err(|_| AuthedError::SignInAgain)?;
            let restored = calmly(self.library.restore(&did)).await;
            *turn = Some(restored.map_err(HttpError::Unreachable)?);
        }
        let granted = turn.as_ref().expect("it has just been set");
        self.heard.clear();
        let limit = request.timeout;
        let sent = platform::within(limit, calmly_heard(granted, request)).await;
        self.save_renewed();
        match (sent, self.heard.take()) {
            (Err(_), _) => Err(HttpError::TimedOut.into()),
            (Ok(Err(panicked)), _) => Err(HttpError::Interrupted(panicked).into()),
            (Ok(Ok(())), Some(Ok(response))) if response.status == 401 => Err(AuthedError::SignInAgain),
            (Ok(Ok(())), Some(answer)) => Ok(answer?),
            (Ok(Ok(())), None) => Err(HttpError::Unreachable("nothing was sent".into()).into()),
        }
    }

    /// Another process with the same session may have renewed it: a refresh token counts once.
    fn take_over_renewed(&self, turn: &mut Option<Granted>) {
        let Ok(Some(saved)) = self.store.load() else { return };
        if saved.did != self.did.as_str() || saved == *self.saved.borrow() {
            return;
        }
        if let Tokens::OAuth { session, .. } = &saved.tokens
            && let Some(session) = read(session)
        {
            self.kept.set_now(Some(session));
            *turn = None;
            *self.saved.borrow_mut() = saved;
        }
    }

    fn save_renewed(&self) {
        let Some(session) = self.kept.get_now() else { return };
        let mut saved = self.saved.borrow_mut();
        let Tokens::OAuth { session: before, .. } = &mut saved.tokens else { return };
        let now = written(&session);
        if *before != now {
            *before = now;
            if let Err(error) = self.store.save(&saved) {
                // The session works for this run; the next will have to sign in.
                tracing::warn!(%error, "the renewed session cannot be kept");
            }
        }
    }

    /// Tells the server that the session is over.
    pub(super) async fn revoke(&self) {
        let Ok(did) = self.did.as_str().parse::<AtriumDid>() else { return };
        if let Err(error) = calmly(self.library.revoke(&did)).await {
            tracing::debug!(error, "the server was not told about signing out");
        }
    }
}

impl Authed for OAuth {
    fn did(&self) -> &Did {
        &self.did
    }

    fn handle(&self) -> Option<String> {
        self.saved.borrow().handle.clone()
    }

    fn pds(&self) -> String {
        self.saved.borrow().pds.clone()
    }

    fn send(&self, request: Request) -> LocalFuture<'_, Result<Response, AuthedError>> {
        Box::pin(self.send_in_turn(request))
    }
}

fn written(session: &Session) -> serde_json::Value {
    serde_json::to_value(session).expect("keys and tokens are always JSON")
}

fn read(session: &serde_json::Value) -> Option<Session> {
    serde_json::from_value(session.clone()).ok()
}

fn scopes() -> Vec<Scope> {
    let collections = COLLECTIONS.iter().map(|collection| format!("repo:{collection}"));
    std::iter::once("atproto".to_owned()).chain(collections).map(Scope::Unknown).collect()
}

/// The library gives up on some answers by panicking; here that is an answer like any other.
async fn calmly<T, E: std::fmt::Display>(call: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("its answer was not understood".into()),
    }
}

/// Has the library send a request; what came of it is in [`Heard`].
async fn calmly_heard(granted: &Granted, request: Request) -> Result<(), String> {
    let Some((_, method)) = request.url.split_once("/xrpc/") else {
        return Err("it is no XRPC request".into());
    };
    let (nsid, query) = method.split_once('?').unwrap_or((method, ""));
    let body: Option<serde_json::Value> = match &request.body {
        Some(body) => Some(serde_json::from_slice(body).map_err(|e| e.to_string())?),
        None => None,
    };
    if !query.is_empty() {
        return Err("only requests without parameters need a session".into());
    }
    let request = XrpcRequest::<(), serde_json::Value> {
        method: match request.method {
            Method::Get => xrpc::http::Method::GET,
            Method::Post => xrpc::http::Method::POST,
        },
        nsid: nsid.to_owned(),
        parameters: None,
        input: body.map(InputDataOrBytes::Data),
        encoding: Some("application/json".into()),
    };
    let sending = granted.send_xrpc::<_, _, serde_json::Value, serde_json::Value>(&request);
    // Its reading of the answer does not matter: ours is in `Heard`.
    AssertUnwindSafe(sending)
        .catch_unwind()
        .await
        .map(drop)
        .map_err(|_| "the answer was not understood".into())
}

fn library(config: &NetworkConfig, redirect: &str, kept: Kept, heard: Heard) -> Result<Library, String> {
    let bridge = Bridge { http: Http::new(), heard };
    let did_resolver = CommonDidResolver::new(CommonDidResolverConfig {
        plc_directory_url: config.plc.clone(),
        http_client: Arc::new(bridge.clone()),
    });
    let client_metadata = AtprotoLocalhostClientMetadata {
        redirect_uris: Some(vec![redirect.to_owned()]),
        scopes: Some(scopes()),
    };
    let config = OAuthClientConfig {
        client_metadata,
        keys: None,
        state_store: MemoryStateStore::default(),
        session_store: kept,
        resolver: OAuthResolverConfig {
            did_resolver,
            handle_resolver: NoHandles,
            authorization_server_metadata: Default::default(),
            protected_resource_metadata: Default::default(),
        },
        http_client: bridge,
    };
    OAuthClient::new(config).map_err(|error| error.to_string())
}

// --- what the library is given ---

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is held can be left half-changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer to the last request sent in the account's name.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Option<Result<Response, HttpError>>>>);

impl Heard {
    fn set(&self, answer: Result<Response, HttpError>) {
        *locked(&self.0) = Some(answer);
    }

    fn clear(&self) {
        *locked(&self.0) = None;
    }

    fn take(&self) -> Option<Result<Response, HttpError>> {
        locked(&self.0).take()
    }
}

/// Our HTTP, with its limits, as the library wants it.
#[derive(Clone)]
struct Bridge {
    http: Http,
    heard: Heard,
}

impl HttpClient for Bridge {
    async fn send_http(
        &self,
        request: xrpc::http::Request<Vec<u8>>,
    ) -> Result<xrpc::http::Response<Vec<u8>>, Box<dyn Error + Send + Sync + 'static>> {
        const PASSED_ON: [&str; 4] = ["accept", "authorization", "content-type", "dpop"];
        let method = if request.method() == xrpc::http::Method::GET { Method::Get } else { Method::Post };
        let mut ours = Request { method, ..Request::get(request.uri().to_string()) };
        for name in PASSED_ON {
            if let Some(value) = request.headers().get(name) {
                ours = ours.header(name, value.to_str()?);
            }
        }
        // In the account's name, or on the way to a new token: either answer says how the request fared.
        let in_its_name = request.headers().contains_key("authorization");
        ours.body = (method == Method::Post).then(|| request.into_body());
        let answer = self.http.send(ours).await;
        if in_its_name || answer.is_err() {
            self.heard.set(answer.clone());
        }
        let answer = answer?;
        let mut response = xrpc::http::Response::builder().status(answer.status);
        for name in ["content-type", "dpop-nonce", "www-authenticate"] {
            if let Some(value) = answer.header(name) {
                response = response.header(name, value);
            }
        }
        Ok(response.body(answer.body)?)
    }
}

/// Handles are looked up before the library is asked; it only ever sees DIDs.
struct NoHandles;

impl Resolver for NoHandles {
    type Input = AtriumHandle;
    type Output = AtriumDid;
    type Error = atrium_identity::Error;

    async fn resolve(&self, _handle: &Self::Input) -> Result<Self::Output, Self::Error> {
        Err(atrium_identity::Error::NotFound)
    }
}

/// The one session there is, on its way between the library and the [`SessionStore`].
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Option<Session>>>);

impl Kept {
    fn get_now(&self) -> Option<Session> {
        locked(&self.0).clone()
    }

    fn set_now(&self, session: Option<Session>) {
        *locked(&self.0) = session;
    }
}

impl Store<AtriumDid, Session> for Kept {
    type Error = Infallible;

    async fn get(&self, _did: &AtriumDid) -> Result<Option<Session>, Infallible> {
        Ok(self.get_now())
    }

    async fn set(&self, _did: AtriumDid, session: Session) -> Result<(), Infallible> {
        self.set_now(Some(session));
        Ok(())
    }

    async fn del(&self, _did: &AtriumDid) -> Result<(), Infallible> {
        self.set_now(None);
        Ok(())
    }

    async fn clear(&self) -> Result<(), Infallible> {
        self.set_now(None);
        Ok(())
    }
}

impl AtriumSessionStore for Kept {}
