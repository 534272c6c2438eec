//! The nanochat decoder in its form of July 2026.
//!
//! Untied embedding and head, RMS norm without weights, rotary attention with QK norm, sliding windows and grouped heads,
//! value embeddings on every other layer, squared ReLU, smear, residual scalars, backout, softcapped logits.

mod config;
mod init;
mod model;

pub use config::{ConfigError, Counts, Dial, counts, flops_per_token, from_depth, validate, window};
pub use init::{Parameter, initial, parameters};
pub use model::{
    LOGITS, LOSS_SUM, LOSSES, POSITION, SEED, TARGETS, TOKENS, decode, evaluation, full_logits, training,
};
