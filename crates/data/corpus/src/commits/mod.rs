//! Documents from git histories, or from lines of JSON: for each file that a commit modified, the definitions it changed, before and after.
//!
//! Commits pass in batches, parents first: one place reads blobs, all threads compare and compose, and one place takes the
//! results in order, so that bytes depend on the repositories and the options alone.
//!
//! Filters, redaction, licenses, benchmarks and the search for near duplicates are those of a corpus of files; documents of one
//! form are compared with each other, so that the two forms of a change both stay.
//!
//! Not covered, but counted: merges, files that were added, removed or renamed, submodules.

mod compose;
mod git;
mod hunks;
mod licenses;
mod records;

use crate::CorpusError;
use crate::build::publish::Publication;
use crate::build::tally::{Outcome, Taker};
use crate::clean::{self, Changes, Cleaned, Cleaner};
use crate::license::{self, Allowed, Denied};
use crate::sink::Row;
use compose::{Versions, compose};
use git::{Blobs, Change, Commit, Repository};
use licenses::Licenses;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use wootz_chunk::{Chunker, Language, detect, language_names};
use wootz_schema::clean::Encoding;
use wootz_schema::commits::{CommitForm, CommitOptions};
use wootz_schema::corpus::{CorpusFormat, CorpusManifest, CorpusOptions, DropReason, FileCounts};
use wootz_schema::document::{Document, DocumentKind};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::digest;

/// Commits that are worked on together.
const BATCH: usize = 256;

/// Builds the corpus of the commits that `options` describe in the folder `out`, which appears complete or not at all.
///
/// `count` tells a text's length in tokens.
pub fn commits(
    options: &CommitOptions,
    count: &(dyn Fn(&str) -> u64 + Sync),
    out: &Path,
    observe: &dyn Observe,
) -> Result<CorpusManifest, CommitsError> {
    if options.repositories.is_empty() && options.records.is_empty() {
        return Err(CorpusError::NoSources.into());
    }
    let known = language_names();
    let unknown = |name: &&String| !known.contains(&name.as_str());
    if let Some(name) = options.languages.iter().flatten().find(unknown) {
        return Err(CorpusError::unknown_language(name).into());
    }
    let allowed = options.licenses.as_deref().map(Allowed::new).transpose()?;
    let denied = Denied::new(&options.clean.denied_licenses)?;
    let as_corpus = CorpusOptions {
        sources: options.repositories.clone(),
        records: options.records.clone(),
        licenses: options.licenses.clone(),
        format: options.format,
        clean: options.clean.clone(),
        ..CorpusOptions::default()
    };
    let repositories =
        options.repositories.iter().map(|path| Repository::open(path)).collect::<Result<Vec<_>, _>>()?;
    let records = records::open(&options.records)?;
    let publication = Publication::begin(out)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads.unwrap_or(0)).build();
    let pool = pool.map_err(|error| CorpusError::Threads { source: error })?;
    let mut taker = Taker::new(&as_corpus, &publication.path().join(options.format.file_name()))?;
    let mut files = FileCounts::default();
    let work = Work {
        options,
        count,
        allowed,
        denied,
        texts: license::Texts::default(),
        cleaner: Cleaner::new(&as_corpus.clean)?,
    };
    for (index, repository) in repositories.iter().enumerate() {
        let project = Project {
            index,
            name: name_of(&options.repositories[index]),
            licenses: Licenses::read(&repository.files()?, &mut repository.blobs()?, &work.texts)?,
            chunkers: chunkers(&pool),
        };
        files.seen += work.repository(repository, &project, &pool, &mut taker, observe)?;
    }
    for one in &records {
        files.seen += work.records(one, &pool, &mut taker, observe)?;
    }
    let manifest = taker.finish(&files, publication.path(), &as_corpus)?;
    publication.publish(false)?;
    Ok(manifest)
}

/// The last part of a repository's path that says something.
fn name_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.strip_suffix(".git").filter(|stem| !stem.is_empty()).unwrap_or(&name).to_owned()
}

/// What is the same for all repositories.
struct Work<'a> {
    options: &'a CommitOptions,
    count: &'a (dyn Fn(&str) -> u64 + Sync),
    allowed: Option<Allowed>,
    denied: Denied,
    texts: license::Texts,
    cleaner: Cleaner,
}

struct Project {
    index: usize,
    name: String,
    licenses: Licenses,
    chunkers: Vec<Mutex<Chunker>>,
}

/// One parser per thread: each is locked by its own thread only.
fn chunkers(pool: &rayon::ThreadPool) -> Vec<Mutex<Chunker>> {
    (0..pool.current_num_threads()).map(|_| Mutex::new(Chunker::new())).collect()
}

/// A file of a commit, read.
struct Read<'a> {
    commit: &'a Commit,
    path: &'a str,
    texts: Result<Texts<'a>, DropReason>,
}

/// What a change says.
struct Texts<'a> {
    subject: Cow<'a, str>,
    body: Cow<'a, str>,
    old: String,
    /// And from what that was converted.
    new: (String, Option<Encoding>),
}

/// Where a change comes from.
struct Source<'a> {
    repo: &'a str,
    path: &'a str,
    commit: Option<&'a str>,
    /// The repository's number.
    project: (usize, usize),
    /// Where the path does not tell.
    language: Option<&'static dyn Language>,
    /// Where the file does not tell.
    license: &'a str,
    chunkers: &'a [Mutex<Chunker>],
}

impl Work<'_> {
    /// All commits of one repository; the number of changed files that were met.
    fn repository(
        &self,
        repository: &Repository,
        project: &Project,
        pool: &rayon::ThreadPool,
        taker: &mut Taker,
        observe: &dyn Observe,
    ) -> Result<u64, CommitsError> {
        let total = Some(repository.count()?);
        observe.observe(Progress::Begin { task: "corpus: commits", total, unit: "commits" });
        let mut blobs = repository.blobs()?;
        let mut history = repository.history()?;
        let (mut seen, mut done) = (0, 0);
        loop {
            let mut batch: Vec<Commit> = history.by_ref().take(BATCH).collect::<Result<_, _>>()?;
            if batch.is_empty() {
                break;
            }
            for commit in &mut batch {
                commit.subject = self.cleaner.redact(&commit.subject, None).into_owned();
                commit.body = self.cleaner.redact(&commit.body, None).into_owned();
            }
            let mut read = Vec::new();
            for commit in &batch {
                seen += commit.changes.len() as u64 + commit.skipped.values().sum::<u64>();
                for change in self.wanted(commit, taker) {
                    let texts = self.texts(commit, change, &mut blobs)?;
                    read.push(Read { commit, path: &change.path, texts });
                }
            }
            let outcomes: Vec<Outcome> = pool.install(|| {
                read.into_par_iter().with_max_len(1).map(|one| self.of_commit(one, project)).collect()
            });
            outcomes.into_iter().try_for_each(|outcome| taker.take(outcome))?;
            done += batch.len() as u64;
            observe.observe(Progress::Advance { done });
        }
        observe.observe(Progress::End);
        Ok(seen)
    }

    /// The changes of a commit that may have documents, as far as paths tell; the others are counted.
    fn wanted<'c>(&self, commit: &'c Commit, taker: &mut Taker) -> Vec<&'c Change> {
        commit.skipped.iter().for_each(|(reason, count)| taker.drop_files(*reason, *count));
        let (wanted, unknown): (Vec<&Change>, Vec<&Change>) =
            commit.changes.iter().partition(|one| may_be_source(&one.path));
        taker.drop_files(DropReason::UnknownLanguage, unknown.len() as u64);
        if wanted.len() > self.options.max_files {
            taker.drop_files(DropReason::MassChange, wanted.len() as u64);
            return Vec::new();
        }
        let unless_dropped = |one: &&Change| match self.cleaner.reason_by_path(&one.path) {
            Some(reason) => {
                taker.drop_files(reason, 1);
                false
            }
            None => true,
        };
        wanted.into_iter().filter(unless_dropped).collect()
    }

    fn texts<'c>(
        &self,
        commit: &'c Commit,
        change: &Change,
        blobs: &mut Blobs,
    ) -> Result<Result<Texts<'c>, DropReason>, CommitsError> {
        let limit = self.options.max_file_bytes;
        let old = blobs.read(&change.old, limit)?.and_then(clean::decode);
        let new = blobs.read(&change.new, limit)?.and_then(clean::decode);
        let said = |text: &'c String| Cow::Borrowed(text.as_str());
        let with = |old, new| Texts { subject: said(&commit.subject), body: said(&commit.body), old, new };
        Ok(old.and_then(|(old, _)| Ok(with(old, new?))))
    }

    fn of_commit(&self, read: Read<'_>, project: &Project) -> Outcome {
        let source = Source {
            repo: &project.name,
            path: read.path,
            commit: Some(&read.commit.id),
            project: (project.index, 0),
            language: None,
            license: project.licenses.of(read.path),
            chunkers: &project.chunkers,
        };
        match read.texts {
            Ok(texts) => self.outcome(&source, texts),
            Err(reason) => Outcome::Dropped { reason, license: None },
        }
    }

    fn outcome(&self, source: &Source<'_>, texts: Texts<'_>) -> Outcome {
        let dropped = |reason| Outcome::Dropped { reason, license: None };
        let (new, converted) = texts.new;
        let name = source.path.rsplit('/').next().unwrap_or(source.path);
        let Some(language) = detect(name, new.as_bytes()).or(source.language) else {
            return dropped(DropReason::UnknownLanguage);
        };
        let named = |names: &Vec<String>| names.iter().any(|name| name == language.name());
        if !self.options.languages.as_ref().is_none_or(named) {
            return dropped(DropReason::OtherLanguage);
        }
        let license = license::of_file(&new).unwrap_or_else(|| source.license.to_owned());
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.permits(&license))
            || self.denied.forbids(&license)
        {
            return Outcome::Dropped { reason: DropReason::License, license: Some(license) };
        }
        let Cleaned { text: new, changes } = match self.cleaner.clean(new, converted, language.name()) {
            Ok(cleaned) => cleaned,
            Err(reason) => return dropped(reason),
        };
        let versions = Versions {
            subject: &texts.subject,
            body: &texts.body,
            repo: source.repo,
            path: source.path,
            language,
            old: &self.cleaner.redact(&texts.old, None),
            new: &new,
        };
        self.documents(&versions, source, license, changes)
    }

    fn documents(
        &self,
        versions: &Versions<'_>,
        source: &Source<'_>,
        license: String,
        changes: Changes,
    ) -> Outcome {
        let chunker = &source.chunkers[rayon::current_thread_index().unwrap_or(0)];
        let mut chunker = chunker.lock().unwrap_or_else(PoisonError::into_inner);
        let forms = &self.options.forms;
        let composed = compose(versions, forms, &mut chunker, self.count, self.options.max_tokens);
        if composed.is_empty() {
            return Outcome::Dropped { reason: DropReason::NoDefinition, license: None };
        }
        let (mut rows, mut oversized) = (Vec::new(), Vec::new());
        for one in composed {
            let Some((text, tokens)) = one.text else {
                oversized.push(versions.new.len() as u64);
                continue;
            };
            let sha256: [u8; 32] = Sha256::digest(text.as_bytes()).into();
            let judged = self.cleaner.judge_among(&text, 1 + one.form as u64);
            let document = Document {
                text,
                language: versions.language.name().to_owned(),
                repo: source.repo.to_owned(),
                path: source.path.to_owned(),
                commit: source.commit.map(str::to_owned),
                license: license.clone(),
                kind: match one.form {
                    CommitForm::Chain => DocumentKind::CommitChain,
                    CommitForm::Diff => DocumentKind::CommitDiff,
                },
                symbols: one.symbols,
                tokens: Some(tokens),
                sha256: digest::hex(&sha256),
            };
            rows.push(Row::new(document, sha256, self.options.format == CorpusFormat::Jsonl, judged));
        }
        Outcome::Cut { project: source.project, rows, oversized, has_errors: false, changes }
    }
}

/// Whether a path's name leaves open that the file is in a known language.
fn may_be_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    detect(name, b"").is_some()
}

/// Why a history could not become documents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitsError {
    /// There is no git on the machine.
    #[error("start git: {source}")]
    NoGit {
        /// The cause.
        source: io::Error,
    },
    /// Not a folder that git knows.
    #[error("read the git repository {}: {reason}", path.display())]
    NotRepository {
        /// The folder.
        path: PathBuf,
        /// What git said.
        reason: String,
    },
    /// A repository in which nothing was committed.
    #[error("read the history of {}: it has no commit", path.display())]
    NoCommits {
        /// The folder.
        path: PathBuf,
    },
    /// A clone without some of the files.
    #[error("read the history of {}: it is a partial clone, which lacks files", path.display())]
    Partial {
        /// The folder.
        path: PathBuf,
    },
    /// Git ended in the middle.
    #[error("read the history: git ended with {status}")]
    Git {
        /// How.
        status: String,
    },
    /// Git ended in the middle, and did not say how.
    #[error("read the history: git is gone")]
    Lost,
    /// Git's output could not be read.
    #[error("read from git: {source}")]
    Read {
        /// The cause.
        source: io::Error,
    },
    /// The same errors as a corpus of files has.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
}

impl CommitsError {
    fn start(source: io::Error) -> CommitsError {
        CommitsError::NoGit { source }
    }
    fn read(source: io::Error) -> CommitsError {
        CommitsError::Read { source }
    }
}

impl Diagnose for CommitsError {
    fn exit(&self) -> ExitCode {
        match self {
            CommitsError::NotRepository { .. }
            | CommitsError::NoCommits { .. }
            | CommitsError::Partial { .. } => ExitCode::Usage,
            CommitsError::Corpus(error) => error.exit(),
            _ => ExitCode::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            CommitsError::NoGit { .. } => "install git, and put it on PATH",
            CommitsError::NotRepository { .. } => "name the folder of a repository, or a bare one",
            CommitsError::NoCommits { .. } => "commit something, or leave the repository out",
            CommitsError::Partial { .. } => "clone it without --filter; --depth is fine",
            CommitsError::Git { .. } | CommitsError::Lost | CommitsError::Read { .. } => {
                "run `git fsck` in the repository"
            }
            CommitsError::Corpus(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}
