//! Where a command line keeps its session between runs.

use std::{
    cell::RefCell,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::slots::{Held, MemoryLocks};

/// A session as it is kept. Holds secrets: `Debug` hides them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// Whose.
    pub did: String,
    /// Their handle when they signed in.
    pub handle: Option<String>,
    /// The origin of their PDS.
    pub pds: String,
    /// What the server gave.
    pub tokens: Tokens,
}

/// The secrets of a session, by kind.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Tokens {
    /// Of `com.atproto.server.createSession`.
    #[serde(rename_all = "camelCase")]
    Password {
        /// Sent with requests; lives for an hour or two.
        access: String,
        /// Gets a new pair; used once.
        refresh: String,
    },
    /// Of an OAuth grant.
    OAuth {
        /// The redirect address that is part of the client's name.
        redirect: String,
        /// Keys and tokens, as the library writes them.
        session: serde_json::Value,
    },
}

impl std::fmt::Debug for Saved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Saved")
            .field("did", &self.did)
            .field("handle", &self.handle)
            .field("pds", &self.pds)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(hidden)")
    }
}

/// Why the session could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum SessionStoreError {
    /// The file system refuses.
    #[error("the session file {path} cannot be used: {error}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The file is not a session.
    #[error("the session file {path} is damaged; sign in again")]
    Damaged {
        /// Which file.
        path: String,
    },
}

/// Keeps one session.
pub trait SessionStore {
    /// The session kept, if any.
    ///
    /// # Errors
    /// [`SessionStoreError`] when it cannot be read.
    fn load(&self) -> Result<Option<Saved>, SessionStoreError>;

    /// Keeps this session in place of any other.
    ///
    /// # Errors
    /// [`SessionStoreError`] when it cannot be written.
    fn save(&self, session: &Saved) -> Result<(), SessionStoreError>;

    /// Forgets the session.
    ///
    /// # Errors
    /// [`SessionStoreError`] when it cannot be removed.
    fn clear(&self) -> Result<(), SessionStoreError>;

    /// Takes the right to renew the session, if nobody else has it; never waits. Dropping what is returned lets go of it.
    ///
    /// # Errors
    /// [`SessionStoreError`] when it cannot be told who has it.
    fn try_lock(&self) -> Result<Option<Box<dyn Held>>, SessionStoreError>;

    /// Keeps renewed tokens, unless somebody has signed out or in meanwhile.
    ///
    /// # Errors
    /// [`SessionStoreError`] when the session cannot be read or written.
    fn renew(&self, session: &Saved) -> Result<(), SessionStoreError> {
        match self.load()? {
            Some(before) if before.did == session.did => self.save(session),
            _ => Ok(()),
        }
    }
}

/// Keeps a session for as long as the program runs.
#[derive(Default)]
pub struct MemorySessions {
    session: RefCell<Option<Saved>>,
    locks: MemoryLocks,
}

impl MemorySessions {
    /// No session.
    pub fn new() -> Self {
        Self::default()
    }
}

impl SessionStore for MemorySessions {
    fn load(&self) -> Result<Option<Saved>, SessionStoreError> {
        Ok(self.session.borrow().clone())
    }

    fn save(&self, session: &Saved) -> Result<(), SessionStoreError> {
        *self.session.borrow_mut() = Some(session.clone());
        Ok(())
    }

    fn clear(&self) -> Result<(), SessionStoreError> {
        *self.session.borrow_mut() = None;
        Ok(())
    }

    fn try_lock(&self) -> Result<Option<Box<dyn Held>>, SessionStoreError> {
        Ok(self.locks.take("session"))
    }
}

/// Keeps a session in one file that only its owner can read, replaced as a whole.
#[derive(Debug, Clone)]
pub struct FileSessions(PathBuf);

impl FileSessions {
    /// Keeps the session at `path`; missing folders are made when it is first saved.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn at(&self, error: io::Error) -> SessionStoreError {
        SessionStoreError::Io { path: self.0.display().to_string(), error }
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let folder =
            self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        // A name of this process's own, so that two that save at once do not write into each other's file.
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = folder.join(name);
        let mut options = fs::OpenOptions::new();
        options.create(true).write(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)
    }
}

impl SessionStore for FileSessions {
    fn load(&self) -> Result<Option<Saved>, SessionStoreError> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.at(error)),
        };
        let damaged = |_| SessionStoreError::Damaged { path: self.0.display().to_string() };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    fn save(&self, session: &Saved) -> Result<(), SessionStoreError> {
        let json = serde_json::to_vec_pretty(session).expect("strings are always JSON");
        self.replace(&json).map_err(|error| self.at(error))
    }

    fn clear(&self) -> Result<(), SessionStoreError> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.at(error)),
            _ => Ok(()),
        }
    }

    fn try_lock(&self) -> Result<Option<Box<dyn Held>>, SessionStoreError> {
        // A file of its own: the session's is replaced, and with it what was locked. It only comes to be where a session is.
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let file = fs::OpenOptions::new().create(true).append(true).open(self.0.with_file_name(name));
        let file = file.map_err(|error| self.at(error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(HeldFile { _file: file }))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(self.at(error)),
        }
    }
}

struct HeldFile {
    /// Unlocked when closed.
    _file: fs::File,
}

impl Held for HeldFile {}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Saved {
        Saved {
            did: "did:plc:ewvi7nxzyoun6zhxrhs64oiz".into(),
            handle: Some("alice.test".into()),
            pds: "https://pds.example".into(),
            tokens: Tokens::Password { access: "secret-access".into(), refresh: "secret-refresh".into() },
        }
    }

    #[test]
    fn a_session_outlives_the_program_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = FileSessions::new(folder.path().join("deeper/session.json"));
        assert!(sessions.load().unwrap().is_none());
        sessions.save(&session()).unwrap();
        sessions.save(&session()).unwrap();
        assert_eq!(sessions.load().unwrap(), Some(session()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&sessions.0).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(
            fs::read_dir(sessions.0.parent().unwrap()).unwrap().count(),
            1,
            "no half-written file stays"
        );
        sessions.clear().unwrap();
        sessions.clear().unwrap();
        assert!(sessions.load().unwrap().is_none());
    }

    #[test]
    fn one_program_at_a_time_renews_and_none_brings_back_what_was_signed_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        let (mine, theirs) = (FileSessions::new(&path), FileSessions::new(&path));
        mine.save(&session()).unwrap();
        let held = mine.try_lock().unwrap().expect("nobody has it");
        assert!(theirs.try_lock().unwrap().is_none());
        drop(held);
        assert!(theirs.try_lock().unwrap().is_some());

        let renewed = Saved { handle: None, ..session() };
        mine.renew(&renewed).unwrap();
        assert_eq!(theirs.load().unwrap(), Some(renewed.clone()));
        let somebody = Saved { did: "did:web:bob.example".into(), ..session() };
        theirs.save(&somebody).unwrap();
        mine.renew(&renewed).unwrap();
        assert_eq!(theirs.load().unwrap(), Some(somebody));
        theirs.clear().unwrap();
        mine.renew(&renewed).unwrap();
        assert_eq!(theirs.load().unwrap(), None);
    }

    #[test]
    fn a_damaged_file_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        fs::write(&path, "{").unwrap();
        assert!(matches!(FileSessions::new(path).load(), Err(SessionStoreError::Damaged { .. })));
    }

    #[test]
    fn debug_hides_the_secrets() {
        let shown = format!("{:?} {:?}", session(), session().tokens);
        assert!(!shown.contains("secret-"), "{shown}");
    }
}
