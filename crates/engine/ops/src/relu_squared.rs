//! Squared ReLU (So et al., "Primer", arXiv 2109.08668).

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};

/// `(x) -> max(x, 0)²`. Its gradient comes from its output, so `x` need not be kept. Computing the output again takes the product
/// before it too: of all that a block keeps it is the largest.
#[derive(Debug, Clone)]
pub struct ReluSquared;

impl Op for ReluSquared {
    op_basics!("relu_squared");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("relu_squared", inputs, 1..=1)?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
    fn cheap(&self) -> bool {
        true
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let (dy, y) = (b.gradient(0)?, b.output(0));
        let dx = b.emit(ReluSquaredBackward, &[dy, y])?[0];
        b.contribute(0, dx)
    }
}

/// `(dy, y) -> 2 √y dy`, where `y` is the output of the forward op.
#[derive(Debug, Clone)]
pub struct ReluSquaredBackward;

impl Op for ReluSquaredBackward {
    op_basics!("relu_squared_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 2..=2)?;
        check::same(self.name(), inputs, 1, 0)?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
    no_backward!();
}
