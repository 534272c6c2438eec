//! The sources, walked: what may become documents, and a fingerprint of all that decides what becomes of it.

use super::publish::program;
use super::{CorpusError, Settings};
use crate::folders::Folders;
use crate::records::{self, Records};
use crate::walk::{Found, walk_inputs};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use wootz_chunk::detect;
use wootz_schema::corpus::{ComposeOptions, CorpusOptions, DropReason, FileCounts};
use wootz_stdx::digest;

/// All sources, walked and sorted into what may become documents.
pub(super) struct Tree<'a> {
    pub sources: Vec<(&'a Path, Folders)>,
    pub candidates: Vec<Found>,
    pub files: FileCounts,
    /// The texts of the last source, where its files are records.
    pub records: Option<Records>,
    /// What shards must have in common: options, paths and lengths of files, commits.
    pub plan: String,
    /// What a build must have in common with one that was killed: the same, times, and the program.
    pub key: String,
}

impl<'a> Tree<'a> {
    pub fn read(options: &'a CorpusOptions, settings: &Settings) -> Result<Tree<'a>, CorpusError> {
        let (mut plan, mut key) = (Sha256::new(), Sha256::new());
        plan.update(of_options(options)?);
        let (mut sources, mut candidates, mut files) = (Vec::new(), Vec::new(), FileCounts::default());
        for (index, source) in options.sources.iter().enumerate() {
            let walked = walk_inputs(source, index)?;
            files.seen += walked.files.len() as u64 + walked.dropped.values().sum::<u64>();
            for (reason, count) in walked.dropped {
                *files.dropped.entry(reason).or_default() += count;
            }
            let folders = Folders::new(source, &walked.files);
            for commit in folders.commits() {
                plan.update(format!("commit {commit}\n"));
            }
            key.update(source.as_os_str().as_encoded_bytes());
            for file in walked.files {
                plan.update((file.path.as_os_str().len() as u64).to_le_bytes());
                plan.update(file.path.as_os_str().as_encoded_bytes());
                plan.update(file.bytes.to_le_bytes());
                key.update(file.modified_ns.to_le_bytes());
                let path = folders.project(folders.project_of(folders.folder_of(&file))).path_of(&file);
                let reason = reason_by_name(&file, source, options, settings);
                match reason.or_else(|| settings.cleaner.reason_by_path(&path)) {
                    None => candidates.push(file),
                    Some(reason) => *files.dropped.entry(reason).or_default() += 1,
                }
            }
            plan.update(b"\n");
            sources.push((source.as_path(), folders));
        }
        let mut read = None;
        if !options.records.is_empty() {
            let indexed = records::index(&options.records, options.max_file_bytes, sources.len())?;
            files.seen += indexed.seen;
            for (reason, count) in indexed.dropped {
                *files.dropped.entry(reason).or_default() += count;
            }
            indexed.digests.iter().for_each(|sha256| plan.update(format!("records {sha256}\n")));
            for file in indexed.found {
                let folders = &indexed.folders;
                let path = folders.project(folders.project_of(folders.folder_of(&file))).path_of(&file);
                match settings.cleaner.reason_by_path(&path) {
                    None => candidates.push(file),
                    Some(reason) => *files.dropped.entry(reason).or_default() += 1,
                }
            }
            sources.push((Path::new(""), indexed.folders));
            read = Some(indexed.records);
        }
        candidates.shrink_to_fit();
        let plan = digest::hex(&plan.finalize());
        key.update(&plan);
        key.update(program());
        Ok(Tree { sources, candidates, files, records: read, plan, key: digest::hex(&key.finalize()) })
    }
}

impl Tree<'_> {
    /// The records that a file is one of.
    pub fn records_of(&self, file: &Found) -> Option<&Records> {
        self.records.as_ref().filter(|records| records.source() == file.source)
    }
}

/// Options without what differs between machines; of files that they name, the contents.
fn of_options(options: &CorpusOptions) -> Result<String, CorpusError> {
    let mut named = options.clean.benchmarks.clone();
    named.extend(options.compose.as_ref().and_then(|compose| compose.tokenizer.clone()));
    let mut plan = format!("{} ", env!("CARGO_PKG_VERSION"));
    for path in &named {
        let (sha256, _) = digest::sha256_file(path).map_err(|error| CorpusError::io("read", path, error))?;
        plan.push_str(&sha256);
        plan.push(' ');
    }
    let mut options = CorpusOptions { sources: Vec::new(), threads: None, ..options.clone() };
    options.clean.benchmarks = Vec::new();
    options.records.files = Vec::new();
    options.compose = options.compose.map(|compose| ComposeOptions { tokenizer: None, ..compose });
    plan.push_str(&serde_json::to_string(&options).expect("options are JSON because their keys are text"));
    Ok(plan)
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
