//! The output folder: built beside its place under a hidden name, and moved there when it is complete.

use super::CorpusError;
use std::fs;
use std::path::{Path, PathBuf};
use wootz_schema::corpus::MANIFEST_FILE;
use wootz_stdx::file;

/// A folder under construction; removed when dropped unpublished.
pub(crate) struct Publication {
    building: PathBuf,
    place: PathBuf,
    published: bool,
}

impl Publication {
    /// Starts the folder that will stand at `place`.
    pub fn begin(place: &Path) -> Result<Publication, CorpusError> {
        // A trailing `.` or `/` has no name to build a sibling's from.
        let place: PathBuf = place.components().collect();
        if place.exists() && !may_replace(&place) {
            return Err(CorpusError::OutputTaken { path: place });
        }
        if let Some(parent) = place.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)
                .map_err(|error| CorpusError::io("create the folder", parent, error))?;
        }
        sweep(&place);
        let building = file::temporary_sibling(&place);
        let _ = fs::remove_dir_all(&building);
        fs::create_dir(&building).map_err(|error| CorpusError::io("create the folder", &building, error))?;
        Ok(Publication { building, place, published: false })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.building
    }

    /// Moves the folder into place.
    pub fn publish(mut self) -> Result<(), CorpusError> {
        let failed = |error| CorpusError::io("move the corpus to", &self.place, error);
        let replaced = self.building.with_extension("old");
        if self.place.exists() {
            // A folder cannot be renamed onto a full one. A kill between the two moves leaves no corpus, not half.
            let _ = fs::remove_dir_all(&replaced);
            fs::rename(&self.place, &replaced).map_err(failed)?;
        }
        file::rename_durable(&self.building, &self.place).map_err(failed)?;
        let _ = fs::remove_dir_all(&replaced);
        self.published = true;
        Ok(())
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        if !self.published {
            // The error that led here is the one to report.
            let _ = fs::remove_dir_all(&self.building);
        }
    }
}

/// An empty folder or an earlier corpus.
fn may_replace(place: &Path) -> bool {
    let is_empty = fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
    is_empty || place.join(MANIFEST_FILE).exists()
}

/// Removes what builds that were killed left beside `place`: hidden siblings of processes that are gone.
fn sweep(place: &Path) {
    let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else { return };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let prefix = format!(".{}.tmp-", name.to_string_lossy());
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let sibling = entry.file_name().to_string_lossy().into_owned();
        let process = sibling.strip_prefix(&prefix).and_then(|rest| rest.split('.').next());
        let Some(process) = process.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())) else {
            continue;
        };
        // Where processes cannot be looked up, a leftover stays.
        let lookup = Path::new("/proc");
        if lookup.join("self").exists() && !lookup.join(process).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
