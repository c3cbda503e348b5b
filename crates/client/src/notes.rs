//! Notes that a face keeps beside a document, on this device alone: under `note/{document}/{name}`, as long as the document.

use sheaf_core::document_uri::DocumentUri;

pub(crate) fn prefix(document: &DocumentUri) -> String {
    format!("note/{document}/")
}

pub(crate) fn key(document: &DocumentUri, name: &str) -> String {
    format!("{}{name}", prefix(document))
}
