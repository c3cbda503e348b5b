//! What `atrium-oauth` is given to work with: our HTTP with its limits, and places for the one session there is.

use std::{
    convert::Infallible,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use atrium_api::{
    types::string::{Did as AtriumDid, Handle as AtriumHandle},
    xrpc::{self, HttpClient, InputDataOrBytes, XrpcClient, XrpcRequest},
};
use atrium_common::{resolver::Resolver, store::Store};
use atrium_identity::did::{CommonDidResolver, CommonDidResolverConfig};
use atrium_oauth::{
    AtprotoLocalhostClientMetadata, OAuthClient, OAuthClientConfig, OAuthResolverConfig, OAuthSession, Scope,
    store::{
        session::{Session, SessionStore as AtriumSessionStore},
        state::{InternalStateData, StateStore},
    },
};
use sheaf_core::record::oauth_scope;

use crate::{
    config::NetworkConfig,
    net::http::{Http, HttpError, Method, Request, Response},
    session::calm::calmly,
};

pub(super) type Granted = OAuthSession<Bridge, CommonDidResolver<Bridge>, NoHandles, Kept>;
pub(super) type Library = OAuthClient<States, Kept, CommonDidResolver<Bridge>, NoHandles, Bridge>;

pub(super) fn library(
    config: &NetworkConfig,
    redirect: &str,
    (kept, states, wire): (Kept, States, Wire),
) -> Result<Library, String> {
    let bridge = Bridge { http: Http::new(), wire };
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
        state_store: states,
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

pub(super) fn scopes() -> Vec<Scope> {
    oauth_scope().split(' ').map(|scope| Scope::Unknown(scope.to_owned())).collect()
}

/// Has the library send a request in the account's name; what came of it is on the [`Wire`], and that is what counts.
pub(super) async fn send(granted: &Granted, request: Request) -> Result<(), String> {
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
    calmly(async {
        let _ = granted.send_xrpc::<_, _, serde_json::Value, serde_json::Value>(&request).await;
        Ok::<(), Infallible>(())
    })
    .await
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is held can be left half-changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What goes over the wire on the library's behalf, and what came back.
///
/// The library renews a session by itself when a request is refused, says nothing of how that went, and sends the request
/// again. Here the two are apart: a request is sent once, whatever the answer; and to have the session renewed and nothing
/// else, a request is refused that never leaves.
#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// A renewal is asked for; whether the request that never leaves has been refused yet.
    renewing: Option<bool>,
    /// The answer to the last request in the account's name.
    in_its_name: Option<Result<Response, HttpError>>,
    /// The answer to the last of the other requests: for metadata, or to the token endpoint.
    other: Option<Result<Response, HttpError>>,
}

impl Wire {
    /// Begins to listen for what comes of a request.
    pub(super) fn begin(&self) {
        *locked(&self.0) = State::default();
    }

    /// Begins to listen for what comes of a renewal.
    pub(super) fn begin_renewing(&self) {
        *locked(&self.0) = State { renewing: Some(false), ..State::default() };
    }

    /// What came of the request in the account's name.
    pub(super) fn in_its_name(&self) -> Option<Result<Response, HttpError>> {
        locked(&self.0).in_its_name.take()
    }

    /// What came of the last of the other requests.
    pub(super) fn other(&self) -> Option<Result<Response, HttpError>> {
        let mut state = locked(&self.0);
        state.renewing = None;
        state.other.take()
    }

    /// The answer to a request that is only there to have the session renewed: refused once, then granted.
    fn staged(&self) -> Option<Response> {
        let mut state = locked(&self.0);
        let refused = state.renewing.as_mut()?;
        let json = ("content-type", "application/json");
        Some(if std::mem::replace(refused, true) {
            Response::new(200, [json], b"{}".to_vec())
        } else {
            let over = ("www-authenticate", r#"DPoP error="invalid_token""#);
            Response::new(401, [json, over], b"{}".to_vec())
        })
    }
}

/// Our HTTP, with its limits, as the library wants it.
#[derive(Clone)]
pub(super) struct Bridge {
    http: Http,
    wire: Wire,
}

impl HttpClient for Bridge {
    async fn send_http(
        &self,
        request: xrpc::http::Request<Vec<u8>>,
    ) -> Result<xrpc::http::Response<Vec<u8>>, Box<dyn Error + Send + Sync + 'static>> {
        const PASSED_ON: [&str; 4] = ["accept", "authorization", "content-type", "dpop"];
        let in_its_name = request.headers().contains_key("authorization");
        if in_its_name && let Some(staged) = self.wire.staged() {
            return passed_on(staged, |_| true);
        }
        let method = if request.method() == xrpc::http::Method::GET { Method::Get } else { Method::Post };
        let mut ours = Request { method, ..Request::get(request.uri().to_string()) };
        for name in PASSED_ON {
            if let Some(value) = request.headers().get(name) {
                ours = ours.header(name, value.to_str()?);
            }
        }
        ours.body = (method == Method::Post).then(|| request.into_body());
        let answer = self.http.send(ours).await;
        {
            let mut state = locked(&self.wire.0);
            let heard = if in_its_name { &mut state.in_its_name } else { &mut state.other };
            *heard = Some(answer.clone());
        }
        // That a token is over is for us to know; that a nonce is wanted is for the library.
        passed_on(answer?, |why| !in_its_name || why.contains("use_dpop_nonce"))
    }
}

fn passed_on(
    answer: Response,
    passes: impl Fn(&str) -> bool,
) -> Result<xrpc::http::Response<Vec<u8>>, Box<dyn Error + Send + Sync + 'static>> {
    let mut response = xrpc::http::Response::builder().status(answer.status);
    for name in ["content-type", "dpop-nonce", "www-authenticate"] {
        if let Some(value) = answer.header(name)
            && (name != "www-authenticate" || passes(value))
        {
            response = response.header(name, value);
        }
    }
    Ok(response.body(answer.body)?)
}

/// Handles are looked up before the library is asked; it only ever sees DIDs.
pub(super) struct NoHandles;

impl Resolver for NoHandles {
    type Input = AtriumHandle;
    type Output = AtriumDid;
    type Error = atrium_identity::Error;

    async fn resolve(&self, _handle: &Self::Input) -> Result<Self::Output, Self::Error> {
        Err(atrium_identity::Error::NotFound)
    }
}

/// The one session there is, on its way between the library and the [`SessionStore`](crate::session::SessionStore).
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Option<Session>>>);

impl Kept {
    pub(super) fn get_now(&self) -> Option<Session> {
        locked(&self.0).clone()
    }

    pub(super) fn set_now(&self, session: Option<Session>) {
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

/// The one sign-in under way: its name, which the server's page sends back, and what the library keeps under it.
#[derive(Clone, Default)]
pub(super) struct States(Arc<Mutex<Option<(String, InternalStateData)>>>);

impl States {
    /// The name of the sign-in under way.
    pub(super) fn name(&self) -> Option<String> {
        locked(&self.0).as_ref().map(|(name, _)| name.clone())
    }
}

impl Store<String, InternalStateData> for States {
    type Error = Infallible;

    async fn get(&self, name: &String) -> Result<Option<InternalStateData>, Infallible> {
        let state = locked(&self.0);
        Ok(state.as_ref().filter(|(known, _)| known == name).map(|(_, data)| data.clone()))
    }

    async fn set(&self, name: String, data: InternalStateData) -> Result<(), Infallible> {
        *locked(&self.0) = Some((name, data));
        Ok(())
    }

    async fn del(&self, _name: &String) -> Result<(), Infallible> {
        *locked(&self.0) = None;
        Ok(())
    }

    async fn clear(&self) -> Result<(), Infallible> {
        *locked(&self.0) = None;
        Ok(())
    }
}

impl StateStore for States {}
