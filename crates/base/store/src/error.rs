//! What can go wrong with a home folder.

use std::io;
use std::path::{Path, PathBuf};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::{Diagnose, ExitCode};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, e.g. `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A database operation failed.
    #[error("use database {}: {source}", path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// A database was written by a later version of wootz.
    #[error("use database {}: its version is {found}, this build knows {known}", path.display())]
    Version {
        /// Its file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The latest version this build knows.
        known: u32,
    },
    /// A step left nothing, or something that cannot be kept.
    #[error("publish {}: {reason}", path.display())]
    Output {
        /// The output's folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { action, path, source }
    }

    /// The error of a query on this database.
    pub fn database(path: &Path) -> impl FnOnce(rusqlite::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Database { path, source }
    }
}

impl Diagnose for StoreError {
    fn exit(&self) -> ExitCode {
        match self {
            StoreError::Io { source, .. } => exit_of_io(source),
            StoreError::Database { .. } | StoreError::Version { .. } => ExitCode::Environment,
            StoreError::Output { .. } => ExitCode::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            StoreError::Io { source, .. } => hint_of_io(source),
            StoreError::Database { source, .. } => {
                let hint = match source.sqlite_error_code()? {
                    rusqlite::ErrorCode::DiskFull => "free disk space and run the same command again",
                    rusqlite::ErrorCode::DatabaseBusy => "another process holds it; wait for that one to end",
                    rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen => {
                        "choose a writable home folder"
                    }
                    rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => {
                        "move the file away; artifacts are kept beside it and found again"
                    }
                    _ => return None,
                };
                Some(hint.to_owned())
            }
            StoreError::Version { .. } => Some("use the newer wootz, or another home folder".to_owned()),
            StoreError::Output { .. } => None,
        }
    }
}
