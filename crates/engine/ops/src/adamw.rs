//! AdamW (Loshchilov & Hutter, arXiv 1711.05101).

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Op, OpError, Type};
use wootz_tensor::Shape;

/// `(lr_multiplier, step, p, g, m, v, [copy])`: one update of `p`, `m`, `v`; sets `g` to zero for the next step. `copy` becomes
/// the new `p`, rounded to its own type: what products read on a device that computes in fewer bits.
///
/// `p −= η λ p`; `m ← β₁ m + (1−β₁) g`; `v ← β₂ v + (1−β₂) g²`;
/// `p −= η / (1−β₁ᵗ) · m / (sqrt(v / (1−β₂ᵗ)) + ε)`, with η = `lr`·multiplier and t = `step`, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    /// Learning rate at multiplier 1.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay λ.
    pub weight_decay: f64,
    /// Whether there is a copy.
    pub copy: bool,
}

impl Op for AdamW {
    op_basics!("adamw");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let count = 6 + usize::from(self.copy);
        check::arity("adamw", inputs, count..=count)?;
        (0..2).try_for_each(|i| check::shape("adamw", inputs, i, &Shape::scalar()))?;
        (3..count).try_for_each(|i| check::same("adamw", inputs, i, 2))?;
        Ok(vec![])
    }
    fn updates(&self) -> Vec<usize> {
        (2..6 + usize::from(self.copy)).collect()
    }
    no_backward!();
}
