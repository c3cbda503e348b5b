//! The browser's face of `sheaf-client`: what the page calls, through wasm-bindgen.
//!
//! It is thin on purpose. The page draws; everything that is decided is decided below this crate, and here what is decided
//! between the engine and the views of it in all of an account's tabs ([`engine`], [`view_text`]). Three rules hold at the
//! border:
//!
//! * **Plain values.** What the page reads is a plain object with a TypeScript type made from the Rust one ([`shown`]),
//!   so nothing has to be freed and no type is written twice. It may cross any number of ports.
//! * **Sentences.** Every refusal reaches the page as an `Error` whose message is a sentence for a person ([`sentence`]).
//! * **No re-entry.** What a view is told ([`shown::Told`]) is posted to it; it never calls back in the same turn.
//!
//! A document's address in the page is a fragment ([`sheaf_core::document_link`]), so that any static host serves it.
//!
//! ```
//! use sheaf_web::shown::Splice;
//!
//! let typed = Splice { at: 0, delete: 0, insert: "typed".into() };
//! assert_eq!(sheaf_core::text::Splice::from(typed), sheaf_core::text::Splice::insert(0, "typed"));
//! ```

mod clock;
pub mod details;
pub mod engine;
pub mod last_seen;
mod open_document;
pub mod sentence;
pub mod shown;
pub mod timeline;
pub mod view_text;

#[cfg(target_arch = "wasm32")]
mod live;
#[cfg(target_arch = "wasm32")]
mod second_part;
#[cfg(target_arch = "wasm32")]
mod sheaf;

pub use open_document::Tell;
#[cfg(target_arch = "wasm32")]
pub use {
    live::{LiveSettings, Transport},
    second_part::second_part,
    sheaf::Sheaf,
};
