//! The browser's store against the suite that every store must pass. `web/e2e/store.e2e.mjs` calls it in Chromium.
#![cfg(target_arch = "wasm32")]

use sheaf_client::store::{IndexedDb, Store as _, StoreError, conformance};
use sheaf_core::replica::StoreOp;
use wasm_bindgen::prelude::*;

/// Runs the suite on the database of this name, which must be new or empty.
///
/// # Errors
/// What the store failed with. A store that behaves as none panics.
#[wasm_bindgen]
pub async fn check(name: String) -> Result<(), JsError> {
    console_error_panic_hook::set_once();
    let store = IndexedDb::open(&name).await?;
    conformance::check(&store).await?;

    let put = |key: &str| vec![StoreOp::Put { key: key.to_owned(), value: vec![1] }];
    let first = store.clone().claim().await?;
    first.write(put("by the first")).await?;
    let second = store.claim().await?;
    assert_eq!(first.write(put("too late")).await, Err(StoreError::TakenOver));
    assert_eq!(first.erase("").await, Err(StoreError::TakenOver));
    second.write(put("by the second")).await?;
    let kept: Vec<String> = second.scan("").await?.into_iter().map(|(key, _)| key).collect();
    assert_eq!(
        kept,
        ["by the first", "by the second", "claim"],
        "whoever comes later is the only one to write"
    );
    Ok(())
}
