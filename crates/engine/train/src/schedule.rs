//! How the learning rate, the momentum and the weight decay move over a run, and how long and wide a run is.
//!
//! Everything follows from the model's size, so that depth stays the one dial: `tokens = ratio · parameters`, the
//! batch grows with the tokens, and the learning rate and the weight decay follow the batch. Sources: nanochat's
//! `base_train` of July 2026 for the shapes and constants; Power Lines (arXiv 2505.13738) for the batch exponent;
//! arXiv 2405.13698 for keeping B/(η·λ·D) constant, from which the weight decay follows.
//!
//! Legend: B tokens of a batch, D tokens of a run, `step` counts updates from 0 to `steps` − 1.

use std::f64::consts::PI;

/// Batch in tokens at which the base learning rates were tuned, on the depth-12 model.
pub const REFERENCE_BATCH_TOKENS: u64 = 1 << 19;
/// Tokens per scaling parameter when nothing else is asked for.
pub const DEFAULT_TOKENS_PER_PARAMETER: f64 = 12.0;
/// Weight decay of the matrices at the reference batch and depth.
pub const REFERENCE_WEIGHT_DECAY: f64 = 0.28;

/// Exponent by which the best batch grows with the tokens of the run.
const BATCH_EXPONENT: f64 = 0.383;
const MOMENTUM_START: f64 = 0.85;
const MOMENTUM_PEAK: f64 = 0.97;
const MOMENTUM_END: f64 = 0.90;
const MOMENTUM_WARMUP_STEPS: u64 = 400;

/// Shape of the learning-rate schedule over a run of `steps` updates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Updates of the run.
    pub steps: u64,
    /// Updates of the linear rise from 0.
    pub warmup_steps: u64,
    /// Share of the run, at its end, in which the rate falls.
    pub warmdown_ratio: f64,
    /// Multiplier that the fall heads for; the step after the last one would have it.
    pub final_fraction: f64,
}

impl Schedule {
    /// The standard shape: 40 steps up, the last 65% down to 5%.
    pub fn new(steps: u64) -> Schedule {
        Schedule { steps, warmup_steps: 40, warmdown_ratio: 0.65, final_fraction: 0.05 }
    }

    /// Multiplier of every group's base learning rate:
    /// rise `(step + 1) / warmup`, then 1, then with `p = (steps − step) / warmdown`, `p + (1 − p) · final`.
    ///
    /// In a run so short that rise and fall overlap, the lower of the two holds: a triangle with a lower peak
    /// and no jump. (The source lets the rise win and then drops at once; without an overlap both are equal.)
    pub fn lr_multiplier(&self, step: u64) -> f64 {
        let rise = match step < self.warmup_steps {
            true => (step + 1) as f64 / self.warmup_steps as f64,
            false => 1.0,
        };
        let fall = match step > self.warmdown_start() && self.warmdown_steps() > 0 {
            true => {
                let p = self.steps.saturating_sub(step) as f64 / self.warmdown_steps() as f64;
                p + (1.0 - p) * self.final_fraction
            }
            false => 1.0,
        };
        rise.min(fall)
    }

    /// Momentum of the matrices: linear from 0.85 to 0.97 over 400 steps, then 0.97, then linear to 0.90 over the
    /// warmdown. The first 400 steps rise even where the warmdown has begun, as in the source.
    pub fn momentum(&self, step: u64) -> f64 {
        if step < MOMENTUM_WARMUP_STEPS {
            let f = step as f64 / MOMENTUM_WARMUP_STEPS as f64;
            return (1.0 - f) * MOMENTUM_START + f * MOMENTUM_PEAK;
        }
        if step < self.warmdown_start() || self.warmdown_steps() == 0 {
            return MOMENTUM_PEAK;
        }
        let f = (step - self.warmdown_start()) as f64 / self.warmdown_steps() as f64;
        MOMENTUM_PEAK * (1.0 - f) + MOMENTUM_END * f
    }

    /// Multiplier of the matrices' weight decay: `½ · (1 + cos(π · step / steps))`.
    pub fn weight_decay_multiplier(&self, step: u64) -> f64 {
        0.5 * (1.0 + (PI * step as f64 / self.steps.max(1) as f64).cos())
    }

    /// Updates of the fall; halves round to even, as in the source.
    fn warmdown_steps(&self) -> u64 {
        let steps = (self.warmdown_ratio * self.steps as f64).round_ties_even() as u64;
        steps.min(self.steps)
    }

    fn warmdown_start(&self) -> u64 {
        self.steps - self.warmdown_steps()
    }
}

/// Length, width and rates of a run that follow from the model's size alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Horizon {
    /// Tokens that the size of the model asks for: D.
    pub target_tokens: u64,
    /// Tokens that the depth-12 reference would ask for at the same ratio.
    pub reference_tokens: f64,
}

impl Horizon {
    /// `D = ⌊ratio · parameters⌋`; "scaling parameters" are the matrices of the blocks and the head.
    ///
    /// The reference is the depth-12 model with the same vocabulary and sequence length.
    pub fn new(
        tokens_per_parameter: f64,
        scaling_parameters: u64,
        reference_scaling_parameters: u64,
    ) -> Horizon {
        Horizon {
            target_tokens: (tokens_per_parameter * scaling_parameters as f64) as u64,
            reference_tokens: tokens_per_parameter * reference_scaling_parameters as f64,
        }
    }

    /// Batch in tokens: `2^round(log₂(2¹⁹ · (D / D_reference)^0.383))`, at least 1.
    pub fn batch_tokens(&self) -> u64 {
        let growth = (self.target_tokens as f64 / self.reference_tokens).powf(BATCH_EXPONENT);
        let exponent = (REFERENCE_BATCH_TOKENS as f64 * growth).log2().round_ties_even();
        exponent.clamp(0.0, 62.0).exp2() as u64
    }

    /// Updates of the run at this batch: `⌊D / B⌋`, at least 1.
    pub fn steps(&self, batch_tokens: u64) -> u64 {
        (self.target_tokens / batch_tokens).max(1)
    }

    /// Weight decay of the matrices before its schedule: `0.28 · √(B / 2¹⁹) · (D_reference / D)`.
    pub fn weight_decay(&self, batch_tokens: u64) -> f64 {
        let width = (batch_tokens as f64 / REFERENCE_BATCH_TOKENS as f64).sqrt();
        REFERENCE_WEIGHT_DECAY * width * (self.reference_tokens / self.target_tokens as f64)
    }
}

/// Factor of every base learning rate for a batch: `√(B / 2¹⁹)`.
pub fn lr_scale(batch_tokens: u64) -> f64 {
    (batch_tokens as f64 / REFERENCE_BATCH_TOKENS as f64).sqrt()
}
