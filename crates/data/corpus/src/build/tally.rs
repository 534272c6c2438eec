//! The one place that takes files in order: duplicates, the cap, counts, and the sink.

use super::CorpusError;
use super::pipeline::FileRead;
use crate::clean::{Changes, NearIndex};
use crate::sink::{Row, Sink};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use wootz_schema::clean::CleanCounts;
use wootz_schema::corpus::{
    CorpusManifest, CorpusOptions, DropReason, FileCounts, MANIFEST_FILE, Tally, VERSION,
};
use wootz_stdx::{digest, file};

/// What became of a file before its turn came.
pub(crate) enum Outcome {
    /// It has no document.
    Dropped { reason: DropReason, license: Option<String> },
    /// It was cut into documents.
    Cut {
        /// Source and project.
        project: (usize, usize),
        rows: Vec<Row>,
        /// Lengths of the items that were too large.
        oversized: Vec<u64>,
        has_errors: bool,
        changes: Changes,
    },
}

/// What became of a file, and what it was.
pub(crate) struct FileDone {
    /// Digest of its cleaned text; absent where it was dropped before.
    pub text: Option<[u8; 32]>,
    pub outcome: Outcome,
}

/// What a project came to, or a piece of one.
pub(crate) struct ProjectDone {
    /// Its files, in their order.
    pub files: Vec<FileDone>,
    /// Functions and types that do not fit with the least they need.
    pub oversized: u64,
    pub with_errors: u64,
}

impl ProjectDone {
    /// Documents before any is dropped as a copy.
    pub fn documents(&self) -> u64 {
        let of = |file: &FileDone| match &file.outcome {
            Outcome::Cut { rows, .. } => rows.len() as u64,
            Outcome::Dropped { .. } => 0,
        };
        self.files.iter().map(of).sum()
    }
}

/// The first half of a text's digest: enough to tell texts apart, and half the memory.
type Half = [u8; 16];

fn half(sha256: &[u8; 32]) -> Half {
    *sha256.first_chunk().expect("a digest has two halves")
}

/// Takes outcomes in the order of the files.
pub(crate) struct Taker {
    sink: Sink,
    max_total_bytes: u64,
    full: bool,
    /// Only ever asked whether it holds a text.
    texts: HashSet<Half>,
    /// What is counted of the project at hand when the first of its files is not a copy.
    pending: (u64, u64),
    near: NearIndex,
    clean: CleanCounts,
    projects: BTreeSet<(usize, usize)>,
    total: Tally,
    kept: u64,
    dropped: BTreeMap<DropReason, u64>,
    dropped_documents: BTreeMap<DropReason, Tally>,
    dropped_licenses: BTreeMap<String, u64>,
    languages: BTreeMap<String, Tally>,
    licenses: BTreeMap<String, Tally>,
    with_errors: u64,
}

impl Taker {
    pub fn new(options: &CorpusOptions, documents: &Path) -> Result<Taker, CorpusError> {
        Ok(Taker {
            sink: Sink::create(documents, options.format)?,
            max_total_bytes: options.max_total_bytes.unwrap_or(u64::MAX),
            full: false,
            texts: HashSet::new(),
            pending: (0, 0),
            near: NearIndex::default(),
            clean: CleanCounts::default(),
            projects: BTreeSet::new(),
            total: Tally::default(),
            kept: 0,
            dropped: BTreeMap::new(),
            dropped_documents: BTreeMap::new(),
            dropped_licenses: BTreeMap::new(),
            languages: BTreeMap::new(),
            licenses: BTreeMap::new(),
            with_errors: 0,
        })
    }

    /// Whether the cap is reached: nothing more will be kept.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Documents so far.
    pub fn documents(&self) -> u64 {
        self.total.documents
    }

    /// Drops files that need no work because [`Taker::take_file`] will: where files are made `together`, if no other is with
    /// them.
    pub(super) fn without_known<'a>(&self, files: Vec<FileRead<'a>>, together: bool) -> Vec<FileRead<'a>> {
        let is_known = |read: &FileRead<'_>| match read {
            Ok(loaded) => self.texts.contains(&half(&loaded.sha256)),
            Err(_) => true,
        };
        if together && !files.iter().all(is_known) {
            return files;
        }
        let unless_known = |read: FileRead<'a>| {
            if is_known(&read) { read.and(Err((DropReason::Duplicate, None))) } else { read }
        };
        files.into_iter().map(unless_known).collect()
    }

    /// A project follows, or a piece of one, with so many functions and types that do not fit, and files that were hard to read.
    pub fn begin_project(&mut self, oversized: u64, with_errors: u64) {
        self.pending = (oversized, with_errors);
    }

    /// Takes a file unless it is a copy of one before.
    pub fn take_file(&mut self, file: FileDone) -> Result<(), CorpusError> {
        if !self.full
            && let Some(sha256) = &file.text
        {
            if !self.texts.insert(half(sha256)) {
                return self.take(Outcome::Dropped { reason: DropReason::Duplicate, license: None });
            }
            let (oversized, with_errors) = std::mem::take(&mut self.pending);
            if oversized > 0 {
                self.dropped_documents.entry(DropReason::Oversized).or_default().documents += oversized;
            }
            self.with_errors += with_errors;
        }
        self.take(file.outcome)
    }

    pub fn take(&mut self, outcome: Outcome) -> Result<(), CorpusError> {
        if self.full {
            self.drop_rest(1);
            return Ok(());
        }
        match outcome {
            Outcome::Dropped { reason, license } => {
                *self.dropped.entry(reason).or_default() += 1;
                if let Some(license) = license {
                    *self.dropped_licenses.entry(license).or_default() += 1;
                }
                Ok(())
            }
            Outcome::Cut { project, rows, oversized, has_errors, changes } => {
                let written = self.take_rows(rows, &oversized)?;
                match written {
                    Ok(()) => {
                        self.kept += 1;
                        self.projects.insert(project);
                        self.with_errors += u64::from(has_errors);
                        self.count_changes(changes);
                    }
                    Err(reason) => *self.dropped.entry(reason).or_default() += 1,
                }
                Ok(())
            }
        }
    }

    /// Counts what cleaning did to a file that is kept.
    fn count_changes(&mut self, changes: Changes) {
        if let Some(from) = changes.converted {
            *self.clean.converted.entry(from).or_default() += 1;
        }
        for (kind, count) in changes.redacted {
            *self.clean.redacted.entry(kind).or_default() += count;
        }
    }

    /// Counts files past the cap.
    pub fn drop_rest(&mut self, files: u64) {
        self.drop_files(DropReason::OverTotal, files);
    }

    /// Counts files that are dropped for one reason.
    pub fn drop_files(&mut self, reason: DropReason, files: u64) {
        if files > 0 {
            *self.dropped.entry(reason).or_default() += files;
        }
    }

    /// Writes a file's documents; the inner error is the reason why none of them was.
    fn take_rows(
        &mut self,
        rows: Vec<Row>,
        oversized: &[u64],
    ) -> Result<Result<(), DropReason>, CorpusError> {
        let mut written = Err(DropReason::Oversized);
        for bytes in oversized {
            self.dropped_documents.entry(DropReason::Oversized).or_default().add(*bytes);
        }
        for row in rows {
            let bytes = row.bytes;
            let reason = if self.full || self.total.bytes + bytes > self.max_total_bytes {
                self.full = true;
                Some(DropReason::OverTotal)
            } else if !row.is_whole_file() && !self.texts.insert(half(&row.sha256)) {
                Some(DropReason::Duplicate)
            } else if let Some(item) = &row.judged.benchmark {
                *self.clean.contaminated.entry(item.clone()).or_default() += 1;
                Some(DropReason::Contaminated)
            } else if row
                .judged
                .sketch
                .as_ref()
                .is_some_and(|sketch| self.near.find_or_insert(sketch).is_some())
            {
                Some(DropReason::NearDuplicate)
            } else {
                None
            };
            if let Some(reason) = reason {
                self.dropped_documents.entry(reason).or_default().add(bytes);
                written = written.or(Err(reason));
                continue;
            }
            self.total.add(bytes);
            self.languages.entry(row.document.language.clone()).or_default().add(bytes);
            self.licenses.entry(row.document.license.clone()).or_default().add(bytes);
            self.sink.push(row)?;
            written = Ok(());
        }
        Ok(written)
    }

    /// Ends the documents file and writes the manifest beside it.
    pub fn finish(
        self,
        walked: &FileCounts,
        folder: &Path,
        options: &CorpusOptions,
    ) -> Result<CorpusManifest, CorpusError> {
        let mut files = walked.clone();
        files.kept = self.kept;
        for (reason, count) in &self.dropped {
            *files.dropped.entry(*reason).or_default() += count;
        }
        if self.total.documents == 0 {
            return Err(nothing(options, files, self.dropped_licenses));
        }
        self.sink.finish()?;
        let documents_file = options.format.file_name().to_owned();
        let path = folder.join(&documents_file);
        let (sha256, file_bytes) = digest::sha256_file(&path)
            .map_err(|error| CorpusError::io("read back the documents", &path, error))?;
        let manifest = CorpusManifest {
            version: VERSION,
            documents_file,
            file_bytes,
            sha256,
            documents: self.total,
            files,
            dropped_documents: self.dropped_documents,
            dropped_licenses: self.dropped_licenses,
            files_with_syntax_errors: self.with_errors,
            projects: self.projects.len() as u64,
            languages: self.languages,
            licenses: self.licenses,
            clean: self.clean,
        };
        let path = folder.join(MANIFEST_FILE);
        let mut text =
            serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON because its keys are text");
        text.push(b'\n');
        file::write_atomic(&path, &text)
            .map_err(|error| CorpusError::io("write the manifest", &path, error))?;
        Ok(manifest)
    }
}

fn nothing(
    options: &CorpusOptions,
    files: FileCounts,
    dropped_licenses: BTreeMap<String, u64>,
) -> CorpusError {
    if !dropped_licenses.is_empty() {
        let allowed = match &options.licenses {
            Some(allowed) => allowed.join(", "),
            None => format!("all but {}", options.clean.denied_licenses.join(", ")),
        };
        return CorpusError::NoLicenseMatch { allowed, found: dropped_licenses };
    }
    let sources: Vec<_> =
        options.sources.iter().chain(&options.records.files).map(|path| path.display().to_string()).collect();
    CorpusError::NoDocuments { sources: sources.join(", "), files }
}
