//! Running sums that live on the device: the loss of a step's micro-steps.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Op, OpError, Type};

/// `(value, sum)`: `sum += value`, where `sum` is a state.
#[derive(Debug, Clone)]
pub struct Accumulate;

impl Op for Accumulate {
    op_basics!("accumulate");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("accumulate", inputs, 2..=2)?;
        check::same("accumulate", inputs, 1, 0)?;
        Ok(vec![])
    }
    fn updates(&self) -> Vec<usize> {
        vec![1]
    }
    no_backward!();
}

/// `(sum)`: returns `sum` and sets it to zero.
#[derive(Debug, Clone)]
pub struct Drain;

impl Op for Drain {
    op_basics!("drain");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("drain", inputs, 1..=1)?;
        Ok(vec![inputs[0].clone()])
    }
    fn statistics(&self) -> &'static [usize] {
        &[0]
    }
    fn updates(&self) -> Vec<usize> {
        vec![0]
    }
    no_backward!();
}
