//! A corpus folder from source trees: the pipeline, and what can go wrong in it.
//!
//! Work is cut into parts of a few MiB that depend on nothing but their own projects: one part is made into documents while the
//! next is read, all threads on both. A single place then takes the results in order, so that duplicates, counts and
//! bytes do not depend on who was first. Every part is also kept, compressed, until the corpus is complete: a build that was killed goes
//! on from them, and shards are nothing but parts, which [`merge`] takes in the same order.
//!
//! Memory holds two parts, about 110 bytes per source file, at most 40 bytes per text for the search for duplicates, and
//! under 1 KiB for each of the last documents for that of near ones.

mod compose;
mod part;
mod pipeline;
mod plan;
pub(crate) mod publish;
mod shard;
pub(crate) mod tally;
mod tree;

use crate::clean::Cleaner;
use crate::license::{Allowed, Denied};
use part::Parts;
use pipeline::{FileRead, Pipeline};
use plan::{Plan, part_bytes};
use publish::Publication;
pub use shard::{build_shard, merge};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use tally::{ProjectDone, Taker};
use tree::Tree;
use wootz_chunk::{Language, language_names};
use wootz_schema::corpus::{CorpusManifest, CorpusOptions, DropReason, FileCounts, MANIFEST_FILE};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::progress::{FilesDone, Observe, Progress};
use wootz_schema::{Diagnose, ExitCode};
use wootz_tokenizer::{Tokenizer, TokenizerError};

/// Builds the corpus that `options` describe in the folder `out`, which appears complete or not at all.
///
/// An earlier corpus at `out` is replaced; anything else there is left alone and is an error. What a build finished that
/// was killed, or for which the disk was too small, is not done again.
pub fn build(
    options: &CorpusOptions,
    out: &Path,
    observe: &dyn Observe,
) -> Result<CorpusManifest, CorpusError> {
    let settings = Settings::new(options)?;
    let publication = Publication::resume(out, MANIFEST_FILE)?;
    let built = on_threads(options, || {
        let tree = Tree::read(options, &settings)?;
        let plan = Plan::new(options, &tree);
        let parts = Parts { folder: publication.parts(&tree.key)?, plan: tree.plan.clone() };
        let mut taker = Taker::new(options, &publication.path().join(options.format.file_name()))?;
        let work =
            Work { pipeline: Pipeline::new(options, &settings, &tree), plan: &plan, parts: &parts, observe };
        work.run(&mut taker)?;
        taker.finish(&plan.files, publication.path(), options)
    });
    finish(publication, built, false)
}

/// Publishes what was built; what was finished before the machine failed stays for the next attempt.
fn finish<T>(
    publication: Publication,
    built: Result<T, CorpusError>,
    with_parts: bool,
) -> Result<T, CorpusError> {
    match built {
        Ok(built) => publication.publish(with_parts).map(|()| built),
        Err(error) => {
            if error.exit() == ExitCode::Environment {
                publication.leave();
            }
            Err(error)
        }
    }
}

fn on_threads<T: Send>(
    options: &CorpusOptions,
    work: impl FnOnce() -> Result<T, CorpusError> + Send,
) -> Result<T, CorpusError> {
    let threads = options.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| CorpusError::Threads { source: error })?.install(work)
}

/// What is to be done, and with what.
struct Work<'a> {
    pipeline: Pipeline<'a>,
    plan: &'a Plan<'a>,
    parts: &'a Parts,
    observe: &'a dyn Observe,
}

impl<'a> Work<'a> {
    /// Makes every part that is not there, keeps it, and gives all in their order to the taker.
    fn run(&self, taker: &mut Taker) -> Result<(), CorpusError> {
        let all: Vec<usize> = (0..self.plan.parts.len()).collect();
        let mut at = self.begin(&all);
        let together = self.pipeline.options.compose.is_some();
        let mut next = None;
        for part in all {
            let files = &self.plan.parts[part];
            if taker.is_full() {
                taker.drop_rest(files.iter().map(|files| files.len() as u64).sum());
            } else if next.is_none() && self.parts.has(part) {
                self.parts.replay(part, self.pipeline.options.format, taker)?;
            } else {
                let loaded = next.take().unwrap_or_else(|| self.pipeline.load(files));
                let loaded = loaded.into_iter().map(|files| taker.without_known(files, together)).collect();
                let following = self.plan.parts.get(part + 1).filter(|_| !self.parts.has(part + 1));
                // The last one is done as soon as it is kept.
                let keep = part + 1 < self.plan.parts.len();
                let (made, loaded) = rayon::join(
                    || self.make(part, loaded, keep),
                    || following.map(|files| self.pipeline.load(files)),
                );
                next = loaded;
                for project in made? {
                    taker.begin_project(project.oversized, project.with_errors);
                    project.files.into_iter().try_for_each(|file| taker.take_file(file))?;
                }
            }
            self.advance(&mut at, part, taker.documents());
        }
        self.observe.observe(Progress::End);
        Ok(())
    }

    /// Makes those of some parts that are not there, and keeps them.
    fn run_apart(&self, own: &[usize]) -> Result<(), CorpusError> {
        let mut at = self.begin(own);
        let mut next = None;
        for (index, &part) in own.iter().enumerate() {
            let mut documents = at.documents;
            if next.is_some() || !self.parts.has(part) {
                let loaded = next.take().unwrap_or_else(|| self.pipeline.load(&self.plan.parts[part]));
                let following = own.get(index + 1).filter(|part| !self.parts.has(**part));
                let (made, loaded) = rayon::join(
                    || self.make(part, loaded, true),
                    || following.map(|part| self.pipeline.load(&self.plan.parts[*part])),
                );
                next = loaded;
                documents += made?.iter().map(ProjectDone::documents).sum::<u64>();
            }
            self.advance(&mut at, part, documents);
        }
        self.observe.observe(Progress::End);
        Ok(())
    }

    fn make(
        &self,
        part: usize,
        loaded: Vec<Vec<FileRead<'a>>>,
        keep: bool,
    ) -> Result<Vec<ProjectDone>, CorpusError> {
        let made = self.pipeline.make(loaded);
        if keep {
            self.parts.write(part, &made)?;
        }
        Ok(made)
    }

    fn begin(&self, parts: &[usize]) -> FilesDone {
        let of = |part: &usize| &self.plan.parts[*part];
        let files = parts.iter().flat_map(of).map(|files| files.len() as u64).sum();
        let total_bytes = parts.iter().map(|part| part_bytes(of(part))).sum();
        self.observe.observe(Progress::Begin {
            task: "corpus: documents",
            total: Some(files),
            unit: "files",
        });
        FilesDone { total_bytes, ..FilesDone::default() }
    }

    fn advance(&self, at: &mut FilesDone, part: usize, documents: u64) {
        let files = &self.plan.parts[part];
        at.files += files.iter().map(|files| files.len() as u64).sum::<u64>();
        at.bytes += part_bytes(files);
        at.documents = documents;
        self.observe.observe(Progress::Files(at));
    }
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
        if options.sources.is_empty() && options.records.is_empty() {
            return Err(CorpusError::NoSources);
        }
        let known = language_names();
        for name in options.languages.iter().flatten() {
            if !known.contains(&name.as_str()) {
                return Err(CorpusError::unknown_language(name));
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

fn read_tokenizer(path: &Path) -> Result<Tokenizer, CorpusError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| CorpusError::io("read the tokenizer", path, error))?;
    Tokenizer::from_json(&text).map_err(|source| CorpusError::Tokenizer { path: path.to_owned(), source })
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
    /// Another process builds there.
    #[error("write the corpus to {}: another process is at it", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A share that is none.
    #[error("build shard {index} of {count}: shards are numbered from 0 to one less than their number")]
    NoSuchShard {
        /// As asked.
        index: u64,
        /// As asked.
        count: u64,
    },
    /// Shards that do not make one corpus.
    #[error("merge {}: {message}", path.display())]
    Shards {
        /// The shard's folder.
        path: PathBuf,
        /// What is wrong.
        message: String,
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

    pub(crate) fn unknown_language(name: &str) -> CorpusError {
        CorpusError::UnknownLanguage { name: name.to_owned(), known: language_names().join(", ") }
    }
}

impl Diagnose for CorpusError {
    fn exit(&self) -> ExitCode {
        match self {
            CorpusError::Io { source, .. } => exit_of_io(source),
            CorpusError::Parquet { .. } | CorpusError::Threads { .. } => ExitCode::Environment,
            CorpusError::NoCompiler { .. } | CorpusError::Busy { .. } => ExitCode::Environment,
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
            CorpusError::Busy { .. } => "wait for it, or choose another folder".to_owned(),
            CorpusError::NoSuchShard { .. } => "write 0/2 and 1/2 for two shards".to_owned(),
            CorpusError::Shards { .. } => {
                "build all shards with the same version and flags from the same sources, and name each once"
                    .to_owned()
            }
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
