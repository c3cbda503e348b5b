//! The native store: one SQLite file, readable by its owner alone, shared by any number of processes.

use std::{cell::RefCell, path::Path, rc::Rc, time::Duration};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use sheaf_core::replica::StoreOp;

use super::{Entry, Store, StoreError, end_of};
use crate::platform::LocalFuture;

/// How the tables look; a file with a larger number was made by a newer version.
const SCHEMA: i64 = 1;
/// How long to wait for another process in the middle of a write.
const BUSY: Duration = Duration::from_secs(5);

/// A store in one file (and its `-wal` and `-shm` companions). Clones share the connection.
///
/// Writes are fsynced (`synchronous = FULL`). They happen in the calling thread: a batch is a few kilobytes, and a
/// thread of its own would cost more than it hides.
#[derive(Clone)]
pub struct Sqlite(Rc<RefCell<Connection>>);

impl Sqlite {
    /// Opens the store, making it if it is not there. Missing folders are made too, for the owner alone.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be opened or is no store.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        prepare_file(path).map_err(|e| StoreError::Failed(format!("{}: {e}", path.display())))?;
        let connection = Connection::open(path).map_err(describe)?;
        connection.busy_timeout(BUSY).map_err(describe)?;
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(describe)?;
        if version > SCHEMA {
            return Err(StoreError::TooNew);
        }
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
                 PRAGMA user_version = {SCHEMA};"
            ))
            .map_err(describe)?;
        Ok(Self(Rc::new(RefCell::new(connection))))
    }

    fn scan_now(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let connection = self.0.borrow();
        let mut statement = connection
            .prepare("SELECT key, value FROM kept WHERE key >= ?1 AND (?2 IS NULL OR key < ?2) ORDER BY key")
            .map_err(describe)?;
        let rows = statement
            .query_map(params![prefix, end_of(prefix)], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(describe)?;
        rows.collect::<Result<_, _>>().map_err(describe)
    }

    fn get_now(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let connection = self.0.borrow();
        let mut statement = connection.prepare("SELECT value FROM kept WHERE key = ?1").map_err(describe)?;
        statement.query_row([key], |row| row.get(0)).optional().map_err(describe)
    }

    fn write_now(&self, ops: Vec<StoreOp>) -> Result<(), StoreError> {
        let mut connection = self.0.borrow_mut();
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(describe)?;
        for op in ops {
            match op {
                StoreOp::Put { key, value } => transaction
                    .execute("INSERT OR REPLACE INTO kept (key, value) VALUES (?1, ?2)", params![key, value]),
                StoreOp::Delete { key } => transaction.execute("DELETE FROM kept WHERE key = ?1", [key]),
            }
            .map_err(describe)?;
        }
        transaction.commit().map_err(describe)
    }

    fn erase_now(&self, prefix: &str) -> Result<(), StoreError> {
        let connection = self.0.borrow();
        connection
            .execute(
                "DELETE FROM kept WHERE key >= ?1 AND (?2 IS NULL OR key < ?2)",
                params![prefix, end_of(prefix)],
            )
            .map(drop)
            .map_err(describe)
    }
}

impl Store for Sqlite {
    fn scan<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<Vec<Entry>, StoreError>> {
        Box::pin(async move { self.scan_now(prefix) })
    }

    fn get<'a>(&'a self, key: &'a str) -> LocalFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move { self.get_now(key) })
    }

    fn write(&self, ops: Vec<StoreOp>) -> LocalFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.write_now(ops) })
    }

    fn erase<'a>(&'a self, prefix: &'a str) -> LocalFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.erase_now(prefix) })
    }
}

/// Makes the file with the owner's rights alone before SQLite does with everyone's; its companions take after it.
fn prepare_file(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn describe(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupted(error.to_string())
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            StoreError::Failed("its file cannot be written".into())
        }
        _ => StoreError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn put(key: &str, value: &[u8]) -> StoreOp {
        StoreOp::Put { key: key.into(), value: value.into() }
    }

    #[test]
    fn what_is_written_outlives_the_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/sheaf.sqlite");
        Sqlite::open(&path).unwrap().write_now(vec![put("a", b"1")]).unwrap();
        assert_eq!(Sqlite::open(&path).unwrap().get_now("a").unwrap().as_deref(), Some(&b"1"[..]));
    }

    #[test]
    fn two_connections_share_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheaf.sqlite");
        let (one, two) = (Sqlite::open(&path).unwrap(), Sqlite::open(&path).unwrap());
        for n in 0..20 {
            let writer = if n % 2 == 0 { &one } else { &two };
            writer.write(vec![put(&format!("n/{n}"), b"x")]).now_or_never().unwrap().unwrap();
        }
        assert_eq!(one.scan_now("n/").unwrap().len(), 20);
        assert_eq!(two.scan_now("n/").unwrap().len(), 20);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheaf.sqlite");
        let store = Sqlite::open(&path).unwrap();
        store.write_now(vec![put("a", b"1")]).unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.file_name());
        }
    }

    #[test]
    fn a_file_that_is_no_store_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheaf.sqlite");
        std::fs::write(&path, "certainly not a database, but long enough to look at".repeat(100)).unwrap();
        assert!(matches!(Sqlite::open(&path), Err(StoreError::Corrupted(_))));
    }

    #[test]
    fn a_file_from_the_future_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheaf.sqlite");
        Sqlite::open(&path).unwrap().0.borrow().execute_batch("PRAGMA user_version = 99").unwrap();
        assert!(matches!(Sqlite::open(&path), Err(StoreError::TooNew)));
    }
}
