//! A corpus folder from source trees: the pipeline, and what can go wrong in it.
//!
//! Files pass in batches of a few MiB: one is cut into documents while the next is read, all threads on both; a
//! single place then takes the results in order, so that duplicates, counts and bytes do not depend on who was
//! first. Memory holds two batches, the list of files, 32 bytes per text for the search for duplicates, and under 1 KiB
//! for each of the last documents for that of near ones.

mod compose;
pub(crate) mod publish;
pub(crate) mod tally;

use crate::clean::{self, Changes, Cleaned, Cleaner};
use crate::folders::Folders;
use crate::license::{self, Allowed, Denied};
use crate::order::{Candidate, order};
use crate::sink::Row;
use crate::walk::{Found, walk};
use publish::Publication;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tally::{Outcome, Taker};
use wootz_chunk::{Chunker, Language, PieceKind, detect, language_names, split};
use wootz_schema::corpus::{CorpusFormat, CorpusManifest, CorpusOptions, DropReason, FileCounts};
use wootz_schema::document::{Document, DocumentKind};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::digest;
use wootz_tokenizer::{Tokenizer, TokenizerError};

/// Bytes of source in one batch.
const BATCH_BYTES: u64 = 4 << 20;

/// Builds the corpus that `options` describe in the folder `out`, which appears complete or not at all.
///
/// An earlier corpus at `out` is replaced; anything else there is left alone and is an error.
pub fn build(
    options: &CorpusOptions,
    out: &Path,
    observe: &dyn Observe,
) -> Result<CorpusManifest, CorpusError> {
    let settings = Settings::new(options)?;
    let publication = Publication::begin(out)?;
    let threads = options.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| CorpusError::Threads { source: error })?;
    let manifest = pool.install(|| {
        let tree = Tree::read(options, &settings)?;
        let mut taker = Taker::new(options, &publication.path().join(options.format.file_name()))?;
        let pipeline = Pipeline::new(options, &settings, &tree, observe);
        match &options.compose {
            Some(compose) => pipeline.run_projects(compose, &mut taker)?,
            None => pipeline.run(&mut taker)?,
        }
        taker.finish(&tree.files, publication.path(), options)
    })?;
    publication.publish()?;
    Ok(manifest)
}

/// Options, checked.
struct Settings {
    languages: Option<Vec<String>>,
    allowed: Option<Allowed>,
    denied: Denied,
    cleaner: Cleaner,
    tokenizer: Cow<'static, Tokenizer>,
}

impl Settings {
    fn new(options: &CorpusOptions) -> Result<Settings, CorpusError> {
        if options.sources.is_empty() {
            return Err(CorpusError::NoSources);
        }
        let known = language_names();
        for name in options.languages.iter().flatten() {
            if !known.contains(&name.as_str()) {
                return Err(CorpusError::UnknownLanguage { name: name.clone(), known: known.join(", ") });
            }
        }
        let allowed = options.licenses.as_deref().map(Allowed::new).transpose()?;
        let denied = Denied::new(&options.clean.denied_licenses)?;
        let cleaner = Cleaner::new(&options.clean)?;
        let given = options.compose.as_ref().and_then(|compose| compose.tokenizer.as_deref());
        let tokenizer = match given {
            None => Cow::Borrowed(Tokenizer::built_in()),
            Some(path) => Cow::Owned(read_tokenizer(path)?),
        };
        Ok(Settings { languages: options.languages.clone(), allowed, denied, cleaner, tokenizer })
    }

    fn wants(&self, language: &dyn Language) -> bool {
        let named = |names: &Vec<String>| names.iter().any(|name| name == language.name());
        self.languages.as_ref().is_none_or(named)
    }
}

/// All sources, walked and sorted into what may become documents.
struct Tree<'a> {
    sources: Vec<(&'a Path, Folders)>,
    candidates: Vec<Found>,
    files: FileCounts,
}

impl<'a> Tree<'a> {
    fn read(options: &'a CorpusOptions, settings: &Settings) -> Result<Tree<'a>, CorpusError> {
        let mut tree = Tree { sources: Vec::new(), candidates: Vec::new(), files: FileCounts::default() };
        for (index, source) in options.sources.iter().enumerate() {
            let walked = walk(source, index)?;
            tree.files.seen += walked.files.len() as u64 + walked.dropped.values().sum::<u64>();
            for (reason, count) in walked.dropped {
                *tree.files.dropped.entry(reason).or_default() += count;
            }
            let folders = Folders::new(source, &walked.files);
            for file in walked.files {
                let path = folders.project(folders.project_of(folders.folder_of(&file))).path_of(&file);
                let reason = reason_by_name(&file, source, options, settings);
                match reason.or_else(|| settings.cleaner.reason_by_path(&path)) {
                    None => tree.candidates.push(file),
                    Some(reason) => *tree.files.dropped.entry(reason).or_default() += 1,
                }
            }
            tree.sources.push((source, folders));
        }
        Ok(tree)
    }
}

/// Why a file is no candidate, as far as its name and size tell; a name without extension needs its first bytes.
fn reason_by_name(
    file: &Found,
    source: &Path,
    options: &CorpusOptions,
    settings: &Settings,
) -> Option<DropReason> {
    if !file.may_be_source() {
        return Some(DropReason::UnknownLanguage);
    }
    let name = file.name();
    let mut head = Vec::new();
    if !name.contains('.') {
        let opened = File::open(source.join(&file.path));
        if opened.and_then(|opened| opened.take(256).read_to_end(&mut head)).is_err() {
            return Some(DropReason::Unreadable);
        }
    }
    match detect(&name, &head) {
        None => Some(DropReason::UnknownLanguage),
        // Which of the two a header is in shows when it is read.
        Some(language) if !name.ends_with(".h") && !settings.wants(language) => {
            Some(DropReason::OtherLanguage)
        }
        Some(_) if file.bytes > options.max_file_bytes => Some(DropReason::TooLarge),
        Some(_) => None,
    }
}

/// What all threads share.
struct Pipeline<'a> {
    options: &'a CorpusOptions,
    settings: &'a Settings,
    tree: &'a Tree<'a>,
    observe: &'a dyn Observe,
    texts: license::Texts,
    /// One parser per thread: each is locked by its own thread only.
    chunkers: Vec<Mutex<Chunker>>,
}

/// A file that passed every filter that looks at one file alone.
pub(crate) struct Loaded<'a> {
    file: &'a Found,
    text: String,
    changes: Changes,
    sha256: [u8; 32],
    license: String,
    language: &'static dyn Language,
}

/// What reading a file came to.
pub(crate) type FileRead<'a> = Result<Loaded<'a>, (DropReason, Option<String>)>;

impl<'a> Pipeline<'a> {
    fn new(
        options: &'a CorpusOptions,
        settings: &'a Settings,
        tree: &'a Tree<'a>,
        observe: &'a dyn Observe,
    ) -> Pipeline<'a> {
        let chunkers = (0..rayon::current_num_threads()).map(|_| Mutex::new(Chunker::new())).collect();
        Pipeline { options, settings, tree, observe, texts: license::Texts::default(), chunkers }
    }

    fn run(&self, taker: &mut Taker) -> Result<(), CorpusError> {
        let files = self.in_order();
        let total = Some(files.len() as u64);
        self.observe.observe(Progress::Begin { task: "corpus: documents", total, unit: "files" });
        let batches = batches(&files, |file| file.bytes);
        let mut next = batches.first().map(|batch| self.load(batch));
        let mut done = 0;
        for (index, batch) in batches.iter().enumerate() {
            let loaded = taker.without_duplicates(next.take().unwrap_or_default());
            let following = batches.get(index + 1).filter(|_| !taker.is_full());
            let (outcomes, loaded_next) =
                rayon::join(|| self.cut(loaded), || following.map(|batch| self.load(batch)));
            for outcome in outcomes {
                taker.take(outcome)?;
            }
            next = loaded_next;
            done += batch.len();
            if taker.is_full() {
                taker.drop_rest((files.len() - done) as u64);
                break;
            }
            self.observe.observe(Progress::Advance { done: done as u64 });
        }
        self.observe.observe(Progress::End);
        Ok(())
    }

    /// The candidates in the order of the output.
    fn in_order(&self) -> Vec<&'a Found> {
        let mut first_project = Vec::new();
        let mut projects = 0;
        for (_, folders) in &self.tree.sources {
            first_project.push(projects);
            projects += folders.project_count();
        }
        let candidates: Vec<_> = self
            .tree
            .candidates
            .iter()
            .map(|file| {
                let folders = &self.tree.sources[file.source].1;
                let project = folders.project_of(folders.folder_of(file));
                Candidate {
                    project: first_project[file.source] + project,
                    repo: &folders.project(project).repo,
                    path: folders.project(project).path_of(file),
                    bytes: file.bytes,
                }
            })
            .collect();
        let order = order(&candidates, self.options.max_total_bytes);
        order.into_iter().map(|index| &self.tree.candidates[index]).collect()
    }

    fn load(&self, batch: &[&'a Found]) -> Vec<FileRead<'a>> {
        batch.par_iter().with_max_len(1).map(|file| self.load_file(file)).collect()
    }

    fn load_file(&self, file: &'a Found) -> FileRead<'a> {
        let decoded = self.read_bytes(file).and_then(clean::decode);
        let (text, converted) = decoded.map_err(|reason| (reason, None))?;
        let language = detect(&file.name(), text.as_bytes()).ok_or((DropReason::UnknownLanguage, None))?;
        if !self.settings.wants(language) {
            return Err((DropReason::OtherLanguage, None));
        }
        let cleaned = self.settings.cleaner.clean(text, converted, language.name());
        let Cleaned { text, changes } = cleaned.map_err(|reason| (reason, None))?;
        let folders = &self.tree.sources[file.source].1;
        let license = license::of_file(&text)
            .unwrap_or_else(|| folders.license_of(folders.folder_of(file), &self.texts));
        let allowed = self.settings.allowed.as_ref();
        if allowed.is_some_and(|allowed| !allowed.permits(&license)) || self.settings.denied.forbids(&license)
        {
            return Err((DropReason::License, Some(license)));
        }
        let sha256 = Sha256::digest(text.as_bytes()).into();
        Ok(Loaded { file, text, changes, sha256, license, language })
    }

    fn read_bytes(&self, file: &Found) -> Result<Vec<u8>, DropReason> {
        let path = self.tree.sources[file.source].0.join(&file.path);
        let limit = self.options.max_file_bytes;
        let mut bytes = Vec::with_capacity(usize::try_from(file.bytes.min(limit)).unwrap_or(0) + 1);
        let opened = File::open(path).and_then(|opened| opened.take(limit + 1).read_to_end(&mut bytes));
        opened.map_err(|_| DropReason::Unreadable)?;
        if bytes.len() as u64 > limit {
            // It grew since the walk.
            return Err(DropReason::TooLarge);
        }
        Ok(bytes)
    }

    fn cut(&self, loaded: Vec<FileRead<'a>>) -> Vec<Outcome> {
        loaded.into_par_iter().with_max_len(1).map(|read| self.cut_one(read)).collect()
    }

    fn cut_one(&self, read: FileRead<'a>) -> Outcome {
        match read {
            Ok(loaded) => self.cut_file(loaded),
            Err((reason, license)) => Outcome::Dropped { reason, license },
        }
    }

    /// A file's path below its project.
    fn path_of(&self, file: &Found) -> String {
        let folders = &self.tree.sources[file.source].1;
        folders.project(folders.project_of(folders.folder_of(file))).path_of(file)
    }

    fn cut_file(&self, loaded: Loaded<'_>) -> Outcome {
        let source = loaded.text.as_bytes();
        let chunker = &self.chunkers[rayon::current_thread_index().unwrap_or(0)];
        let parsed = chunker.lock().unwrap_or_else(PoisonError::into_inner).parse(loaded.language, source);
        let limit = usize::try_from(self.options.max_document_bytes).unwrap_or(usize::MAX);
        let folders = &self.tree.sources[loaded.file.source].1;
        let project = folders.project_of(folders.folder_of(loaded.file));
        let mut rows = Vec::new();
        let mut oversized = Vec::new();
        for piece in split(&parsed, source, limit) {
            let text = &loaded.text[piece.range];
            let (kind, sha256) = match piece.kind {
                PieceKind::File => (DocumentKind::File, loaded.sha256),
                PieceKind::Items => (DocumentKind::Items, Sha256::digest(text.as_bytes()).into()),
                PieceKind::Oversized => {
                    oversized.push(text.len() as u64);
                    continue;
                }
            };
            let document = Document {
                text: text.to_owned(),
                language: loaded.language.name().to_owned(),
                repo: folders.project(project).repo.clone(),
                path: folders.project(project).path_of(loaded.file),
                commit: folders.project(project).commit.clone(),
                license: loaded.license.clone(),
                kind,
                symbols: piece.symbols,
                tokens: None,
                sha256: digest::hex(&sha256),
            };
            let judged = self.settings.cleaner.judge(text);
            rows.push(Row::new(document, sha256, self.options.format == CorpusFormat::Jsonl, judged));
        }
        let project = (loaded.file.source, project);
        Outcome::Cut { project, rows, oversized, has_errors: parsed.has_errors, changes: loaded.changes }
    }
}

fn read_tokenizer(path: &Path) -> Result<Tokenizer, CorpusError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| CorpusError::io("read the tokenizer", path, error))?;
    Tokenizer::from_json(&text).map_err(|source| CorpusError::Tokenizer { path: path.to_owned(), source })
}

/// Runs of what is worked on together.
fn batches<T>(all: &[T], bytes_of: impl Fn(&T) -> u64) -> Vec<&[T]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, one) in all.iter().enumerate() {
        bytes += bytes_of(one);
        if bytes >= BATCH_BYTES || index + 1 == all.len() {
            batches.push(&all[start..=index]);
            (start, bytes) = (index + 1, 0);
        }
    }
    batches
}

/// Why a corpus could not be built or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// No source was named.
    #[error("build a corpus from no sources")]
    NoSources,
    /// A source does not exist.
    #[error("read the source {}: no such folder", path.display())]
    SourceMissing {
        /// The folder.
        path: PathBuf,
    },
    /// A source is a file.
    #[error("read the source {}: not a folder", path.display())]
    SourceNotFolder {
        /// The path.
        path: PathBuf,
    },
    /// A language that is not known.
    #[error("keep the language {name:?}: not one of {known}")]
    UnknownLanguage {
        /// As asked.
        name: String,
        /// All known names.
        known: String,
    },
    /// An id that is not on the SPDX list.
    #[error("allow the license {id:?}: not an SPDX id")]
    UnknownLicense {
        /// As asked.
        id: String,
        /// The id that was probably meant.
        meant: Option<String>,
    },
    /// Every document was dropped by its license.
    #[error("find a document under the allowed licenses ({allowed}); found {}", counted(found))]
    NoLicenseMatch {
        /// The allowed ids.
        allowed: String,
        /// Files by license.
        found: BTreeMap<String, u64>,
    },
    /// The sources hold nothing that could become a document.
    #[error("find a document in {sources}; {}", fate(files))]
    NoDocuments {
        /// The sources.
        sources: String,
        /// What became of the files.
        files: FileCounts,
    },
    /// The tokenizer that counts cannot be used.
    #[error("read the tokenizer {}: {source}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: TokenizerError,
    },
    /// The output folder holds something that is not a corpus.
    #[error("write the corpus to {}: it exists and is not a corpus", path.display())]
    OutputTaken {
        /// The folder.
        path: PathBuf,
    },
    /// A stored document or manifest that cannot be read.
    #[error("read {}, {place}: {message}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// `line 3`, `row 3`, or what part of the file.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A parquet file could not be written.
    #[error("write {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: parquet::errors::ParquetError,
    },
    /// `compile_commands.json` cannot be read as such.
    #[error("read the compile commands of {}: {message}", path.display())]
    CompileCommands {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// There is no compiler to audit with.
    #[error("run the {language} compiler `{command}`: there is none, or it does not say its version")]
    NoCompiler {
        /// The command.
        command: String,
        /// The language it is for.
        language: &'static str,
        /// The variable that names another.
        variable: &'static str,
    },
    /// The user asked to stop.
    #[error("finish the audit: it was interrupted")]
    Interrupted,
    /// The threads could not be started.
    #[error("start worker threads: {source}")]
    Threads {
        /// The cause.
        source: rayon::ThreadPoolBuildError,
    },
    /// A file operation failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl CorpusError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> CorpusError {
        CorpusError::Io { action, path: path.to_owned(), source }
    }
}

impl Diagnose for CorpusError {
    fn exit(&self) -> ExitCode {
        match self {
            CorpusError::Io { source, .. } => exit_of_io(source),
            CorpusError::Parquet { .. } | CorpusError::Threads { .. } => ExitCode::Environment,
            CorpusError::NoCompiler { .. } => ExitCode::Environment,
            CorpusError::Interrupted => ExitCode::Failed,
            _ => ExitCode::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            CorpusError::NoSources => "name at least one folder under `sources`".to_owned(),
            CorpusError::SourceMissing { .. } => "check the path of the source".to_owned(),
            CorpusError::SourceNotFolder { .. } => "name the folder the file is in".to_owned(),
            CorpusError::UnknownLanguage { .. } => "choose from the languages named".to_owned(),
            CorpusError::UnknownLicense { meant: Some(meant), .. } => format!("write {meant}"),
            CorpusError::UnknownLicense { meant: None, .. } => {
                "use the ids of https://spdx.org/licenses, or NOASSERTION for files without a known license"
                    .to_owned()
            }
            CorpusError::NoLicenseMatch { found, .. } => {
                let ids: Vec<_> = found.keys().map(String::as_str).collect();
                format!("allow one of the licenses found: {}", ids.join(", "))
            }
            CorpusError::NoDocuments { .. } => {
                "point `sources` at folders with source code, or loosen the filters that dropped the files"
                    .to_owned()
            }
            CorpusError::OutputTaken { .. } => "choose another folder, or remove this one".to_owned(),
            CorpusError::Record { .. } => "build the corpus again".to_owned(),
            CorpusError::Parquet { .. } => {
                "check the free space and permissions of the output folder".to_owned()
            }
            CorpusError::CompileCommands { .. } => {
                "generate the file again, or remove it: include paths are then discovered".to_owned()
            }
            CorpusError::NoCompiler { variable, .. } => {
                format!("install gcc, g++ or clang, or set {variable} to a compiler that is there")
            }
            CorpusError::Interrupted => "run the same command again".to_owned(),
            CorpusError::Threads { .. } => "ask for fewer threads".to_owned(),
            CorpusError::Tokenizer { .. } => {
                "name a tokenizer.json of `wootz tokenizer train`, or none".to_owned()
            }
            CorpusError::Io { source, .. } => return hint_of_io(source),
        };
        Some(hint)
    }
}

/// `MIT (3 files), Zlib (1 files)`, most frequent first.
fn counted(found: &BTreeMap<String, u64>) -> String {
    let mut licenses: Vec<_> = found.iter().collect();
    licenses.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    licenses.iter().map(|(license, count)| format!("{license} ({count})")).collect::<Vec<_>>().join(", ")
}

fn fate(files: &FileCounts) -> String {
    if files.seen == 0 {
        return "there are no files".to_owned();
    }
    let name = |reason: &DropReason| serde_json::to_string(reason).unwrap_or_default().replace('"', "");
    let reasons: Vec<_> =
        files.dropped.iter().map(|(reason, count)| format!("{} {count}", name(reason))).collect();
    format!("{} files were seen, dropped as {}", files.seen, reasons.join(", "))
}
