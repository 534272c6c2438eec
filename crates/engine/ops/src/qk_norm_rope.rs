//! Rotary position embedding followed by RMS norm and a scale, per head of queries or keys.
//!
//! RoPE: Su et al., arXiv 2104.09864, in the form with split halves and rotation by −θ:
//! `y1 = x1 cos + x2 sin`, `y2 = −x1 sin + x2 cos`, with angle `t · base^(−2j/D)`.
//! QK norm: Henry et al., arXiv 2010.04245.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};

/// `(x_bthd, [position]) -> scale · rms_norm(rope(x))` over each head; the time index counts from `position` (an i32 scalar)
/// where it is given, and from 0 otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct QkNormRope {
    /// Head dim D, even.
    pub head_dim: usize,
    /// Base of the angles.
    pub base: f64,
    /// Factor after the norm.
    pub scale: f64,
}

impl Op for QkNormRope {
    op_basics!("qk_norm_rope");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 1..=2)?;
        check_heads(self.name(), self.head_dim, inputs[0])?;
        if inputs.len() == 2 {
            check::integers(self.name(), inputs, 1)?;
        }
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
    fn cheap(&self) -> bool {
        true
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        if b.input_count() > 1 {
            return Err(OpError::inputs(self.name(), "from a position it has no backward rule"));
        }
        let (dy, x) = (b.gradient(0)?, b.input(0));
        let dx = b.emit(QkNormRopeBackward(self.clone()), &[dy, x])?[0];
        b.contribute(0, dx)
    }
}

/// `(dy_bthd, x_bthd) -> dx_bthd`, time counted from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct QkNormRopeBackward(
    /// The forward op.
    pub QkNormRope,
);

impl Op for QkNormRopeBackward {
    op_basics!("qk_norm_rope_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 2..=2)?;
        check_heads(self.name(), self.0.head_dim, inputs[0])?;
        check::same(self.name(), inputs, 1, 0)?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
    no_backward!();
}

fn check_heads(op: &'static str, head_dim: usize, x: &Type) -> Result<(), OpError> {
    let fits = head_dim > 0
        && head_dim.is_multiple_of(2)
        && x.shape.dims().len() == 3
        && x.shape.last().is_multiple_of(head_dim);
    check::that(op, fits, || format!("{} does not split into heads of {head_dim}", x.shape))
}
