//! Locks natively: files, locked by the operating system, which lets go when a process dies.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use super::{Held, Locks};
use crate::platform::LocalFuture;

/// Locks as files in one folder.
#[derive(Debug, Clone)]
pub struct FileLocks(PathBuf);

impl FileLocks {
    /// Keeps the lock files in `folder`, making it for the owner alone if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        Ok(Self(folder.to_owned()))
    }

    fn take(&self, name: &str) -> io::Result<Option<Box<dyn Held>>> {
        let path = self.0.join(file_name(name));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(HeldFile { _file: file }))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The lock's name with everything but letters, digits, `.` and `-` written as `_` and the code: one name, one file.
fn file_name(name: &str) -> String {
    let mut file = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => file.push(byte.into()),
            b'/' => file.push_str("__"),
            other => file.push_str(&format!("_{other:02x}")),
        }
    }
    file + ".lock"
}

struct HeldFile {
    /// Unlocked when closed.
    _file: File,
}

impl Held for HeldFile {}

impl Locks for FileLocks {
    fn try_lock<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Option<Box<dyn Held>>> {
        let held = self.take(name).unwrap_or_else(|error| {
            // A lock that cannot be had counts as held: a fresh replica id is always safe.
            tracing::warn!(%error, name, "a lock file cannot be opened");
            None
        });
        Box::pin(async move { held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_freed_by_dropping() {
        let folder = tempfile::tempdir().unwrap();
        let locks = FileLocks::new(&folder.path().join("locks")).unwrap();
        let name = "slot/did:plc:abc/at://did:plc:abc/dev.sheaf.document/3jzf/0";
        let held = locks.take(name).unwrap().expect("free");
        assert!(locks.take(name).unwrap().is_none(), "held");
        assert!(locks.take("another").unwrap().is_some());
        drop(held);
        assert!(locks.take(name).unwrap().is_some(), "free again");
    }

    #[test]
    fn different_names_are_different_files() {
        let names = ["a/b", "a_b", "a__b", "a:b", "a_3ab", "a.b"];
        let files: std::collections::BTreeSet<_> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len(), "{files:?}");
    }
}
