//! Shards of a corpus: what several machines make apart, stored until they are merged into one corpus.
//!
//! A shard is a folder of parts and [`SHARD_FILE`]. A part is a file of JSON lines, compressed by zstd: a [`PartRecord`] a
//! line, and behind each [`PartRecord::File`] its documents, a line each. A build that was killed leaves parts as well.

use crate::clean::{Encoding, Redaction};
use crate::corpus::{CorpusOptions, DropReason, FileCounts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of shards and parts.
pub const VERSION: u32 = 1;

/// Name of the file that describes a shard's folder; written last.
pub const SHARD_FILE: &str = "shard.json";

/// Which share of the work is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Which one, from 0 on.
    pub index: u64,
    /// Of how many.
    pub count: u64,
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| {
            Some(Share { index: index.parse().ok()?, count: count.parse().ok()? })
        });
        parsed
            .filter(|share| share.index < share.count)
            .ok_or_else(|| "expected I/N with I from 0 to N-1, as 0/2 and 1/2 of two shards".to_owned())
    }
}

/// `shard.json` of a shard's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Format version.
    pub version: u32,
    /// SHA-256 of all that decides the bytes of the corpus, but for the contents of source files: all shards have the same.
    pub plan: String,
    /// Which shard it is.
    pub share: Share,
    /// Parts of all shards together.
    pub parts: u64,
    /// Numbers of the parts that are here.
    pub here: Vec<u64>,
    /// What became of the files of all sources before any was read.
    pub files: FileCounts,
    /// How the corpus is built; paths and threads are those of the machine that made this shard.
    pub options: CorpusOptions,
}

/// A line of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PartRecord {
    /// The first line.
    Head {
        /// Format version.
        version: u32,
        /// The plan it belongs to, as in [`Shard::plan`].
        plan: String,
        /// Its number among the parts of all shards.
        part: u64,
    },
    /// A project begins, or a piece of one.
    Project {
        /// Functions and types that do not fit with the least they need.
        oversized_items: u64,
        /// Files with text that could not be read.
        files_with_errors: u64,
    },
    /// A file that has no document.
    Dropped {
        /// Why.
        reason: DropReason,
        /// The license, where that is why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        license: Option<String>,
    },
    /// A file with documents, which follow.
    File(PartFile),
    /// The last line: without it, the part is not whole.
    End,
}

/// A file in a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartFile {
    /// Lower-case hex SHA-256 of its cleaned text.
    pub sha256: String,
    /// Number of its source, and of its project in that source.
    pub project: (u64, u64),
    /// What is known of each of the documents that follow.
    pub documents: Vec<PartDocument>,
    /// Lengths of what is too large to be a document.
    pub oversized: Vec<u64>,
    /// Whether the parser could not read it throughout.
    pub has_errors: bool,
    /// From what it was converted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted: Option<Encoding>,
    /// What was replaced in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redacted: BTreeMap<Redaction, u64>,
}

/// What is known of a document in a part, beside what it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartDocument {
    /// Whether it takes part in the search for near duplicates.
    pub sketched: bool,
    /// The benchmark's item with which it shares text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as version 1 wrote them: later versions read them too.
    const VERSION_1: [&str; 5] = [
        r#"{"head":{"version":1,"plan":"ab","part":3}}"#,
        r#"{"project":{"oversized_items":1,"files_with_errors":0}}"#,
        r#"{"dropped":{"reason":"license","license":"GPL-3.0-only"}}"#,
        r#"{"file":{"sha256":"cd","project":[0,2],"documents":[{"sketched":true},{"sketched":false,"benchmark":"b#1"}],"oversized":[9],"has_errors":false,"redacted":{"email":2}}}"#,
        r#""end""#,
    ];

    #[test]
    fn yesterdays_part_is_read_and_written() {
        for line in VERSION_1 {
            let record: PartRecord = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap(), line);
        }
    }

    #[test]
    fn yesterdays_shard_is_read() {
        let text = r#"{"version": 1, "plan": "ab", "share": {"index": 1, "count": 2}, "parts": 4, "here": [1, 3],
            "files": {"seen": 4, "kept": 0, "dropped": {"symlink": 1}}, "options": {"sources": ["src"]}}"#;
        let shard: Shard = serde_json::from_str(text).unwrap();
        assert_eq!((shard.share.to_string().as_str(), shard.here.len()), ("1/2", 2));
    }

    #[test]
    fn a_share_is_one_of_several() {
        assert_eq!("1/3".parse(), Ok(Share { index: 1, count: 3 }));
        for wrong in ["3/3", "0/0", "1", "a/b", "-1/2", ""] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
