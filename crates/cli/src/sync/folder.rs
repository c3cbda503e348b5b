//! A folder in which every document of one's list is a file with its title for a name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use sheaf_client::{Client, net::live::native::go_live, platform};
use sheaf_core::{document_link::DocumentLink, document_uri::DocumentUri, replica::Presence};

use super::{LOOK_EVERY, Stop, mirror::Mirror, names, publish, settle};
use crate::{
    arguments::{Patience, Sync},
    device::Device,
    failure::Failure,
    waiting::{open, up_to_date},
};

/// How often new documents are looked for.
const LIST_EVERY: Duration = Duration::from_secs(60);
/// The file that says which file is which document.
const SIDECAR: &str = ".sheaf";
/// The longest one that is read, in bytes.
const MAX_SIDECAR: u64 = 4 * 1024 * 1024;

/// What the sidecar says.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    documents: BTreeMap<String, File>,
}

/// A document's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    name: String,
    /// The title that it was named after.
    title: String,
}

struct Folder<'a> {
    device: &'a Device,
    client: Client,
    path: PathBuf,
    named: Named,
    mirrors: BTreeMap<DocumentUri, Mirror>,
    /// What stopped, and is left alone until the next start.
    stopped: BTreeMap<DocumentUri, String>,
}

pub(super) async fn folder(device: &Device, path: &Path, sync: &Sync) -> Result<(), Failure> {
    let client = device.signed_in().await?;
    if sync.once {
        client.stay_unannounced();
    } else {
        go_live(&client, false).await?;
    }
    let failed = |error| Failure::Other(format!("{}: {error}", path.display()));
    fs::create_dir_all(path).map_err(failed)?;
    let path = path.canonicalize().map_err(failed)?;
    let named = read_sidecar(&path)?;
    let (mirrors, stopped) = (BTreeMap::new(), BTreeMap::new());
    let mut folder = Folder { device, client, path, named, mirrors, stopped };
    folder.list(&sync.patience).await?;
    if sync.once {
        for uri in folder.mirrors.keys().cloned().collect::<Vec<_>>() {
            let mirror = folder.mirrors.get_mut(&uri).expect("nothing is removed but here");
            if let Err(failure) = settle(mirror).await {
                folder.stop(&uri, &failure);
            }
        }
        return folder.end(&sync.patience).await;
    }
    device.say(&format!(
        "{} documents and {} are in step; Ctrl-C ends it.",
        folder.mirrors.len(),
        folder.path.display()
    ));
    let mut stop = Stop::new()?;
    let mut listed = Instant::now();
    while !stop.within(LOOK_EVERY).await {
        folder.look().await?;
        if listed.elapsed() >= LIST_EVERY {
            folder.list(&sync.patience).await?;
            listed = Instant::now();
        }
    }
    folder.end(&sync.patience).await
}

impl Folder<'_> {
    /// Takes up documents that are in the list and not in the folder.
    async fn list(&mut self, patience: &Patience) -> Result<(), Failure> {
        let refreshed = platform::within(patience.deadline().left(), self.client.refresh_documents()).await;
        let entries = match refreshed {
            Ok(Ok(entries)) => entries,
            // Without a network, those that the device knows.
            _ => self.client.documents().await?,
        };
        for entry in entries {
            if self.mirrors.contains_key(&entry.uri) || self.stopped.contains_key(&entry.uri) {
                continue;
            }
            match self.take_up(&entry.uri, patience).await {
                Ok(()) => {}
                // Another time: it is in nobody's way.
                Err(Failure::Away(why) | Failure::NotFound(why)) => {
                    self.device.say(&format!("“{}” is left out for now: {why}", entry.title));
                }
                Err(failure) => self.stop(&entry.uri, &failure),
            }
        }
        Ok(())
    }

    async fn take_up(&mut self, uri: &DocumentUri, patience: &Patience) -> Result<(), Failure> {
        let deadline = patience.deadline();
        let document = open(&self.client, &DocumentLink::new(uri.clone()), deadline).await?;
        if document.status().document == Presence::Deleted {
            document.close().await;
            return Ok(());
        }
        // What others wrote meanwhile follows in its time.
        let _ = up_to_date(self.device, &document, deadline).await;
        let title = document.title();
        let name = self.name(uri, &title)?;
        let mut mirror = Mirror::begin(self.device, &self.client, document, &self.path.join(&name)).await?;
        mirror.look(true).await?;
        self.mirrors.insert(uri.clone(), mirror);
        Ok(())
    }

    /// The name of a document's file: the one it has, or a new one after its title.
    fn name(&mut self, uri: &DocumentUri, title: &str) -> Result<String, Failure> {
        if let Some(file) = self.named.documents.get(&uri.to_string()) {
            return Ok(file.name.clone());
        }
        let name = names::unique(title, &self.taken()?);
        let file = File { name: name.clone(), title: title.to_owned() };
        self.named.documents.insert(uri.to_string(), file);
        self.write_sidecar()?;
        Ok(name)
    }

    /// The names that are taken, by documents or by whatever else is in the folder.
    fn taken(&self) -> Result<BTreeSet<String>, Failure> {
        let failed = |error| Failure::Other(format!("{}: {error}", self.path.display()));
        let mut taken: BTreeSet<String> =
            self.named.documents.values().map(|file| names::folded(&file.name)).collect();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            taken.insert(names::folded(&entry.map_err(failed)?.file_name().to_string_lossy()));
        }
        Ok(taken)
    }

    /// Looks at every file and document once.
    async fn look(&mut self) -> Result<(), Failure> {
        for uri in self.mirrors.keys().cloned().collect::<Vec<_>>() {
            let mirror = self.mirrors.get_mut(&uri).expect("nothing is removed but here");
            let mut looked = mirror.look(false).await;
            if looked.is_ok() {
                looked = self.follow_title(&uri).await;
            }
            if let Err(failure) = looked {
                self.stop(&uri, &failure);
            }
        }
        Ok(())
    }

    /// A document that has another title than its file gives the file a new name.
    async fn follow_title(&mut self, uri: &DocumentUri) -> Result<(), Failure> {
        let mirror = &self.mirrors[uri];
        let title = mirror.document().title();
        let known = self.named.documents.get(&uri.to_string());
        if title.is_empty() || known.is_none_or(|file| file.title == title) {
            return Ok(());
        }
        let mut taken = self.taken()?;
        let before = known.map(|file| file.name.clone()).unwrap_or_default();
        taken.remove(&names::folded(&before));
        let name = names::unique(&title, &taken);
        if name != before {
            let to = self.path.join(&name);
            self.mirrors.get_mut(uri).expect("it was there just now").rename(&to).await?;
        }
        self.named.documents.insert(uri.to_string(), File { name, title });
        self.write_sidecar()
    }

    /// Leaves one document alone, and says why.
    fn stop(&mut self, uri: &DocumentUri, failure: &Failure) {
        self.device.say(&format!("{failure}."));
        self.mirrors.remove(uri);
        self.stopped.insert(uri.clone(), failure.to_string());
    }

    async fn end(mut self, patience: &Patience) -> Result<(), Failure> {
        let mut failed = None;
        for (uri, mirror) in std::mem::take(&mut self.mirrors) {
            let ended = match mirror.end().await {
                Ok(document) => publish(self.device, document, patience).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = ended {
                self.device.say(&format!("{uri}: {failure}."));
                failed.get_or_insert(failure);
            }
        }
        match (failed, self.stopped.len()) {
            (Some(failure), _) => Err(failure),
            (None, 0) => Ok(()),
            (None, 1) => Err(Failure::Other("one document is not in step".into())),
            (None, n) => Err(Failure::Other(format!("{n} documents are not in step"))),
        }
    }

    fn write_sidecar(&self) -> Result<(), Failure> {
        let path = self.path.join(SIDECAR);
        let text = serde_json::to_string_pretty(&self.named).expect("maps of strings are always JSON") + "\n";
        crate::files::write_whole(&path, text.as_bytes())
    }
}

fn read_sidecar(folder: &Path) -> Result<Named, Failure> {
    let path = folder.join(SIDECAR);
    let name = path.display().to_string();
    let bytes = match fs::File::open(&path) {
        Ok(file) => crate::documents::read_at_most(file, &name, MAX_SIDECAR)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Named::default()),
        Err(error) => return Err(Failure::Other(format!("{name}: {error}"))),
    };
    let unreadable =
        || Failure::Other(format!("{name} cannot be read: delete it to have all files named anew"));
    let named: Named = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    // A name leads to a file in this folder and nowhere else.
    let is_plain =
        |file: &File| Path::new(&file.name).file_name().is_some_and(|name| name == file.name.as_str());
    if named.documents.values().all(is_plain) { Ok(named) } else { Err(unreadable()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_names_files_of_its_own_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_sidecar(folder.path()).unwrap(), Named::default());
        let write = |name: &str| {
            let text = serde_json::json!({ "documents": { "at://x": { "name": name, "title": "x" } } });
            fs::write(folder.path().join(SIDECAR), text.to_string()).unwrap();
        };
        write("Notes 🌾.md");
        assert_eq!(read_sidecar(folder.path()).unwrap().documents.len(), 1);
        for name in ["../x.md", "/etc/passwd", "a/b.md", "..", ""] {
            write(name);
            assert!(read_sidecar(folder.path()).is_err(), "{name}");
        }
        fs::write(folder.path().join(SIDECAR), "{").unwrap();
        assert!(read_sidecar(folder.path()).is_err());
    }
}
