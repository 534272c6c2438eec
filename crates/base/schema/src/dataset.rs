//! A dataset's options, its manifest, the loader's cursor, and what `inspect`, `stats` and `pack` say about token shards.

use serde::{Deserialize, Serialize};

/// Version of the dataset formats.
pub const VERSION: u32 = 1;

/// How documents become shards: the `dataset:` block of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetOptions {
    /// Share of the text, in bytes, that goes to the validation shard; above 0 and at most 0.5.
    pub validation_share: f64,
    /// Text of one training shard in bytes, before compression.
    pub shard_bytes: u64,
    /// Documents of one row group: what a resumed loader skips by.
    pub row_group_documents: usize,
    /// Seed of the order of the documents and of the choice of the validation ones.
    pub seed: u64,
}

impl Default for DatasetOptions {
    fn default() -> DatasetOptions {
        DatasetOptions {
            validation_share: 0.02,
            shard_bytes: 250_000_000,
            row_group_documents: 1000,
            seed: 0,
        }
    }
}

/// Which part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Every shard but the last.
    Train,
    /// The last shard in name order.
    Validation,
}

/// `manifest.json` of a dataset folder, written last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetManifest {
    /// Format version.
    pub version: u32,
    /// How the shards were made.
    pub options: DatasetOptions,
    /// What was kept together when the validation documents were chosen.
    pub validation_unit: ValidationUnit,
    /// Training documents.
    pub train: SplitCounts,
    /// Validation documents.
    pub validation: SplitCounts,
    /// Documents left out of training because their text is also in the validation shard.
    pub leaked_documents: u64,
    /// Every shard in name order.
    pub shards: Vec<Shard>,
}

/// What never has documents on both sides of the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationUnit {
    /// Whole projects.
    Repo,
    /// Whole source files: there were too few projects, or they were too large for the share.
    File,
}

/// Size of one part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCounts {
    /// Documents.
    pub documents: u64,
    /// Length of their text in bytes.
    pub text_bytes: u64,
}

/// One parquet file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Name below the dataset folder.
    pub file: String,
    /// Which part it belongs to.
    pub split: Split,
    /// Its documents.
    pub documents: u64,
    /// Length of their text in bytes.
    pub text_bytes: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Lower-case hex SHA-256 of the file.
    pub sha256: String,
}

/// Where a loader goes on, exactly: resuming from a cursor yields the rows an undisturbed loader would have.
///
/// Ordinal numbers count documents in the endless stream, epoch after epoch: document `n` is the one at
/// `n % documents_per_epoch` of epoch `n / documents_per_epoch`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Documents of one pass; a cursor of another dataset is refused by it.
    pub documents_per_epoch: u64,
    /// Documents read from the shards so far, over all passes.
    pub documents: u64,
    /// Ordinal numbers of the documents that are read and not yet placed, in the order of the packing buffer.
    pub buffered: Vec<u64>,
    /// Rows handed out over the whole run.
    pub rows: u64,
    /// Tokens placed in those rows.
    pub placed_tokens: u64,
    /// Tokens cropped away over the whole run.
    pub dropped_tokens: u64,
}

impl Cursor {
    /// Passes over the documents completed.
    pub fn epoch(&self) -> u64 {
        self.documents.checked_div(self.documents_per_epoch).unwrap_or(0)
    }
}

/// What `dataset inspect` shows of a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Inspection {
    /// A folder of parquet shards.
    Dataset(DatasetInspection),
    /// One parquet shard.
    Shard(ShardInspection),
    /// Packed tokens.
    Packed(PackedInspection),
}

/// What is in a folder of shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetInspection {
    /// Shards in name order.
    pub shards: Vec<ShardInspection>,
    /// The manifest, where there is one.
    pub manifest: Option<DatasetManifest>,
}

/// What is in one shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardInspection {
    /// Name of the file.
    pub file: String,
    /// Which part it belongs to; absent for a file that was named by itself.
    pub split: Option<Split>,
    /// Its documents.
    pub documents: u64,
    /// Its row groups.
    pub row_groups: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Length of the column `text` in bytes, before compression.
    pub uncompressed_bytes: u64,
}

/// What is in a file of packed tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedInspection {
    /// Name of the file.
    pub file: String,
    /// Element type in numpy's spelling, e.g. `<i4`.
    pub dtype: String,
    /// Rows N.
    pub rows: u64,
    /// Tokens of one row T.
    pub sequence_len: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Its manifest, where there is one beside it.
    pub manifest: Option<PackManifest>,
}

/// Lengths of the documents of one part of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetStats {
    /// Which part.
    pub split: Split,
    /// Documents.
    pub documents: u64,
    /// Length of the text in bytes.
    pub text_bytes: u64,
    /// Length in tokens, each document with the token before it; 0 without a tokenizer.
    pub tokens: u64,
    /// Document lengths in bytes.
    pub bytes_per_document: Quantiles,
    /// Document lengths in tokens; all 0 without a tokenizer.
    pub tokens_per_document: Quantiles,
}

/// Smallest, quartiles, 99th percentile and largest of a set of lengths (nearest rank).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// Smallest.
    pub min: u64,
    /// 25%.
    pub p25: u64,
    /// 50%.
    pub p50: u64,
    /// 75%.
    pub p75: u64,
    /// 99%.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

/// The manifest beside a file of packed tokens, written last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackManifest {
    /// Format version.
    pub version: u32,
    /// Name of the token file.
    pub file: String,
    /// Which part was packed.
    pub split: Split,
    /// Rows N.
    pub rows: u64,
    /// Tokens of one row T.
    pub sequence_len: u64,
    /// Documents read.
    pub documents: u64,
    /// Tokens read: placed and dropped together.
    pub tokens: u64,
    /// Tokens in the rows.
    pub placed_tokens: u64,
    /// Tokens cropped away.
    pub dropped_tokens: u64,
    /// Entries of the tokenizer's vocabulary.
    pub vocab_size: u64,
    /// Lower-case hex SHA-256 of the token file.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that version 1 wrote must read back, and be written again as they were.
    #[track_caller]
    fn check<T: Serialize + serde::de::DeserializeOwned>(stored: &str) {
        let value: T = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), stored);
    }

    #[test]
    fn version_1_reads_back() {
        check::<Cursor>(
            r#"{"documents_per_epoch":10,"documents":25,"buffered":[3,24],"rows":7,"placed_tokens":70,"dropped_tokens":4}"#,
        );
        check::<DatasetManifest>(concat!(
            r#"{"version":1,"options":{"validation_share":0.02,"shard_bytes":100,"row_group_documents":10,"seed":1},"#,
            r#""validation_unit":"repo","train":{"documents":9,"text_bytes":90},"validation":{"documents":1,"text_bytes":10},"#,
            r#""leaked_documents":0,"shards":[{"file":"shard_00000.parquet","split":"train","documents":9,"text_bytes":90,"#,
            r#""bytes":120,"sha256":"00"}]}"#
        ));
        check::<PackManifest>(concat!(
            r#"{"version":1,"file":"tokens.npy","split":"validation","rows":2,"sequence_len":8,"documents":3,"tokens":20,"#,
            r#""placed_tokens":16,"dropped_tokens":4,"vocab_size":300,"sha256":"00"}"#
        ));
    }
}
