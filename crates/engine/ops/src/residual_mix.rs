//! The residual stream entering a block: a learned mix of the stream and the embedding, and its norm in the same pass.
//!
//! The backward pass works from the norm, which the block's first product keeps anyway, so that the stream itself need not be
//! kept: with n = r·m, r = 1 / rms(m), the mix is m = n / r, and of the stream's part of it, `resid·x = m − skip·x0`, comes the
//! gradient of `resid`. Not covered: a `resid` about zero, where what the mix holds of x is lost in its rounding. The
//! division is by at least [`LEAST_RESID`] then; such a scalar gets a gradient that is too small. They begin at about one.

use crate::check::{self, no_backward, op_basics};
use crate::rms_norm::factors;
use wootz_program::{Backward, Op, OpError, Type};
use wootz_tensor::Shape;

/// Least magnitude of a `resid` that the gradient divides by.
pub const LEAST_RESID: f64 = 1.0 / 1024.0;

/// `(x, x0, resid_l, skip_l) -> (mixed, normed, rstd)`: `mixed = resid[layer]·x + skip[layer]·x0` and `normed, rstd =
/// rms_norm(mixed)`, see [`crate::RmsNorm`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidualMix {
    /// Which of the L learned scalars of both vectors is used.
    pub layer: usize,
}

impl Op for ResidualMix {
    op_basics!("residual_mix");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 4..=4)?;
        check::same(self.name(), inputs, 1, 0)?;
        scalars(self.name(), self.layer, inputs, 2)?;
        Ok(vec![inputs[0].clone(), inputs[0].clone(), Type::f32(factors(inputs[0]))])
    }
    fn statistics(&self) -> &'static [usize] {
        &[2]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        b.without_gradient(2)?;
        let (dresid, dskip) = (b.parameter_gradient(2)?, b.parameter_gradient(3)?);
        let (dmixed, dnormed) = (b.reached(0), b.reached(1));
        let op =
            ResidualMixBackward { layer: self.layer, mixed: dmixed.is_some(), normed: dnormed.is_some() };
        let mut operands: Vec<_> = dmixed.into_iter().chain(dnormed).collect();
        operands.extend([b.output(1), b.output(2), b.input(1), b.input(2), b.input(3), dresid, dskip]);
        operands.extend(b.partial(1));
        let gradients = b.emit(op, &operands)?;
        b.set(1, gradients[1]);
        b.contribute(0, gradients[0])
    }
}

/// `([dmixed], [dnormed], normed, rstd, x0, resid_l, skip_l, dresid_l, dskip_l, [dx0]) -> (dx, dx0)`: with
/// `g = dmixed + rms_norm'(dnormed)`, `dx = resid·g`, `dx0 = skip·g` (added to the last operand where there is one),
/// `dresid[layer] += Σ g·x` and `dskip[layer] += Σ g·x0`, where `x = (normed / rstd − skip·x0) / resid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidualMixBackward {
    /// Which of the L learned scalars is used.
    pub layer: usize,
    /// Whether the first operand is the gradient of `mixed`; else that is zero.
    pub mixed: bool,
    /// Whether the next operand is the gradient of `normed`; else that is zero. One of both is there.
    pub normed: bool,
}

impl ResidualMixBackward {
    /// Number of gradients that come in, and so the place of `normed` among the operands.
    pub fn gradients(&self) -> usize {
        usize::from(self.mixed) + usize::from(self.normed)
    }
}

impl Op for ResidualMixBackward {
    op_basics!("residual_mix_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let (op, x) = (self.name(), self.gradients());
        check::that(op, x > 0, || "it has neither gradient".to_owned())?;
        check::arity(op, inputs, x + 7..=x + 8)?;
        (1..x + 1).chain([x + 2]).try_for_each(|i| check::same(op, inputs, i, 0))?;
        check::shape(op, inputs, x + 1, &factors(inputs[0]))?;
        scalars(op, self.layer, inputs, x + 3)?;
        scalars(op, self.layer, inputs, x + 5)?;
        if inputs.len() == x + 8 {
            check::same(op, inputs, x + 7, 0)?;
        }
        Ok(vec![inputs[0].clone(), inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(1, self.gradients() + 7), (0, 0)]
    }
    fn updates(&self) -> Vec<usize> {
        vec![self.gradients() + 5, self.gradients() + 6]
    }
    no_backward!();
}

/// Inputs `first` and `first + 1` are vectors of the same length that have an element `layer`.
fn scalars(op: &'static str, layer: usize, inputs: &[&Type], first: usize) -> Result<(), OpError> {
    let layers = inputs[first].shape.len();
    check::shape(op, inputs, first, &Shape::from([layers]))?;
    check::same(op, inputs, first + 1, first)?;
    check::that(op, layer < layers, || format!("layer {layer} of {layers}"))
}
