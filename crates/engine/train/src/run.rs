//! From a configuration to sizes, horizon and schedule.

use crate::optim::LearningRates;
use crate::pretrain::TrainError;
use crate::schedule::{Horizon, Schedule, lr_scale};
use crate::trainer::{Rates, Sizes};
use wootz_models::nanochat::{self, Dial};
use wootz_program::Recompute;
use wootz_schema::model::ModelConfig;
use wootz_schema::train::{PretrainConfig, RecomputePolicy};
use wootz_stdx::{digest, human};

/// Depth of the run that the scaling laws are anchored at.
const REFERENCE_DEPTH: usize = 12;

/// A configuration with everything decided.
#[derive(Debug, Clone)]
pub struct Run {
    /// Model, micro-batch, recomputation, budget.
    pub sizes: Sizes,
    /// Base learning rates.
    pub rates: LearningRates,
    /// Schedules over the steps.
    pub schedule: Schedule,
    /// Tokens of one update.
    pub total_batch_size: u64,
    /// Micro-batches of one update.
    pub accumulation: u64,
    /// Muon's weight decay at the first step.
    pub weight_decay: f64,
    /// Digest of all that the result depends on but the data.
    pub fingerprint: String,
}

impl Run {
    /// Rates of a step, counted from 0.
    pub fn rates_at(&self, step: u64) -> Rates {
        Rates {
            lr_multiplier: self.schedule.lr_multiplier(step),
            momentum: self.schedule.momentum(step),
            weight_decay: self.weight_decay * self.schedule.weight_decay_multiplier(step),
        }
    }
}

/// Decides what the configuration leaves open.
pub fn resolve(config: &PretrainConfig, vocab_size: usize) -> Result<Run, TrainError> {
    let dial = |depth| Dial {
        depth,
        vocab_size,
        sequence_len: config.sequence_len,
        window_pattern: config.window_pattern.clone(),
    };
    let model = nanochat::from_depth(&dial(config.depth))?;
    let reference = nanochat::from_depth(&dial(REFERENCE_DEPTH))?;
    let scaling = |model: &ModelConfig| nanochat::counts(model).scaling as u64;
    let horizon = Horizon::new(config.target_param_data_ratio, scaling(&model), scaling(&reference));
    let micro = (config.device_batch_size * config.sequence_len) as u64;
    let total_batch_size = config.total_batch_size.unwrap_or_else(|| horizon.batch_tokens().max(micro));
    if micro == 0 || !total_batch_size.is_multiple_of(micro) || total_batch_size == 0 {
        return Err(TrainError::Batch {
            total: total_batch_size,
            rows: config.device_batch_size,
            tokens: config.sequence_len,
        });
    }
    let steps = config.steps.unwrap_or_else(|| horizon.steps(total_batch_size));
    if steps == 0 {
        return Err(TrainError::NoSteps);
    }
    let schedule = Schedule {
        steps,
        warmup_steps: config.warmup_steps,
        warmdown_ratio: config.warmdown_ratio,
        final_fraction: config.final_lr_frac,
    };
    let rates = LearningRates {
        embedding: config.embedding_lr,
        unembedding: config.unembedding_lr,
        matrix: config.matrix_lr,
        scalar: config.scalar_lr,
        scale: config.lr_scale.unwrap_or_else(|| lr_scale(total_batch_size)),
    };
    let weight_decay = config.weight_decay.unwrap_or_else(|| horizon.weight_decay(total_batch_size));
    let sizes = Sizes {
        model,
        batch: config.device_batch_size,
        slices: config.slices,
        recompute: policy(config.recompute),
        budget_bytes: budget(config)?,
    };
    let decided = format!(
        "{:?} {:?} {:?} {total_batch_size} {weight_decay} {} {}",
        sizes.model, rates, schedule, sizes.batch, config.seed
    );
    let fingerprint = digest::sha256(decided.as_bytes());
    let accumulation = total_batch_size / micro;
    Ok(Run { sizes, rates, schedule, total_batch_size, accumulation, weight_decay, fingerprint })
}

fn policy(policy: RecomputePolicy) -> Recompute {
    match policy {
        RecomputePolicy::None => Recompute::None,
        RecomputePolicy::Cheap => Recompute::Cheap,
        RecomputePolicy::Block => Recompute::Block,
    }
}

fn budget(config: &PretrainConfig) -> Result<Option<u64>, TrainError> {
    let Some(text) = &config.memory_budget else { return Ok(None) };
    human::parse_bytes(text).map(Some).ok_or_else(|| TrainError::BudgetText(text.clone()))
}
