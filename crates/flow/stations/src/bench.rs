//! The benchmark of a training step on a device, with what the driver says about its memory.

use crate::device::{Machine, Opened, Wanted};
use std::path::PathBuf;
use wootz_mesh::World;
use wootz_models::nanochat;
use wootz_pipeline::StepError;
use wootz_program::{Backend, Held, Recompute};
use wootz_schema::bench::{BenchReport, HeldTensors};
use wootz_schema::model::ModelConfig;
use wootz_schema::profile::Profile;
use wootz_schema::train::RecomputePolicy;
use wootz_train::{Sizes, bench, profile};

pub use wootz_models::nanochat::Dial;
pub use wootz_train::profile::{facts as facts_of, rows as table_of};

/// What is measured.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The model.
    pub dial: Dial,
    /// Rows of a micro-batch.
    pub batch: usize,
    /// Groups of rows that a micro-batch is worked off in.
    pub slices: usize,
    /// Tokens of one update.
    pub tokens_per_step: usize,
    /// Samples.
    pub repeats: usize,
    /// What the backward pass computes again.
    pub recompute: RecomputePolicy,
    /// Largest memory of the plan, bytes; more is computed again where it takes that.
    pub memory_budget: Option<u64>,
    /// The device.
    pub wanted: Wanted,
    /// Folder that a profile is written to.
    pub profile: Option<PathBuf>,
}

/// Runs the benchmark; of several ranks, all call it, and the figures are those of rank 0 and of all its peers' tokens.
pub fn bench(
    options: &BenchOptions,
    machine: &Machine,
    world: &World,
) -> Result<(BenchReport, Option<Profile>), StepError> {
    measure(options, machine, world).inspect_err(|error| world.fail(error))
}

fn settings(options: &BenchOptions, model: &ModelConfig, world: &World) -> bench::Options {
    let recompute = match options.recompute {
        RecomputePolicy::None => Recompute::None,
        RecomputePolicy::Cheap => Recompute::Cheap,
        RecomputePolicy::Block => Recompute::Block,
    };
    bench::Options {
        sizes: Sizes {
            model: model.clone(),
            batch: options.batch,
            slices: Some(options.slices),
            recompute,
            budget_bytes: options.memory_budget,
        },
        tokens_per_step: options.tokens_per_step,
        repeats: options.repeats,
        profile: options.profile.is_some(),
        world: world.clone(),
    }
}

fn measure(
    options: &BenchOptions,
    machine: &Machine,
    world: &World,
) -> Result<(BenchReport, Option<Profile>), StepError> {
    let model = nanochat::from_depth(&options.dial).map_err(|error| StepError::from_error(&error))?;
    if options.batch == 0 {
        return Err(StepError::usage("measure a batch of no rows").with_hint("give --batch a number from 1"));
    }
    let opened = machine.open_among(world, options.wanted)?;
    let free_before = device_memory(&opened);
    let settings = settings(options, &model, world);
    let backend = opened.backend();
    let (found, memory) = bench::run(backend, &settings, &|| device_memory(&opened))
        .map_err(|error| StepError::from_error(&error))?;
    if let (Some(folder), Some((summary, traced)), true) = (&options.profile, &found.profile, world.leads()) {
        std::fs::create_dir_all(folder).map_err(|error| crate::steps::io("make", folder, &error))?;
        profile::write(folder, summary, traced).map_err(|error| StepError::from_error(&error))?;
    }
    let rate = found.tokens_per_second();
    let (least, most) = found.spread();
    let flops_per_token = nanochat::flops_per_token(&model);
    let plan = found.memory;
    let report = BenchReport {
        peer: format!("wootz {}", env!("CARGO_PKG_VERSION")),
        backend: backend.describe(),
        numerics: backend.numerics(),
        fp8: options.wanted.precision.fp8,
        recompute: options.recompute,
        recomputed_nodes: match found.recompute {
            Recompute::Ranked(nodes) => Some(nodes),
            _ => None,
        },
        depth: model.n_layer,
        ranks: world.size,
        batch: options.batch,
        slices: options.slices,
        seq: model.sequence_len,
        vocab: model.vocab_size,
        parameters: nanochat::counts(&model).total,
        flops_per_token,
        micro_ms: bench::median(&found.micro_ms),
        optimizer_ms: bench::median(&found.optimizer_ms),
        tokens_per_second: rate.round(),
        tokens_per_second_min: least.round(),
        tokens_per_second_max: most.round(),
        mfu_percent: mfu_percent(backend, rate * flops_per_token as f64 / world.size as f64),
        micro_samples_ms: found.micro_ms,
        optimizer_samples_ms: found.optimizer_ms,
        peak_gib: gib(plan.persistent_bytes + plan.arena_bytes),
        persistent_gib: gib(plan.persistent_bytes),
        arena_gib: gib(plan.arena_bytes),
        arena_at_peak: found.occupancy.held.iter().map(held).collect(),
        driver_peak_gib: free_before
            .zip(memory)
            .map(|((before, _), (after, _))| gib(before.saturating_sub(after))),
        driver_total_gib: memory.map(|(free, total)| gib(total - free)),
        loss: found.loss,
    };
    world.leave().map_err(|error| StepError::from_error(&error))?;
    Ok((report, found.profile.map(|(summary, _)| summary)))
}

/// Bytes free and of all, by the driver.
fn device_memory(opened: &Opened) -> Option<(usize, usize)> {
    match opened {
        Opened::Cuda(backend) => backend.gpu().device.memory().ok(),
        Opened::Cpu(..) => None,
    }
}

fn mfu_percent(backend: &dyn Backend, flops_per_second: f64) -> Option<f64> {
    let percent = 100.0 * flops_per_second / backend.peaks()?.flops_per_second;
    Some((percent * 100.0).round() / 100.0)
}

fn held(tensors: &Held) -> HeldTensors {
    HeldTensors { what: tensors.what.clone(), count: tensors.count, gib: gib(tensors.bytes) }
}

fn gib(bytes: usize) -> f64 {
    (bytes as f64 / f64::from(1 << 30) * 1000.0).round() / 1000.0
}
