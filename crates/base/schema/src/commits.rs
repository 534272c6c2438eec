//! What documents of a git history are asked for.

use crate::clean::CleanOptions;
use crate::corpus::CorpusFormat;
use crate::record::RecordOptions;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a change is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitForm {
    /// The changed definitions before and after, with what they call.
    Chain,
    /// The hunks as a unified diff, with what the changed definitions call.
    Diff,
}

/// How documents are made of commits: the flags of `wootz corpus commits`.
///
/// Everything but `threads` decides output bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitOptions {
    /// Repositories, in order.
    pub repositories: Vec<PathBuf>,
    /// Files of JSON lines to read behind them, a file before and after a commit each.
    #[serde(default, skip_serializing_if = "RecordOptions::is_empty")]
    pub records: RecordOptions,
    /// Forms of each change.
    pub forms: Vec<CommitForm>,
    /// Names of the languages to keep; absent: all that are known.
    pub languages: Option<Vec<String>>,
    /// SPDX ids to keep; see [`crate::corpus::CorpusOptions::licenses`].
    pub licenses: Option<Vec<String>>,
    /// Longer files are left out.
    pub max_file_bytes: u64,
    /// Commits that modify more files of known languages are left out: renames and reformatting.
    pub max_files: usize,
    /// No document is longer.
    pub max_tokens: u64,
    /// Worker threads; absent: one per core.
    pub threads: Option<usize>,
    /// Format of the documents file.
    pub format: CorpusFormat,
    /// What is left out or replaced so that the corpus can be trusted.
    #[serde(default)]
    pub clean: CleanOptions,
}

impl Default for CommitOptions {
    fn default() -> CommitOptions {
        CommitOptions {
            repositories: Vec::new(),
            records: RecordOptions::default(),
            forms: vec![CommitForm::Chain, CommitForm::Diff],
            languages: None,
            licenses: None,
            max_file_bytes: 1 << 20,
            max_files: 20,
            max_tokens: 16_384,
            threads: None,
            format: CorpusFormat::default(),
            clean: CleanOptions::default(),
        }
    }
}
