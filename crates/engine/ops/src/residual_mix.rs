//! The residual stream entering a block: a learned mix of the stream and the embedding, and its norm in the same pass.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};
use wootz_tensor::Shape;

/// `(x, x0, resid_l, skip_l) -> (mixed, normed)`: `mixed = resid[layer]·x + skip[layer]·x0` and `normed = rms_norm(mixed)`, see
/// [`crate::RmsNorm`].
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
        Ok(vec![inputs[0].clone(), inputs[0].clone()])
    }
    fn cheap(&self) -> bool {
        true
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let (dresid, dskip) = (b.parameter_gradient(2)?, b.parameter_gradient(3)?);
        let (dmixed, dnormed) = (b.reached(0), b.reached(1));
        let op =
            ResidualMixBackward { layer: self.layer, mixed: dmixed.is_some(), normed: dnormed.is_some() };
        let mut operands: Vec<_> = dmixed.into_iter().chain(dnormed).collect();
        operands.extend([b.input(0), b.input(1), b.input(2), b.input(3), dresid, dskip]);
        operands.extend(b.partial(1));
        let gradients = b.emit(op, &operands)?;
        b.set(1, gradients[1]);
        b.contribute(0, gradients[0])
    }
}

/// `([dmixed], [dnormed], x, x0, resid_l, skip_l, dresid_l, dskip_l, [dx0]) -> (dx, dx0)`: with `g = dmixed + rms_norm'(dnormed)`,
/// `dx = resid·g`, `dx0 = skip·g` (added to the last operand where there is one), `dresid[layer] += Σ g·x` and
/// `dskip[layer] += Σ g·x0`. The mix is computed again from `x` and `x0`.
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
    /// Number of gradients that come in, and so the place of `x` among the operands.
    pub fn gradients(&self) -> usize {
        usize::from(self.mixed) + usize::from(self.normed)
    }
}

impl Op for ResidualMixBackward {
    op_basics!("residual_mix_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let (op, x) = (self.name(), self.gradients());
        check::that(op, x > 0, || "it has neither gradient".to_owned())?;
        check::arity(op, inputs, x + 6..=x + 7)?;
        (1..x + 2).try_for_each(|i| check::same(op, inputs, i, 0))?;
        scalars(op, self.layer, inputs, x + 2)?;
        scalars(op, self.layer, inputs, x + 4)?;
        if inputs.len() == x + 7 {
            check::same(op, inputs, x + 6, 0)?;
        }
        Ok(vec![inputs[0].clone(), inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(1, self.gradients() + 6), (0, 0)]
    }
    fn updates(&self) -> Vec<usize> {
        vec![self.gradients() + 4, self.gradients() + 5]
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
