//! Changes from lines of JSON, a file before and after a commit each.
//!
//! A line that lacks one of the two texts, the path or the subject is no record. The difference is computed from the texts, whatever
//! diff the line brings along, so that both agree.

use super::{CommitsError, Source, Texts, Work, chunkers};
use crate::CorpusError;
use crate::build::tally::{Outcome, Taker};
use crate::clean;
use crate::records::{Lines, language_named, normal};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use wootz_chunk::{Chunker, Language};
use wootz_schema::corpus::{DropReason, NO_LICENSE};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::record::{CommitRecord, RecordOptions};

/// Lines that are worked on together, and their bytes.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 16 << 20;

/// A line; absent where it is too long.
type Kept = Option<Vec<u8>>;

/// A file of records.
pub(super) struct Opened {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Of records that do not tell theirs.
    language: Option<&'static dyn Language>,
}

/// Opens all files, so that one that is missing is told before the others are read.
pub(super) fn open(options: &RecordOptions) -> Result<Vec<Opened>, CorpusError> {
    let language = match options.language.as_deref() {
        None => None,
        Some(name) => Some(language_named(name).ok_or_else(|| CorpusError::unknown_language(name))?),
    };
    let open = |path: &PathBuf| {
        let opened = File::open(path).and_then(|file| {
            let bytes = file.metadata()?.len();
            Ok(Opened { path: path.clone(), file, bytes, language })
        });
        opened.map_err(|error| CorpusError::io("read the records", path, error))
    };
    options.files.iter().map(open).collect()
}

/// What the lines of a file have in common.
struct About<'a> {
    /// For those that name no repository.
    repo: &'a str,
    language: Option<&'static dyn Language>,
    chunkers: &'a [Mutex<Chunker>],
}

impl Work<'_> {
    /// All records of one file; how many there were.
    pub(super) fn records(
        &self,
        opened: &Opened,
        pool: &rayon::ThreadPool,
        taker: &mut Taker,
        observe: &dyn Observe,
    ) -> Result<u64, CommitsError> {
        let Opened { path, file, bytes, language } = opened;
        let failed = |error| CorpusError::io("read the records", path, error);
        let repo = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let about = About { repo: &repo, language: *language, chunkers: &chunkers(pool) };
        observe.observe(Progress::Begin { task: "corpus: records", total: Some(*bytes), unit: "bytes" });
        // Before, after, and the difference, which is no longer than both.
        let text_bytes = self.options.max_file_bytes.saturating_mul(4);
        let mut lines = Lines::new(file, text_bytes, self.options.records.max_records);
        let (mut seen, mut done) = (0, 0);
        loop {
            let (mut batch, mut bytes) = (Vec::<Kept>::new(), 0);
            while batch.len() < BATCH && bytes < BATCH_BYTES {
                let Some((at, line)) = lines.next().map_err(failed)? else { break };
                bytes += line.map_or(0, <[u8]>::len);
                done = at.offset + at.length;
                batch.push(line.map(<[u8]>::to_vec));
            }
            if batch.is_empty() {
                break;
            }
            seen += batch.len() as u64;
            let outcomes: Vec<Outcome> = pool.install(|| {
                batch
                    .into_par_iter()
                    .with_max_len(1)
                    .map(|line| self.of_line(line.as_deref(), &about))
                    .collect()
            });
            outcomes.into_iter().try_for_each(|outcome| taker.take(outcome))?;
            observe.observe(Progress::Advance { done });
        }
        observe.observe(Progress::End);
        Ok(seen)
    }

    fn of_line(&self, line: Option<&[u8]>, about: &About<'_>) -> Outcome {
        self.of_record(line, about).unwrap_or_else(|reason| Outcome::Dropped { reason, license: None })
    }

    fn of_record(&self, line: Option<&[u8]>, about: &About<'_>) -> Result<Outcome, DropReason> {
        let bad = |_| DropReason::BadRecord;
        let record = CommitRecord::read(line.ok_or(DropReason::TooLarge)?).map_err(bad)?;
        let said = (record.old, record.new, record.subject);
        let (Some(old), Some(new), Some(subject)) = said else { return Err(DropReason::BadRecord) };
        let path = record.path.as_deref().map(normal).unwrap_or_default();
        if path.is_empty() {
            return Err(DropReason::BadRecord);
        }
        if old.len().max(new.len()) as u64 > self.options.max_file_bytes {
            return Err(DropReason::TooLarge);
        }
        if let Some(reason) = self.cleaner.reason_by_path(&path) {
            return Err(reason);
        }
        let repo = record.repo.as_deref().map(str::trim).filter(|repo| !repo.is_empty());
        let repo = repo.unwrap_or(about.repo);
        let texts = Texts {
            subject: self.cleaner.redact(subject.trim(), None),
            body: self.cleaner.redact(record.body.as_deref().unwrap_or_default().trim(), None),
            old: clean::decode(old.into_owned().into_bytes())?.0,
            new: clean::decode(new.into_owned().into_bytes())?,
        };
        let source = Source {
            repo,
            path: &path,
            commit: None,
            project: number_of(repo),
            language: about.language,
            license: NO_LICENSE,
            chunkers: about.chunkers,
        };
        Ok(self.outcome(&source, texts))
    }
}

/// A number that tells a repository from others, whatever thread meets it first.
fn number_of(repo: &str) -> (usize, usize) {
    let digest: [u8; 32] = Sha256::digest(repo).into();
    let half = |at: usize| digest[at..at + 8].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    (half(0), half(8))
}
