//! The browser's store against the suite that every store must pass. `web/e2e/store.e2e.mjs` calls it in Chromium.
#![cfg(target_arch = "wasm32")]

use sheaf_client::store::{IndexedDb, conformance};
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
    Ok(())
}
