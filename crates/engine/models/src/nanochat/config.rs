//! One dial, the depth, and what follows from it.

use wootz_schema::model::ModelConfig;
use wootz_schema::{Diagnose, ExitCode};

/// Channels per unit of depth.
const ASPECT_RATIO: usize = 64;
/// Head dim the model dim is rounded up to.
const HEAD_DIM: usize = 128;

/// What a user chooses; the rest follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// Number of blocks.
    pub depth: usize,
    /// Entries of the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// Tokens of a training row.
    pub sequence_len: usize,
    /// `S` and `L`, tiled over the layers.
    pub window_pattern: String,
}

/// Why a configuration cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use the model configuration: {reason}")]
pub struct ConfigError {
    reason: String,
    hint: &'static str,
}

impl Diagnose for ConfigError {
    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }
    fn hint(&self) -> Option<String> {
        Some(self.hint.to_owned())
    }
}

/// The configuration of a depth: C = 64·depth rounded up to whole heads of 128.
pub fn from_depth(dial: &Dial) -> Result<ModelConfig, ConfigError> {
    let n_embd = (dial.depth * ASPECT_RATIO).next_multiple_of(HEAD_DIM);
    let heads = n_embd / HEAD_DIM;
    let config = ModelConfig {
        sequence_len: dial.sequence_len,
        vocab_size: dial.vocab_size,
        n_layer: dial.depth,
        n_head: heads,
        n_kv_head: heads,
        n_embd,
        window_pattern: dial.window_pattern.clone(),
        window_short: None,
    };
    validate(&config)?;
    Ok(config)
}

/// Checks what the program relies on.
pub fn validate(config: &ModelConfig) -> Result<(), ConfigError> {
    let error = |reason: String, hint| Err(ConfigError { reason, hint });
    if config.n_layer == 0 || config.sequence_len == 0 || config.vocab_size == 0 {
        return error(
            "depth, sequence length and vocabulary must not be 0".to_owned(),
            "give each a positive number",
        );
    }
    let whole_heads = config.n_head > 0 && config.n_embd.is_multiple_of(config.n_head);
    if !whole_heads || !(config.n_embd / config.n_head).is_multiple_of(2) {
        let reason =
            format!("{} channels do not split into {} heads of even width", config.n_embd, config.n_head);
        return error(reason, "choose n_embd as a multiple of 2·n_head");
    }
    if config.n_kv_head == 0 || !config.n_head.is_multiple_of(config.n_kv_head) {
        let reason =
            format!("{} query heads cannot share {} key/value heads", config.n_head, config.n_kv_head);
        return error(reason, "choose n_kv_head as a divisor of n_head");
    }
    if config.n_embd < 24 {
        return error(
            format!("the smear gate reads 24 channels, there are {}", config.n_embd),
            "choose n_embd ≥ 24",
        );
    }
    let pattern = &config.window_pattern;
    if pattern.is_empty() || pattern.chars().any(|c| !matches!(c, 'S' | 'L')) {
        return error(
            format!("window pattern {pattern:?}"),
            "write a string of S (short) and L (long), e.g. SSSL",
        );
    }
    Ok(())
}

/// Keys a query of this layer sees before itself; none: all.
pub fn window(config: &ModelConfig, layer: usize) -> Option<usize> {
    let pattern = config.window_pattern.as_bytes();
    let short = pattern[layer % pattern.len()] == b'S' && layer + 1 < config.n_layer;
    // A quarter of the context, rounded up to 128.
    let width = config.window_short.unwrap_or_else(|| config.sequence_len.div_ceil(4).next_multiple_of(128));
    (short && width < config.sequence_len).then_some(width)
}

/// Numbers of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All weights.
    pub total: usize,
    /// Transformer matrices and the head: what scaling laws count.
    pub scaling: usize,
    /// Weights in matrix products, gates included.
    pub products: usize,
}

/// Counts the weights of a configuration.
pub fn counts(config: &ModelConfig) -> Counts {
    let mut counts = Counts::default();
    for parameter in super::parameters(config) {
        let (n, name) = (parameter.shape.len(), parameter.name.as_str());
        let matrix = name.starts_with("transformer.h.") || name == "lm_head.weight";
        counts.total += n;
        counts.scaling += if matrix { n } else { 0 };
        counts.products += if matrix || name == "smear_gate.weight" { n } else { 0 };
    }
    counts
}

/// Model FLOP per token of forward and backward: 6 per weight in products, and 12·C per visible position of each layer
/// (the whole window, not its causal half, as the field counts).
pub fn flops_per_token(config: &ModelConfig) -> u64 {
    let attention: usize = (0..config.n_layer)
        .map(|i| {
            12 * config.n_embd * window(config, i).unwrap_or(config.sequence_len).min(config.sequence_len)
        })
        .sum();
    (6 * counts(config).products + attention) as u64
}
