//! The residual stream entering a block: a learned mix of the stream and the embedding.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};
use wootz_tensor::Shape;

/// `(x, x0, resid_l, skip_l) -> resid[layer]·x + skip[layer]·x0`.
#[derive(Debug, Clone)]
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
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let (resid, skip) = (b.parameter_gradient(2)?, b.parameter_gradient(3)?);
        let mut operands = vec![b.gradient(0)?, b.input(0), b.input(1), b.input(2), b.input(3), resid, skip];
        operands.extend(b.partial(1));
        let gradients = b.emit(ResidualMixBackward { layer: self.layer }, &operands)?;
        b.set(1, gradients[1]);
        b.contribute(0, gradients[0])
    }
}

/// `(dy, x, x0, resid_l, skip_l, dresid_l, dskip_l, [dx0]) -> (dx, dx0)`; the scalars' gradients are dot products with `dy`.
#[derive(Debug, Clone)]
pub struct ResidualMixBackward {
    /// Which of the L learned scalars is used.
    pub layer: usize,
}

impl Op for ResidualMixBackward {
    op_basics!("residual_mix_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 7..=8)?;
        check::same(self.name(), inputs, 1, 0)?;
        check::same(self.name(), inputs, 2, 0)?;
        scalars(self.name(), self.layer, inputs, 3)?;
        scalars(self.name(), self.layer, inputs, 5)?;
        Ok(vec![inputs[0].clone(), inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> &'static [(usize, usize)] {
        &[(1, 7), (0, 0)]
    }
    fn updates(&self) -> &'static [usize] {
        &[5, 6]
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
