//! The configuration of a model, as a checkpoint stores it.

use serde::{Deserialize, Serialize};

/// Configuration of the nanochat decoder (July 2026 form).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Longest sequence the model is trained on, tokens.
    pub sequence_len: usize,
    /// Entries of the vocabulary; tables are padded up to a multiple of 64.
    pub vocab_size: usize,
    /// Number of blocks.
    pub n_layer: usize,
    /// Query heads.
    pub n_head: usize,
    /// Key and value heads; divides `n_head`.
    pub n_kv_head: usize,
    /// Model dim C.
    pub n_embd: usize,
    /// Tiled over the layers: `L` the whole context, `S` a short window. The last layer is always `L`.
    pub window_pattern: String,
    /// Width of the short window in tokens; absent: a quarter of the sequence rounded up to 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_short: Option<usize>,
}

impl ModelConfig {
    /// Rows of the embedding tables and of the head: the vocabulary padded up to a multiple of 64.
    pub fn padded_vocab(&self) -> usize {
        self.vocab_size.next_multiple_of(64)
    }
    /// Head dim D.
    pub fn head_dim(&self) -> usize {
        self.n_embd / self.n_head
    }
}
