//! Value embeddings: the values of attention take a share of a per-token table.

use crate::attention::head_dim;
use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};
use wootz_tensor::Shape;

/// `(qkv_btw, s_btk, table_v(kd), tokens_bt) -> qkv_btw`: each value head takes `s · table[token]`, looked up here; queries and
/// keys pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueGate {
    /// Query heads H.
    pub heads: usize,
    /// Key and value heads K.
    pub kv_heads: usize,
}

impl ValueGate {
    fn check(
        &self,
        op: &'static str,
        inputs: &[&Type],
        [s, table, tokens]: [usize; 3],
    ) -> Result<(), OpError> {
        let d = head_dim(op, self.heads, self.kv_heads, inputs[0])?;
        let dims = inputs[0].shape.dims();
        check::shape(op, inputs, s, &inputs[0].shape.with_last(self.kv_heads))?;
        check::shape(op, inputs, table, &inputs[table].shape.with_last(self.kv_heads * d))?;
        check::integers(op, inputs, tokens)?;
        check::shape(op, inputs, tokens, &Shape::from([dims[0], dims[1]]))
    }
}

impl Op for ValueGate {
    op_basics!("value_gate");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("value_gate", inputs, 4..=4)?;
        self.check("value_gate", inputs, [1, 2, 3])?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let (dy, dtable) = (b.gradient(0)?, b.parameter_gradient(2)?);
        let operands = [dy, b.input(1), b.input(2), b.input(3), dtable];
        let ds = b.emit(ValueGateBackward(self.clone()), &operands)?[0];
        b.contribute(1, ds)?;
        b.contribute(0, dy)
    }
}

/// `(dqkv_btw, s_btk, table_v(kd), tokens_bt, dtable_v(kd)) -> ds_btk`: `ds = dv · table[token]` per head, `dtable[token] += s·dv`
/// in token order. The gradient of the packed input is `dqkv` itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueGateBackward(
    /// The forward op.
    pub ValueGate,
);

impl Op for ValueGateBackward {
    op_basics!("value_gate_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 5..=5)?;
        self.0.check(self.name(), inputs, [1, 2, 3])?;
        check::same(self.name(), inputs, 4, 2)?;
        Ok(vec![inputs[1].clone()])
    }
    fn updates(&self) -> Vec<usize> {
        vec![4]
    }
    fn statistics(&self) -> &'static [usize] {
        &[0]
    }
    no_backward!();
}
