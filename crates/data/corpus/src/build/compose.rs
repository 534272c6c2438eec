//! Projects on their way through the pipeline: a project's files become documents together.

use super::pipeline::{FileRead, Loaded, Pipeline};
use super::tally::{FileDone, Outcome, ProjectDone};
use crate::clean::Judged;
use crate::documents::{Composed, Granularity, Mode, Project, SourceFile, Wish};
use crate::license;
use crate::sink::Row;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use wootz_schema::corpus::{ComposeMode, ComposeOptions, CorpusFormat};
use wootz_schema::document::{Document, DocumentKind};
use wootz_stdx::digest;

impl<'a> Pipeline<'a> {
    /// Makes the documents of a project.
    pub fn compose(&self, reads: Vec<FileRead<'a>>, options: &ComposeOptions) -> ProjectDone {
        let (mut sources, mut outcomes, mut files) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (place, read) in reads.into_iter().enumerate() {
            match read {
                Ok(mut loaded) => {
                    let path = self.path_of(loaded.file);
                    let text = std::mem::take(&mut loaded.text);
                    sources.push(SourceFile { path: path.clone(), text, language: loaded.language });
                    files.insert(path, (place, loaded, Vec::new()));
                }
                Err((reason, license)) => {
                    let outcome = Outcome::Dropped { reason, license };
                    outcomes.push((place, FileDone { text: None, outcome }));
                }
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
        let counts = Project::new(sources, &[]).documents(&wish, &self.counter, &mut |composed| {
            if let Some((_, _, documents)) = files.get_mut(&composed.path) {
                documents.push(composed);
            }
        });
        outcomes.par_extend(files.into_par_iter().map(|(path, (place, loaded, documents))| {
            let text = Some(loaded.sha256);
            (place, FileDone { text, outcome: self.outcome(loaded, documents, &licenses, lengths[&path]) })
        }));
        outcomes.sort_unstable_by_key(|(place, _)| *place);
        let files = outcomes.into_iter().map(|(_, done)| done).collect();
        ProjectDone { files, oversized: counts.oversized_items, with_errors: counts.files_with_errors }
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
