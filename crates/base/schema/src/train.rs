//! The configuration of a pretraining run and its summary.

use crate::device::{Device, OnNan, StoredDType};
use crate::model::ModelConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Configuration of `wootz train pretrain`, and the `train:` block of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// Folder of a dataset (`wootz dataset`).
    pub data: PathBuf,
    /// The tokenizer's `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// The one dial: number of blocks; the width is 64·depth rounded up to whole heads of 128.
    pub depth: usize,
    /// Tokens of a row.
    pub sequence_len: usize,
    /// Attention window of each layer: a string of `S` (short) and `L` (long), tiled; the last layer is `L`.
    pub window_pattern: String,
    /// Rows of one micro-batch.
    pub device_batch_size: usize,
    /// Groups of rows that a micro-batch is worked off in, one after the other, so that only one group's activations are held;
    /// absent: one, or as few as fit `memory_budget`.
    pub slices: Option<usize>,
    /// Tokens of one optimizer step; absent: from the scaling law.
    pub total_batch_size: Option<u64>,
    /// Optimizer steps; absent: from `target_param_data_ratio`.
    pub steps: Option<u64>,
    /// Training tokens per scaling parameter, where `steps` is absent.
    pub target_param_data_ratio: f64,
    /// Learning rate of the embedding table at model dim 768.
    pub embedding_lr: f64,
    /// Learning rate of the head at model dim 768.
    pub unembedding_lr: f64,
    /// Learning rate of the matrices (Muon).
    pub matrix_lr: f64,
    /// Learning rate of the x0 scalars; the residual scalars take a hundredth.
    pub scalar_lr: f64,
    /// Factor of all learning rates; absent: √(total batch / 2¹⁹).
    pub lr_scale: Option<f64>,
    /// Weight decay of the matrices at the first step; absent: from the scaling law.
    pub weight_decay: Option<f64>,
    /// Steps of linear rise.
    pub warmup_steps: u64,
    /// Share of the steps that fall linearly.
    pub warmdown_ratio: f64,
    /// Learning-rate multiplier at the end.
    pub final_lr_frac: f64,
    /// Evaluate every this many steps, before the first and after the last; 0: never.
    pub eval_every: u64,
    /// Validation rows of one evaluation.
    pub eval_rows: usize,
    /// Save a checkpoint every this many steps; 0: only after the last.
    pub save_every: u64,
    /// Number of checkpoints kept.
    pub keep_last: usize,
    /// Seed of the initial weights.
    pub seed: u64,
    /// Where it runs: `auto`, `cpu`, `cuda` or `cuda:N`. The CPU computes in f32, a GPU in bf16 with f32 master weights.
    pub device: Device,
    /// Large products in 8 bits during training, on a GPU that has them.
    pub fp8: bool,
    /// Accumulated gradients on a GPU.
    pub gradient_dtype: StoredDType,
    /// Embedding tables, their gradients and moments on a GPU; bf16 ones have no f32 master.
    pub table_dtype: StoredDType,
    /// The same bits in every run, at some cost in speed on a GPU; a CPU is always deterministic.
    pub deterministic: bool,
    /// Of several GPUs: sum gradients beside the backward pass of the last micro-step, which pays where their links are slow.
    pub overlap_collectives: bool,
    /// What happens when the loss or the gradient is not a finite number.
    pub on_nan: OnNan,
    /// Write `profile.md`, `profile.json` and `trace.json` of one of the first steps.
    pub profile: bool,
    /// Threads; 0: all cores. Does not change the result.
    pub threads: usize,
    /// Largest memory of the plan, e.g. `8GiB`; absent: no bound. Where `slices` do not bring the plan under it, more is
    /// computed again than `recompute` asks for, what costs least for each byte first.
    pub memory_budget: Option<String>,
    /// What the backward pass computes again instead of keeping.
    pub recompute: RecomputePolicy,
}

impl Default for PretrainConfig {
    fn default() -> PretrainConfig {
        PretrainConfig {
            data: PathBuf::new(),
            tokenizer: PathBuf::new(),
            depth: 20,
            sequence_len: 2048,
            window_pattern: "SSSL".to_owned(),
            device_batch_size: 32,
            slices: None,
            total_batch_size: None,
            steps: None,
            target_param_data_ratio: 12.0,
            embedding_lr: 0.3,
            unembedding_lr: 0.008,
            matrix_lr: 0.02,
            scalar_lr: 0.5,
            lr_scale: None,
            weight_decay: None,
            warmup_steps: 40,
            warmdown_ratio: 0.65,
            final_lr_frac: 0.05,
            eval_every: 250,
            eval_rows: 64,
            save_every: 250,
            keep_last: 2,
            seed: 1337,
            device: Device::Auto,
            fp8: false,
            gradient_dtype: StoredDType::F32,
            table_dtype: StoredDType::Bf16,
            deterministic: false,
            overlap_collectives: false,
            on_nan: OnNan::Stop,
            profile: false,
            threads: 0,
            memory_budget: None,
            recompute: RecomputePolicy::None,
        }
    }
}

/// What the backward pass computes again instead of keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecomputePolicy {
    /// Nothing.
    #[default]
    None,
    /// The inner activations of feed-forward blocks, the largest of all for the work. Norms and activation functions are kept in
    /// one form only under every policy.
    Cheap,
    /// Every block from its input.
    Block,
}

/// What a run came to, written as `summary.json` beside its metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSummary {
    /// Format version.
    pub version: u32,
    /// The model.
    pub model: ModelConfig,
    /// All weights.
    pub parameters: u64,
    /// Weights that scaling laws count.
    pub scaling_parameters: u64,
    /// Model FLOP per token, forward and backward.
    pub flops_per_token: u64,
    /// What ran it.
    pub backend: String,
    /// Updates made.
    pub steps: u64,
    /// Tokens of one update.
    pub total_batch_size: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Share of the tokens read that packing cropped away.
    pub dropped_token_share: f64,
    /// Loss of the last step, nats per token.
    pub final_loss: Option<f64>,
    /// Bits per byte before the first step.
    pub initial_bpb: Option<f64>,
    /// Bits per byte after the last step.
    pub final_bpb: Option<f64>,
    /// Bytes of parameters, gradients and optimizer states.
    pub persistent_bytes: u64,
    /// Bytes of the arena: the peak of activations and scratch, as planned and as used.
    pub arena_bytes: u64,
    /// Name of the last checkpoint's folder, below `checkpoints/`.
    pub checkpoint: String,
    /// Digest of the last checkpoint.
    pub digest: String,
    /// Seconds spent training, of all processes that worked on the run where their metrics are known.
    pub seconds: f64,
    /// Median tokens per second.
    pub tokens_per_second: f64,
}
