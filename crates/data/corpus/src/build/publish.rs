//! The output folder: built beside its place under a hidden name, and moved there when it is complete.
//!
//! A build that is killed leaves the hidden folder with the parts that it finished; the next one for the same place goes on
//! from them where nothing has changed that they depend on.

use super::CorpusError;
use crate::walk;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use wootz_schema::corpus::MANIFEST_FILE;
use wootz_stdx::file;

/// Name of the file that says what finished parts depend on.
const KEY_FILE: &str = "key";

/// A folder under construction; removed when dropped unpublished.
pub(crate) struct Publication {
    building: PathBuf,
    place: PathBuf,
    /// Lets one process at a time build for a place; the system gives it up when the process dies.
    _lock: File,
    stays: bool,
}

impl Publication {
    /// Starts the folder that will stand at `place`, with nothing in it.
    pub fn begin(place: &Path) -> Result<Publication, CorpusError> {
        let publication = Publication::resume(place, MANIFEST_FILE)?;
        publication.clear()?;
        Ok(publication)
    }

    /// Starts the folder that will stand at `place`, or takes up what a killed process left of it. Only an empty folder or one
    /// with the file `marker` may be replaced.
    pub fn resume(place: &Path, marker: &str) -> Result<Publication, CorpusError> {
        // A trailing `.` or `/` has no name to build a sibling's from.
        let place: PathBuf = place.components().collect();
        let building = hidden_sibling(&place, "incomplete");
        let replaced = hidden_sibling(&place, "old");
        if !place.exists() && replaced.exists() {
            // It was killed while one folder gave way to the other.
            let _ = fs::rename(&replaced, &place);
        }
        if place.exists() && !may_replace(&place, marker) {
            return Err(CorpusError::OutputTaken { path: place });
        }
        if let Some(parent) = place.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)
                .map_err(|error| CorpusError::io("create the folder", parent, error))?;
        }
        let failed = |error| CorpusError::io("create the folder", &building, error);
        match fs::create_dir(&building) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let lock = File::open(&building).map_err(failed)?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(CorpusError::Busy { path: place });
        }
        Ok(Publication { building, place, _lock: lock, stays: false })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.building
    }

    /// The folder of finished parts: those that are there already were made under the same `key`.
    pub fn parts(&self, key: &str) -> Result<PathBuf, CorpusError> {
        let path = self.building.join(KEY_FILE);
        let parts = self.building.join("parts");
        if !fs::read_to_string(&path).is_ok_and(|found| found == key) {
            self.clear()?;
            file::write_atomic(&path, key.as_bytes())
                .map_err(|error| CorpusError::io("write", &path, error))?;
        }
        fs::create_dir_all(&parts).map_err(|error| CorpusError::io("create the folder", &parts, error))?;
        Ok(parts)
    }

    /// Keeps finished parts for the next attempt, if there are any.
    pub fn leave(mut self) {
        let parts = fs::read_dir(self.building.join("parts"));
        let is_part = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.path().extension().is_some_and(|ending| ending == "zst"))
        };
        self.stays = parts.is_ok_and(|mut parts| parts.any(is_part));
    }

    /// Moves the folder into place, with its parts or without.
    pub fn publish(mut self, with_parts: bool) -> Result<(), CorpusError> {
        let failed = |error| CorpusError::io("move the corpus to", &self.place, error);
        if !with_parts {
            let _ = fs::remove_dir_all(self.building.join("parts"));
        }
        let _ = fs::remove_file(self.building.join(KEY_FILE));
        let replaced = hidden_sibling(&self.place, "old");
        let _ = fs::remove_dir_all(&replaced);
        if self.place.exists() {
            // A folder cannot be renamed onto a full one.
            fs::rename(&self.place, &replaced).map_err(failed)?;
        }
        if let Err(error) = file::rename_durable(&self.building, &self.place) {
            let _ = fs::rename(&replaced, &self.place);
            return Err(failed(error));
        }
        let _ = fs::remove_dir_all(&replaced);
        self.stays = true;
        Ok(())
    }

    /// Removes all that is in the folder.
    fn clear(&self) -> Result<(), CorpusError> {
        let failed = |error| CorpusError::io("empty the folder", &self.building, error);
        for entry in fs::read_dir(&self.building).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed =
                if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
            removed.map_err(failed)?;
        }
        Ok(())
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        if !self.stays {
            // The error that led here is the one to report.
            let _ = fs::remove_dir_all(&self.building);
        }
    }
}

/// An empty folder or an earlier one of the same kind.
fn may_replace(place: &Path, marker: &str) -> bool {
    let is_empty = fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
    is_empty || place.join(marker).exists()
}

/// `.NAME.ending` beside the place.
fn hidden_sibling(place: &Path, ending: &str) -> PathBuf {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    place.with_file_name(format!(".{name}.{ending}"))
}

/// This program, as far as a part that it made depends on it: another build of it may make other documents.
pub(crate) fn program() -> String {
    let itself = std::env::current_exe().and_then(fs::metadata);
    let (bytes, modified) = itself.map_or((0, 0), |metadata| (metadata.len(), walk::modified_ns(&metadata)));
    format!("{} {bytes} {modified}", env!("CARGO_PKG_VERSION"))
}
