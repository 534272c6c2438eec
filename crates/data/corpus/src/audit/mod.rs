//! The audit: do sampled documents compile and parse, where the files they were made from do?
//!
//! C and C++ documents go through the machine's compiler with their project's include paths, those of other languages
//! through their own tool for syntax, and all through the chunker's parser. An original is judged in just the same
//! way, as a text of its own in the same place, and once for all documents that were made of it. Only documents whose
//! original holds count: the rest would measure the machine and not the corpus.
//!
//! Texts are fed to the tools from memory; what needs a file has it in one temporary folder.
//!
//! Not covered: linking, running, and names in languages other than C and C++.

mod classify;
mod commands;
mod compiler;
mod includes;
mod judged;
mod project;
mod sample;
mod standards;
mod syntax;

use crate::build::CorpusError;
use crate::read::read_documents;
use compiler::{Compilers, Verdict};
use judged::{Judged, Judgement};
use project::Project;
use rayon::prelude::*;
use sample::{Group, Strata};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use syntax::{Place, Text};
use wootz_chunk::{Chunker, Language, languages::LANGUAGES};
use wootz_schema::audit::{AuditSkip, Check, CorpusAudit, Failure, VERSION};
use wootz_schema::document::{Document, DocumentKind};
use wootz_schema::progress::{Observe, Progress};

/// What to audit, and with what.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// A corpus folder, or a file of documents.
    pub corpus: PathBuf,
    /// The folders that it was built from.
    pub sources: Vec<PathBuf>,
    /// Documents of each kind and group of languages.
    pub sample: usize,
    /// What the sample is drawn with.
    pub seed: u64,
    /// Tools that run at a time; 0: one per core.
    pub jobs: usize,
    /// The C compiler: a command and its arguments.
    pub cc: Vec<String>,
    /// The C++ compiler.
    pub cxx: Vec<String>,
    /// Time for one document.
    pub time: Duration,
    /// Where to write documents that fail, each with its complaint and command; an existing folder is added to.
    pub failures: Option<PathBuf>,
}

/// Audits a sample of a corpus. The order of the result depends on the sample alone, not on who was first.
pub fn audit(
    options: &AuditOptions,
    observe: &dyn Observe,
    cancel: &AtomicBool,
) -> Result<CorpusAudit, CorpusError> {
    let strata = sample::sample(read_documents(&options.corpus)?, options.sample, options.seed)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.jobs).build();
    let pool = pool.map_err(|error| CorpusError::Threads { source: error })?;
    let failed = |error| CorpusError::io("make a folder in", &std::env::temp_dir(), error);
    let scratch = tempfile::tempdir().map_err(failed)?;
    let compilers = Compilers::new(&options.cc, &options.cxx, scratch.path(), options.time, cancel);
    let place = Place { scratch: scratch.path(), time: options.time, cancel };
    pool.install(|| Audit::begin(options, strata, observe)?.run(&compilers, place))
}

/// A document of the sample.
struct Subject {
    group: Group,
    document: Document,
    project: usize,
    /// Its original; `None` where no source has it.
    original: Option<usize>,
}

/// A file that documents were made from.
struct Original {
    project: usize,
    path: String,
    language: String,
    group: Group,
    text: String,
}

/// The sample with all that belongs to it.
struct Audit<'a> {
    options: &'a AuditOptions,
    observe: &'a dyn Observe,
    subjects: Vec<Subject>,
    originals: Vec<Original>,
    projects: Vec<Project>,
}

impl<'a> Audit<'a> {
    fn begin(
        options: &'a AuditOptions,
        strata: Strata,
        observe: &'a dyn Observe,
    ) -> Result<Audit<'a>, CorpusError> {
        let mut audit =
            Audit { options, observe, subjects: Vec::new(), originals: Vec::new(), projects: Vec::new() };
        for source in &options.sources {
            if !source.is_dir() {
                return Err(CorpusError::SourceMissing { path: source.clone() });
            }
        }
        let mut places: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let mut files: BTreeMap<(usize, String, String), usize> = BTreeMap::new();
        for ((group, _), documents) in strata {
            for document in documents {
                let (root, text) = audit.locate(&document);
                let project = match places.get(&root) {
                    Some(project) => *project,
                    None => audit.add_project(root.clone(), &document.repo)?,
                };
                places.insert(root, project);
                let original = text.map(|text| {
                    let key = (project, document.path.clone(), document.language.clone());
                    *files.entry(key).or_insert_with(|| audit.add_original(group, project, &document, text))
                });
                audit.subjects.push(Subject { group, document, project, original });
            }
        }
        Ok(audit)
    }

    /// The root of a document's project, and the text of its original where there is one.
    fn locate(&self, document: &Document) -> (PathBuf, Option<String>) {
        let root = |source: &Path| {
            if document.repo == "." { source.to_owned() } else { source.join(&document.repo) }
        };
        let read = |source: &PathBuf| {
            let root = root(source);
            let text = fs::read_to_string(root.join(&document.path)).ok()?;
            Some((root, text))
        };
        let mut found: Vec<(PathBuf, String)> = self.options.sources.iter().filter_map(read).collect();
        // Two sources with a file of one name: for a whole file it shows which one it was.
        let same = found.iter().position(|(_, text)| *text == document.text).unwrap_or(0);
        if found.is_empty() {
            return (root(self.options.sources.first().unwrap_or(&PathBuf::from("."))), None);
        }
        let (root, text) = found.swap_remove(same);
        (root, Some(text))
    }

    fn add_project(&mut self, root: PathBuf, repo: &str) -> Result<usize, CorpusError> {
        let folder = || root.file_name().map(|name| name.to_string_lossy().into_owned());
        let label = if repo == "." { folder().unwrap_or_else(|| ".".to_owned()) } else { repo.to_owned() };
        // Paths are given to a compiler that runs elsewhere.
        let root = fs::canonicalize(&root).unwrap_or(root);
        self.projects.push(Project::read(root, label)?);
        Ok(self.projects.len() - 1)
    }

    fn add_original(&mut self, group: Group, project: usize, document: &Document, text: String) -> usize {
        let (path, language) = (document.path.clone(), document.language.clone());
        self.originals.push(Original { project, path, language, group, text });
        self.originals.len() - 1
    }

    fn run(mut self, compilers: &Compilers<'_>, place: Place<'_>) -> Result<CorpusAudit, CorpusError> {
        let mut report = CorpusAudit {
            version: VERSION,
            sample: self.options.sample as u64,
            seed: self.options.seed,
            documents: self.subjects.len() as u64,
            tools: BTreeMap::new(),
            projects: BTreeMap::new(),
            checks: Vec::new(),
            skipped: Vec::new(),
            examples: Vec::new(),
        };
        let compiled: BTreeSet<String> =
            self.of_group(Group::CCpp).map(|s| s.document.language.clone()).collect();
        for language in &compiled {
            let (command, version) = compilers.version(language)?;
            report.tools.insert(command, version);
        }
        let originals = standards::settle(&mut self, compilers, place)?;
        let named = |project: &Project| (project.label.clone(), project.report());
        report.projects = self.projects.iter().filter(|p| !p.standards.is_empty()).map(named).collect();
        let mut judged = Judged::new(self.options.failures.as_deref());
        self.compile(&originals, compilers, place, &mut judged)?;
        self.judge_syntax(place, &mut judged, &mut report)?;
        self.parse(&mut judged)?;
        report.skipped.extend(self.without_original());
        (report.checks, report.examples) = judged.finish();
        Ok(report)
    }

    fn of_group(&self, group: Group) -> impl Iterator<Item = &Subject> {
        self.subjects.iter().filter(move |subject| subject.group == group)
    }

    /// Applies `judge` to each of `items` on all threads, results in order.
    fn on_all<T: Sync, R: Send>(&self, task: &str, items: &[T], judge: impl Fn(&T) -> R + Sync) -> Vec<R> {
        self.begin_task(task, items.len());
        let done = AtomicU64::new(0);
        let results = items.par_iter().with_max_len(1).map(|item| {
            let result = judge(item);
            self.observe.observe(Progress::Advance { done: 1 + done.fetch_add(1, Ordering::Relaxed) });
            result
        });
        let results = results.collect();
        self.observe.observe(Progress::End);
        results
    }

    fn begin_task(&self, task: &str, units: usize) {
        self.observe.observe(Progress::Begin { task, total: Some(units as u64), unit: "texts" });
    }

    fn end_task(&self, place: Place<'_>) -> Result<(), CorpusError> {
        self.observe.observe(Progress::End);
        not_cancelled(place.cancel)
    }

    fn compile(
        &self,
        originals: &[Verdict],
        compilers: &Compilers<'_>,
        place: Place<'_>,
        judged: &mut Judged<'_>,
    ) -> Result<(), CorpusError> {
        let flags =
            |project: usize, path: &str, language: &str| self.projects[project].flags_of(path, language);
        let subjects: Vec<&Subject> =
            self.of_group(Group::CCpp).filter(|subject| subject.original.is_some()).collect();
        let verdicts = self.on_all("corpus audit: documents", &subjects, |subject| {
            let document = &subject.document;
            let original = subject.original?;
            if originals[original].is_some() || document.text == self.originals[original].text {
                return originals[original].clone();
            }
            let flags = flags(subject.project, &document.path, &document.language);
            if place.cancel.load(Ordering::Relaxed) {
                None
            } else {
                compilers.compile(&document.language, &flags, &document.text)
            }
        });
        not_cancelled(place.cancel)?;
        for (subject, verdict) in subjects.iter().zip(&verdicts) {
            let Some(original) = subject.original else { continue };
            let Document { path, language, .. } = &subject.document;
            let command = || compilers.words(language, &flags(subject.project, path, language));
            let judgement = self.judgement(subject, Check::Compiles, &originals[original], verdict);
            judged.add(&judgement, Some(&command))?;
        }
        Ok(())
    }

    fn judge_syntax(
        &self,
        place: Place<'_>,
        judged: &mut Judged<'_>,
        report: &mut CorpusAudit,
    ) -> Result<(), CorpusError> {
        for group in [Group::Go, Group::Python, Group::Rust, Group::TypeScript] {
            let subjects: Vec<&Subject> =
                self.of_group(group).filter(|subject| subject.original.is_some()).collect();
            if subjects.is_empty() {
                continue;
            }
            let Some((tool, version)) = syntax::tool_version(group, place.cancel) else {
                let name = syntax::tool(group).map_or("tool", |(name, _)| name);
                let reason = format!("no {name} on this machine");
                let documents = subjects.len() as u64;
                report.skipped.push(AuditSkip {
                    check: Check::Syntax,
                    languages: group.name().to_owned(),
                    reason,
                    documents,
                });
                continue;
            };
            report.tools.insert(tool, version);
            let original =
                |subject: &&Subject| subject.original.map(|index| self.originals[index].text.as_str());
            let task = format!("corpus audit: {}", group.name());
            self.begin_task(&task, subjects.len());
            let texts: Vec<Text<'_>> = subjects
                .iter()
                .map(|subject| text_of(subject, original(subject).unwrap_or_default()))
                .collect();
            let originals = syntax::judge(group, &texts, place);
            let texts: Vec<Text<'_>> =
                subjects.iter().map(|subject| text_of(subject, &subject.document.text)).collect();
            let verdicts = syntax::judge(group, &texts, place);
            self.end_task(place)?;
            for ((subject, original), verdict) in subjects.iter().zip(&originals).zip(&verdicts) {
                judged.add(&self.judgement(subject, Check::Syntax, original, verdict), None)?;
            }
        }
        Ok(())
    }

    fn parse(&self, judged: &mut Judged<'_>) -> Result<(), CorpusError> {
        let chunkers: Vec<Mutex<Chunker>> =
            (0..rayon::current_num_threads()).map(|_| Mutex::new(Chunker::new())).collect();
        let parse = |language: &str, path: &str, text: &str| -> Verdict {
            let own = &chunkers[rayon::current_thread_index().unwrap_or(0)];
            let mut chunker = own.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let parsed = chunker.parse_whole(grammar(language, path)?, text.as_bytes());
            parsed.has_errors.then(|| (Failure::Syntax, "an error node".to_owned()))
        };
        let originals = self.on_all("corpus audit: parse originals", &self.originals, |original| {
            parse(&original.language, &original.path, &original.text)
        });
        let verdicts = self.on_all("corpus audit: parse documents", &self.subjects, |subject| {
            parse(&subject.document.language, &subject.document.path, &subject.document.text)
        });
        for (subject, verdict) in self.subjects.iter().zip(&verdicts) {
            let Some(original) = subject.original else { continue };
            judged.add(&self.judgement(subject, Check::Parses, &originals[original], verdict), None)?;
        }
        Ok(())
    }

    fn judgement<'j>(
        &'j self,
        subject: &'j Subject,
        check: Check,
        original: &'j Verdict,
        verdict: &'j Verdict,
    ) -> Judgement<'j> {
        let project = &self.projects[subject.project].label;
        Judgement { check, group: subject.group, project, document: &subject.document, original, verdict }
    }

    /// Documents whose files are not below the sources, by group.
    fn without_original(&self) -> Vec<AuditSkip> {
        let mut counts: BTreeMap<Group, u64> = BTreeMap::new();
        for subject in self.subjects.iter().filter(|subject| subject.original.is_none()) {
            *counts.entry(subject.group).or_default() += 1;
        }
        let skip = |(group, documents): (Group, u64)| AuditSkip {
            check: if group == Group::CCpp { Check::Compiles } else { Check::Syntax },
            languages: group.name().to_owned(),
            reason: "no such file below the sources".to_owned(),
            documents,
        };
        counts.into_iter().map(skip).collect()
    }
}

/// The grammar that a file's chunker used.
fn grammar(language: &str, path: &str) -> Option<&'static dyn Language> {
    let named = || LANGUAGES.iter().copied().filter(|known| known.name() == language);
    named().find(|known| known.extensions().contains(&extension(path))).or_else(|| named().next())
}

fn text_of<'t>(subject: &'t Subject, text: &'t str) -> Text<'t> {
    Text { text, extension: extension(&subject.document.path) }
}

fn extension(path: &str) -> &str {
    Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or("txt")
}

fn not_cancelled(cancel: &AtomicBool) -> Result<(), CorpusError> {
    if cancel.load(Ordering::Relaxed) { Err(CorpusError::Interrupted) } else { Ok(()) }
}

/// A kind's name as documents carry it.
fn kind_name(kind: DocumentKind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
