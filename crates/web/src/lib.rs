//! The browser's face of `sheaf-client`: what the page calls, through wasm-bindgen.
//!
//! It is thin on purpose. The page draws; everything that is decided is decided below this crate. Three rules hold at
//! the border:
//!
//! * **Plain values.** What the page reads is a plain object with a TypeScript type made from the Rust one ([`shown`]),
//!   so nothing has to be freed and no type is written twice.
//! * **Sentences.** Every refusal reaches the page as an `Error` whose message is a sentence for a person ([`sentence`]).
//! * **No re-entry.** A change that did not come from the page is queued here; the page is told once, in a microtask
//!   of its own, and fetches what has gathered in one crossing ([`DocumentSession::take_changes`]). The page's callback
//!   is never called while Rust is at work.
//!
//! A document's address in the page is a fragment ([`sheaf_core::document_link`]), so that any static host serves it.
//!
//! ```
//! use sheaf_web::shown::Splice;
//!
//! let typed = Splice { at: 0, delete: 0, insert: "typed".into() };
//! assert_eq!(sheaf_core::text::Splice::from(typed), sheaf_core::text::Splice::insert(0, "typed"));
//! ```

pub mod sentence;
pub mod shown;

#[cfg(target_arch = "wasm32")]
mod document_session;
#[cfg(target_arch = "wasm32")]
mod sheaf;

#[cfg(target_arch = "wasm32")]
pub use document_session::DocumentSession;
#[cfg(target_arch = "wasm32")]
pub use sheaf::Sheaf;
