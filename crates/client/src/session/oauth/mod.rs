//! Sessions by OAuth, for programs: the person signs in on their server's own page, which then sends the browser to a
//! port of this machine. The protocol is `atrium-oauth`'s ([`library`] gives it what it needs); this module signs in, has it
//! write, and decides when the session is renewed and what it means when that fails.

use std::{cell::RefCell, rc::Rc, time::Duration};

use atrium_api::types::string::Did as AtriumDid;
use atrium_oauth::{AuthorizeOptions, CallbackParams, store::session::Session};
use serde::Deserialize;
use sheaf_repo::did::Did;

use super::{
    Authed, AuthedError, Saved, SessionStore, SignInError, Tokens,
    calm::calmly,
    loopback::Loopback,
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

mod library;

use library::{Granted, Kept, Library, States, Wire};

/// How long a person may take on their server's page.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// A session by OAuth.
pub struct OAuth(Rc<Inner>);

struct Inner {
    did: Did,
    library: Library,
    /// The same store the library has.
    kept: Kept,
    /// What the library hears from servers.
    wire: Wire,
    store: Rc<dyn SessionStore>,
    saved: RefCell<Saved>,
    renewals: Rc<Renewals>,
    /// The library does one thing at a time, so that what is on the wire belongs to it. Holds the library's session once
    /// there was a network to set it up with.
    turn: futures_util::lock::Mutex<Option<Granted>>,
}

impl std::fmt::Debug for OAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.saved.borrow().fmt(f)
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
        let (kept, states, wire) = (Kept::default(), States::default(), Wire::default());
        let parts = (kept.clone(), states.clone(), wire.clone());
        let library = library::library(config, &redirect, parts).map_err(refused)?;
        // Whatever the library makes of it, a server that is away is one.
        let failed = |message: String| match wire.other() {
            Some(Err(error)) => SignInError::Unreachable { pds: pds.clone(), error },
            Some(Ok(Response { status: status @ (429 | 500..), .. })) => SignInError::Unreachable {
                pds: pds.clone(),
                error: HttpError::Unreachable(format!("status {status}")),
            },
            _ => refused(message),
        };
        let options = AuthorizeOptions { scopes: library::scopes(), ..AuthorizeOptions::default() };
        let page = calmly(library.authorize(account.did.as_str(), options)).await.map_err(failed)?;
        let state = states.name().ok_or_else(|| refused("it began no sign-in".into()))?;
        open(&page);
        let answer = platform::within(PATIENCE, loopback.answer(&state)).await;
        let answer = answer.map_err(|_| refused("nobody signed in on the page".into()))?;
        let answer = answer.map_err(|e| refused(format!("the port to come back to failed: {e}")))?;
        let code = answer.code.map_err(refused)?;
        wire.begin();
        let params = CallbackParams { code, state: Some(state), iss: answer.issuer };
        let (granted, _) = calmly(library.callback(params)).await.map_err(failed)?;
        let session = kept.get_now().ok_or_else(|| refused("it granted no session".into()))?;
        if session.token_set.sub.as_str() != account.did.as_str() {
            return Err(refused("somebody else signed in".into()));
        }
        let handle = account.handle.map(|handle| handle.to_string());
        let tokens = Tokens::OAuth { redirect, session: written(&session) };
        let saved = Saved { did: account.did.to_string(), handle, pds, tokens };
        store.save(&saved)?;
        let turn = futures_util::lock::Mutex::new(Some(granted));
        let (did, saved, renewals) = (account.did, RefCell::new(saved), Rc::default());
        Ok(Rc::new(Self(Rc::new(Inner { did, library, kept, wire, store, saved, renewals, turn }))))
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
        let (kept, wire) = (Kept::default(), Wire::default());
        kept.set_now(Some(
            read(session).ok_or_else(|| damaged("the session kept cannot be read; sign in again".into()))?,
        ));
        let parts = (kept.clone(), States::default(), wire.clone());
        let library = library::library(config, redirect, parts).map_err(damaged)?;
        let (saved, renewals, turn) = (RefCell::new(saved), Rc::default(), Default::default());
        Ok(Self(Rc::new(Inner { did, library, kept, wire, store, saved, renewals, turn })))
    }

    /// Tells the server that the session is over.
    pub(super) async fn revoke(&self) {
        let Ok(did) = self.0.did.as_str().parse::<AtriumDid>() else { return };
        if let Err(error) = calmly(self.0.library.revoke(&did)).await {
            tracing::debug!(error, "the server was not told about signing out");
        }
    }
}

impl Inner {
    async fn send_renewing(self: Rc<Self>, request: Request) -> Result<Response, AuthedError> {
        let (response, used) = self.send_once(request.clone()).await?;
        if !is_over(&response) {
            return if response.status == 401 { Err(AuthedError::SignInAgain) } else { Ok(response) };
        }
        let renewal = self.renewals.to_the_end(self.clone().renew(used));
        platform::within(request.timeout, renewal).await.map_err(|_| HttpError::TimedOut)??;
        let (response, _) = self.send_once(request).await?;
        if response.status == 401 { Err(AuthedError::SignInAgain) } else { Ok(response) }
    }

    /// The server's answer, and the access token that was shown to it.
    async fn send_once(&self, request: Request) -> Result<(Response, String), AuthedError> {
        let mut turn = self.turn.lock().await;
        self.take_over_renewed(&mut turn);
        let granted = self.granted(&mut turn).await?;
        let used = self.access();
        self.wire.begin();
        let sent = platform::within(request.timeout, library::send(granted, request)).await;
        match (sent, self.wire.in_its_name()) {
            (Err(_), _) => Err(HttpError::TimedOut.into()),
            (Ok(Err(why)), None) => Err(HttpError::Interrupted(why).into()),
            (Ok(_), Some(answer)) => Ok((answer?, used)),
            (Ok(Ok(())), None) => Err(HttpError::Unreachable("nothing was sent".into()).into()),
        }
    }

    async fn granted<'a>(&self, turn: &'a mut Option<Granted>) -> Result<&'a Granted, AuthedError> {
        if turn.is_none() {
            let did = self.did.as_str().parse::<AtriumDid>().map_err(|_| AuthedError::SignInAgain)?;
            let restored = calmly(self.library.restore(&did)).await;
            *turn = Some(restored.map_err(HttpError::Unreachable)?);
        }
        Ok(turn.as_ref().expect("it has just been set"))
    }

    fn access(&self) -> String {
        self.kept.get_now().map(|session| session.token_set.access_token).unwrap_or_default()
    }

    /// Gets new tokens, unless somebody else has since `stale` was in use.
    async fn renew(self: Rc<Self>, stale: String) -> Result<(), AuthedError> {
        let mut turn = self.turn.lock().await;
        if self.access() != stale {
            return Ok(());
        }
        let _alone = renewing::alone(&*self.store).await?;
        self.take_over_renewed(&mut turn);
        let before = self.kept.get_now().ok_or(AuthedError::SignInAgain)?;
        if before.token_set.access_token != stale {
            return Ok(());
        }
        if before.token_set.refresh_token.is_none() {
            return Err(AuthedError::SignInAgain);
        }
        let granted = self.granted(&mut turn).await?;
        // The library asks this device's clock whether a token is over; the server has the say.
        self.kept.set_now(Some(long_over(&before).unwrap_or_else(|| before.clone())));
        self.wire.begin_renewing();
        let url = xrpc::url(&self.saved.borrow().pds, "com.atproto.server.getSession", []);
        let asked = library::send(granted, Request::get(url)).await;
        let heard = self.wire.other();
        if self.access() != stale {
            self.save_renewed();
            return Ok(());
        }
        self.kept.set_now(Some(before));
        tracing::info!(?asked, status = ?heard.as_ref().map(|heard| heard.as_ref().map(|r| r.status)), "the session was not renewed");
        Err(why_not_renewed(heard))
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
        *before = written(&session);
        if let Err(error) = self.store.renew(&saved) {
            // The session works for this run; the next will have to sign in.
            tracing::warn!(%error, "the renewed session cannot be kept");
        }
    }
}

/// Whether it is the token, not the account, that the server does not take.
fn is_over(response: &Response) -> bool {
    let challenge = response.header("www-authenticate").unwrap_or_default();
    let refusal = || Refusal::of(response).error;
    response.status == 401
        && (challenge.contains("invalid_token")
            || matches!(refusal().as_str(), "ExpiredToken" | "InvalidToken"))
}

/// What the last answer on the way to new tokens says about the session: over, or not to be renewed for now.
fn why_not_renewed(heard: Option<Result<Response, HttpError>>) -> AuthedError {
    #[derive(Deserialize)]
    struct OAuthError {
        error: String,
    }
    let response = match heard {
        Some(Ok(response)) => response,
        Some(Err(error)) => return error.into(),
        None => return HttpError::Interrupted("the server's answer was not understood".into()).into(),
    };
    let refusal = serde_json::from_slice::<OAuthError>(&response.body);
    match (response.status, refusal) {
        (400 | 401 | 403, Ok(refusal)) if refusal.error != "use_dpop_nonce" => AuthedError::SignInAgain,
        (200..300, _) => match xrpc::not_what_was_asked(&response) {
            Some(what) => HttpError::Unreachable(what).into(),
            None => AuthedError::SignInAgain,
        },
        (status, _) => {
            HttpError::Unreachable(format!("the session cannot be renewed now, status {status}")).into()
        }
    }
}

impl Authed for OAuth {
    fn did(&self) -> &Did {
        &self.0.did
    }

    fn handle(&self) -> Option<String> {
        self.0.saved.borrow().handle.clone()
    }

    fn pds(&self) -> String {
        self.0.saved.borrow().pds.clone()
    }

    fn send(&self, request: Request) -> LocalFuture<'_, Result<Response, AuthedError>> {
        Box::pin(self.0.clone().send_renewing(request))
    }

    fn renewed(&self) -> LocalFuture<'_, ()> {
        Box::pin(self.0.renewals.ended())
    }
}

fn written(session: &Session) -> serde_json::Value {
    serde_json::to_value(session).expect("keys and tokens are always JSON")
}

fn read(session: &serde_json::Value) -> Option<Session> {
    serde_json::from_value(session.clone()).ok()
}

/// The session as it looks when its access token is over.
fn long_over(session: &Session) -> Option<Session> {
    let mut session = written(session);
    *session.pointer_mut("/token_set/expires_at")? = "1970-01-01T00:00:00.000Z".into();
    read(&session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_itself_ends_a_session() {
        let heard = |status, body: &str| why_not_renewed(Some(Ok(Response::new(status, [], body.into()))));
        for (status, body) in [(400, r#"{"error":"invalid_grant"}"#), (401, r#"{"error":"invalid_client"}"#)]
        {
            assert_eq!(heard(status, body), AuthedError::SignInAgain, "{status} {body}");
        }
        for (status, body) in [
            (503, ""),
            (500, r#"{"error":"server_error"}"#),
            (429, "{}"),
            (403, "<html>"),
            (200, "<!doctype html>"),
        ] {
            assert!(matches!(heard(status, body), AuthedError::Http(_)), "{status} {body}");
        }
        assert_eq!(why_not_renewed(Some(Err(HttpError::TimedOut))), HttpError::TimedOut.into());
        assert!(matches!(why_not_renewed(None), AuthedError::Http(_)));
    }
}
