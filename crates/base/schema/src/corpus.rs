//! What a corpus is asked for, and what its folder says about itself: options, `manifest.json`, statistics.

use crate::clean::{CleanCounts, CleanOptions};
use crate::document::DocumentKind;
use crate::record::RecordOptions;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of the corpus manifest.
pub const VERSION: u32 = 1;

/// Name of the manifest in a corpus folder; written last.
pub const MANIFEST_FILE: &str = "manifest.json";

/// License of a file for which none was found.
pub const NO_LICENSE: &str = "NOASSERTION";

/// How a corpus is built: the `corpus:` block of a plan and the flags of `wootz corpus build`.
///
/// Everything but `threads` decides output bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusOptions {
    /// Folders to read, in order.
    pub sources: Vec<PathBuf>,
    /// Files of JSON lines to read behind the folders, a source file each line.
    #[serde(default, skip_serializing_if = "RecordOptions::is_empty")]
    pub records: RecordOptions,
    /// Names of the languages to keep; absent: all that are known.
    #[serde(default)]
    pub languages: Option<Vec<String>>,
    /// SPDX ids to keep: an expression passes if one of its alternatives uses allowed licenses only. `NOASSERTION`
    /// stands for files without a known license. Absent: all.
    #[serde(default)]
    pub licenses: Option<Vec<String>>,
    /// Longer files are dropped.
    #[serde(default = "default_max_file_bytes")]
    pub max_file_bytes: u64,
    /// Longer files are cut between top-level items where documents are not composed.
    #[serde(default = "default_max_document_bytes")]
    pub max_document_bytes: u64,
    /// At most this much text. Where the sources hold more, files are taken from all projects in turn.
    #[serde(default)]
    pub max_total_bytes: Option<u64>,
    /// Worker threads; absent: one per core. Does not change the output.
    #[serde(default)]
    pub threads: Option<usize>,
    /// Format of the documents file.
    #[serde(default)]
    pub format: CorpusFormat,
    /// What is left out or replaced so that the corpus can be trusted.
    #[serde(default)]
    pub clean: CleanOptions,
    /// How documents are put together; null: every file by itself, in runs of items where it is too long.
    #[serde(default = "default_compose")]
    pub compose: Option<ComposeOptions>,
}

/// How files of a project become documents that compile, and the wall for all documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ComposeOptions {
    /// Of what a document is made.
    pub mode: ComposeMode,
    /// How many calls away from its root a definition may stand that a document takes in; with 0 headers stay includes.
    pub cross_depth: u32,
    /// No document has more tokens.
    pub max_tokens: u64,
    /// Every function and type has a document of its own, also of files that fit whole.
    pub every_function: bool,
    /// Headers have documents of their own.
    pub headers: bool,
    /// The tokenizer that counts; absent: the built-in one.
    pub tokenizer: Option<PathBuf>,
}

impl Default for ComposeOptions {
    fn default() -> ComposeOptions {
        ComposeOptions {
            mode: ComposeMode::Compilable,
            cross_depth: 3,
            max_tokens: 16_384,
            every_function: false,
            headers: true,
            tokenizer: None,
        }
    }
}

/// Of what a document is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComposeMode {
    /// Of one file, or where that is too long of one function or type with what it needs.
    #[default]
    Compilable,
    /// Of one file with what it needs from others, as far as that fits.
    CrossFile,
}

fn default_compose() -> Option<ComposeOptions> {
    Some(ComposeOptions::default())
}

fn default_max_file_bytes() -> u64 {
    1 << 20
}

fn default_max_document_bytes() -> u64 {
    64 << 10
}

impl Default for CorpusOptions {
    fn default() -> CorpusOptions {
        CorpusOptions {
            sources: Vec::new(),
            records: RecordOptions::default(),
            languages: None,
            licenses: None,
            max_file_bytes: default_max_file_bytes(),
            max_document_bytes: default_max_document_bytes(),
            max_total_bytes: None,
            threads: None,
            format: CorpusFormat::default(),
            clean: CleanOptions::default(),
            compose: default_compose(),
        }
    }
}

/// How documents are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorpusFormat {
    /// One JSON object per line.
    #[default]
    Jsonl,
    /// Parquet, zstd.
    Parquet,
}

impl CorpusFormat {
    /// Name of the documents file in a corpus folder.
    pub fn file_name(self) -> &'static str {
        match self {
            CorpusFormat::Jsonl => "documents.jsonl",
            CorpusFormat::Parquet => "documents.parquet",
        }
    }
}

/// `manifest.json` of a corpus folder.
///
/// `files.seen` is `files.kept` and all of `files.dropped` together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusManifest {
    /// Format version.
    pub version: u32,
    /// The documents file, beside the manifest.
    pub documents_file: String,
    /// Its length in bytes.
    pub file_bytes: u64,
    /// Its lower-case hex SHA-256.
    pub sha256: String,
    /// Documents in it and the bytes of their text.
    pub documents: Tally,
    /// What became of the files that were seen.
    pub files: FileCounts,
    /// Documents of kept files that were dropped, by reason.
    pub dropped_documents: BTreeMap<DropReason, Tally>,
    /// Files dropped by the license filter, by license.
    pub dropped_licenses: BTreeMap<String, u64>,
    /// Kept files whose top-level items the parser could not read throughout.
    pub files_with_syntax_errors: u64,
    /// Projects with at least one document.
    pub projects: u64,
    /// By language.
    pub languages: BTreeMap<String, Tally>,
    /// By license expression.
    pub licenses: BTreeMap<String, Tally>,
    /// What cleaning changed and found.
    #[serde(default)]
    pub clean: CleanCounts,
}

/// What became of the files of a corpus' sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileCounts {
    /// Files met by the walk; what ignore rules hide is not met.
    pub seen: u64,
    /// Files with at least one document.
    pub kept: u64,
    /// The others, each under one reason.
    pub dropped: BTreeMap<DropReason, u64>,
}

/// Why a file or a document is not in the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// A symbolic link; links are not followed.
    Symlink,
    /// Not in a language that is known.
    UnknownLanguage,
    /// In a language that was not asked for.
    OtherLanguage,
    /// Above `max_file_bytes`.
    TooLarge,
    /// Could not be read, or is no regular file.
    Unreadable,
    /// Holds a zero byte.
    Binary,
    /// Not UTF-8, and in no encoding that can be told.
    NotUtf8,
    /// Nothing but white space.
    Empty,
    /// License not among `licenses`, or denied.
    License,
    /// The same text was kept before.
    Duplicate,
    /// One top-level item above `max_document_bytes`, which is not cut.
    Oversized,
    /// Past `max_total_bytes`.
    OverTotal,
    /// Changed by a commit that changes more files than wanted.
    MassChange,
    /// Changed by a commit in no function and no type.
    NoDefinition,
    /// Added, removed or renamed by a commit: there is no before, or no after.
    AddedOrRemoved,
    /// Another repository's commit, held as a submodule.
    Submodule,
    /// A merge, counted once: its changes are those of the commits it merges.
    Merge,
    /// In a folder of another project's files.
    Vendored,
    /// A test, where tests are not wanted.
    Test,
    /// Written by a program.
    Generated,
    /// Code squeezed into few lines.
    Minified,
    /// Tables and blobs in the form of code.
    Data,
    /// Nearly the same as a document that was kept before.
    NearDuplicate,
    /// Shares text with a benchmark.
    Contaminated,
    /// A line that is no record of a source file, or has no text.
    BadRecord,
}

/// A number of documents and the bytes of their text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Documents.
    pub documents: u64,
    /// Bytes of text.
    pub bytes: u64,
}

impl Tally {
    /// Counts one more document.
    pub fn add(&mut self, bytes: u64) {
        self.documents += 1;
        self.bytes += bytes;
    }
}

/// Documents of a project, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectTally {
    /// How many projects.
    pub projects: u64,
    /// Documents.
    pub documents: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// Tokens of those documents that say how many they have.
    pub tokens: u64,
}

/// A corpus, counted from its documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorpusStats {
    /// All documents.
    pub total: Tally,
    /// Documents that say how many tokens they have.
    pub counted: Tally,
    /// Their tokens.
    pub tokens: u64,
    /// Whole files.
    pub whole_files: Tally,
    /// By what they cover.
    pub kinds: BTreeMap<DocumentKind, Tally>,
    /// By language.
    pub languages: BTreeMap<String, Tally>,
    /// By license expression.
    pub licenses: BTreeMap<String, Tally>,
    /// By project, the largest ones.
    pub projects: BTreeMap<String, ProjectTally>,
    /// All other projects.
    pub other_projects: ProjectTally,
    /// By size: the key is the upper bound in bytes, a power of two.
    pub sizes: BTreeMap<u64, Tally>,
    /// Smallest, median, 99th percentile and largest document, bytes.
    pub size_quantiles: [u64; 4],
    /// By length in tokens: the key is the upper bound, a power of two.
    pub token_counts: BTreeMap<u64, Tally>,
    /// Smallest, median, 99th percentile and largest document, tokens.
    pub token_quantiles: [u64; 4],
    /// What the corpus says about itself: what was left out, and why. Absent for a file of documents.
    pub manifest: Option<CorpusManifest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest as version 1 wrote it: later versions read it too.
    const VERSION_1: &str = r#"{
        "version": 1, "documents_file": "documents.jsonl", "file_bytes": 392, "sha256": "ab",
        "documents": {"documents": 2, "bytes": 20},
        "files": {"seen": 4, "kept": 2, "dropped": {"not_utf8": 1, "license": 1}},
        "dropped_documents": {"oversized": {"documents": 1, "bytes": 9}},
        "dropped_licenses": {"GPL-3.0-only": 1}, "files_with_syntax_errors": 0, "projects": 1,
        "languages": {"rust": {"documents": 2, "bytes": 20}}, "licenses": {"MIT": {"documents": 2, "bytes": 20}}
    }"#;

    #[test]
    fn yesterdays_manifest_is_read() {
        let manifest: CorpusManifest = serde_json::from_str(VERSION_1).unwrap();
        assert_eq!(manifest.files.dropped[&DropReason::NotUtf8], 1);
        assert_eq!(manifest.dropped_documents[&DropReason::Oversized], Tally { documents: 1, bytes: 9 });
        assert_eq!(manifest.clean, CleanCounts::default());
        let again = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<CorpusManifest>(&again).unwrap(), manifest);
    }

    #[test]
    fn a_plan_needs_only_sources() {
        let options: CorpusOptions = serde_json::from_str(r#"{"sources": ["src"]}"#).unwrap();
        assert_eq!(options, CorpusOptions { sources: vec!["src".into()], ..CorpusOptions::default() });
    }
}
