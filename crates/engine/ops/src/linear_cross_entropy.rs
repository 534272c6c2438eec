//! The head and its loss in one op: logits never exist for more than a chunk of rows.
//!
//! Loss and gradients come from one pass over each chunk (as in Liger Kernel, arXiv 2410.10989): the backward op computes
//! the loss too and stands for the forward op, so training costs three products with the head, not four.

use crate::check::{self, no_backward, op_basics};
use crate::linear::product;
use wootz_program::{Backward, Cost, Op, OpError, Type};

/// `(x_btc, w_vc, targets_bt) -> (loss, losses_bt)`: cross-entropy, nats, of `softcap·tanh(x wᵀ / softcap)` over the first
/// `vocab` rows of the head. `loss` is the mean over targets that are not −1; `losses` is 0 where the target is −1.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearCrossEntropy {
    /// Entries of the vocabulary; rows of the head beyond it are padding and take no part.
    pub vocab: usize,
    /// Bound of the logits.
    pub softcap: f64,
}

impl LinearCrossEntropy {
    fn check(&self, op: &'static str, inputs: &[&Type]) -> Result<(), OpError> {
        check::integers(op, inputs, 2)?;
        let w = inputs[1].shape.dims();
        let fits = w.len() == 2 && self.vocab <= w[0] && inputs[0].shape.last() == w[1];
        check::that(op, fits && inputs[0].shape.rows() == inputs[2].shape.len(), || {
            format!(
                "hidden {}, head {} and targets {} do not fit",
                inputs[0].shape, inputs[1].shape, inputs[2].shape
            )
        })
    }
}

impl Op for LinearCrossEntropy {
    op_basics!("linear_cross_entropy");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 3..=3)?;
        self.check(self.name(), inputs)?;
        Ok(vec![Type::scalar(), Type::f32(inputs[2].shape.clone())])
    }
    fn statistics(&self) -> &'static [usize] {
        &[0, 1]
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), &inputs[1..2], inputs, outputs)
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        b.without_gradient(1)?;
        let dw = b.parameter_gradient(1)?;
        let operands = [b.input(0), b.input(1), b.input(2), b.gradient(0)?, dw];
        let outputs = b.emit(LinearCrossEntropyBackward(self.clone()), &operands)?;
        b.contribute(0, outputs[0])?;
        b.replace(0, outputs[1]);
        b.replace(1, outputs[2]);
        Ok(())
    }
}

/// `(x_btc, w_vc, targets_bt, dloss, dw_vc) -> (dx_btc, loss, losses_bt)`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearCrossEntropyBackward(
    /// The forward op.
    pub LinearCrossEntropy,
);

impl Op for LinearCrossEntropyBackward {
    op_basics!("linear_cross_entropy_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 5..=5)?;
        self.0.check(self.name(), inputs)?;
        check::same(self.name(), inputs, 4, 1)?;
        Ok(vec![inputs[0].clone(), Type::scalar(), Type::f32(inputs[2].shape.clone())])
    }
    fn statistics(&self) -> &'static [usize] {
        &[1, 2]
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        let one = product(inputs[0].shape.rows(), &inputs[1..2], inputs, outputs);
        Cost { flops: 3 * one.flops, ..one }
    }
    fn updates(&self) -> Vec<usize> {
        vec![4]
    }
    no_backward!();
}
