//! One repository's folder in the cache, as `huggingface_hub` 2.4 has it:
//!
//! ```text
//! models--OWNER--NAME/
//!   blobs/DIGEST             bytes, by SHA-256 or git's SHA-1
//!   refs/REVISION            the commit that a branch or tag was
//!   snapshots/COMMIT/PATH    a relative link to a blob
//!   trees/COMMIT.json        the list of the commit's files
//! ```
//!
//! A blob that is there with the right size is taken for right. A name that is no commit is written only when what was wanted of it is
//! there, so that who is offline finds the last that is whole.

use crate::listing::{Entry, Listing, is_hex, is_inside, is_right, plural};
use crate::snapshot::{HubError, Wanted};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use wootz_stdx::file::write_atomic;

const TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache: backups need not hold it.\n";

/// The folder of a repository.
pub struct Cache {
    root: PathBuf,
    folder: PathBuf,
}

impl Cache {
    /// Looks at nothing yet.
    pub fn of(wanted: &Wanted<'_>) -> Cache {
        let name = format!("{}--{}", plural(wanted.kind), wanted.repo.replace('/', "--"));
        Cache { root: wanted.cache.to_owned(), folder: wanted.cache.join(name) }
    }

    /// The folder of a commit.
    pub fn snapshot(&self, sha: &str) -> PathBuf {
        self.folder.join("snapshots").join(sha)
    }

    /// Where a file's bytes are.
    pub fn blob(&self, entry: &Entry) -> PathBuf {
        self.folder.join("blobs").join(entry.tag())
    }

    /// Whether a file's bytes are there.
    pub fn has(&self, entry: &Entry) -> bool {
        fs::metadata(self.blob(entry)).is_ok_and(|data| data.is_file() && data.len() == entry.bytes)
    }

    /// The commit that a revision was when it was last downloaded.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_hex(revision, 40) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|sha| is_hex(sha, 40))
    }

    /// Notes the commit of a revision.
    pub fn note(&self, revision: &str, sha: &str) -> Result<(), HubError> {
        if revision == sha || self.commit(revision).as_deref() == Some(sha) {
            return Ok(());
        }
        write(&self.folder.join("refs").join(revision), sha.as_bytes())
    }

    /// Makes the folder of a commit, and says to backups that all this is a cache.
    pub fn prepare(&self, sha: &str) -> Result<(), HubError> {
        let snapshot = self.snapshot(sha);
        fs::create_dir_all(&snapshot).map_err(|error| HubError::io("make", &snapshot, error))?;
        let tag = self.root.join("CACHEDIR.TAG");
        if tag.exists() { Ok(()) } else { write(&tag, TAG.as_bytes()) }
    }

    /// The list of a commit's files, where it is kept and in the known format.
    pub fn listing(&self, sha: &str) -> Option<Listing> {
        let text = fs::read(self.tree(sha)).ok()?;
        let tree: Value = serde_json::from_slice(&text).ok()?;
        if tree["format_version"] != 1 {
            return None;
        }
        let entry = |(path, entry): (&String, &Value)| {
            let text = |name: &str| entry[name].as_str().map(str::to_owned);
            let read = Entry {
                bytes: entry["lfs_size"].as_u64().or_else(|| entry["size"].as_u64())?,
                git: text("blob_id")?,
                sha256: text("lfs_sha256"),
                xet: text("xet_hash"),
            };
            (is_inside(path) && is_right(&read)).then(|| (path.clone(), read))
        };
        tree["files"].as_object()?.iter().map(entry).collect()
    }

    /// Keeps the list of a commit's files.
    pub fn keep(&self, sha: &str, listing: &Listing) -> Result<(), HubError> {
        let mut files = serde_json::Map::new();
        for (path, entry) in listing {
            let mut kept = json!({"size": entry.bytes, "blob_id": entry.git});
            if let Some(sha256) = &entry.sha256 {
                kept["lfs_sha256"] = json!(sha256);
                kept["lfs_size"] = json!(entry.bytes);
            }
            if let Some(xet) = &entry.xet {
                kept["xet_hash"] = json!(xet);
            }
            files.insert(path.clone(), kept);
        }
        let mut text = Vec::new();
        let one_space = serde_json::ser::PrettyFormatter::with_indent(b" ");
        json!({"format_version": 1, "files": files})
            .serialize(&mut serde_json::Serializer::with_formatter(&mut text, one_space))
            .expect("because a value of JSON can be written as JSON");
        write(&self.tree(sha), &text)
    }

    /// Links a path of a commit to its bytes.
    pub fn link(&self, sha: &str, path: &str, entry: &Entry) -> Result<(), HubError> {
        let link = self.snapshot(sha).join(path);
        if link.exists() {
            return Ok(());
        }
        let folder = link.parent().unwrap_or(&link);
        fs::create_dir_all(folder).map_err(|error| HubError::io("make", folder, error))?;
        // From the folder of the commit it is two up, and one more for each folder in the path.
        let up = "../".repeat(2 + path.matches('/').count());
        let fault = |error| HubError::io("link", &link, error);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        match symlink(format!("{up}blobs/{}", entry.tag()), &link) {
            // Another process was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map_err(fault),
        }
    }

    /// The files of a commit whose list is not known: those that are there.
    pub fn walk(&self, sha: &str) -> Result<Vec<(String, u64)>, HubError> {
        let root = self.snapshot(sha);
        let (mut folders, mut files) = (vec![root.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            let fault = |error| HubError::io("read", &folder, error);
            for entry in fs::read_dir(&folder).map_err(fault)? {
                let path = entry.map_err(fault)?.path();
                // What a link does not lead to is not there.
                let Ok(data) = fs::metadata(&path) else { continue };
                match (data.is_dir(), path.strip_prefix(&root)) {
                    (true, _) => folders.push(path),
                    (false, Ok(inside)) => files.push((inside.to_string_lossy().into_owned(), data.len())),
                    (false, Err(_)) => {}
                }
            }
        }
        files.sort();
        Ok(files)
    }

    fn tree(&self, sha: &str) -> PathBuf {
        self.folder.join("trees").join(format!("{sha}.json"))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), HubError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| HubError::io("make", folder, error))?;
    write_atomic(path, bytes).map_err(|error| HubError::io("write", path, error))
}
