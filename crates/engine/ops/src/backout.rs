//! Backout: a learned share of the middle of the network is taken out before the head.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};
use wootz_tensor::Shape;

/// `(x, middle, lambda_1) -> x − λ·middle`.
#[derive(Debug, Clone)]
pub struct Backout;

impl Op for Backout {
    op_basics!("backout");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("backout", inputs, 3..=3)?;
        check::same("backout", inputs, 1, 0)?;
        check::shape("backout", inputs, 2, &Shape::from([1]))?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let dlambda = b.parameter_gradient(2)?;
        let (dy, middle, lambda) = (b.gradient(0)?, b.input(1), b.input(2));
        let dmiddle = b.emit(BackoutBackward, &[dy, middle, lambda, dlambda])?[0];
        b.contribute(1, dmiddle)?;
        b.contribute(0, dy)
    }
}

/// `(dy, middle, lambda_1, dlambda_1) -> −λ·dy`; `dλ −= dy · middle`.
#[derive(Debug, Clone)]
pub struct BackoutBackward;

impl Op for BackoutBackward {
    op_basics!("backout_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 4..=4)?;
        check::same(self.name(), inputs, 1, 0)?;
        check::same(self.name(), inputs, 3, 2)?;
        Ok(vec![inputs[0].clone()])
    }
    fn updates(&self) -> Vec<usize> {
        vec![3]
    }
    no_backward!();
}
