//! Who is signed in, and how a request is made in their name.
//!
//! Only writes need a session; reading never does. Natively a session is an app password's tokens or an OAuth grant; in
//! the browser the page's OAuth client hands over a `fetch` that signs requests, and no secret enters this crate at all.

use sheaf_repo::did::Did;

use crate::{
    net::http::{HttpError, Request, Response},
    platform::LocalFuture,
};

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod calm;
#[cfg(not(target_arch = "wasm32"))]
mod loopback;
#[cfg(not(target_arch = "wasm32"))]
mod oauth;
#[cfg(not(target_arch = "wasm32"))]
mod password;
#[cfg(not(target_arch = "wasm32"))]
mod renewing;
#[cfg(not(target_arch = "wasm32"))]
mod saved;
#[cfg(not(target_arch = "wasm32"))]
mod signing_in;

#[cfg(target_arch = "wasm32")]
pub use browser::Browser;
#[cfg(not(target_arch = "wasm32"))]
pub use calm::hush_expected_panics;
#[cfg(not(target_arch = "wasm32"))]
pub use oauth::OAuth;
#[cfg(not(target_arch = "wasm32"))]
pub use password::Password;
#[cfg(not(target_arch = "wasm32"))]
pub use saved::{FileSessions, MemorySessions, Saved, SessionStore, SessionStoreError, Tokens};
#[cfg(not(target_arch = "wasm32"))]
pub use signing_in::{SignInError, restore, sign_out};

/// A signed-in account.
pub trait Authed {
    /// Whose session it is.
    fn did(&self) -> &Did;

    /// The account's handle as the session was told it, to show.
    fn handle(&self) -> Option<String>;

    /// The origin of the account's PDS.
    fn pds(&self) -> String;

    /// Sends a request in the account's name, renewing the session if that is what it takes.
    fn send(&self, request: Request) -> LocalFuture<'_, Result<Response, AuthedError>>;

    /// Waits until a renewal of the session that is under way has ended, if there is one. A program that ends in the middle
    /// of one may lose the session: the server has given new tokens by then, and nobody has kept them.
    fn renewed(&self) -> LocalFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Why an authenticated request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthedError {
    /// The session is over and could not be renewed.
    #[error("the session has ended; sign in again")]
    SignInAgain,
    /// The exchange failed.
    #[error("{0}")]
    Http(#[from] HttpError),
}

/// The OAuth scope to ask for: writing this app's own collections and nothing else.
///
/// ```
/// assert!(sheaf_client::session::scope().starts_with("atproto repo:dev.sheaf."));
/// ```
pub fn scope() -> String {
    sheaf_core::record::oauth_scope()
}
