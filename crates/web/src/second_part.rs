//! The engine is shipped in two parts, cut apart once it is compiled: what a page needs until its first document is shown and typed
//! in, and the rest (`xtask/src/parts.rs`). Nothing in Rust knows where the cut is. A call from the first part into the second
//! before that is there goes to [`load_second_part`] first.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Loads the second part and returns when it is there. The page's worker has a function of this name.
    #[wasm_bindgen(js_name = loadSecondPart)]
    fn load_second_part();
}

/// Loads the second part where it is not there yet. It is here for what it calls: what nobody calls would not be imported.
#[wasm_bindgen(js_name = secondPart)]
pub fn second_part() {
    load_second_part();
}
