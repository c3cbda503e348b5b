//! One file that other programs write, too: noticing that it has changed, and writing it without taking anything from them.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io::{ErrorKind, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The largest file that is read, in bytes.
pub(crate) const MAX_FILE: u64 = 8 * 1024 * 1024;

/// What a file's metadata says of its content without its being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    modified: Option<SystemTime>,
    len: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Fingerprint {
    /// Of the file at this path; `None` where there is none.
    pub(crate) fn of(path: &Path) -> std::io::Result<Option<Fingerprint>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Fingerprint::from(&metadata))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether another change may come that leaves no trace in it: clocks of file systems are coarse.
    pub(crate) fn is_fresh(&self) -> bool {
        const COARSE: std::time::Duration = std::time::Duration::from_secs(2);
        self.modified.and_then(|at| at.elapsed().ok()).is_none_or(|age| age < COARSE)
    }
}

impl From<&Metadata> for Fingerprint {
    fn from(metadata: &Metadata) -> Fingerprint {
        Fingerprint {
            modified: metadata.modified().ok(),
            len: metadata.len(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(metadata),
        }
    }
}

/// What stands in a file, as far as it can be text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    Missing,
    /// Why it is none.
    Unreadable(String),
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Content {
    match File::open(path) {
        Ok(mut file) => read_file(&mut file),
        Err(error) if error.kind() == ErrorKind::NotFound => Content::Missing,
        Err(error) => Content::Unreadable(error.to_string()),
    }
}

fn read_file(file: &mut File) -> Content {
    let mut bytes = Vec::new();
    match file.take(MAX_FILE + 1).read_to_end(&mut bytes) {
        Err(error) => Content::Unreadable(error.to_string()),
        Ok(_) if bytes.len() as u64 > MAX_FILE => {
            Content::Unreadable(format!("it holds more than {} MB", MAX_FILE / 1024 / 1024))
        }
        Ok(_) => String::from_utf8(bytes)
            .map_or_else(|_| Content::Unreadable("it is not UTF-8 text".into()), Content::Text),
    }
}

/// A file that was replaced. A program that had it open, or came between the last look and the replacing, may have
/// written something into it that is nowhere else.
#[derive(Debug)]
pub(crate) struct Replaced {
    file: File,
    path: Option<PathBuf>,
}

impl Replaced {
    /// What stands in it now.
    pub(crate) fn content(&mut self) -> Content {
        match self.file.seek(SeekFrom::Start(0)) {
            Ok(_) => read_file(&mut self.file),
            Err(error) => Content::Unreadable(error.to_string()),
        }
    }

    /// Nothing in it is needed any more.
    pub(crate) fn remove(self) {
        if let Some(path) = self.path {
            // If it is gone already, so much the better.
            let _ = fs::remove_file(path);
        }
    }
}

/// Where a new version of a file is prepared, and its old one kept until nobody can be writing into it any more.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".sheaf-part");
    path.with_file_name(name)
}

/// Puts a new version in a file's place, with the rights of the old one. Whoever reads it meanwhile, or after a power cut,
/// finds one of the two whole. Gives the old one, if there was any.
pub(crate) fn replace(path: &Path, content: &str) -> std::io::Result<Option<Replaced>> {
    let part = beside(path);
    let prepared = (|| {
        fs::write(&part, content)?;
        let old = match File::open(path) {
            Ok(old) => Some(old),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(old) = &old {
            fs::set_permissions(&part, old.metadata()?.permissions())?;
        }
        File::open(&part)?.sync_all()?;
        Ok(old)
    })();
    let old = match prepared {
        Ok(old) => old,
        Err(error) => {
            let _ = fs::remove_file(&part); // It may not be there.
            return Err(error);
        }
    };
    let Some(old) = old else {
        fs::rename(&part, path)?;
        return Ok(None);
    };
    if exchange(&part, path) {
        // What was in its place until this moment, whoever had put it there, is beside it now.
        let file = File::open(&part)?;
        return Ok(Some(Replaced { file, path: Some(part) }));
    }
    fs::rename(&part, path)?;
    Ok(Some(Replaced { file: old, path: None }))
}

/// Lets two files change places in one step, where the system can.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_rights() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes 🌾.md");
        assert!(replace(&path, "one").unwrap().is_none());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        }
        let before = Fingerprint::of(&path).unwrap().unwrap();
        let mut replaced = replace(&path, "two").unwrap().unwrap();
        assert_eq!(read(&path), Content::Text("two".into()));
        assert_eq!(replaced.content(), Content::Text("one".into()));
        assert_ne!(Fingerprint::of(&path).unwrap().unwrap(), before);
        replaced.remove();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        }
    }

    #[test]
    fn what_another_program_writes_into_the_old_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.md");
        fs::write(&path, "old").unwrap();
        // A program that writes in place, and is slow about it.
        let mut slow = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let mut replaced = replace(&path, "new").unwrap().unwrap();
        assert_eq!(replaced.content(), Content::Text("old".into()));
        slow.write_all(b" and more").unwrap();
        assert_eq!(replaced.content(), Content::Text("old and more".into()));
        assert_eq!(read(&path), Content::Text("new".into()));
    }

    #[test]
    fn what_is_no_text_is_told_apart_from_what_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert_eq!(read(&path), Content::Missing);
        assert_eq!(Fingerprint::of(&path).unwrap(), None);
        fs::write(&path, b"\xff\xfe").unwrap();
        assert_eq!(read(&path), Content::Unreadable("it is not UTF-8 text".into()));
        assert!(matches!(read(folder.path()), Content::Unreadable(_)));
    }
}
