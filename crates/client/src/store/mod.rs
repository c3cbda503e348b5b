//! What a device keeps: keys and bytes, behind four verbs.
//!
//! A write is one batch that happens entirely or not at all, and once its future says so it survives a crash of the
//! program, the browser or the machine. Keys are paths such as `doc/at://…/replica/…`; what they mean is core's business,
//! and for
//! `library/`, `note/`, `slot/` and `stream/` this crate's.

use std::rc::Rc;

use sheaf_core::replica::StoreOp;

use crate::platform::LocalFuture;

#[cfg(target_arch = "wasm32")]
mod indexeddb;
mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod sqlite;

pub mod conformance;

#[cfg(target_arch = "wasm32")]
pub use indexeddb::IndexedDb;
pub use memory::Memory;
#[cfg(not(target_arch = "wasm32"))]
pub use sqlite::Sqlite;

/// A key and its value.
pub type Entry = (String, Vec<u8>);

/// A device's store, shared by everything open on it. Several processes or tabs may use one at the same time.
pub trait Store {
    /// Everything whose key begins with `prefix`, by key.
    fn scan<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<Vec<Entry>, StoreError>>;

    /// One value.
    fn get<'a>(&'a self, key: &'a str) -> LocalFuture<'a, Result<Option<Vec<u8>>, StoreError>>;

    /// Makes these changes in order, atomically and durably.
    fn write(&self, ops: Vec<StoreOp>) -> LocalFuture<'_, Result<(), StoreError>>;

    /// Removes everything whose key begins with `prefix`; with an empty prefix, everything.
    fn erase<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<(), StoreError>>;
}

/// A store, shared.
pub type SharedStore = Rc<dyn Store>;

/// Why the device does not keep things, in words a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk or the browser's quota is full.
    #[error("this device has no room left; free some space and changes will be saved")]
    Full,
    /// The browser does not let this page keep anything, as in some private windows.
    #[error("this browser does not let the page keep anything (a private window?)")]
    NotAllowed,
    /// Another tab or process holds the store and does not let go.
    #[error("another window or program is using the store; close it and try again")]
    Busy,
    /// What is there cannot be read as a store.
    #[error("the store on this device is damaged ({0})")]
    Corrupted(String),
    /// Made by a newer version than this one.
    #[error("the store on this device was made by a newer Sheaf; update this one")]
    TooNew,
    /// Somebody else is the only one to write to it now.
    #[error("another tab of Sheaf has taken over")]
    TakenOver,
    /// Anything else.
    #[error("the store on this device does not work ({0})")]
    Failed(String),
}

/// The smallest key greater than every key that begins with `prefix`, or `None` if there is none.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn end_of(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // Skips the surrogates, which are no chars; by code points is how UTF-8 orders, too.
        let next = (last as u32 + 1..=char::MAX as u32).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_past_all_its_keys() {
        assert_eq!(end_of("doc/a").as_deref(), Some("doc/b"));
        assert_eq!(end_of("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(end_of("\u{D7FF}").as_deref(), Some("\u{E000}"));
        assert_eq!(end_of(""), None);
        assert_eq!(end_of("\u{10FFFF}"), None);
    }
}
