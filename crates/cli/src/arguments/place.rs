//! Where a document is to be read from.

use std::{path::PathBuf, str::FromStr};

use sheaf_core::document_link::{DocumentLink, NotALink};

/// How the name of an archive ends.
const ARCHIVE: &str = ".sheaf";

/// A document as it is now, or as somebody once put it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Link(DocumentLink),
    Archive(PathBuf),
}

impl FromStr for Place {
    type Err = NotALink;

    fn from_str(text: &str) -> Result<Place, NotALink> {
        if text.to_ascii_lowercase().ends_with(ARCHIVE) && !text.contains("://") {
            return Ok(Place::Archive(text.into()));
        }
        text.parse().map(Place::Link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_named_by_a_link_or_by_an_archives_file() {
        assert_eq!("notes.sheaf".parse(), Ok(Place::Archive("notes.sheaf".into())));
        assert_eq!("dir/A B.Sheaf".parse(), Ok(Place::Archive("dir/A B.Sheaf".into())));
        let link = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/dev.sheaf.document/3jzfcijpj2z2a";
        assert!(matches!(link.parse(), Ok(Place::Link(_))));
        assert!("notes.md".parse::<Place>().is_err());
        assert!("https://notes.sheaf".parse::<Place>().is_err());
    }
}
