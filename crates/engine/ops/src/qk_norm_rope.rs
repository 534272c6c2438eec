//! Rotary position embedding followed by RMS norm and a scale, per head of queries and keys, on the packed product.
//!
//! RoPE: Su et al., arXiv 2104.09864, in the form with split halves and rotation by −θ:
//! `y1 = x1 cos + x2 sin`, `y2 = −x1 sin + x2 cos`, with angle `t · base^(−2j/D)`.
//! QK norm: Henry et al., arXiv 2010.04245.
//!
//! The backward pass works from the output, so that the product may be overwritten: with `n = y / scale`, which has norm √D,
//! `dz = r · scale · (dy − n · mean(n · dy))`, where `r = 1 / rms(z)` is what the forward op keeps of each head.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};
use wootz_tensor::Shape;

/// `(qkv_btw, [position]) -> (qkv_btw, rstd_btn)`: the first n = `heads` heads of each row become `scale · rms_norm(rope(x))`, the
/// other columns pass; `rstd` is the norm's factor `1 / sqrt(mean(x²) + eps)`. The time index counts from `position` (an i32
/// scalar) where it is given, and from 0 otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct QkNormRope {
    /// Heads that are normed: H + K of the packed H + 2K.
    pub heads: usize,
    /// Head dim D, even.
    pub head_dim: usize,
    /// Base of the angles.
    pub base: f64,
    /// Factor after the norm.
    pub scale: f64,
}

impl QkNormRope {
    fn rstd(&self, op: &'static str, x: &Type) -> Result<Shape, OpError> {
        let d = self.head_dim;
        let fits = d > 0
            && d.is_multiple_of(2)
            && self.heads > 0
            && x.shape.dims().len() == 3
            && x.shape.last().is_multiple_of(d)
            && x.shape.last() >= self.heads * d;
        check::that(op, fits, || format!("{} does not hold {} heads of {d}", x.shape, self.heads))?;
        Ok(x.shape.with_last(self.heads))
    }
}

impl Op for QkNormRope {
    op_basics!("qk_norm_rope");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 1..=2)?;
        let rstd = self.rstd(self.name(), inputs[0])?;
        if inputs.len() == 2 {
            check::integers(self.name(), inputs, 1)?;
        }
        Ok(vec![inputs[0].clone(), Type::f32(rstd)])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
    fn statistics(&self) -> &'static [usize] {
        &[1]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        if b.input_count() > 1 {
            return Err(OpError::inputs(self.name(), "from a position it has no backward rule"));
        }
        b.without_gradient(1)?;
        let operands = [b.gradient(0)?, b.output(0), b.output(1)];
        let dx = b.emit(QkNormRopeBackward(self.clone()), &operands)?[0];
        b.contribute(0, dx)
    }
}

/// `(dqkv_btw, qkv_btw, rstd_btn) -> dqkv_btw`, from the output of the forward op; time counted from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct QkNormRopeBackward(
    /// The forward op.
    pub QkNormRope,
);

impl Op for QkNormRopeBackward {
    op_basics!("qk_norm_rope_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 3..=3)?;
        let rstd = self.0.rstd(self.name(), inputs[0])?;
        check::same(self.name(), inputs, 1, 0)?;
        check::shape(self.name(), inputs, 2, &rstd)?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
    no_backward!();
}
