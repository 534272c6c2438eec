//! SQLite as wootz uses it: write-ahead log, a patient busy timeout, schema versions in `user_version`.

use crate::StoreError;
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

/// What a power cut may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: a committed transaction is on the disk.
    Full,
    /// The last transactions; the database stays whole. For caches.
    Relaxed,
}

/// Opens a database, creating it if needed, and brings its schema up to date.
///
/// `migrations[n]` takes the schema from version n to n + 1; a database of a later version is refused.
pub fn open(path: &Path, durability: Durability, migrations: &[&str]) -> Result<Connection, StoreError> {
    let failed = || StoreError::database(path);
    let known = migrations.len() as u32;
    let mut connection = Connection::open(path).map_err(failed())?;
    connection.busy_timeout(Duration::from_secs(30)).map_err(failed())?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Relaxed => "NORMAL",
    };
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed())?;
    connection.pragma_update(None, "synchronous", synchronous).map_err(failed())?;
    let version = |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    let found: u32 = version(&connection).map_err(failed())?;
    if found > known {
        return Err(StoreError::Version { path: path.to_owned(), found, known });
    }
    if found < known {
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed())?;
        // Read again under the lock: another process may have migrated in between.
        let found: u32 = version(&transaction).map_err(failed())?;
        for migration in migrations.iter().skip(found as usize) {
            transaction.execute_batch(migration).map_err(failed())?;
        }
        transaction.pragma_update(None, "user_version", known).map_err(failed())?;
        transaction.commit().map_err(failed())?;
    }
    Ok(connection)
}
