//! What names a document: the at-URI of its root record, and the parts of a repo that concern it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sheaf_repo::{did::Did, mst::KeyRange, record_key::RecordKey, tid::Tid};

use crate::record::{AWARENESS, DOCUMENT, SEGMENT, SNAPSHOT, SegmentKey};

/// `at://{owner}/dev.sheaf.document/{tid}`: a document, by the account whose repo holds its root record and that record's
/// key. The account is always its DID, never a handle, so the name is for ever.
///
/// Every record key of a document begins with the root's, so that whatever a repo holds of it is a few ranges of the
/// repo's tree: [`DocumentUri::document_range`], [`DocumentUri::awareness_range`] and [`DocumentUri::segment_range`].
///
/// ```
/// use sheaf_core::document_uri::DocumentUri;
/// let uri: DocumentUri = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a".parse()?;
/// assert_eq!(uri.awareness_path(), "dev.sheaf.awareness/3jzfcijpj2z2a");
/// assert!(uri.segment_range().contains("dev.sheaf.segment/3jzfcijpj2z2a:k3x9:00000000"));
/// # Ok::<(), sheaf_core::document_uri::DocumentUriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentUri {
    owner: Did,
    rkey: RecordKey,
}

/// A text that names no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a document, which is at://DID/{DOCUMENT}/KEY")]
pub struct DocumentUriError;

impl DocumentUri {
    /// The document with this root record in the owner's repo.
    pub fn new(owner: Did, key: &Tid) -> DocumentUri {
        DocumentUri { owner, rkey: rkey_of(key) }
    }

    /// Whose repo holds the root record.
    pub fn owner(&self) -> &Did {
        &self.owner
    }

    /// The root record's key, always a TID.
    pub fn rkey(&self) -> &RecordKey {
        &self.rkey
    }

    /// Where the root record is in its owner's repo.
    pub fn document_path(&self) -> String {
        format!("{DOCUMENT}/{}", self.rkey)
    }

    /// Where presence is in each editor's repo.
    pub fn awareness_path(&self) -> String {
        format!("{AWARENESS}/{}", self.rkey)
    }

    /// Where this segment is in its author's repo.
    pub fn segment_path(&self, key: &SegmentKey) -> String {
        format!("{SEGMENT}/{key}")
    }

    /// [`DocumentUri::document_path`] alone.
    pub fn document_range(&self) -> KeyRange {
        KeyRange::only(&self.document_path())
    }

    /// [`DocumentUri::awareness_path`] alone.
    pub fn awareness_range(&self) -> KeyRange {
        KeyRange::only(&self.awareness_path())
    }

    /// What an editor's repo carries of the others', alone.
    pub fn snapshot_range(&self) -> KeyRange {
        KeyRange::only(&format!("{SNAPSHOT}/{}", self.rkey))
    }

    /// All segments that an editor's repo may hold of this document (or of another owner's whose key is the same: the
    /// record says).
    pub fn segment_range(&self) -> KeyRange {
        // `;` is the byte after `:`.
        KeyRange::new(format!("{SEGMENT}/{}:", self.rkey), format!("{SEGMENT}/{};", self.rkey))
    }
}

impl FromStr for DocumentUri {
    type Err = DocumentUriError;

    fn from_str(text: &str) -> Result<DocumentUri, DocumentUriError> {
        let mut parts = text.strip_prefix("at://").ok_or(DocumentUriError)?.split('/');
        let (Some(owner), Some(DOCUMENT), Some(key), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(DocumentUriError);
        };
        let owner = owner.parse().map_err(|_| DocumentUriError)?;
        let key: Tid = key.parse().map_err(|_| DocumentUriError)?;
        Ok(DocumentUri::new(owner, &key))
    }
}

impl fmt::Display for DocumentUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at://{}/{DOCUMENT}/{}", self.owner, self.rkey)
    }
}

impl TryFrom<String> for DocumentUri {
    type Error = DocumentUriError;

    fn try_from(text: String) -> Result<DocumentUri, DocumentUriError> {
        text.parse()
    }
}

impl From<DocumentUri> for String {
    fn from(uri: DocumentUri) -> String {
        uri.to_string()
    }
}

fn rkey_of(key: &Tid) -> RecordKey {
    key.as_str().parse().expect("every TID is a record key")
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const URI: &str = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a";

    #[test]
    fn an_address_is_read_back_as_it_was() {
        let uri: DocumentUri = URI.parse().unwrap();
        assert_eq!(uri.to_string(), URI);
        assert_eq!(uri.owner().as_str(), "did:plc:ewvi7nxzyoun6zhxrhs64oiz");
        assert_eq!(serde_json::from_str::<DocumentUri>(&serde_json::to_string(&uri).unwrap()).unwrap(), uri);
        let web: DocumentUri =
            "at://did:web:bob.example%3A8080/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap();
        assert_eq!(web.owner().method(), "web");
    }

    #[test]
    fn what_is_not_exactly_one_is_refused() {
        for wrong in [
            "",
            "did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a",
            "at://alice.example/dev.sheaf.document/3jzfcijpj2z2a",
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.segment/3jzfcijpj2z2a",
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/self",
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document",
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a/",
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a#text",
            "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz//3jzfcijpj2z2a",
            " at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a",
            "AT://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a",
        ] {
            assert_eq!(wrong.parse::<DocumentUri>(), Err(DocumentUriError), "{wrong:?}");
        }
    }

    #[test]
    fn ranges_hold_the_document_and_nothing_beside_it() {
        let uri: DocumentUri = URI.parse().unwrap();
        let range = uri.segment_range();
        let key =
            SegmentKey { document: uri.rkey().clone(), replica: "zz9".parse().unwrap(), seq: 99_999_999 };
        assert!(range.contains(&uri.segment_path(&key)));
        for other in
            ["3jzfcijpj2z2b:zz9:00000000", "3jzfcijpj2z2a", "3jzfcijpj2z2a~", "3jzfcijpj2z22:a:00000000"]
        {
            assert!(!range.contains(&format!("{SEGMENT}/{other}")), "{other}");
        }
        assert!(uri.document_range().contains(&uri.document_path()));
        assert!(!uri.document_range().contains(&format!("{}a", uri.document_path())));
        assert!(uri.awareness_range().contains(&uri.awareness_path()));
    }
}
