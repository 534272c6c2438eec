//! The dataset manifest and the loader's cursor.

use serde::{Deserialize, Serialize};

/// Version of the dataset formats.
pub const VERSION: u32 = 1;

/// Where a loader goes on, exactly: resuming from a cursor yields the rows an undisturbed loader would have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Passes over the training shards completed.
    pub epoch: u64,
    /// Documents of this epoch already read from the shards (into the buffer or further).
    pub documents: u64,
    /// Documents of this epoch read but not yet placed: ordinal numbers of the packing buffer's entries.
    pub buffered: Vec<u64>,
    /// Rows produced over the whole run.
    pub rows: u64,
    /// Tokens cropped away over the whole run.
    pub dropped_tokens: u64,
}
