//! Secrets that stay on the device: the keys of the live channel.
//!
//! They are kept so that whoever comes back is the same as before, also where they cannot write to their repo to say who they
//! are now. A session key signs for one replica in one document and nothing else; an endpoint's key only encrypts.

use sheaf_core::{client_id::ReplicaId, document_uri::DocumentUri, replica::StoreOp};
use sheaf_repo::did::Did;

use crate::{
    platform,
    slots::{Held, Locks},
    store::{Store, StoreError},
};

/// As many processes of one store can have an endpoint that is kept. One more has a new one each time.
const MAX_ENDPOINTS: usize = 32;

/// Prefix of the session keys' secrets of a document, to be erased with it.
pub(crate) fn sessions(account: &Did, document: &DocumentUri) -> String {
    format!("secret/session/{account}/{document}/")
}

/// The secret of a replica's session key. The replica is held by whoever asks.
pub(crate) async fn session(
    store: &dyn Store,
    account: &Did,
    document: &DocumentUri,
    replica: &ReplicaId,
) -> Result<[u8; 32], StoreError> {
    kept(store, format!("{}{replica}", sessions(account, document))).await
}

/// The secret of an endpoint that no other process of this store uses, and what keeps them from it.
pub(crate) async fn endpoint(
    store: &dyn Store,
    locks: &dyn Locks,
) -> Result<([u8; 32], Option<Box<dyn Held>>), StoreError> {
    for n in 0..MAX_ENDPOINTS {
        let key = format!("secret/endpoint/{n}");
        if let Some(held) = locks.try_lock(&key).await {
            return Ok((kept(store, key).await?, Some(held)));
        }
    }
    Ok((platform::random_bytes(), None))
}

/// The secret under this key, made if there is none.
async fn kept(store: &dyn Store, key: String) -> Result<[u8; 32], StoreError> {
    if let Some(secret) = store.get(&key).await?.and_then(|secret| secret.try_into().ok()) {
        return Ok(secret);
    }
    let secret = platform::random_bytes();
    store.write(vec![StoreOp::Put { key, value: secret.to_vec() }]).await?;
    Ok(secret)
}
