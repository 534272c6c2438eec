//! What was downloaded from a model hub: printed by `wootz hub download --json`, and kept by the steps that download.

use serde::{Deserialize, Serialize};

/// The version of what is written.
pub const VERSION: u32 = 1;

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HubKind {
    /// A model.
    Model,
    /// A data set.
    Dataset,
}

/// The files of a repository at one commit, as far as they were wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSnapshot {
    /// [`VERSION`].
    pub version: u32,
    /// What the repository holds.
    pub kind: HubKind,
    /// Its name, mostly `owner/name`.
    pub repo: String,
    /// What was asked for: a branch, a tag or a commit.
    pub revision: String,
    /// The commit, 40 hex digits.
    pub sha: String,
    /// Folder with the files.
    pub folder: String,
    /// By path.
    pub files: Vec<HubFile>,
    /// Of a split of a data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<HubSplit>,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    /// Within the folder.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// SHA-256, or for what is in git the SHA-1 of its blob; in hex. Empty where the hub's list of files is not known.
    pub digest: String,
}

/// A part of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSplit {
    /// One of the data set's configurations.
    pub config: String,
    /// As it was asked for, such as `train[:100]`.
    pub split: String,
    /// Rows that are meant, where the files are of a kind whose rows are counted.
    pub rows: Option<u64>,
}
