//! The address of a document as the fragment of the app's address: `#/d/{owner's DID}/{rkey}`.

use sheaf_core::document_uri::DocumentUri;
use sheaf_repo::{did::Did, tid::Tid};

/// Why a fragment leads to no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotALink;

impl std::fmt::Display for NotALink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("This link does not lead to a document. It may have been cut off; ask for it again.")
    }
}

impl std::error::Error for NotALink {}

/// The fragment that leads to a document, with its `#`.
pub fn of(uri: &DocumentUri) -> String {
    format!("#/d/{}/{}", uri.owner(), uri.rkey())
}

/// Reads a fragment, with or without its `#`. Escapes such as `%3A` are read too, for some programs make them when a
/// link is passed on.
///
/// # Errors
/// [`NotALink`], whatever is wrong: a link is made by a program, so there is nothing in it to mend by hand.
pub fn parse(fragment: &str) -> Result<DocumentUri, NotALink> {
    let path = fragment.strip_prefix('#').unwrap_or(fragment).strip_prefix("/d/").ok_or(NotALink)?;
    let path = path.replace("%3A", ":").replace("%3a", ":");
    let (owner, rkey) = path.split_once('/').ok_or(NotALink)?;
    let owner: Did = owner.parse().map_err(|_| NotALink)?;
    let rkey: Tid = rkey.parse().map_err(|_| NotALink)?;
    Ok(DocumentUri::new(owner, &rkey))
}
