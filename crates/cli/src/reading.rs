//! A document to be read, wherever it is: in its editors' repos, or in an archive.

use std::path::Path;

use sheaf_client::{Client, DocumentHandle, platform};
use sheaf_core::{
    archive::{Archive, MAX_ARCHIVE_BYTES},
    document_link::DocumentLink,
    document_uri::DocumentUri,
    history::History,
    replica::{Audit, Presence, Replica, ToArchive},
};

use crate::{
    arguments::{Deadline, Place},
    device::Device,
    documents::{deleted, read_at_most},
    failure::Failure,
    waiting::{open, up_to_date},
};

/// A document that is read and not written.
pub(crate) enum Reading {
    Document(DocumentHandle),
    Archive(Box<Replica>),
}

impl Reading {
    /// Opens a document for reading, and tells whether it is all there: what there is can be read either way.
    pub(crate) async fn open(
        device: &Device,
        place: &Place,
        deadline: Deadline,
    ) -> Result<(Reading, Result<(), Failure>), Failure> {
        match place {
            Place::Link(link) => Self::open_as(device, &device.client().await?, link, deadline).await,
            Place::Archive(path) => {
                let (_, replica) = unpack(path)?;
                let outcome = all_proved(path, &replica.audit());
                Ok((Reading::Archive(Box::new(replica)), outcome))
            }
        }
    }

    /// Opens a document for reading as this client.
    pub(crate) async fn open_as(
        device: &Device,
        client: &Client,
        link: &DocumentLink,
        deadline: Deadline,
    ) -> Result<(Reading, Result<(), Failure>), Failure> {
        // Reading in passing is nobody in front of the document.
        client.stay_unannounced();
        let document = open(client, link, deadline).await?;
        let mut outcome = up_to_date(device, &document, deadline).await;
        if document.status().document == Presence::Deleted {
            outcome = Err(deleted());
        }
        Ok((Reading::Document(document), outcome))
    }

    pub(crate) fn uri(&self) -> DocumentUri {
        match self {
            Reading::Document(document) => document.uri().clone(),
            Reading::Archive(replica) => replica.config().document.clone(),
        }
    }

    pub(crate) fn title(&self) -> String {
        match self {
            Reading::Document(document) => document.title(),
            Reading::Archive(replica) => replica.title(),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Reading::Document(document) => document.text(),
            Reading::Archive(replica) => replica.text(),
        }
    }

    pub(crate) fn to_yjs(&self) -> Vec<u8> {
        match self {
            Reading::Document(document) => document.to_yjs(),
            Reading::Archive(replica) => replica.to_yjs(),
        }
    }

    pub(crate) fn to_archive(&self) -> Result<ToArchive, Failure> {
        let made = match self {
            Reading::Document(document) => document.to_archive(),
            Reading::Archive(replica) => replica.to_archive(platform::now()),
        };
        made.map_err(|why| Failure::Other(format!("the document cannot be archived: {why}")))
    }

    pub(crate) fn history(&self) -> History {
        match self {
            Reading::Document(document) => document.history(),
            Reading::Archive(replica) => replica.history(),
        }
    }

    pub(crate) fn audit(&self) -> Audit {
        match self {
            Reading::Document(document) => document.audit(),
            Reading::Archive(replica) => replica.audit(),
        }
    }

    /// How many changes are on this device alone.
    pub(crate) fn waiting(&self) -> usize {
        match self {
            Reading::Document(document) => document.status().waiting,
            Reading::Archive(_) => 0,
        }
    }

    pub(crate) async fn close(self) {
        if let Reading::Document(document) = self {
            document.close().await;
        }
    }
}

/// Reads an archive and verifies what is in it.
pub(crate) fn unpack(path: &Path) -> Result<(Archive, Replica), Failure> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|error| Failure::Other(format!("{name}: {error}")))?;
    let bytes = read_at_most(file, &name, MAX_ARCHIVE_BYTES as u64)?;
    let unreadable = |why| Failure::Other(format!("{name} cannot be read as an archive: {why}"));
    let archive = Archive::read(&bytes).map_err(unreadable)?;
    let replica = Replica::from_archive(&archive, platform::now());
    match replica.audit().presence {
        Presence::Here => Ok((archive, replica)),
        Presence::UnknownFormat(format) => {
            Err(Failure::Other(format!("{name} needs a newer Sheaf (format “{format}”)")))
        }
        _ => Err(Failure::Other(format!("{name} does not prove what it says: nothing of it is shown"))),
    }
}

fn all_proved(path: &Path, audit: &Audit) -> Result<(), Failure> {
    let unproved = audit.editors.iter().find(|editor| editor.head.is_none() && !editor.is_former);
    // An editor who never wrote has nothing in the archive, which the archive cannot prove; whoever's text is waited for has.
    match unproved {
        Some(editor) if audit.waiting > 0 => {
            let who = editor.handle.clone().unwrap_or_else(|| editor.did.to_string());
            Err(Failure::Other(format!("{} does not hold what {who} wrote", path.display())))
        }
        _ => Ok(()),
    }
}
