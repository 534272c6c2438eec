//! One digest for the content of files and folders, quick when little has changed.
//!
//! A file is hashed once; after that its size, modification time and inode vouch for it. A file changed within the last
//! two seconds is not vouched for: it could change again within the same tick of the file system's clock.
//!
//! What counts: every regular file's path and content, every link's target, and of a repository the commit it is at. What
//! git ignores inside a repository does not count, nor does the home folder itself. Files and folders that cannot
//! be read count as unreadable.
//!
//! Not covered: content behind links that lead out of a folder; permissions and times.

use crate::database::{self, Durability};
use crate::error::StoreError;
use ignore::{DirEntry, WalkBuilder, WalkState};
use rayon::prelude::*;
use rusqlite::Connection;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};
use wootz_schema::progress::{Observe, Progress};
use wootz_stdx::digest;

const MIGRATIONS: [&str; 1] = ["CREATE TABLE digests (
    root BLOB NOT NULL, path BLOB NOT NULL, bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (root, path)) WITHOUT ROWID"];

/// How old a modification must be before its time is trusted.
const SETTLED_NS: i64 = 2_000_000_000;

/// The content of files and folders in one figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Lower-case hex SHA-256 over sorted paths and digests.
    pub digest: String,
    /// Files looked at.
    pub files: u64,
    /// Files read, because the cache did not know them.
    pub hashed: u64,
}

/// Takes fingerprints and remembers digests of files.
pub struct Fingerprints {
    path: PathBuf,
    database: Mutex<Connection>,
    /// Folder that never counts: the home folder, which changes with every run.
    excluded: PathBuf,
}

/// A file found on the walk.
struct Found {
    /// Path below the root, as bytes: names need not be UTF-8.
    path: Vec<u8>,
    stamp: Stamp,
    /// Known without reading the file.
    digest: Option<String>,
}

/// What vouches for a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stamp {
    bytes: i64,
    mtime_ns: i64,
    inode: i64,
}

impl Fingerprints {
    /// Opens the cache at `path`; a broken one is thrown away, since it can be rebuilt.
    pub fn open(path: &Path, excluded: &Path) -> Result<Fingerprints, StoreError> {
        let open = || database::open(path, Durability::Relaxed, &MIGRATIONS);
        let connection = open().or_else(|error| match &error {
            StoreError::Database { source, .. }
                if matches!(
                    source.sqlite_error_code(),
                    Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
                ) =>
            {
                fs::remove_file(path).map_err(StoreError::io("remove", path))?;
                open()
            }
            _ => Err(error),
        })?;
        let excluded = excluded.canonicalize().unwrap_or_else(|_| excluded.to_owned());
        Ok(Fingerprints { path: path.to_owned(), database: Mutex::new(connection), excluded })
    }

    /// The fingerprint of these files and folders. One that does not exist is an error.
    ///
    /// Single files are taken together, so that a list of many costs no more than the folder they stand in; their names
    /// count from the folder they share.
    pub fn take(&self, sources: &[PathBuf], observe: &dyn Observe) -> Result<Fingerprint, StoreError> {
        let looked = sources.par_iter().map(|source| {
            let metadata = fs::metadata(source).map_err(StoreError::io("read", source))?;
            let path = std::path::absolute(source).map_err(StoreError::io("read", source))?;
            Ok((path, metadata))
        });
        let looked: Vec<(PathBuf, Metadata)> = looked.collect::<Result<_, _>>()?;
        let (folders, files): (Vec<_>, Vec<_>) =
            looked.into_iter().partition(|(_, metadata)| metadata.is_dir());
        let mut taken = Vec::with_capacity(folders.len() + 1);
        for (folder, _) in folders {
            let root = folder.canonicalize().map_err(StoreError::io("read", &folder))?;
            let found = self.walk(&root);
            taken.push(self.digest(&root, found, true, observe)?);
        }
        if let Some(root) = shared_folder(&files) {
            let name = |path: &Path| path.strip_prefix(&root).unwrap_or(path).as_os_str().as_bytes().to_vec();
            let found = |(path, metadata): &(PathBuf, Metadata)| Found {
                path: name(path),
                stamp: stamp(metadata),
                digest: None,
            };
            taken.push(self.digest(&root, files.iter().map(found).collect(), false, observe)?);
        }
        let digests: Vec<&str> = taken.iter().map(|one| one.digest.as_str()).collect();
        Ok(Fingerprint {
            digest: digest::sha256(digests.join("\n").as_bytes()),
            files: taken.iter().map(|one| one.files).sum(),
            hashed: taken.iter().map(|one| one.hashed).sum(),
        })
    }

    /// The fingerprint of the files found below a root; `all`: what was not found there is gone.
    fn digest(
        &self,
        root: &Path,
        mut found: Vec<Found>,
        all: bool,
        observe: &dyn Observe,
    ) -> Result<Fingerprint, StoreError> {
        let known = self.known(root)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        for file in &mut found {
            let cached =
                known.get(&file.path).filter(|(stamp, _)| *stamp == file.stamp && *stamp != Stamp::default());
            if file.digest.is_none() {
                file.digest = cached.map(|(_, digest)| digest.clone());
            }
        }
        let new: Vec<usize> = (0..found.len()).filter(|i| found[*i].digest.is_none()).collect();
        let digests =
            read_all(root, &new.iter().map(|i| found[*i].path.as_slice()).collect::<Vec<_>>(), observe);
        for (index, digest) in new.iter().zip(digests) {
            found[*index].digest = Some(digest);
        }
        let present = |path: &[u8]| found.binary_search_by(|f| f.path.as_slice().cmp(path)).is_ok();
        let missing = |path: &[u8]| all || !root.join(OsStr::from_bytes(path)).exists();
        let mut gone: Vec<&[u8]> =
            known.keys().map(Vec::as_slice).filter(|p| !present(p) && missing(p)).collect();
        gone.sort();
        self.remember(root, &new.iter().map(|i| &found[*i]).collect::<Vec<_>>(), &gone)?;
        let mut listing = Vec::new();
        for file in &found {
            listing.extend_from_slice(&file.path);
            listing.push(0);
            listing.extend_from_slice(file.digest.as_deref().unwrap_or_default().as_bytes());
            listing.push(b'\n');
        }
        let (files, hashed) = (found.len() as u64, new.len() as u64);
        Ok(Fingerprint { digest: digest::sha256(&listing), files, hashed })
    }

    /// Every file below the root, in any order.
    fn walk(&self, root: &Path) -> Vec<Found> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(8));
        let excluded = self.excluded.clone();
        let walker = WalkBuilder::new(root)
            // Whatever a reader of the folder may skip, skipping less here is safe, and skipping more is not.
            .standard_filters(false)
            .git_ignore(true)
            .threads(threads)
            .filter_entry(move |entry| {
                let inside_git =
                    entry.path().parent().and_then(Path::file_name).is_some_and(|name| name == ".git");
                !(inside_git && entry.depth() > 1) && entry.path() != excluded
            })
            .build_parallel();
        let (sender, receiver) = mpsc::channel();
        walker.run(|| {
            let sender = sender.clone();
            Box::new(move |entry| {
                let found = match entry {
                    Ok(entry) => look(root, &entry),
                    Err(error) => Some(unreadable(&error.to_string())),
                };
                // The receiver lives until every sender is gone.
                found.into_iter().for_each(|found| drop(sender.send(found)));
                WalkState::Continue
            })
        });
        drop(sender);
        receiver.into_iter().collect()
    }

    fn known(&self, root: &Path) -> Result<HashMap<Vec<u8>, (Stamp, String)>, StoreError> {
        let failed = || StoreError::database(&self.path);
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let mut query = database
            .prepare_cached("SELECT path, bytes, mtime_ns, inode, sha256 FROM digests WHERE root = ?1")
            .map_err(failed())?;
        let rows = query
            .query_map([root.as_os_str().as_bytes()], |row| {
                let stamp = Stamp { bytes: row.get(1)?, mtime_ns: row.get(2)?, inode: row.get(3)? };
                Ok((row.get(0)?, (stamp, row.get(4)?)))
            })
            .map_err(failed())?;
        rows.collect::<Result<_, _>>().map_err(failed())
    }

    /// Keeps the digests of the files just read, and forgets files that are gone.
    fn remember(&self, root: &Path, new: &[&Found], gone: &[&[u8]]) -> Result<(), StoreError> {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
        let settled =
            |file: &&&Found| file.stamp != Stamp::default() && file.stamp.mtime_ns + SETTLED_NS < now_ns;
        let kept: Vec<&&Found> = new.iter().filter(settled).collect();
        if kept.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let failed = || StoreError::database(&self.path);
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = database.transaction().map_err(failed())?;
        {
            let root = root.as_os_str().as_bytes();
            let mut insert = transaction
                .prepare_cached("INSERT OR REPLACE INTO digests VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
                .map_err(failed())?;
            for Found { path, stamp, digest } in kept {
                let row = (root, path, stamp.bytes, stamp.mtime_ns, stamp.inode, digest);
                insert.execute(row).map_err(failed())?;
            }
            let mut delete = transaction
                .prepare_cached("DELETE FROM digests WHERE root = ?1 AND path = ?2")
                .map_err(failed())?;
            for path in gone {
                delete.execute((root, path)).map_err(failed())?;
            }
        }
        transaction.commit().map_err(failed())
    }
}

/// The deepest folder that holds all the files; `None` where there are none.
fn shared_folder(files: &[(PathBuf, Metadata)]) -> Option<PathBuf> {
    let mut shared = files.first()?.0.parent()?.to_owned();
    for (path, _) in files {
        while !path.starts_with(&shared) {
            shared = shared.parent()?.to_owned();
        }
    }
    Some(shared)
}

/// What the walk met, as a file to digest; `None` for folders.
fn look(root: &Path, entry: &DirEntry) -> Option<Found> {
    let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let path = below.as_os_str().as_bytes().to_vec();
    let kind = entry.file_type()?;
    if kind.is_dir() {
        let repository = entry.file_name() == ".git";
        return repository.then(|| Found {
            path,
            stamp: Stamp::default(),
            digest: Some(commit(entry.path())),
        });
    }
    if kind.is_symlink() && entry.depth() > 0 {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let digest = format!("link:{}", digest::sha256(target.as_os_str().as_bytes()));
        return Some(Found { path, stamp: Stamp::default(), digest: Some(digest) });
    }
    if !kind.is_file() {
        return None;
    }
    match entry.metadata() {
        Ok(metadata) => Some(Found { path, stamp: stamp(&metadata), digest: None }),
        Err(error) => Some(unreadable(&error.to_string())),
    }
}

fn unreadable(why: &str) -> Found {
    Found { path: why.as_bytes().to_vec(), stamp: Stamp::default(), digest: Some("unreadable".to_owned()) }
}

fn stamp(metadata: &Metadata) -> Stamp {
    Stamp {
        bytes: metadata.len() as i64,
        mtime_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
        inode: metadata.ino() as i64,
    }
}

/// What a repository's folder says of the commit it is at.
fn commit(git: &Path) -> String {
    let head = fs::read_to_string(git.join("HEAD")).unwrap_or_default();
    let branch = head.strip_prefix("ref: ").map(str::trim).unwrap_or_default();
    let commit = match branch {
        "" => head.clone(),
        branch => fs::read_to_string(git.join(branch)).unwrap_or_else(|_| packed(git, branch)),
    };
    format!("commit:{}", digest::sha256(commit.trim().as_bytes()))
}

/// The line of a branch in the file of packed branches.
fn packed(git: &Path, branch: &str) -> String {
    let packed = fs::read_to_string(git.join("packed-refs")).unwrap_or_default();
    let line = packed.lines().find(|line| line.split_once(' ').is_some_and(|(_, name)| name == branch));
    line.and_then(|line| line.split_once(' ')).map(|(commit, _)| commit.to_owned()).unwrap_or_default()
}

/// Digests of files below the root, in the order given; `unreadable` for those that cannot be read.
fn read_all(root: &Path, paths: &[&[u8]], observe: &dyn Observe) -> Vec<String> {
    if paths.is_empty() {
        return Vec::new();
    }
    observe.observe(Progress::Begin {
        task: "sources: hash",
        total: Some(paths.len() as u64),
        unit: "files",
    });
    let done = AtomicU64::new(0);
    let digests = paths
        .par_iter()
        .map(|path| {
            let file = root.join(OsStr::from_bytes(path));
            let digest =
                digest::sha256_file(&file).map_or_else(|_| "unreadable".to_owned(), |(digest, _)| digest);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(256) {
                observe.observe(Progress::Advance { done });
            }
            digest
        })
        .collect();
    observe.observe(Progress::End);
    digests
}
