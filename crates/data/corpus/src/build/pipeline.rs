//! What is done to a file and to a part, by any thread: reading, filters, cutting. Nothing here depends on order.

use super::Settings;
use super::plan::Group;
use super::tally::{FileDone, Outcome, ProjectDone};
use super::tree::Tree;
use crate::clean::{self, Changes, Cleaned};
use crate::documents::Counter;
use crate::license;
use crate::sink::Row;
use crate::walk::Found;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use wootz_chunk::{Chunker, Language, PieceKind, detect, split};
use wootz_schema::corpus::{CorpusFormat, CorpusOptions, DropReason};
use wootz_schema::document::{Document, DocumentKind};
use wootz_stdx::digest;

/// What all threads share.
pub(super) struct Pipeline<'a> {
    pub options: &'a CorpusOptions,
    pub settings: &'a Settings,
    pub tree: &'a Tree<'a>,
    pub counter: Counter<'a>,
    texts: license::Texts,
    /// One parser per thread: each is locked by its own thread only.
    chunkers: Vec<Mutex<Chunker>>,
}

/// A file that passed every filter that looks at one file alone.
pub(super) struct Loaded<'a> {
    pub file: &'a Found,
    pub text: String,
    pub changes: Changes,
    pub sha256: [u8; 32],
    pub license: String,
    pub language: &'static dyn Language,
}

/// What reading a file came to.
pub(super) type FileRead<'a> = Result<Loaded<'a>, (DropReason, Option<String>)>;

impl<'a> Pipeline<'a> {
    pub fn new(options: &'a CorpusOptions, settings: &'a Settings, tree: &'a Tree<'a>) -> Pipeline<'a> {
        let chunkers = (0..rayon::current_num_threads()).map(|_| Mutex::new(Chunker::new())).collect();
        let counter = Counter::new(&settings.tokenizer);
        Pipeline { options, settings, tree, counter, texts: license::Texts::default(), chunkers }
    }

    /// Reads the files of a part.
    pub fn load(&self, part: &[Group<'a>]) -> Vec<Vec<FileRead<'a>>> {
        let each =
            |files: &Group<'a>| files.par_iter().with_max_len(1).map(|file| self.load_file(file)).collect();
        part.par_iter().map(each).collect()
    }

    /// Makes the documents of a part.
    pub fn make(&self, part: Vec<Vec<FileRead<'a>>>) -> Vec<ProjectDone> {
        let each = part.into_par_iter().map(without_copies).with_max_len(1);
        match &self.options.compose {
            Some(compose) => each.map(|files| self.compose(files, compose)).collect(),
            None => each.map(|files| self.cut(files)).collect(),
        }
    }

    fn load_file(&self, file: &'a Found) -> FileRead<'a> {
        let decoded = self.read_bytes(file).and_then(clean::decode);
        let (text, converted) = decoded.map_err(|reason| (reason, None))?;
        let records = self.tree.records_of(file);
        let language = detect(&file.name(), text.as_bytes())
            .or_else(|| records.and_then(|records| records.language(file.record)))
            .ok_or((DropReason::UnknownLanguage, None))?;
        if !self.settings.wants(language) {
            return Err((DropReason::OtherLanguage, None));
        }
        let cleaned = self.settings.cleaner.clean(text, converted, language.name());
        let Cleaned { text, changes } = cleaned.map_err(|reason| (reason, None))?;
        let folders = &self.tree.sources[file.source].1;
        let license = license::of_file(&text)
            .or_else(|| records.and_then(|records| records.license(file.record)).map(str::to_owned))
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
        if let Some(records) = self.tree.records_of(file) {
            return records.text(file.record);
        }
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

    /// Makes the documents of files that have nothing to do with each other.
    fn cut(&self, loaded: Vec<FileRead<'a>>) -> ProjectDone {
        let files = loaded.into_par_iter().with_max_len(1).map(|read| self.cut_one(read)).collect();
        ProjectDone { files, oversized: 0, with_errors: 0 }
    }

    fn cut_one(&self, read: FileRead<'a>) -> FileDone {
        match read {
            Ok(loaded) => FileDone { text: Some(loaded.sha256), outcome: self.cut_file(loaded) },
            Err((reason, license)) => FileDone { text: None, outcome: Outcome::Dropped { reason, license } },
        }
    }

    /// A file's path below its project.
    pub fn path_of(&self, file: &Found) -> String {
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

/// Drops files whose text another of the same project has, ahead of the work of parsing them.
fn without_copies(files: Vec<FileRead<'_>>) -> Vec<FileRead<'_>> {
    let mut texts = HashSet::new();
    let mut unless_copy = |read| {
        FileRead::and_then(read, |loaded: Loaded<'_>| {
            if texts.insert(loaded.sha256) { Ok(loaded) } else { Err((DropReason::Duplicate, None)) }
        })
    };
    files.into_iter().map(&mut unless_copy).collect()
}
