//! The browser's session: a `fetch` that the page's OAuth client has taught to sign requests.

use js_sys::{Function, Reflect};
use sheaf_repo::did::Did;
use wasm_bindgen::JsValue;

use super::{Authed, AuthedError};
use crate::{
    net::{
        http::{self, HttpError, Request, Response},
        origin::{self, BadAddress, Reach},
    },
    platform::{self, LocalFuture},
};

/// A session kept by JavaScript. Keys and tokens stay there.
pub struct Browser {
    did: Did,
    handle: Option<String>,
    pds: String,
    fetch: Function,
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser").field("did", &self.did).field("pds", &self.pds).finish_non_exhaustive()
    }
}

impl Browser {
    /// A session whose `fetch` is `(url: string, init: RequestInit) => Promise<Response>`. A promise rejected with an error
    /// named `SignInAgain`, or an answer with status 401, means that the session is over.
    ///
    /// # Errors
    /// [`BadAddress`] when the PDS is not an address to use.
    pub fn new(did: Did, handle: Option<String>, pds: &str, fetch: Function) -> Result<Self, BadAddress> {
        // The OAuth client has spoken to it already, whether it is on this machine or not.
        let pds = origin::origin(pds, Reach::Local)?;
        Ok(Self { did, handle, pds, fetch })
    }
}

impl Authed for Browser {
    fn did(&self) -> &Did {
        &self.did
    }

    fn handle(&self) -> Option<String> {
        self.handle.clone()
    }

    fn pds(&self) -> String {
        self.pds.clone()
    }

    fn send(&self, request: Request) -> LocalFuture<'_, Result<Response, AuthedError>> {
        Box::pin(async move {
            let limit = request.timeout;
            let sent = platform::within(limit, http::send_with(&self.fetch, request)).await;
            let response = match sent {
                Err(_) => return Err(HttpError::TimedOut.into()),
                Ok(Err(rejected)) if is_over(&rejected) => return Err(AuthedError::SignInAgain),
                Ok(Err(rejected)) => return Err(HttpError::Unreachable(http::words(&rejected)).into()),
                Ok(Ok(answer)) => answer?,
            };
            if response.status == 401 { Err(AuthedError::SignInAgain) } else { Ok(response) }
        })
    }
}

fn is_over(rejected: &JsValue) -> bool {
    Reflect::get(rejected, &"name".into()).ok().and_then(|name| name.as_string()).as_deref()
        == Some("SignInAgain")
}
