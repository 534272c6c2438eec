//! Table lookup.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};

/// `(table_vc, tokens_bt) -> x_btc`: row `tokens[b, t]` of the table.
#[derive(Debug, Clone)]
pub struct Embedding;

impl Op for Embedding {
    op_basics!("embedding");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("embedding", inputs, 2..=2)?;
        check::integers("embedding", inputs, 1)?;
        let mut dims = inputs[1].shape.dims().to_vec();
        dims.push(inputs[0].shape.last());
        Ok(vec![inputs[0].with_shape(dims)])
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let (dy, tokens) = (b.gradient(0)?, b.input(1));
        let table = b.parameter_gradient(0)?;
        b.emit(EmbeddingBackward, &[dy, tokens, table]).map(drop)
    }
}

/// `(dx_btc, tokens_bt, dtable_vc)`: adds each row of `dx` to row `tokens[b, t]` of the table's gradient, in token order.
#[derive(Debug, Clone)]
pub struct EmbeddingBackward;

impl Op for EmbeddingBackward {
    op_basics!("embedding_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("embedding_backward", inputs, 3..=3)?;
        check::integers("embedding_backward", inputs, 1)?;
        check::shape("embedding_backward", inputs, 2, &inputs[2].shape.with_last(inputs[0].shape.last()))?;
        Ok(vec![])
    }
    fn updates(&self) -> Vec<usize> {
        vec![2]
    }
    no_backward!();
}
