//! A document's address as people pass it on: which document, and who else may have it.

use std::{fmt, str::FromStr};

use sheaf_repo::{did::Did, tid::Tid};

use crate::document_uri::DocumentUri;

/// The most accounts that a link names besides the owner's.
pub const MAX_VIA: usize = 3;

/// A document, and editors besides its owner.
///
/// Only the owner's repo says who else writes. Should the owner's server be gone, whoever has nothing but the link would have
/// nobody to ask: so the link names other editors (*via*), in whose repos everything is carried, under the owner's own
/// signature. They are asked what they carry and believed in nothing.
///
/// It is written `#/d/{owner's DID}/{record key}?via={DID},{DID}`, as the fragment of the app's address, or as the document's
/// at-URI with the same ending.
///
/// ```
/// use sheaf_core::document_link::DocumentLink;
/// let link = "https://sheaf.example/#/d/did:plc:ewvi7nxzyoun6zhxrhs64oiz/3jzfcijpj2z2a?via=did:web:bob.example";
/// let link: DocumentLink = link.parse()?;
/// assert_eq!(link.document.to_string(), "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a");
/// assert_eq!(link.fragment(), "#/d/did:plc:ewvi7nxzyoun6zhxrhs64oiz/3jzfcijpj2z2a?via=did:web:bob.example");
/// # Ok::<(), sheaf_core::document_link::NotALink>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentLink {
    /// Which document.
    pub document: DocumentUri,
    /// Editors besides the owner, at most [`MAX_VIA`].
    pub via: Vec<Did>,
}

/// A text that leads to no document. A link is made by a program, so there is nothing in it to mend by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no link to a document; it may have been cut off, so ask for it again")]
pub struct NotALink;

impl DocumentLink {
    /// A link that names nobody else. More may be added to `via`.
    pub fn new(document: DocumentUri) -> DocumentLink {
        DocumentLink { document, via: Vec::new() }
    }

    /// The fragment of the app's address that leads there, with its `#`.
    pub fn fragment(&self) -> String {
        format!("#/d/{}/{}{}", self.document.owner(), self.document.rkey(), self.ending())
    }

    fn ending(&self) -> String {
        let via: Vec<&str> = self.via.iter().map(Did::as_str).collect();
        if via.is_empty() { String::new() } else { format!("?via={}", via.join(",")) }
    }
}

impl fmt::Display for DocumentLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.document, self.ending())
    }
}

impl FromStr for DocumentLink {
    type Err = NotALink;

    /// Reads an at-URI, a link of the app wherever that is served, or the fragment alone.
    fn from_str(text: &str) -> Result<DocumentLink, NotALink> {
        let (address, parameters) = match text.split_once("#/d/") {
            // Some programs escape colons and commas when a link is passed on.
            Some((_, fragment)) => {
                let fragment = unescaped(fragment);
                let (path, parameters) = parts(&fragment);
                let (owner, rkey) = path.split_once('/').ok_or(NotALink)?;
                let owner: Did = owner.parse().map_err(|_| NotALink)?;
                let rkey: Tid = rkey.parse().map_err(|_| NotALink)?;
                (DocumentUri::new(owner, &rkey), parameters.to_owned())
            }
            None => {
                let (path, parameters) = parts(text);
                (path.parse().map_err(|_| NotALink)?, parameters.to_owned())
            }
        };
        let named = parameters.split('&').filter_map(|parameter| parameter.strip_prefix("via="));
        // A hint that makes no sense is no reason to keep anybody from the document.
        let via = named.flat_map(|dids| dids.split(',')).filter_map(|did| did.parse().ok());
        let mut link = DocumentLink::new(address);
        for did in via.take(MAX_VIA) {
            if did != *link.document.owner() && !link.via.contains(&did) {
                link.via.push(did);
            }
        }
        Ok(link)
    }
}

fn parts(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// What programs escape, as it was. A `%3A` that belongs to a did:web (a port) is escaped once more by then, as `%253A`.
fn unescaped(fragment: &str) -> String {
    const ESCAPES: [(&str, &str); 6] =
        [("%2C", ","), ("%3A", ":"), ("%3F", "?"), ("%3D", "="), ("%2F", "/"), ("%25", "%")];
    let is_escaped_whole = fragment.starts_with("did%3A") || fragment.starts_with("did%3a");
    let escapes = &ESCAPES[..if is_escaped_whole { ESCAPES.len() } else { 1 }];
    escapes.iter().fold(fragment.to_owned(), |text, (escape, is)| {
        text.replace(escape, is).replace(&escape.to_ascii_lowercase(), is)
    })
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const OWNER: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    const BOB: &str = "did:plc:bobbobbobbobbobbobbobbob";

    fn link(text: &str) -> DocumentLink {
        text.parse().unwrap_or_else(|_| panic!("{text} is a link"))
    }

    #[test]
    fn every_way_of_writing_a_link_is_read() {
        let plain = link(&format!("at://{OWNER}/dev.sheaf.document/3jzfcijpj2z2a"));
        assert_eq!(plain.via, []);
        for same in [
            format!("#/d/{OWNER}/3jzfcijpj2z2a"),
            format!("https://sheaf.example/app/#/d/{OWNER}/3jzfcijpj2z2a"),
            format!("#/d/{}/3jzfcijpj2z2a", OWNER.replace(':', "%3A")),
            format!("#/d/{}/3jzfcijpj2z2a", OWNER.replace(':', "%3a")),
            format!("#/d/{OWNER}/3jzfcijpj2z2a?via={OWNER}&other=1&via=nobody"),
        ] {
            assert_eq!(link(&same), plain, "{same}");
        }
        let with_bob = DocumentLink { via: vec![BOB.parse().unwrap()], ..plain };
        for same in [
            format!("#/d/{OWNER}/3jzfcijpj2z2a?via={BOB}"),
            format!("#/d/{OWNER}/3jzfcijpj2z2a?via={BOB},{BOB}"),
            format!("#/d/{OWNER}/3jzfcijpj2z2a?via={BOB}%2Cnobody"),
            format!("#/d/{}/3jzfcijpj2z2a%3Fvia%3D{}", OWNER.replace(':', "%3A"), BOB.replace(':', "%3A")),
            with_bob.fragment(),
            with_bob.to_string(),
        ] {
            assert_eq!(link(&same), with_bob, "{same}");
        }
    }

    #[test]
    fn a_port_in_a_did_survives() {
        let document: DocumentUri =
            "at://did:web:localhost%3A8080/dev.sheaf.document/3jzfcijpj2z2a".parse().unwrap();
        let made = DocumentLink { document, via: vec!["did:web:localhost%3A9090".parse().unwrap()] };
        assert_eq!(link(&made.fragment()), made);
        assert_eq!(link(&made.to_string()), made);
        let escaped = made.fragment().replace('%', "%25").replace("did:web:", "did%3Aweb%3A");
        assert_eq!(link(&escaped), made);
    }

    #[test]
    fn what_leads_nowhere_is_refused_and_hints_are_few() {
        for wrong in ["", "#", "#/", "#/d/", "notes.md", "#/d/nobody", "https://x/#/d/nobody/3jzfcijpj2z2a"] {
            assert_eq!(wrong.parse::<DocumentLink>(), Err(NotALink), "{wrong}");
        }
        for wrong in ["3jzfcijpj2z2a", "3jzfcijpj2z2a/", "3jzfcijpj2z2a/more", "self"] {
            assert!(format!("#/d/alice.test/{wrong}").parse::<DocumentLink>().is_err());
        }
        assert!(format!("#/d/{OWNER}/self").parse::<DocumentLink>().is_err());
        let many: Vec<String> =
            "abcdefgh".chars().map(|c| format!("did:plc:{}", c.to_string().repeat(24))).collect();
        assert_eq!(link(&format!("#/d/{OWNER}/3jzfcijpj2z2a?via={}", many.join(","))).via.len(), MAX_VIA);
    }
}
