//! Smear: each position takes a gated share of the one before it.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};
use wootz_tensor::Shape;

/// `(x_btc, gate_1g, lambda_1) -> y_btc`: `y[t] = x[t] + λ σ(gate · x[t][..g]) x[t−1]`, and `y[0] = x[0]`.
#[derive(Debug, Clone)]
pub struct Smear;

impl Op for Smear {
    op_basics!("smear");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("smear", inputs, 3..=3)?;
        gate("smear", inputs, 0, 1)?;
        Ok(vec![inputs[0].clone()])
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let (dgate, dlambda) = (b.parameter_gradient(1)?, b.parameter_gradient(2)?);
        let operands = [b.gradient(0)?, b.input(0), b.input(1), b.input(2), dgate, dlambda];
        let dx = b.emit(SmearBackward, &operands)?[0];
        b.contribute(0, dx)
    }
}

/// `(dy_btc, x_btc, gate_1g, lambda_1, dgate_1g, dlambda_1) -> dx_btc`.
#[derive(Debug, Clone)]
pub struct SmearBackward;

impl Op for SmearBackward {
    op_basics!("smear_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 6..=6)?;
        check::same(self.name(), inputs, 1, 0)?;
        gate(self.name(), inputs, 1, 2)?;
        gate(self.name(), inputs, 1, 4)?;
        Ok(vec![inputs[0].clone()])
    }
    fn updates(&self) -> Vec<usize> {
        vec![4, 5]
    }
    no_backward!();
}

/// `(x_b1c, previous_b1c, gate_1g, lambda_1) -> y_b1c`: one position; `previous` becomes `x`. Zeros stand before the first.
#[derive(Debug, Clone)]
pub struct SmearDecode;

impl Op for SmearDecode {
    op_basics!("smear_decode");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 4..=4)?;
        check::same(self.name(), inputs, 1, 0)?;
        gate(self.name(), inputs, 0, 2)?;
        Ok(vec![inputs[0].clone()])
    }
    fn updates(&self) -> Vec<usize> {
        vec![1]
    }
    no_backward!();
}

/// Input `x` is B×T×C, input `first` a row of at most C channels, the next one a single scalar.
fn gate(op: &'static str, inputs: &[&Type], x: usize, first: usize) -> Result<(), OpError> {
    check::that(op, inputs[x].shape.dims().len() == 3, || {
        format!("expected B×T×C, got {}", inputs[x].shape)
    })?;
    let channels = inputs[first].shape.last();
    check::shape(op, inputs, first, &Shape::from([1, channels]))?;
    check::that(op, channels <= inputs[x].shape.last(), || format!("the gate reads {channels} channels"))?;
    check::shape(op, inputs, first + 1, &Shape::from([1]))
}
