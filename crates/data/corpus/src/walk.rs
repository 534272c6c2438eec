//! The walk: every file below the sources, in an order and with rules that depend on the sources alone.
//!
//! Ignore rules are those of `.gitignore` files inside a source, whether or not it is a repository; the machine's
//! global ignore file, a repository's private excludes and folders above the source have no say. Hidden entries,
//! build output (`target` beside a `Cargo.toml`, a folder with `.rustc_info.json`, `node_modules`, `__pycache__`)
//! are not entered. Links are met but not followed.

use crate::build::CorpusError;
use crate::folders;
use ignore::{DirEntry, WalkBuilder};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use wootz_schema::corpus::{CorpusOptions, DropReason};
use wootz_stdx::digest;

/// A file that a corpus depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last change, nanoseconds since 1970; 0 where the file system does not say.
    pub modified_ns: u64,
}

/// Every file that can have a say in the corpus' bytes, without opening any: candidates, license files, manifests,
/// benchmarks, files of records.
pub fn file_list(options: &CorpusOptions) -> Result<Vec<InputFile>, CorpusError> {
    let mut inputs = Vec::new();
    for (index, source) in options.sources.iter().enumerate() {
        let walked = walk_inputs(source, index)?;
        inputs.extend(walked.files.into_iter().map(|file| InputFile {
            path: source.join(&file.path),
            bytes: file.bytes,
            modified_ns: file.modified_ns,
        }));
    }
    for path in options.clean.benchmarks.iter().chain(&options.records.files) {
        let failed = |error| CorpusError::io("read", path, error);
        let metadata = std::fs::metadata(path).map_err(failed)?;
        inputs.push(InputFile {
            path: path.clone(),
            bytes: metadata.len(),
            modified_ns: modified_ns(&metadata),
        });
    }
    Ok(inputs)
}

/// SHA-256 over the paths below the sources, lengths and times of [`file_list`]: changes when the corpus may.
pub fn fingerprint(options: &CorpusOptions) -> Result<String, CorpusError> {
    let mut hasher = Sha256::new();
    for (source, files) in options.sources.iter().map(|source| {
        let one = CorpusOptions { sources: vec![source.clone()], ..options.clone() };
        (source, file_list(&one))
    }) {
        for file in files? {
            let below = file.path.strip_prefix(source).unwrap_or(&file.path);
            hasher.update(below.as_os_str().as_encoded_bytes());
            hasher.update([0]);
            hasher.update(file.bytes.to_le_bytes());
            hasher.update(file.modified_ns.to_le_bytes());
        }
        hasher.update([0, 0]);
    }
    if options.sources.is_empty() {
        for file in file_list(options)? {
            hasher.update(file.bytes.to_le_bytes());
            hasher.update(file.modified_ns.to_le_bytes());
        }
    }
    Ok(digest::hex(&hasher.finalize()))
}

/// A file below a source.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Index of its source.
    pub source: usize,
    /// Path below the source.
    pub path: Box<Path>,
    pub bytes: u64,
    pub modified_ns: u64,
    /// Its number among the records, where its source is one of records.
    pub record: u32,
}

impl Found {
    /// The last part of the path, as text.
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Whether the name alone leaves open that the file is in a known language.
    pub fn may_be_source(&self) -> bool {
        let name = self.name();
        !name.contains('.') && !folders::is_license_file(&name) || wootz_chunk::detect(&name, b"").is_some()
    }
}

/// A source, walked.
pub(crate) struct Walked {
    /// Regular files, sorted by the bytes of their paths.
    pub files: Vec<Found>,
    /// What the walk itself had to drop.
    pub dropped: BTreeMap<DropReason, u64>,
}

/// Walks one source.
pub(crate) fn walk(source: &Path, index: usize) -> Result<Walked, CorpusError> {
    walk_for(source, index, |_| true)
}

/// Walks one source for files that may be source code, or say what is: license texts and manifests. Others count as in no known
/// language and are not remembered, so that memory does not grow with what is no code.
pub(crate) fn walk_inputs(source: &Path, index: usize) -> Result<Walked, CorpusError> {
    walk_for(source, index, |file| {
        let name = file.name();
        file.may_be_source() || folders::is_license_file(&name) || folders::is_manifest(&name)
    })
}

fn walk_for(source: &Path, index: usize, wants: impl Fn(&Found) -> bool) -> Result<Walked, CorpusError> {
    let metadata = std::fs::metadata(source).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CorpusError::SourceMissing { path: source.to_owned() },
        _ => CorpusError::io("read the source", source, error),
    })?;
    if !metadata.is_dir() {
        return Err(CorpusError::SourceNotFolder { path: source.to_owned() });
    }
    let mut walked = Walked { files: Vec::new(), dropped: BTreeMap::new() };
    let walker = WalkBuilder::new(source)
        .standard_filters(false)
        .hidden(true)
        .git_ignore(true)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| entry.depth() == 0 || !is_build_output(entry))
        .build();
    for entry in walker {
        match entry.map_err(io::Error::other).and_then(|entry| found(&entry, source, index)) {
            Ok(Met::File(file)) if wants(&file) => walked.files.push(file),
            Ok(Met::File(_)) => *walked.dropped.entry(DropReason::UnknownLanguage).or_default() += 1,
            Ok(Met::Folder) => {}
            Ok(Met::Dropped(reason)) => *walked.dropped.entry(reason).or_default() += 1,
            Err(_) => *walked.dropped.entry(DropReason::Unreadable).or_default() += 1,
        }
    }
    walked.files.sort_unstable_by(|one, other| {
        one.path.as_os_str().as_encoded_bytes().cmp(other.path.as_os_str().as_encoded_bytes())
    });
    walked.files.shrink_to_fit();
    Ok(walked)
}

enum Met {
    File(Found),
    Folder,
    Dropped(DropReason),
}

fn found(entry: &DirEntry, source: &Path, index: usize) -> io::Result<Met> {
    let Some(kind) = entry.file_type() else { return Ok(Met::Dropped(DropReason::Unreadable)) };
    if kind.is_dir() || entry.depth() == 0 {
        return Ok(Met::Folder);
    }
    if kind.is_symlink() {
        return Ok(Met::Dropped(DropReason::Symlink));
    }
    if !kind.is_file() {
        return Ok(Met::Dropped(DropReason::Unreadable));
    }
    let metadata = entry.metadata().map_err(io::Error::other)?;
    Ok(Met::File(Found {
        source: index,
        path: entry.path().strip_prefix(source).unwrap_or(entry.path()).into(),
        bytes: metadata.len(),
        modified_ns: modified_ns(&metadata),
        record: 0,
    }))
}

pub(crate) fn modified_ns(metadata: &std::fs::Metadata) -> u64 {
    let since_1970 = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since_1970.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

fn is_build_output(entry: &DirEntry) -> bool {
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return false;
    }
    match entry.file_name().to_str() {
        Some("node_modules" | "__pycache__") => true,
        Some("target") if entry.path().with_file_name("Cargo.toml").exists() => true,
        _ => entry.path().join(".rustc_info.json").exists(),
    }
}
