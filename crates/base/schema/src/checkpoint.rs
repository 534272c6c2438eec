//! The files of a checkpoint beside its tensors: `manifest.json` and `state.json`.

use crate::dataset::Cursor;
use crate::model::ModelConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the checkpoint format.
pub const VERSION: u32 = 1;

/// `manifest.json`, written last: a step folder without it is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version.
    pub version: u32,
    /// Updates made.
    pub step: u64,
    /// The model.
    pub model: ModelConfig,
    /// Every file of the checkpoint by its path below the step folder.
    pub files: BTreeMap<String, FileEntry>,
}

/// Size and digest of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length in bytes.
    pub bytes: u64,
    /// Lower-case hex SHA-256.
    pub sha256: String,
}

/// `state.json`: what the loop needs beside the tensors to go on as if it had never stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Format version.
    pub version: u32,
    /// Updates made.
    pub step: u64,
    /// Updates of the whole run.
    pub steps: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Seed of the initial weights.
    pub seed: u64,
    /// Where the loader goes on.
    pub cursor: Cursor,
    /// Digest of everything that must not change between runs (model, data, schedule).
    pub fingerprint: String,
    /// Number formats that it was computed in; a run may go on in others, and says so. Absent: f32, by older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerics: Option<String>,
}
