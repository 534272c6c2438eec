//! Artifacts: folders named by the key of what made them, published whole by a rename.
//!
//! A folder under `artifacts/` is finished by construction: its files and manifest were on the disk before the rename gave
//! it its name. What can still happen to it is an outside hand, so a look-up compares every file's size with
//! the manifest. Not covered: a change that keeps the size (`digest` in the manifest would tell; nobody asks on each run).

use crate::error::StoreError;
use crate::fingerprint::Fingerprints;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use wootz_schema::artifact::{ArtifactManifest, FILE_NAME, Origin, VERSION};
use wootz_schema::checkpoint::FileEntry;
use wootz_stdx::{digest, file};

/// A home folder.
pub struct Store {
    home: PathBuf,
    fingerprints: Fingerprints,
}

/// A finished output.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// Its folder.
    pub path: PathBuf,
    /// What it holds and how it came about.
    pub manifest: ArtifactManifest,
}

/// What a look-up found.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// The artifact with all its files.
    Whole(Box<Artifact>),
    /// Nothing of this key.
    Missing,
    /// A folder that lacks something, and what.
    Broken(String),
}

/// An output in the making; nobody else works on the same key while this lives.
#[derive(Debug)]
pub struct Work {
    key: String,
    path: PathBuf,
    target: PathBuf,
    /// Held, not read: the lock goes with it.
    _lock: Option<Lock>,
}

/// A locked file, given up when it goes. A process that is between its fork and its exec has the handle too, so
/// closing ours would not be enough.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Store {
    /// Opens a home folder, creating what it lacks.
    pub fn open(home: &Path) -> Result<Store, StoreError> {
        for folder in ["artifacts", "work", "locks"] {
            let folder = home.join(folder);
            fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        }
        let home = home.canonicalize().map_err(StoreError::io("read", home))?;
        let fingerprints = Fingerprints::open(&home.join("cache.db"), &home)?;
        Ok(Store { home, fingerprints })
    }

    /// The home folder, absolute.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Takes fingerprints of sources.
    pub fn fingerprints(&self) -> &Fingerprints {
        &self.fingerprints
    }

    /// Folder of the artifact of this key, whether it is there or not.
    pub fn artifact_path(&self, key: &str) -> PathBuf {
        self.home.join("artifacts").join(key)
    }

    /// Looks for an artifact and checks that no file of it is missing or cut.
    pub fn find(&self, key: &str) -> Lookup {
        let path = self.artifact_path(key);
        if !path.exists() {
            return Lookup::Missing;
        }
        let broken =
            |what: &Path, why: &dyn std::fmt::Display| Lookup::Broken(format!("{}: {why}", what.display()));
        let manifest_path = path.join(FILE_NAME);
        let manifest: ArtifactManifest = match fs::read(&manifest_path) {
            Err(error) => return broken(&manifest_path, &error),
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Err(error) => return broken(&manifest_path, &error),
                Ok(manifest) => manifest,
            },
        };
        if manifest.version != VERSION {
            return broken(&manifest_path, &format_args!("version {}, not {VERSION}", manifest.version));
        }
        for (name, entry) in &manifest.files {
            let file = path.join(name);
            match fs::symlink_metadata(&file) {
                Err(error) => return broken(&file, &error),
                Ok(metadata) if metadata.len() != entry.bytes => {
                    return broken(&file, &format_args!("{} bytes, not {}", metadata.len(), entry.bytes));
                }
                Ok(_) => {}
            }
        }
        Lookup::Whole(Box::new(Artifact { path, manifest }))
    }

    /// Takes the key for this process, with the folder of what an earlier attempt left.
    ///
    /// `Ok(Err(holder))`: another process works on it; `holder` is what it says of itself.
    pub fn work(&self, key: &str) -> Result<Result<Work, String>, StoreError> {
        let lock = match lock(&self.home.join("locks").join(key))? {
            Ok(lock) => lock,
            Err(holder) => return Ok(Err(holder)),
        };
        let path = self.home.join("work").join(key);
        fs::create_dir_all(&path).map_err(StoreError::io("create", &path))?;
        Ok(Ok(Work { key: key.to_owned(), path, target: self.artifact_path(key), _lock: Some(lock) }))
    }

    /// The folder for an output whose key no other process can have, as the caller knows.
    pub fn own_work(&self, key: &str) -> Result<Work, StoreError> {
        let path = self.home.join("work").join(key);
        fs::create_dir_all(&path).map_err(StoreError::io("create", &path))?;
        Ok(Work { key: key.to_owned(), path, target: self.artifact_path(key), _lock: None })
    }
}

/// Locks a file until the value goes; `Ok(Err(holder))` where another process has it.
pub fn lock(path: &Path) -> Result<Result<Lock, String>, StoreError> {
    let open = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let mut lock = open.map_err(StoreError::io("open", path))?;
    match lock.try_lock() {
        Ok(()) => {
            // For the message of whoever meets the lock; its truth is the lock itself, not the number.
            let written = lock.set_len(0).and_then(|()| write!(lock, "process {}", std::process::id()));
            written.map_err(StoreError::io("write", path))?;
            Ok(Ok(Lock(lock)))
        }
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(path).unwrap_or_default();
            Ok(Err(if holder.is_empty() { "another process".to_owned() } else { holder }))
        }
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path)(error)),
    }
}

impl Work {
    /// The folder to fill.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Throws away what earlier attempts left.
    pub fn clear(&self) -> Result<(), StoreError> {
        fs::remove_dir_all(&self.path).map_err(StoreError::io("remove", &self.path))?;
        fs::create_dir_all(&self.path).map_err(StoreError::io("create", &self.path))
    }

    /// Gives the folder up if nothing is in it; true where that is so.
    pub fn drop_empty(&self) -> bool {
        fs::remove_dir(&self.path).is_ok()
    }

    /// Makes the folder the artifact of its key, in place of an older one. All of it is on the disk before it has
    /// its name.
    pub fn publish(self, origin: Origin) -> Result<Artifact, StoreError> {
        let mut names = Vec::new();
        list(&self.path, &self.path, &mut names)?;
        let entries: Vec<FileEntry> =
            names.par_iter().map(|name| entry(&self.path.join(name))).collect::<Result<_, _>>()?;
        let files: BTreeMap<String, FileEntry> = names.into_iter().zip(entries).collect();
        let mut listing = String::new();
        for (name, FileEntry { bytes, sha256 }) in &files {
            listing.push_str(&format!("{sha256} {bytes} {name}\n"));
        }
        let digest = digest::sha256(listing.as_bytes());
        let manifest = ArtifactManifest { version: VERSION, key: self.key.clone(), digest, origin, files };
        let bytes =
            serde_json::to_vec_pretty(&manifest).expect("a manifest has text keys and finite figures only");
        let path = self.path.join(FILE_NAME);
        file::write_atomic(&path, &bytes).map_err(StoreError::io("write", &path))?;

        let old = self.path.with_file_name(format!(".{}.old", self.key));
        remove(&old)?;
        if self.target.exists() {
            fs::rename(&self.target, &old).map_err(StoreError::io("move", &self.target))?;
        }
        file::rename_durable(&self.path, &self.target).map_err(StoreError::io("publish", &self.target))?;
        remove(&old)?;
        Ok(Artifact { path: self.target, manifest })
    }
}

/// Removes a folder, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Paths of all files below the folder, with `/`. Temporary files of killed writers are swept on the way.
fn list(root: &Path, folder: &Path, names: &mut Vec<String>) -> Result<(), StoreError> {
    let failed = || StoreError::io("read", folder);
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed())?);
        let name = entry.file_name();
        let Some(text) = path.strip_prefix(root).ok().and_then(Path::to_str) else {
            return Err(StoreError::Output { path, reason: "the name is not UTF-8".to_owned() });
        };
        let is_temporary = name.to_str().is_some_and(|n| n.starts_with('.') && n.contains(".tmp-"));
        if is_temporary {
            let removed = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(StoreError::io("remove", &path))?;
        } else if kind.is_dir() {
            list(root, &path, names)?;
        } else if kind.is_file() || kind.is_symlink() {
            names.extend((text != FILE_NAME).then(|| text.to_owned()));
        } else {
            return Err(StoreError::Output {
                path,
                reason: "neither a file, a folder nor a link".to_owned(),
            });
        }
    }
    // The folder's own entries must be on the disk as well.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", folder))
}

/// Size and digest of a file, which is on the disk afterwards; of a link, those of its target's name.
fn entry(path: &Path) -> Result<FileEntry, StoreError> {
    let metadata = fs::symlink_metadata(path).map_err(StoreError::io("read", path))?;
    if metadata.is_symlink() {
        let target = fs::read_link(path).map_err(StoreError::io("read", path))?;
        let target = target.as_os_str().as_bytes();
        return Ok(FileEntry { bytes: metadata.len(), sha256: digest::sha256(&[b"link:", target].concat()) });
    }
    let synced = File::open(path).and_then(|file| file.sync_all());
    let (sha256, bytes) =
        synced.and_then(|()| digest::sha256_file(path)).map_err(StoreError::io("read", path))?;
    Ok(FileEntry { bytes, sha256 })
}
