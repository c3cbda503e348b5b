//! Sessions by app password: `com.atproto.server.createSession` and its refresh.

use std::{cell::RefCell, rc::Rc};

use futures_util::lock::Mutex;
use serde::Deserialize;
use sheaf_repo::did::Did;

use super::{
    Authed, AuthedError, Saved, SessionStore, SignInError, Tokens,
    renewing::{self, Renewals},
};
use crate::{
    config::NetworkConfig,
    net::{
        http::{Http, HttpError, Request, Response},
        identity::Directory,
        xrpc::{self, Refusal},
    },
    platform::{self, LocalFuture},
};

/// A session by app password.
pub struct Password(Rc<Inner>);

struct Inner {
    http: Http,
    did: Did,
    store: Rc<dyn SessionStore>,
    session: RefCell<Saved>,
    renewals: Rc<Renewals>,
    /// Held by the one that refreshes; the others wait and use what it got.
    refreshing: Mutex<()>,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.session.borrow().fmt(f)
    }
}

/// The server's answer to signing in and to refreshing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    did: String,
    handle: Option<String>,
    access_jwt: String,
    refresh_jwt: String,
}

impl Password {
    /// Signs in with a handle or DID and an app password, and keeps the session in `store`.
    ///
    /// # Errors
    /// [`SignInError`], each a sentence to show.
    pub async fn sign_in(
        config: &NetworkConfig,
        identifier: &str,
        password: &str,
        store: Rc<dyn SessionStore>,
    ) -> Result<Rc<Self>, SignInError> {
        let http = Http::new();
        let account = Directory::new(config.clone(), http.clone()).find_account(identifier).await?;
        // The reference server looks for DIDs in lower case alone, which a did:web with a port is not.
        let identifier = account.handle.as_ref().map_or(account.did.as_str(), |handle| handle.as_str());
        let body = serde_json::json!({ "identifier": identifier, "password": password });
        let request =
            Request::post_json(xrpc::url(&account.pds, "com.atproto.server.createSession", []), &body);
        let pds = account.pds;
        let response =
            http.send(request).await.map_err(|error| SignInError::Unreachable { pds: pds.clone(), error })?;
        if !response.is_success() {
            let refusal = Refusal::of(&response);
            return Err(match (refusal.status, refusal.error.as_str()) {
                (_, "AuthFactorTokenRequired") => SignInError::AppPasswordNeeded,
                (_, "AccountTakedown" | "AccountDeactivated") => {
                    SignInError::Refused { pds, message: refusal.message }
                }
                (401, _) => SignInError::WrongPassword,
                _ => SignInError::Refused { pds, message: refusal.message },
            });
        }
        let granted: Granted =
            xrpc::parse(&response).map_err(|message| SignInError::Refused { pds: pds.clone(), message })?;
        if granted.did != account.did.as_str() {
            return Err(SignInError::Refused { pds, message: "it answered for another account".into() });
        }
        let session = Saved {
            did: granted.did,
            handle: account.handle.map(|h| h.to_string()).or(granted.handle),
            pds,
            tokens: Tokens::Password { access: granted.access_jwt, refresh: granted.refresh_jwt },
        };
        store.save(&session)?;
        Ok(Rc::new(Self::over(http, account.did, store, session)))
    }

    /// The session as it was kept; asks no server.
    pub(super) fn restore(did: Did, store: Rc<dyn SessionStore>, saved: Saved) -> Self {
        Self::over(Http::new(), did, store, saved)
    }

    fn over(http: Http, did: Did, store: Rc<dyn SessionStore>, session: Saved) -> Self {
        let (session, renewals, refreshing) = (RefCell::new(session), Rc::default(), Mutex::new(()));
        Self(Rc::new(Inner { http, did, store, session, renewals, refreshing }))
    }
}

impl Inner {
    fn access(&self) -> String {
        pair(&self.session.borrow()).0
    }

    async fn send_once(&self, request: &Request, access: &str) -> Result<Response, HttpError> {
        self.http.send(request.clone().header("authorization", format!("Bearer {access}"))).await
    }

    async fn send_renewing(self: Rc<Self>, request: Request) -> Result<Response, AuthedError> {
        let access = self.access();
        let response = self.send_once(&request, &access).await?;
        if !is_expired(&response) {
            return Ok(response);
        }
        let renewal = self.renewals.to_the_end(self.clone().refresh(access));
        platform::within(request.timeout, renewal).await.map_err(|_| HttpError::TimedOut)??;
        let response = self.send_once(&request, &self.access()).await?;
        if is_expired(&response) { Err(AuthedError::SignInAgain) } else { Ok(response) }
    }

    /// Gets a new pair of tokens, unless somebody else has since `stale` was in use.
    async fn refresh(self: Rc<Self>, stale: String) -> Result<(), AuthedError> {
        let _one_at_a_time = self.refreshing.lock().await;
        if self.access() != stale {
            return Ok(());
        }
        let _alone = renewing::alone(&*self.store).await?;
        // Another process with the same session may have been quicker: a refresh token counts once.
        if let Ok(Some(saved)) = self.store.load()
            && saved.did == self.did.as_str()
            && matches!(saved.tokens, Tokens::Password { .. })
            && saved != *self.session.borrow()
        {
            *self.session.borrow_mut() = saved;
            if self.access() != stale {
                return Ok(());
            }
        }
        let (url, refresh) = {
            let session = self.session.borrow();
            (xrpc::url(&session.pds, "com.atproto.server.refreshSession", []), pair(&session).1)
        };
        let request =
            Request { headers: vec![], body: None, ..Request::post_json(url, &serde_json::Value::Null) };
        let response = self.http.send(request.header("authorization", format!("Bearer {refresh}"))).await?;
        match response.status {
            200..300 => {}
            400 | 401 | 403 => return Err(AuthedError::SignInAgain),
            status => {
                return Err(HttpError::Unreachable(format!(
                    "the session cannot be renewed now, status {status}"
                ))
                .into());
            }
        }
        let granted: Granted = xrpc::parse(&response).map_err(HttpError::Interrupted)?;
        let mut session = self.session.borrow_mut();
        session.tokens = Tokens::Password { access: granted.access_jwt, refresh: granted.refresh_jwt };
        if let Err(error) = self.store.renew(&session) {
            // The session works for this run; the next will have to sign in.
            tracing::warn!(%error, "the renewed session cannot be kept");
        }
        Ok(())
    }
}

/// The tokens for access and for refreshing.
fn pair(session: &Saved) -> (String, String) {
    match &session.tokens {
        Tokens::Password { access, refresh } => (access.clone(), refresh.clone()),
        Tokens::OAuth { .. } => unreachable!("a password session is made of a password's tokens alone"),
    }
}

/// Tells the server that the session is over.
pub(super) async fn revoke(session: &Saved) {
    let url = xrpc::url(&session.pds, "com.atproto.server.deleteSession", []);
    let request =
        Request { headers: vec![], body: None, ..Request::post_json(url, &serde_json::Value::Null) };
    let request = request.header("authorization", format!("Bearer {}", pair(session).1));
    if let Err(error) = Http::new().send(request).await {
        tracing::debug!(%error, "the server was not told about signing out");
    }
}

/// Whether it is the token, not the account, that the server does not take.
fn is_expired(response: &Response) -> bool {
    match (response.status, Refusal::of(response).error.as_str()) {
        (401, error) => !matches!(error, "AccountTakedown" | "AccountDeactivated"),
        (400, error) => matches!(error, "ExpiredToken" | "InvalidToken"),
        _ => false,
    }
}

impl Authed for Password {
    fn did(&self) -> &Did {
        &self.0.did
    }

    fn handle(&self) -> Option<String> {
        self.0.session.borrow().handle.clone()
    }

    fn pds(&self) -> String {
        self.0.session.borrow().pds.clone()
    }

    fn send(&self, request: Request) -> LocalFuture<'_, Result<Response, AuthedError>> {
        Box::pin(self.0.clone().send_renewing(request))
    }

    fn renewed(&self) -> LocalFuture<'_, ()> {
        Box::pin(self.0.renewals.ended())
    }
}
