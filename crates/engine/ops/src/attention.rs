//! Causal scaled dot-product attention with grouped key/value heads and a sliding window.
//!
//! Forward keeps only the log-sum-exp of each row (Dao et al., "FlashAttention", arXiv 2205.14135); the backward pass
//! recomputes the probabilities from it, so nothing of size T×T outlives a tile.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Cost, Op, OpError, Type};
use wootz_tensor::Shape;

/// `(q_bthd, k_btkd, v_btkd) -> (y_bthd, lse_bht)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// Query heads H.
    pub heads: usize,
    /// Key and value heads K; divides H, and head h reads head h·K/H.
    pub kv_heads: usize,
    /// A query at t sees keys t−w..=t; none: all keys up to t.
    pub window: Option<usize>,
}

impl Attention {
    fn check(&self, op: &'static str, inputs: &[&Type], q: usize, k: usize) -> Result<(), OpError> {
        let dims = inputs[q].shape.dims();
        let fits = self.kv_heads > 0
            && self.heads.is_multiple_of(self.kv_heads)
            && dims.len() == 3
            && inputs[q].shape.last().is_multiple_of(self.heads);
        check::that(op, fits, || format!("{} does not split into {} heads", inputs[q].shape, self.heads))?;
        let kv = inputs[q].shape.with_last(dims[2] / self.heads * self.kv_heads);
        check::shape(op, inputs, k, &kv)?;
        check::shape(op, inputs, k + 1, &kv)
    }
    /// Log-sum-exp of each row: B×H×T.
    fn lse(&self, q: &Type) -> Type {
        let dims = q.shape.dims();
        Type::f32([dims[0], self.heads, dims[1]])
    }
    /// FLOP of `products` matrix products over the visible pairs.
    fn cost(&self, q: &Type, products: u64, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        let dims = q.shape.dims();
        let pairs: usize = (0..dims[1]).map(|t| t.min(self.window.unwrap_or(t)) + 1).sum();
        Cost {
            flops: 2 * products * (dims[0] * dims[2] * pairs) as u64,
            bytes: inputs.iter().chain(outputs).map(|ty| ty.bytes() as u64).sum(),
        }
    }
}

impl Op for Attention {
    op_basics!("attention");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("attention", inputs, 3..=3)?;
        self.check("attention", inputs, 0, 1)?;
        Ok(vec![inputs[0].clone(), self.lse(inputs[0])])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        self.cost(inputs[0], 2, inputs, outputs)
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        b.without_gradient(1)?;
        let operands = [b.gradient(0)?, b.input(0), b.input(1), b.input(2), b.output(0), b.output(1)];
        let gradients = b.emit(AttentionBackward(self.clone()), &operands)?;
        (0..3).try_for_each(|i| b.contribute(i, gradients[i]))
    }
}

/// `(dy_bthd, q_bthd, k_btkd, v_btkd, y_bthd, lse_bht) -> (dq_bthd, dk_btkd, dv_btkd)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttentionBackward(
    /// The forward op.
    pub Attention,
);

impl Op for AttentionBackward {
    op_basics!("attention_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 6..=6)?;
        self.0.check(self.name(), inputs, 1, 2)?;
        check::same(self.name(), inputs, 0, 1)?;
        check::same(self.name(), inputs, 4, 1)?;
        check::shape(self.name(), inputs, 5, &self.0.lse(inputs[1]).shape)?;
        Ok(vec![inputs[1].clone(), inputs[2].clone(), inputs[3].clone()])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        self.0.cost(inputs[1], 5, inputs, outputs)
    }
    no_backward!();
}

/// `(q_b1hd, k_b1kd, v_b1kd, keys_bskd, values_bskd, position) -> y_b1hd`: one position against a cache of S positions.
/// Writes `k` and `v` at `position` (an i32 scalar) of the caches, then attends over what the window shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttentionDecode(
    /// Heads and window.
    pub Attention,
);

impl Op for AttentionDecode {
    op_basics!("attention_decode");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let op = self.name();
        check::arity(op, inputs, 6..=6)?;
        self.0.check(op, inputs, 0, 1)?;
        check::integers(op, inputs, 5)?;
        let (k, cache) = (inputs[1].shape.dims(), inputs[3].shape.dims());
        check::that(op, k[1] == 1 && cache.len() == 3, || {
            "expected one position and a B×S×(K·D) cache".to_owned()
        })?;
        check::shape(op, inputs, 3, &Shape::from([k[0], cache[1], k[2]]))?;
        check::same(op, inputs, 4, 3)?;
        Ok(vec![inputs[0].clone()])
    }
    fn updates(&self) -> &'static [usize] {
        &[3, 4]
    }
    no_backward!();
}
