//! What the ranks of a job tell one another over their control connections.

use serde::{Deserialize, Serialize};

/// Version of the messages and of their framing.
pub const VERSION: u32 = 1;

/// The first message of a rank to rank 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Version of the messages.
    pub version: u32,
    /// Version of wootz.
    pub wootz: String,
    /// The rank that speaks.
    pub rank: usize,
    /// Number of ranks that it was started with.
    pub ranks: usize,
}

/// Rank 0's answer when all ranks have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// Why the job cannot begin; absent: it begins.
    pub refused: Option<Refusal>,
}

/// A rank that does not fit the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The rank.
    pub rank: usize,
    /// What differs, e.g. `number of ranks`.
    pub what: String,
    /// What the rank has.
    pub theirs: String,
    /// What rank 0 has.
    pub ours: String,
}

/// Why a rank cannot go on, for the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The rank.
    pub rank: usize,
    /// What happened, a fragment that fits "failed to …" or a sentence of what was seen.
    pub reason: String,
    /// The fix, where there is one.
    pub hint: Option<String>,
    /// The exit code that it asks for.
    pub exit: u8,
}

/// A rank's part of a checkpoint that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Step of the checkpoint.
    pub step: u64,
    /// The file; absent: writing it failed, as its rank says itself.
    pub file: Option<crate::checkpoint::FileEntry>,
}
