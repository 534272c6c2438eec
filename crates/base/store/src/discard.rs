//! Outputs that nobody needs any more.
//!
//! An artifact loses its name first, by a rename, and is removed then: whoever looks for it finds all of it or nothing. What a crash leaves
//! between the two is found by the next who sweeps.

use crate::artifact::{Store, remove};
use crate::error::StoreError;
use std::fs;
use std::path::{Path, PathBuf};

impl Store {
    /// Keys of all artifacts, whole or not, in order.
    pub fn keys(&self) -> Result<Vec<String>, StoreError> {
        let folder = self.home().join("artifacts");
        let mut keys = names(&folder)?;
        keys.retain(|name| !name.starts_with('.'));
        Ok(keys)
    }

    /// Takes an artifact's name away; [`Store::sweep`] removes what is left.
    pub fn discard(&self, key: &str) -> Result<(), StoreError> {
        let (path, aside) = (self.artifact_path(key), self.aside(key));
        // Of an artifact of this key that was discarded before, and not swept.
        remove(&aside)?;
        fs::rename(&path, &aside).map_err(StoreError::io("move", &path))
    }

    /// Removes what was discarded.
    pub fn sweep(&self) -> Result<(), StoreError> {
        let folder = self.home().join("work");
        let mut gone =
            names(&folder)?.into_iter().filter(|name| name.starts_with('.') && name.ends_with(GONE));
        gone.try_for_each(|name| remove(&folder.join(name)))
    }

    fn aside(&self, key: &str) -> PathBuf {
        self.home().join("work").join(format!(".{key}{GONE}"))
    }
}

const GONE: &str = ".gone";

fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = fs::read_dir(folder).map_err(StoreError::io("read", folder))?;
    let names: std::io::Result<Vec<String>> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    let mut names = names.map_err(StoreError::io("read", folder))?;
    names.sort_unstable();
    Ok(names)
}
