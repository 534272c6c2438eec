//! The tokenizer's options and its stored form: the ecosystem's `tokenizer.json`.
//!
//! The structs spell out the one shape that wootz writes: byte-level BPE, one split pattern, special tokens at the
//! end. The file's own `version` ("1.0") is the ecosystem's, so it is not ours to count.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Version string of the ecosystem's file.
pub const FILE_VERSION: &str = "1.0";

/// How a tokenizer is trained: the `tokenizer:` block of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizerOptions {
    /// Entries of the vocabulary: bytes, merges and special tokens together.
    pub vocab_size: usize,
    /// Text to learn from; documents after it are not read.
    pub max_bytes: u64,
    /// Text taken from one document, so that a few giants do not outvote the rest.
    pub document_cap_bytes: usize,
}

impl Default for TokenizerOptions {
    fn default() -> TokenizerOptions {
        TokenizerOptions { vocab_size: 32_768, max_bytes: 2_000_000_000, document_cap_bytes: 65_536 }
    }
}

/// `tokenizer.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerFile {
    /// The ecosystem's format version.
    pub version: String,
    /// Always null: inputs are never truncated.
    pub truncation: Value,
    /// Always null: inputs are never padded.
    pub padding: Value,
    /// The special tokens.
    pub added_tokens: Vec<AddedToken>,
    /// Always null: the text is not normalised.
    pub normalizer: Value,
    /// The split into pieces, and the byte alphabet.
    pub pre_tokenizer: Value,
    /// Always null: no token is added around a text.
    pub post_processor: Value,
    /// From the byte alphabet back to bytes.
    pub decoder: Value,
    /// Vocabulary and merges.
    pub model: BpeModel,
}

/// A token that is matched as a whole, before the split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub content: String,
    /// Match whole words only.
    pub single_word: bool,
    /// Swallow whitespace on the left.
    pub lstrip: bool,
    /// Swallow whitespace on the right.
    pub rstrip: bool,
    /// Match in normalised text.
    pub normalized: bool,
    /// Left out when a text is decoded for people.
    pub special: bool,
}

/// The BPE model of a `tokenizer.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BpeModel {
    /// Always `BPE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Always null.
    #[serde(default)]
    pub dropout: Value,
    /// Always null: every byte has a token.
    #[serde(default)]
    pub unk_token: Value,
    /// Always null.
    #[serde(default)]
    pub continuing_subword_prefix: Value,
    /// Always null.
    #[serde(default)]
    pub end_of_word_suffix: Value,
    /// Always false.
    #[serde(default)]
    pub fuse_unk: bool,
    /// Always false: the byte alphabet needs no fallback.
    #[serde(default)]
    pub byte_fallback: bool,
    /// Always false: a piece goes through the merges even where it is an entry itself.
    #[serde(default)]
    pub ignore_merges: bool,
    /// Entries in the byte alphabet, with their ids, in the order of the ids.
    pub vocab: Map<String, Value>,
    /// Merges by rank: the two parts in the byte alphabet with a space between.
    pub merges: Vec<String>,
}
