//! Softcapped logits of the vocabulary, for sampling.

use crate::check::{self, no_backward, op_basics};
use crate::linear::product;
use wootz_program::{Cost, Op, OpError, Type};

/// `(x_…c, w_vc) -> logits_…v`: `softcap·tanh(x wᵀ / softcap)` over the first `vocab` rows of the head.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// Entries of the vocabulary.
    pub vocab: usize,
    /// Bound of the logits.
    pub softcap: f64,
}

impl Op for Logits {
    op_basics!("logits");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("logits", inputs, 2..=2)?;
        let w = inputs[1].shape.dims();
        let fits = w.len() == 2 && self.vocab <= w[0] && inputs[0].shape.last() == w[1];
        check::that("logits", fits, || {
            format!("hidden {} and head {} do not fit", inputs[0].shape, inputs[1].shape)
        })?;
        Ok(vec![Type::f32(inputs[0].shape.with_last(self.vocab))])
    }
    fn statistics(&self) -> &'static [usize] {
        &[0]
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), &inputs[1..2], inputs, outputs)
    }
    no_backward!();
}
