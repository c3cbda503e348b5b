//! Who an account is: handle → DID → DID document, checked both ways, on hosts that can be chosen.
//!
//! The signing key in a DID document is what a repo's signatures are checked with, so the directory is trusted with that
//! and with nothing else. A handle is only ever shown; it counts when the handle names the DID *and* the DID's document
//! names the handle.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use serde::{Deserialize, Serialize};
use sheaf_core::{
    replica::{Identity, ResolveFailure, StoreOp},
    time::Timestamp,
};
use sheaf_repo::{did::Did, handle::Handle, key::VerifyingKey};

use super::{
    http::{Http, HttpError, Request},
    xrpc,
};
use crate::{config::NetworkConfig, platform, store::SharedStore};

mod document;
mod handle;

pub use document::{DidDocument, DocumentError, web_origin};
pub use handle::HandleFailure;

/// How long an identity is believed without asking again.
const BELIEVED: Duration = Duration::from_secs(10 * 60);
/// How long what was known when the directory did not answer is believed before it is asked again.
const BELIEVED_WITHOUT_ASKING: Duration = Duration::from_secs(60);
/// How long the directory may take where something is known from before.
const DIRECTORY_PATIENCE: Duration = Duration::from_secs(2);
/// How long opening a document may wait for a handle to be checked; it is only a label.
const HANDLE_PATIENCE: Duration = Duration::from_secs(3);
/// The largest DID document read, in bytes.
const MAX_DOCUMENT: usize = 64 * 1024;

/// An account found by what a person typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Who.
    pub did: Did,
    /// Their handle, where handle and DID name each other.
    pub handle: Option<Handle>,
    /// The origin of their PDS.
    pub pds: String,
}

/// Why no account was found. Each is a sentence to show beside the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// What was typed is neither a handle nor a DID.
    #[error("“{0}” is not a handle; one looks like name.bsky.social")]
    NotAHandle(String),
    /// Nobody has this handle.
    #[error("there is no account with the handle {0}")]
    UnknownHandle(Handle),
    /// The handle names an account whose own document does not name the handle.
    #[error("{0} points at an account that does not call itself that")]
    NotMutual(Handle),
    /// The handle could not be looked up.
    #[error("{handle} cannot be looked up now ({reason}); try again when you are online")]
    HandleUnreachable {
        /// Which.
        handle: Handle,
        /// Why.
        reason: String,
    },
    /// The handle is known and its account cannot be looked up.
    #[error("the account {did} cannot be looked up: {failure}")]
    Unresolved {
        /// Which.
        did: Did,
        /// Why.
        failure: ResolveFailure,
    },
}

/// What is known of a handle that an account claims.
enum Checked {
    Its,
    NotIts,
    /// Nobody could be asked in time.
    Unknown,
}

struct Known {
    /// Until when it is believed without asking again.
    until: Timestamp,
    identity: Identity,
}

/// Looks accounts up and remembers them for a while. Clones share what they know.
#[derive(Clone)]
pub struct Directory {
    config: Rc<NetworkConfig>,
    http: Http,
    known: Rc<RefCell<BTreeMap<Did, Known>>>,
    /// For what was known the last time the program ran.
    store: Option<SharedStore>,
}

/// What is kept of an identity, as JSON under `identity/{did}`.
#[derive(Serialize, Deserialize)]
struct Kept {
    handle: Option<String>,
    pds: String,
    /// As a did:key.
    key: String,
}

/// The most identities remembered; far above the editors of all documents one person has open.
const MAX_KNOWN: usize = 1000;

impl Directory {
    /// A directory that knows nobody yet.
    pub fn new(config: NetworkConfig, http: Http) -> Self {
        Self { config: Rc::new(config), http, known: Rc::default(), store: None }
    }

    /// Keeps what it learns in `store` too, for days on which the directory is out of reach. Keys change seldom, and when
    /// one has, its repo's signature does not fit and core asks for a fresh answer.
    #[must_use]
    pub fn remembering(mut self, store: SharedStore) -> Self {
        self.store = Some(store);
        self
    }

    /// Who this DID is: its PDS, its signing key, and its handle if that can be checked soon. `fresh` asks again even if
    /// the answer is known, because a signature has failed.
    ///
    /// # Errors
    /// [`ResolveFailure`], by what can be done about it.
    pub async fn resolve(&self, did: &Did, fresh: bool) -> Result<Identity, ResolveFailure> {
        let now = platform::now();
        let known = self.known.borrow().get(did).map(|known| (known.until, known.identity.clone()));
        if let Some((until, identity)) = &known
            && !fresh
            && now < *until
        {
            return Ok(identity.clone());
        }
        // What is known from before does for a while, should the directory be slow or away.
        let before = match known {
            Some((_, identity)) => Some(identity),
            None => self.kept(did).await,
        };
        let asked = self.look_up(did, before.clone(), fresh);
        let Some(before) = before.filter(|_| !fresh) else { return asked.await };
        match platform::within(DIRECTORY_PATIENCE, asked).await {
            Ok(Err(ResolveFailure::Unreachable(_))) => {}
            Ok(answer) => return answer,
            Err(platform::Elapsed) => {
                // The slow answer is still wanted, if not now.
                let (this, did, before) = (self.clone(), did.clone(), before.clone());
                platform::spawn(async move {
                    let _ = this.look_up(&did, Some(before), false).await;
                });
            }
        }
        tracing::info!(%did, "the directory is slow or out of reach; going on with what it said last");
        self.remember(before.clone(), now, BELIEVED_WITHOUT_ASKING);
        Ok(before)
    }

    /// Asks the directory, whatever is known, and keeps the answer.
    async fn look_up(
        &self,
        did: &Did,
        before: Option<Identity>,
        fresh: bool,
    ) -> Result<Identity, ResolveFailure> {
        let document = self.document(did).await?;
        let before = before.and_then(|identity| identity.handle);
        let (handle, believed) = match document.claimed_handle.clone() {
            // The handle was checked when we last looked and the document still claims it.
            Some(claimed) if fresh && before.as_ref() == Some(&claimed) => (before, BELIEVED),
            Some(claimed) => match self.checked(did, &claimed).await {
                Checked::Its => (Some(claimed), BELIEVED),
                Checked::NotIts => (None, BELIEVED),
                // Nobody says otherwise than before.
                Checked::Unknown => (before.filter(|before| *before == claimed), BELIEVED_WITHOUT_ASKING),
            },
            None => (None, BELIEVED),
        };
        let identity = Identity { did: did.clone(), handle, pds: document.pds, key: document.key };
        self.keep(&identity).await;
        self.remember(identity.clone(), platform::now(), believed);
        Ok(identity)
    }

    fn remember(&self, identity: Identity, now: Timestamp, believed: Duration) {
        let mut known = self.known.borrow_mut();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(identity.did.clone(), Known { until: now.saturating_add(believed), identity });
    }

    /// Who this was when the directory last answered.
    async fn kept(&self, did: &Did) -> Option<Identity> {
        let kept = self.store.as_ref()?.get(&format!("identity/{did}")).await.ok()??;
        let kept: Kept = serde_json::from_slice(&kept).ok()?;
        let handle = kept.handle.and_then(|handle| handle.parse().ok());
        let key = VerifyingKey::from_did_key(&kept.key).ok()?;
        Some(Identity { did: did.clone(), handle, pds: kept.pds, key })
    }

    async fn keep(&self, identity: &Identity) {
        let Some(store) = &self.store else { return };
        let handle = identity.handle.as_ref().map(ToString::to_string);
        let kept = Kept { handle, pds: identity.pds.clone(), key: identity.key.to_did_key() };
        let value = serde_json::to_vec(&kept).expect("strings are always JSON");
        let key = format!("identity/{}", identity.did);
        // Written only when it is news: most looks at the directory are not.
        if store.get(&key).await.ok().flatten().as_ref() != Some(&value)
            && let Err(error) = store.write(vec![StoreOp::Put { key, value }]).await
        {
            tracing::debug!(%error, "an identity is not kept");
        }
    }

    /// Finds an account by a handle (with or without `@`) or a DID, as a person types it.
    ///
    /// # Errors
    /// [`AccountError`], a sentence to show.
    pub async fn find_account(&self, typed: &str) -> Result<Account, AccountError> {
        // Pasting from a profile often brings invisible direction marks along.
        let typed: String = typed
            .chars()
            .filter(
                |c| !matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'),
            )
            .collect();
        let typed = typed.trim().trim_start_matches('@');
        if let Ok(did) = typed.parse::<Did>() {
            let found = self.resolve(&did, false).await;
            let identity = found.map_err(|failure| AccountError::Unresolved { did, failure })?;
            return Ok(Account { did: identity.did, handle: identity.handle, pds: identity.pds });
        }
        let shown = || typed.chars().filter(|c| !c.is_control()).take(80).collect();
        let handle =
            typed.to_ascii_lowercase().parse::<Handle>().map_err(|_| AccountError::NotAHandle(shown()))?;
        let did = match self.resolve_handle(&handle).await {
            Ok(did) => did,
            Err(HandleFailure::NotFound) => return Err(AccountError::UnknownHandle(handle)),
            Err(HandleFailure::Unreachable(reason)) => {
                return Err(AccountError::HandleUnreachable { handle, reason });
            }
        };
        let document = self.document(&did).await;
        let document = document.map_err(|failure| AccountError::Unresolved { did: did.clone(), failure })?;
        if document.claimed_handle.as_ref() != Some(&handle) {
            return Err(AccountError::NotMutual(handle));
        }
        Ok(Account { did, handle: Some(handle), pds: document.pds })
    }

    /// The DID a handle names, one way only.
    ///
    /// # Errors
    /// [`HandleFailure`].
    pub async fn resolve_handle(&self, handle: &Handle) -> Result<Did, HandleFailure> {
        handle::resolve(&self.config, &self.http, handle).await
    }

    async fn checked(&self, did: &Did, claimed: &Handle) -> Checked {
        let outcome = platform::within(HANDLE_PATIENCE, self.resolve_handle(claimed)).await;
        match outcome {
            Ok(Ok(named)) if named == *did => Checked::Its,
            Ok(Ok(_) | Err(HandleFailure::NotFound)) => {
                tracing::debug!(%did, handle = %claimed, ?outcome, "the handle does not check out");
                Checked::NotIts
            }
            Ok(Err(HandleFailure::Unreachable(_))) | Err(platform::Elapsed) => Checked::Unknown,
        }
    }

    async fn document(&self, did: &Did) -> Result<DidDocument, ResolveFailure> {
        let url = self.document_url(did)?;
        let request = Request::get(url)
            .limit(MAX_DOCUMENT)
            .header("accept", "application/did+ld+json, application/json");
        let response = self.http.get(request).await.map_err(|error| match error {
            HttpError::TooLarge { .. } => ResolveFailure::Malformed(error.to_string()),
            error => ResolveFailure::Unreachable(xrpc::reason(&error)),
        })?;
        match response.status {
            200 => {}
            404 => return Err(ResolveFailure::NotFound),
            410 => return Err(ResolveFailure::Tombstoned),
            status @ (408 | 429 | 500..) => {
                return Err(ResolveFailure::Unreachable(format!("status {status}")));
            }
            status => return Err(ResolveFailure::Malformed(format!("status {status}"))),
        }
        if let Some(what) = xrpc::not_what_was_asked(&response) {
            return Err(ResolveFailure::Malformed(what));
        }
        DidDocument::parse(&response.body, did, self.config.reach())
            .map_err(|e| ResolveFailure::Malformed(e.to_string()))
    }

    fn document_url(&self, did: &Did) -> Result<String, ResolveFailure> {
        match did.as_str().strip_prefix("did:web:") {
            None => Ok(format!("{}/{did}", self.config.plc)),
            Some(host) => document::web_origin(host, self.config.reach())
                .map(|origin| format!("{origin}/.well-known/did.json"))
                .ok_or_else(|| ResolveFailure::Malformed("its did:web is not a host name".into())),
        }
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
