//! Projects on their way through the pipeline: a project's files become documents together.
//!
//! Projects pass in batches of a few MiB, or alone where they are larger: one batch is put together while the next is read.

use super::{CorpusError, FileRead, Loaded, Pipeline, batches};
use crate::build::tally::{Outcome, Taker};
use crate::clean::Judged;
use crate::documents::{Composed, Counter, Granularity, Mode, Project, SourceFile, Wish};
use crate::license;
use crate::sink::Row;
use crate::walk::Found;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use wootz_schema::corpus::{ComposeMode, ComposeOptions, CorpusFormat};
use wootz_schema::document::{Document, DocumentKind};
use wootz_schema::progress::Progress;
use wootz_stdx::digest;

/// What a project came to.
struct Done {
    /// Of its files, in their order.
    outcomes: Vec<Outcome>,
    /// Functions and types that do not fit with the least they need.
    oversized: u64,
    with_errors: u64,
}

impl<'a> Pipeline<'a> {
    /// All files, by projects.
    pub(super) fn run_projects(
        &self,
        compose: &ComposeOptions,
        taker: &mut Taker,
    ) -> Result<(), CorpusError> {
        let (projects, past_the_cap) = self.by_project();
        taker.drop_rest(past_the_cap);
        let total = projects.iter().map(|files| files.len() as u64).sum();
        self.observe.observe(Progress::Begin {
            task: "corpus: documents",
            total: Some(total),
            unit: "files",
        });
        let counter = Counter::new(&self.settings.tokenizer);
        let batches = batches(&projects, |files| files.iter().map(|file| file.bytes).sum());
        let mut next = batches.first().map(|batch| self.load_projects(batch));
        let mut done = 0;
        for (index, batch) in batches.iter().enumerate() {
            let loaded = next.take().unwrap_or_default();
            let loaded = loaded.into_iter().map(|files| taker.without_duplicates(files)).collect::<Vec<_>>();
            let following = batches.get(index + 1).filter(|_| !taker.is_full());
            let compose_all = || {
                let each = loaded.into_par_iter().with_max_len(1);
                each.map(|files| self.compose(files, compose, &counter)).collect::<Vec<Done>>()
            };
            let (composed, loaded_next) =
                rayon::join(compose_all, || following.map(|batch| self.load_projects(batch)));
            for project in composed {
                taker.count_project(project.oversized, project.with_errors);
                project.outcomes.into_iter().try_for_each(|outcome| taker.take(outcome))?;
            }
            next = loaded_next;
            done += batch.iter().map(|files| files.len() as u64).sum::<u64>();
            if taker.is_full() {
                taker.drop_rest(total - done);
                break;
            }
            self.observe.observe(Progress::Advance { done });
        }
        self.observe.observe(Progress::End);
        Ok(())
    }

    /// The candidates by project, projects in the order of their first files; and how many files are past the cap, which is
    /// filled before projects are put together.
    fn by_project(&self) -> (Vec<Vec<&'a Found>>, u64) {
        let mut files = self.in_order();
        let (candidates, mut bytes) = (files.len(), 0);
        let cap = self.options.max_total_bytes.unwrap_or(u64::MAX);
        let over = files.iter().position(|file| {
            bytes += file.bytes;
            bytes > cap
        });
        files.truncate(over.unwrap_or(candidates));
        let past_the_cap = (candidates - files.len()) as u64;
        // As without a cap: the cap chooses, and not orders.
        files.sort_by(|a, b| (a.source, a.path.as_os_str()).cmp(&(b.source, b.path.as_os_str())));
        let mut places = BTreeMap::new();
        let mut projects: Vec<Vec<&'a Found>> = Vec::new();
        for file in files {
            let folders = &self.tree.sources[file.source].1;
            let project = (file.source, folders.project_of(folders.folder_of(file)));
            let place = *places.entry(project).or_insert_with(|| {
                projects.push(Vec::new());
                projects.len() - 1
            });
            projects[place].push(file);
        }
        (projects, past_the_cap)
    }

    fn load_projects(&self, batch: &[Vec<&'a Found>]) -> Vec<Vec<FileRead<'a>>> {
        batch.par_iter().map(|files| self.load(files)).collect()
    }

    fn compose(&self, reads: Vec<FileRead<'a>>, options: &ComposeOptions, counter: &Counter<'_>) -> Done {
        let (mut sources, mut outcomes, mut files) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (place, read) in reads.into_iter().enumerate() {
            match read {
                Ok(mut loaded) => {
                    let path = self.path_of(loaded.file);
                    let text = std::mem::take(&mut loaded.text);
                    sources.push(SourceFile { path: path.clone(), text, language: loaded.language });
                    files.insert(path, (place, loaded, Vec::new()));
                }
                Err((reason, license)) => outcomes.push((place, Outcome::Dropped { reason, license })),
            }
        }
        let wish = Wish {
            mode: match options.mode {
                ComposeMode::Compilable => Mode::Compilable,
                ComposeMode::CrossFile => Mode::CrossFile,
            },
            granularity: if options.every_function { Granularity::Functions } else { Granularity::Fitting },
            cross_depth: options.cross_depth,
            max_tokens: options.max_tokens,
            headers: options.headers,
        };
        let lengths: BTreeMap<String, u64> =
            sources.iter().map(|file| (file.path.clone(), file.text.len() as u64)).collect();
        let licenses: BTreeMap<String, String> =
            files.iter().map(|(path, (_, loaded, _))| (path.clone(), loaded.license.clone())).collect();
        let counts = Project::new(sources, &[]).documents(&wish, counter, &mut |composed| {
            if let Some((_, _, documents)) = files.get_mut(&composed.path) {
                documents.push(composed);
            }
        });
        outcomes.par_extend(files.into_par_iter().map(|(path, (place, loaded, documents))| {
            (place, self.outcome(loaded, documents, &licenses, lengths[&path]))
        }));
        outcomes.sort_unstable_by_key(|(place, _)| *place);
        let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        Done { outcomes, oversized: counts.oversized_items, with_errors: counts.files_with_errors }
    }

    fn outcome(
        &self,
        loaded: Loaded<'a>,
        documents: Vec<Composed>,
        licenses: &BTreeMap<String, String>,
        bytes: u64,
    ) -> Outcome {
        let folders = &self.tree.sources[loaded.file.source].1;
        let project = folders.project_of(folders.folder_of(loaded.file));
        let oversized = if documents.is_empty() { vec![bytes] } else { Vec::new() };
        let mut rows = Vec::new();
        for one in documents {
            let sha256 = match one.kind {
                DocumentKind::File => loaded.sha256,
                _ => Sha256::digest(one.text.as_bytes()).into(),
            };
            let mut judged = self.settings.cleaner.judge(&one.text);
            if one.kind != DocumentKind::File {
                // Neighbours need much of the same; that is no copying.
                judged = Judged { sketch: None, ..judged };
            }
            let drawn = one.drawn_from.iter().filter_map(|path| licenses.get(path).map(String::as_str));
            let document = Document {
                text: one.text,
                language: one.language.to_owned(),
                repo: folders.project(project).repo.clone(),
                path: one.path,
                commit: folders.project(project).commit.clone(),
                license: license::all_of(&loaded.license, drawn),
                kind: one.kind,
                symbols: one.symbols,
                tokens: Some(one.tokens),
                sha256: digest::hex(&sha256),
            };
            rows.push(Row::new(document, sha256, self.options.format == CorpusFormat::Jsonl, judged));
        }
        let project = (loaded.file.source, project);
        Outcome::Cut { project, rows, oversized, has_errors: false, changes: loaded.changes }
    }
}
