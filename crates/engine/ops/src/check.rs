//! Checks of input types, with messages that name the op and the shapes.

use wootz_program::{OpError, Type};
use wootz_tensor::{DType, Shape};

/// The op takes `range` inputs.
pub(crate) fn arity(
    op: &'static str,
    inputs: &[&Type],
    range: std::ops::RangeInclusive<usize>,
) -> Result<(), OpError> {
    if range.contains(&inputs.len()) {
        return Ok(());
    }
    Err(OpError::inputs(op, format!("expected {range:?} inputs, got {}", inputs.len())))
}

/// Input `i` has this shape.
pub(crate) fn shape(op: &'static str, inputs: &[&Type], i: usize, expected: &Shape) -> Result<(), OpError> {
    match inputs[i].shape == *expected {
        true => Ok(()),
        false => Err(OpError::inputs(op, format!("input {i} must be {expected}, it is {}", inputs[i].shape))),
    }
}

/// Input `i` has this shape, which is the one of input `j`.
pub(crate) fn same(op: &'static str, inputs: &[&Type], i: usize, j: usize) -> Result<(), OpError> {
    shape(op, inputs, i, &inputs[j].shape)
}

/// Input `i` holds 32-bit integers.
pub(crate) fn integers(op: &'static str, inputs: &[&Type], i: usize) -> Result<(), OpError> {
    match inputs[i].dtype {
        DType::I32 => Ok(()),
        other => Err(OpError::inputs(op, format!("input {i} must be i32, it is {other}"))),
    }
}

/// A condition on attributes and shapes.
pub(crate) fn that(op: &'static str, holds: bool, reason: impl FnOnce() -> String) -> Result<(), OpError> {
    if holds { Ok(()) } else { Err(OpError::inputs(op, reason())) }
}

/// Every op's `as_any`.
macro_rules! op_basics {
    ($name:literal) => {
        fn name(&self) -> &'static str {
            $name
        }
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    };
}

/// An op without a backward rule: optimizer updates and the backward ops themselves.
macro_rules! no_backward {
    () => {
        fn backward(&self, _: &mut wootz_program::Backward<'_>) -> Result<(), OpError> {
            Err(OpError::NotDifferentiable { op: self.name() })
        }
    };
}

pub(crate) use {no_backward, op_basics};
