//! Signing in and out of a program, by whichever kind of session.

use std::rc::Rc;

use sheaf_repo::did::Did;

use super::{Authed, OAuth, Password, SessionStore, SessionStoreError, Tokens, password};
use crate::{
    config::NetworkConfig,
    net::{http::HttpError, identity::AccountError, origin},
};

/// Why signing in did not work.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// There is no such account, or it cannot be looked up.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Handle and password do not fit.
    #[error("the handle or the password is wrong")]
    WrongPassword,
    /// The account wants a second factor, which app passwords do without.
    #[error(
        "this account asks for a code by mail; make an app password in its settings and sign in with that"
    )]
    AppPasswordNeeded,
    /// The server did not answer.
    #[error("{pds} did not answer: {error}")]
    Unreachable {
        /// Which.
        pds: String,
        /// Why.
        error: HttpError,
    },
    /// The server answered something else.
    #[error("{pds} refused to sign you in: {message}")]
    Refused {
        /// Which.
        pds: String,
        /// In its words.
        message: String,
    },
    /// The session kept belongs to a network other than the one configured.
    #[error("the session kept here is for {pds}, which is not on this network; sign in again")]
    OtherNetwork {
        /// Where the session is.
        pds: String,
    },
    /// The session cannot be kept.
    #[error(transparent)]
    Store(#[from] SessionStoreError),
}

/// The session kept in `store`, ready to use; asks no server. `None`: nobody is signed in.
///
/// # Errors
/// [`SignInError::Store`] when what is kept cannot be read, [`SignInError::OtherNetwork`] when it is of another network
/// than `config`'s.
pub async fn restore(
    config: &NetworkConfig,
    store: Rc<dyn SessionStore>,
) -> Result<Option<Rc<dyn Authed>>, SignInError> {
    let Some(session) = store.load()? else { return Ok(None) };
    let did = session.did.parse::<Did>();
    let did = did.map_err(|_| SessionStoreError::Damaged { path: "of the session".into() })?;
    if origin::origin(&session.pds, config.reach()).is_err() {
        return Err(SignInError::OtherNetwork { pds: session.pds });
    }
    Ok(Some(match session.tokens {
        Tokens::Password { .. } => Rc::new(Password::restore(did, store, session)),
        Tokens::OAuth { .. } => Rc::new(OAuth::restore(config, did, store, session)?),
    }))
}

/// Forgets the session, and tells the server if it can be reached.
///
/// # Errors
/// [`SignInError::Store`] when it cannot be removed from this device.
pub async fn sign_out(config: &NetworkConfig, store: Rc<dyn SessionStore>) -> Result<(), SignInError> {
    let session = store.load();
    store.clear()?;
    if let Ok(Some(session)) = session
        && let Ok(did) = session.did.parse::<Did>()
    {
        match session.tokens {
            Tokens::Password { .. } => password::revoke(&session).await,
            Tokens::OAuth { .. } => {
                if let Ok(oauth) = OAuth::restore(config, did, store, session) {
                    oauth.revoke().await;
                }
            }
        }
    }
    Ok(())
}
