//! The manifest of an artifact: what a finished step left, and how it came about.

use crate::checkpoint::FileEntry;
use crate::metrics::Metrics;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the artifact manifest.
pub const VERSION: u32 = 1;

/// Name of the manifest in the artifact's folder. A folder without it is not an artifact.
pub const FILE_NAME: &str = ".artifact.json";

/// `.artifact.json`, written last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactManifest {
    /// Format version.
    pub version: u32,
    /// Cache key of the step that made it; the folder's name.
    pub key: String,
    /// SHA-256 over the sorted paths and digests of `files`: what later steps depend on.
    pub digest: String,
    /// Who made it, when, and what it reported.
    pub origin: Origin,
    /// Every file by its path below the folder, with `/`.
    pub files: BTreeMap<String, FileEntry>,
}

/// How an artifact came about; no part of its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Id of the run.
    pub run: String,
    /// Id of the step.
    pub step: String,
    /// Type of the step.
    pub kind: String,
    /// Number of the attempt.
    pub attempt: u32,
    /// When it was published, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// How long the attempt took.
    pub seconds: f64,
    /// False where a gate held: the verdict is kept as evidence but never used as a cached result.
    pub passed: bool,
    /// One line for people.
    pub summary: String,
    /// Figures the step reported.
    pub metrics: Metrics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_of_version_1_is_read_as_it_was_written() {
        let text = r#"{"version":1,"key":"train-0","digest":"d","origin":{"run":"r","step":"train","kind":"train",
            "attempt":2,"at_ms":7,"seconds":1.5,"passed":true,"summary":"s","metrics":{"bpb":1.25,"ok":true,"x":"NaN"}},
            "files":{"a/b":{"bytes":3,"sha256":"e"}}}"#;
        let manifest: ArtifactManifest = serde_json::from_str(text).expect("a manifest of version 1");
        let written = serde_json::to_value(&manifest).expect("a manifest can be written");
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).expect("JSON"));
    }
}
