//! What `wootz train bench` reports.

use crate::train::RecomputePolicy;
use serde::{Deserialize, Serialize};

/// The figures, under the names that the peers' script gives them too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchReport {
    /// `wootz` and its version.
    pub peer: String,
    /// The device.
    pub backend: String,
    /// Number formats.
    pub numerics: String,
    /// Whether large products are in 8 bits.
    pub fp8: bool,
    /// What the backward pass computes again, where no budget asks for more.
    pub recompute: RecomputePolicy,
    /// Forward nodes that a memory budget made it run again in place of those of `recompute`.
    pub recomputed_nodes: Option<usize>,
    /// Blocks.
    pub depth: usize,
    /// Processes that trained together, each on a device of its own.
    pub ranks: usize,
    /// Rows of a micro-batch.
    pub batch: usize,
    /// Groups of rows that it is worked off in.
    pub slices: usize,
    /// Tokens of a row.
    pub seq: usize,
    /// Entries of the vocabulary.
    pub vocab: usize,
    /// All weights.
    pub parameters: usize,
    /// Model FLOP per token.
    pub flops_per_token: u64,
    /// Milliseconds of a micro-step, median.
    pub micro_ms: f64,
    /// Milliseconds of an update, median.
    pub optimizer_ms: f64,
    /// Tokens of an update over the time of its micro-steps and the update.
    pub tokens_per_second: f64,
    /// The same at the slowest micro-step.
    pub tokens_per_second_min: f64,
    /// The same at the fastest micro-step.
    pub tokens_per_second_max: f64,
    /// Milliseconds of each sample of the micro-step.
    pub micro_samples_ms: Vec<f64>,
    /// Milliseconds of each sample of the update.
    pub optimizer_samples_ms: Vec<f64>,
    /// Model FLOP/s over the 16-bit peak of the data sheet; none for a device without an entry.
    pub mfu_percent: Option<f64>,
    /// GiB of the plan: what persists and the arena.
    pub peak_gib: f64,
    /// GiB of weights, gradients and optimizer states.
    pub persistent_gib: f64,
    /// GiB of activations and scratch.
    pub arena_gib: f64,
    /// What holds the arena where the micro-step needs most of it, largest first.
    pub arena_at_peak: Vec<HeldTensors>,
    /// GiB that the device lost between the opening of its context and the end.
    pub driver_peak_gib: Option<f64>,
    /// GiB in use on the whole device at the end, contexts and other processes included.
    pub driver_total_gib: Option<f64>,
    /// Loss of the last update, nats per token.
    pub loss: f64,
}

/// Tensors of one kind at the peak of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldTensors {
    /// The op that made them, its weight, and their type.
    pub what: String,
    /// How many.
    pub count: usize,
    /// GiB of all of them.
    pub gib: f64,
}
