//! One document and one file, kept in step.
//!
//! The mirror remembers the *base*: the text that the file and the document last had in common. What the file has become
//! since is somebody's change to the document, what the document has become is everybody's to the file, and both at once are
//! merged ([`super::merge`]). The base is noted on the device together with the edit that a change of the file becomes, in
//! one write, so that after a crash nothing is taken for new that is in the document already; and a version that is about to
//! be written into the file is noted before it is.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use sheaf_client::{Change, Client, DocumentHandle, Subscription};
use sheaf_core::document_uri::DocumentUri;

use super::{
    file::{self, Content, Fingerprint, Replaced},
    merge,
    shape::Shape,
};
use crate::{device::Device, failure::Failure};

/// How long a file may be gone, empty or unreadable before that counts: programs that save pass through such states.
const SAVING: Duration = Duration::from_secs(3);
/// A document that has changed is written into the file once it has been at rest so long,
const AT_REST: Duration = Duration::from_millis(300);
/// or has been changing so long.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// A program that has a replaced file open has so long to write into it.
const LATE_WRITER: Duration = Duration::from_secs(2);

/// What a file is called that holds what a crash had left, after the name of the file it was beside.
const RECOVERED: &str = "recovered-";

/// What is remembered over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    base: String,
    shape: Shape,
    /// What was about to be written into the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    writing: Option<String>,
}

/// One document and one file.
pub(crate) struct Mirror {
    client: Client,
    document: DocumentHandle,
    path: PathBuf,
    /// What both last had in common; nothing before they first had.
    base: Option<String>,
    shape: Shape,
    /// The file's fingerprint when it was last read and found to hold the base.
    seen: Option<Fingerprint>,
    /// The last one that was not that, to see whether somebody is still writing.
    moving: Option<Fingerprint>,
    moving_since: Option<Instant>,
    /// Since when the file is in a state that cannot be meant.
    odd_since: Option<Instant>,
    /// Replaced files, with what they held, until when somebody may write into them.
    replaced: Vec<(Replaced, String, Instant)>,
    watch: Watch,
}

/// Notices that the document has changed.
struct Watch {
    changed: Rc<Cell<Option<(Instant, Instant)>>>,
    _subscription: Subscription,
}

impl Watch {
    fn new(document: &DocumentHandle) -> Watch {
        let now = Instant::now();
        let changed = Rc::new(Cell::new(Some((now, now))));
        let sink = changed.clone();
        let subscription = document.on_change(move |change| {
            if matches!(change, Change::Show(_)) {
                let now = Instant::now();
                sink.set(Some((sink.get().map_or(now, |(first, _)| first), now)));
            }
        });
        Watch { changed, _subscription: subscription }
    }

    /// Whether there is something new that has come to rest.
    fn is_due(&self, at_once: bool) -> bool {
        self.changed.get().is_some_and(|(first, last)| {
            at_once || last.elapsed() >= AT_REST || first.elapsed() >= AT_LEAST_EVERY
        })
    }
}

impl Mirror {
    /// A mirror of an open document, beginning where the last one left off.
    pub(crate) async fn begin(
        device: &Device,
        client: &Client,
        document: DocumentHandle,
        path: &Path,
    ) -> Result<Mirror, Failure> {
        let path = whole(path)?;
        let note = Note::read(client, document.uri(), &path).await?;
        let watch = Watch::new(&document);
        let mut mirror = Mirror {
            client: client.clone(),
            document,
            path,
            base: None,
            shape: Shape::default(),
            seen: None,
            moving: None,
            moving_since: None,
            odd_since: None,
            replaced: Vec::new(),
            watch,
        };
        mirror.pick_up(device, note)?;
        Ok(mirror)
    }

    pub(crate) fn document(&self) -> &DocumentHandle {
        &self.document
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file and the document have the same text, and nothing is under way.
    pub(crate) fn is_in_step(&self) -> bool {
        self.base.as_ref() == Some(&self.document.text()) && self.replaced.is_empty()
    }

    /// Finds out what the file and the document had in common, given what was noted.
    fn pick_up(&mut self, device: &Device, note: Option<Note>) -> Result<(), Failure> {
        let content = file::read(&self.path);
        let name = self.path.display().to_string();
        if let Content::Unreadable(why) = &content {
            return Err(Failure::Other(format!("{name} cannot be kept in step: {why}")));
        }
        let text = self.document.text();
        match (note, content) {
            (Some(note), Content::Text(raw)) => {
                let bases = [Some(note.base), note.writing].into_iter().flatten();
                // Whichever of the two the file was last known to hold: the one it differs less from.
                let base = bases.min_by_key(|base| {
                    let file = Shape::of(&raw, base, note.shape).text(&raw).into_owned();
                    merge::difference(base, &file)
                });
                let base = base.unwrap_or_default();
                if raw.is_empty() && !base.is_empty() {
                    return Err(empty(&name));
                }
                self.shape = Shape::of(&raw, &base, note.shape);
                self.recover(device, &base, &raw)?;
                self.base = Some(base);
            }
            // It was taken away while nothing ran: the document's text is put there again.
            (Some(note), _) => {
                self.recover(device, &note.base, "")?;
                self.shape = note.shape;
                self.base = None;
            }
            (None, Content::Text(raw)) => {
                self.shape = Shape::of(&raw, &text, Shape::default());
                let file = self.shape.text(&raw);
                if file == text || text.is_empty() {
                    self.base = Some(text);
                } else if raw.is_empty() {
                    self.base = Some(String::new());
                } else {
                    return Err(Failure::Other(format!(
                        "{name} holds another text than the document and was never in step with it: move it away, or name \
                         another file"
                    )));
                }
            }
            (None, _) => self.base = None,
        }
        Ok(())
    }

    /// Keeps what a crash may have left beside the file, unless it is known.
    fn recover(&self, device: &Device, base: &str, raw: &str) -> Result<(), Failure> {
        let part = file::beside(&self.path);
        let left = match file::read(&part) {
            Content::Missing => return Ok(()),
            Content::Text(left) => left,
            Content::Unreadable(_) => String::new(),
        };
        let text = self.document.text();
        let is_known = [base, raw, &text].iter().any(|known| {
            // A version that was being written when the crash came may have been written half.
            known.starts_with(left.as_str()) || self.shape.file(known).starts_with(left.as_str())
        });
        let failed = |error: std::io::Error| Failure::Other(format!("{}: {error}", part.display()));
        if is_known {
            return fs::remove_file(&part).map_err(failed);
        }
        let kept = self.path.with_extension(format!("{RECOVERED}{}.md", std::process::id()));
        fs::rename(&part, &kept).map_err(failed)?;
        device.say(&format!("Another version that a crash had left is kept as {}.", kept.display()));
        Ok(())
    }

    /// Looks at both sides and carries over what has changed. `at_once` does not wait for either to come to rest.
    pub(crate) async fn look(&mut self, at_once: bool) -> Result<(), Failure> {
        self.look_at_replaced(at_once).await?;
        let now = Fingerprint::of(&self.path)
            .map_err(|error| Failure::Other(format!("{} cannot be read: {error}", self.path.display())))?;
        if self.base.is_some() && (now.is_none() || now != self.seen || now.is_some_and(|now| now.is_fresh()))
        {
            if !at_once && !self.has_come_to_rest(now) {
                return Ok(());
            }
            if !self.take_file(now).await? {
                return Ok(());
            }
        }
        if self.watch.is_due(at_once) || self.base.is_none() {
            self.write_file().await?;
        }
        Ok(())
    }

    /// Whether nobody has been writing since the last look.
    fn has_come_to_rest(&mut self, now: Option<Fingerprint>) -> bool {
        let since = *self.moving_since.get_or_insert_with(Instant::now);
        let rests = now == self.seen || std::mem::replace(&mut self.moving, now) == now;
        if rests || since.elapsed() >= AT_LEAST_EVERY {
            self.moving_since = None;
            return true;
        }
        false
    }

    /// Reads the file and puts what has changed into the document. `false` while its state cannot be meant.
    async fn take_file(&mut self, fingerprint: Option<Fingerprint>) -> Result<bool, Failure> {
        let base = self.base.clone().unwrap_or_default();
        let name = self.path.display().to_string();
        let odd = match file::read(&self.path) {
            Content::Text(raw) if raw.is_empty() && !base.is_empty() => empty(&name),
            Content::Text(raw) => {
                self.odd_since = None;
                self.shape = Shape::of(&raw, &base, self.shape);
                let text = self.shape.text(&raw).into_owned();
                if text != base {
                    self.put_in(&base, &text, &text).await?;
                }
                self.seen = fingerprint;
                return Ok(true);
            }
            Content::Missing => Failure::Other(format!(
                "{name} is gone, which is not taken for the wish to delete the text: the document is as it was, and syncing \
                 it again writes the file anew"
            )),
            Content::Unreadable(why) => Failure::Other(format!("{name} cannot be kept in step: {why}")),
        };
        let since = *self.odd_since.get_or_insert_with(Instant::now);
        if since.elapsed() < SAVING { Ok(false) } else { Err(odd) }
    }

    /// Makes what was done to `base` to make it `edited` the document's, after which the file holds `file`.
    async fn put_in(&mut self, base: &str, edited: &str, file: &str) -> Result<(), Failure> {
        if !self.document.role().can_write() {
            return Err(Failure::NotAllowed(format!(
                "{} was changed, and you are not an editor of the document: the file stays as it is",
                self.path.display()
            )));
        }
        let splices = merge::splices(base, edited, &self.document.text());
        let note = Note { base: file.to_owned(), shape: self.shape, writing: None };
        if !self.document.edit_noting(splices, &note_name(&self.path), note.write()) {
            return Err(Failure::Other(format!(
                "the document does not take what {} holds: it may be too long",
                self.path.display()
            )));
        }
        self.base = Some(file.to_owned());
        self.document.until(|d| d.status().unsaved == 0 || d.status().store_trouble.is_some()).await;
        match self.document.status().store_trouble {
            Some(reason) => Err(Failure::Other(format!("changes cannot be saved on this device: {reason}"))),
            None => {
                let now = Instant::now();
                self.watch.changed.set(Some(self.watch.changed.get().unwrap_or((now, now))));
                Ok(())
            }
        }
    }

    /// Writes the document into the file, if it has changed.
    async fn write_file(&mut self) -> Result<(), Failure> {
        let text = self.document.text();
        if self.base.as_ref() == Some(&text) {
            self.watch.changed.set(None);
            return Ok(());
        }
        let name = self.path.display().to_string();
        let known = self.seen;
        if self.base.is_some() && Fingerprint::of(&self.path).ok().flatten() != known {
            return Ok(()); // Somebody has just saved: their change comes first.
        }
        let base = self.base.clone();
        let note =
            Note { base: base.clone().unwrap_or_default(), shape: self.shape, writing: Some(text.clone()) };
        self.client.set_note(self.document.uri(), &note_name(&self.path), Some(note.write())).await?;
        let failed = |error: std::io::Error| Failure::Other(format!("{name} cannot be written: {error}"));
        let held = self.shape.file(base.as_deref().unwrap_or_default()).into_owned();
        let replaced = file::replace(&self.path, &self.shape.file(&text)).map_err(failed)?;
        self.seen = Fingerprint::of(&self.path).map_err(failed)?;
        if let Some(replaced) = replaced {
            self.replaced.push((replaced, held, Instant::now() + LATE_WRITER));
        }
        self.base = Some(text.clone());
        self.watch.changed.set(None);
        let note = Note { base: text, shape: self.shape, writing: None };
        Ok(self.client.set_note(self.document.uri(), &note_name(&self.path), Some(note.write())).await?)
    }

    /// Whether somebody has written into a file that was replaced meanwhile.
    async fn look_at_replaced(&mut self, at_once: bool) -> Result<(), Failure> {
        let due = |until: &Instant| at_once || Instant::now() >= *until;
        while self.replaced.first().is_some_and(|(.., until)| due(until)) {
            let (mut replaced, held, _) = self.replaced.remove(0);
            if let Content::Text(now) = replaced.content()
                && now != held
                && !now.is_empty()
            {
                let base = self.shape.text(&held).into_owned();
                let edited = self.shape.text(&now).into_owned();
                let file = self.base.clone().unwrap_or_default();
                self.put_in(&base, &edited, &file).await?;
            }
            replaced.remove();
        }
        Ok(())
    }

    /// Gives the file another name.
    pub(crate) async fn rename(&mut self, to: &Path) -> Result<(), Failure> {
        self.look(true).await?;
        let failed = |error| Failure::Other(format!("{} cannot be renamed: {error}", self.path.display()));
        fs::rename(&self.path, to).map_err(failed)?;
        self.follow(to).await
    }

    /// Goes on with the file under the name that it has been given.
    pub(crate) async fn follow(&mut self, to: &Path) -> Result<(), Failure> {
        follow(&self.client, self.document.uri(), &self.path, to).await?;
        self.path = to.to_owned();
        self.odd_since = None;
        Ok(())
    }

    /// Whether the file is gone for longer than a program takes that saves it by way of other files.
    pub(crate) fn is_missed(&self) -> bool {
        self.odd_since.is_some_and(|since| since.elapsed() >= SAVING / 3) && !self.path.exists()
    }

    /// Carries over what there still is, and lets go of the document.
    pub(crate) async fn end(mut self) -> Result<DocumentHandle, Failure> {
        self.look(true).await?;
        self.look(true).await?;
        Ok(self.document)
    }
}

/// Whether a file of this name was put there to be looked at by a person, and is nobody's.
pub(crate) fn is_recovered(name: &str) -> bool {
    name.rsplit('.').nth(1).is_some_and(|part| part.starts_with(RECOVERED))
}

/// Which one of these files a document's file has become that is gone: the only one with the text that they last had in common.
pub(crate) async fn find_renamed<'a>(
    client: &Client,
    document: &DocumentUri,
    gone: &Path,
    others: &'a [PathBuf],
) -> Result<Option<&'a PathBuf>, Failure> {
    let Some(note) = Note::read(client, document, gone).await?.filter(|note| !note.base.is_empty()) else {
        return Ok(None);
    };
    let mut same = others.iter().filter(|path| match file::read(path) {
        Content::Text(raw) => Shape::of(&raw, &note.base, note.shape).text(&raw) == note.base,
        Content::Missing | Content::Unreadable(_) => false,
    });
    Ok(same.next().filter(|_| same.next().is_none()))
}

/// What is noted of a file goes with it to its new name.
pub(crate) async fn follow(
    client: &Client,
    document: &DocumentUri,
    from: &Path,
    to: &Path,
) -> Result<(), Failure> {
    let note = client.note(document, &note_name(from)).await?;
    client.set_note(document, &note_name(to), note).await?;
    Ok(client.set_note(document, &note_name(from), None).await?)
}

impl Note {
    async fn read(client: &Client, document: &DocumentUri, path: &Path) -> Result<Option<Note>, Failure> {
        let note = client.note(document, &note_name(path)).await?;
        Ok(note.and_then(|note| serde_json::from_slice(&note).ok()))
    }

    fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and flags are always JSON")
    }
}

fn note_name(path: &Path) -> String {
    format!("mirror/{}", path.display())
}

fn empty(name: &str) -> Failure {
    Failure::Other(format!(
        "{name} is empty, which is not taken for the wish to delete the text: delete the file to have it written anew, or \
         delete the text in the document"
    ))
}

/// Where a file really is: a link to it is followed, so that it is not replaced by what it leads to.
fn whole(path: &Path) -> Result<PathBuf, Failure> {
    let failed = |error| Failure::Other(format!("{}: {error}", path.display()));
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    let Some(name) = path.file_name() else {
        return Err(Failure::Usage(format!("{} is not the name of a file", path.display())));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(folder.canonicalize().map_err(failed)?.join(name))
}
