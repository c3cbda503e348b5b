//! A folder in which every document of one's list is a file with its title for a name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sheaf_client::{Client, DocumentHandle, net::live::native::go_live, platform};
use sheaf_core::{document_link::DocumentLink, document_uri::DocumentUri, replica::Presence};

use super::{
    LOOK_EVERY, Stop,
    file::{self, Content, Fingerprint},
    mirror::{Mirror, find_renamed, follow, is_recovered},
    names, publish, settle,
    sidecar::{File, Named},
};
use crate::{
    arguments::{Patience, Sync},
    device::Device,
    failure::Failure,
    waiting::{open, up_to_date},
};

/// How often new documents are looked for,
const LIST_EVERY: Duration = Duration::from_secs(60);
/// and new files.
const LOOK_FOR_NEW_EVERY: Duration = Duration::from_secs(2);

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
    let named = Named::read(&path)?;
    let (mirrors, stopped) = (BTreeMap::new(), BTreeMap::new());
    let mut folder = Folder { device, client, path, named, mirrors, stopped };
    folder.list(&sync.patience).await?;
    if sync.publish_new {
        folder.take_new(sync.once).await?;
    } else {
        folder.tell_of_strangers()?;
    }
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
    let (mut listed, mut looked_for_new) = (Instant::now(), Instant::now());
    while !stop.within(LOOK_EVERY).await {
        folder.look().await?;
        if sync.publish_new && looked_for_new.elapsed() >= LOOK_FOR_NEW_EVERY {
            folder.take_new(false).await?;
            looked_for_new = Instant::now();
        }
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
        let name = self.name(uri, &title).await?;
        self.begin(document, &name).await
    }

    async fn begin(&mut self, document: DocumentHandle, name: &str) -> Result<(), Failure> {
        let uri = document.uri().clone();
        let mut mirror = Mirror::begin(self.device, &self.client, document, &self.path.join(name)).await?;
        mirror.look(true).await?;
        self.mirrors.insert(uri, mirror);
        Ok(())
    }

    fn tell_of_strangers(&self) -> Result<(), Failure> {
        let files = match self.strangers()?.len() {
            0 => return Ok(()),
            1 => "1 file is".to_owned(),
            n => format!("{n} files are"),
        };
        let told =
            format!("{files} no document and left alone; --publish-new makes documents of such files.");
        self.device.say(&told);
        Ok(())
    }

    /// Makes documents of the files that are none, once nobody is writing them any more, or at once.
    async fn take_new(&mut self, at_once: bool) -> Result<(), Failure> {
        for path in self.strangers()? {
            let at_rest =
                at_once || Fingerprint::of(&path).is_ok_and(|of| of.is_some_and(|of| !of.is_fresh()));
            let holds_text = matches!(file::read(&path), Content::Text(text) if !text.is_empty());
            let (Some(name), Some(stem)) = (path.file_name(), path.file_stem()) else { continue };
            if !at_rest || !holds_text || self.is_missed() {
                continue;
            }
            let (name, stem) = (name.to_string_lossy().into_owned(), stem.to_string_lossy().into_owned());
            let document = self.client.create(&stem).await?;
            let (uri, title) = (document.uri().clone(), document.title());
            // Named before its text is in it: after a crash between the two, the file goes on from an empty document.
            self.named.documents.insert(uri.to_string(), File { name: name.clone(), title });
            self.named.write(&self.path)?;
            match self.begin(document, &name).await {
                Ok(()) => self.device.say(&format!("{name} is a document now: {uri}")),
                Err(failure) => self.stop(&uri, &failure),
            }
        }
        Ok(())
    }

    /// Whether some document's file is gone: whatever is new may be it.
    fn is_missed(&self) -> bool {
        self.mirrors.values().any(|mirror| !mirror.path().exists())
    }

    /// The files that no document is named after and that are text by their names.
    fn strangers(&self) -> Result<Vec<PathBuf>, Failure> {
        let failed = |error| Failure::Other(format!("{}: {error}", self.path.display()));
        let named: BTreeSet<&str> = self.named.documents.values().map(|file| file.name.as_str()).collect();
        let mut strangers = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A name that is no UTF-8 can be no title.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_text = name.ends_with(".md") && !name.starts_with('.') && !is_recovered(&name);
            let is_stranger = is_text && !named.contains(name.as_str());
            if is_stranger && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                strangers.push(entry.path());
            }
        }
        strangers.sort();
        Ok(strangers)
    }

    /// The name of a document's file: the one it has, or a new one after its title.
    async fn name(&mut self, uri: &DocumentUri, title: &str) -> Result<String, Failure> {
        if let Some(file) = self.named.documents.get(&uri.to_string()) {
            let (name, gone) = (file.name.clone(), self.path.join(&file.name));
            if gone.exists() {
                return Ok(name);
            }
            let Some((to, renamed)) = self.renamed(uri, &gone).await? else { return Ok(name) };
            follow(&self.client, uri, &gone, &to).await?;
            return self.note_renamed(uri, renamed);
        }
        let name = names::unique(title, &self.taken()?);
        let file = File { name: name.clone(), title: title.to_owned() };
        self.named.documents.insert(uri.to_string(), file);
        self.named.write(&self.path)?;
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
            if looked.is_ok() && mirror.is_missed() {
                looked = self.follow_file(&uri).await;
            }
            if looked.is_ok() {
                looked = self.follow_title(&uri).await;
            }
            if let Err(failure) = looked {
                self.stop(&uri, &failure);
            }
        }
        Ok(())
    }

    /// A file that somebody has given another name is still its document's.
    async fn follow_file(&mut self, uri: &DocumentUri) -> Result<(), Failure> {
        let gone = self.mirrors[uri].path().to_owned();
        let Some((to, name)) = self.renamed(uri, &gone).await? else { return Ok(()) };
        self.mirrors.get_mut(uri).expect("it was there just now").follow(&to).await?;
        self.note_renamed(uri, name).map(drop)
    }

    /// The file, and its name, that a document's file has become.
    async fn renamed(&self, uri: &DocumentUri, gone: &Path) -> Result<Option<(PathBuf, String)>, Failure> {
        let strangers = self.strangers()?;
        let found = find_renamed(&self.client, uri, gone, &strangers).await?;
        Ok(found.and_then(|to| Some((to.clone(), to.file_name()?.to_str()?.to_owned()))))
    }

    fn note_renamed(&mut self, uri: &DocumentUri, name: String) -> Result<String, Failure> {
        if let Some(file) = self.named.documents.get_mut(&uri.to_string()) {
            self.device.say(&format!("{} is {name} now.", file.name));
            file.name.clone_from(&name);
        }
        self.named.write(&self.path)?;
        Ok(name)
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
        self.named.write(&self.path)
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
}
