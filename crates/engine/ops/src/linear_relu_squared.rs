//! Linear map with squared ReLU, and the gradient of what comes before: both halves of a feed-forward block's activation, each
//! in the product beside it.
//!
//! Backends put them in the place of the ops they stand for where they have one code for both; models are written, and
//! differentiated, without them.

use crate::check::{self, no_backward, op_basics};
use crate::linear::product;
use crate::{Linear, LinearInputGradient};
use wootz_program::{Cost, Op, OpError, Type};

/// `(x_…i, w_oi) -> h_…o`: `h = max(x wᵀ, 0)²`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearReluSquared;

impl Op for LinearReluSquared {
    op_basics!("linear_relu_squared");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 2..=2)?;
        Linear::PLAIN.infer(inputs)
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), &inputs[1..2], inputs, outputs)
    }
    no_backward!();
}

/// `(dy_…o, w_oi, h_…i) -> du_…i`: `du = 2 √h (dy w)`, where h = max(u, 0)² went into the linear map and du is the gradient of u.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearInputGradientReluSquared;

impl Op for LinearInputGradientReluSquared {
    op_basics!("linear_input_gradient_relu_squared");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 3..=3)?;
        // The rules are those of the gradient with a third operand of its shape.
        LinearInputGradient { weights: 1 }.infer(inputs)
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), &inputs[1..2], inputs, outputs)
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 2)]
    }
    no_backward!();
}
