//! Notes that a face keeps beside a document, on this device alone: under `note/{document}/{name}`, as long as the document.

use sheaf_core::{document_uri::DocumentUri, replica::StoreOp};

pub(crate) fn prefix(document: &DocumentUri) -> String {
    format!("note/{document}/")
}

pub(crate) fn key(document: &DocumentUri, name: &str) -> String {
    format!("{}{name}", prefix(document))
}

/// What keeps a note, or throws it away.
pub(crate) fn op(document: &DocumentUri, name: &str, note: Option<Vec<u8>>) -> StoreOp {
    let key = key(document, name);
    match note {
        Some(value) => StoreOp::Put { key, value },
        None => StoreOp::Delete { key },
    }
}
