//! Causal scaled dot-product attention with grouped key/value heads and a sliding window, on packed rows.
//!
//! A row of W = (H + 2K)·D columns holds the query heads, then the key heads, then the value heads. Forward keeps only the
//! log-sum-exp of each row (Dao et al., "FlashAttention", arXiv 2205.14135); the backward pass recomputes the probabilities
//! from it, so nothing of size T×T outlives a tile.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Cost, Op, OpError, Type};
use wootz_tensor::Shape;

/// `qkv_btw -> (y_bt(hd), lse_bht)`, with scores scaled by 1/√D.
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
    /// Type of `y`, and of the log-sum-exp of each row: B×H×T.
    fn outputs(&self, op: &'static str, qkv: &Type) -> Result<[Type; 2], OpError> {
        let d = head_dim(op, self.heads, self.kv_heads, qkv)?;
        let (dims, y) = (qkv.shape.dims(), qkv.shape.with_last(self.heads * d));
        Ok([qkv.with_shape(y), Type::f32([dims[0], self.heads, dims[1]])])
    }
    /// FLOP of `products` matrix products over the visible pairs.
    fn cost(&self, qkv: &Type, products: u64, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        let (dims, all) = (qkv.shape.dims(), self.heads + 2 * self.kv_heads);
        let pairs: usize = (0..dims[1]).map(|t| t.min(self.window.unwrap_or(t)) + 1).sum();
        Cost {
            flops: 2 * products * (dims[0] * (dims[2] / all * self.heads) * pairs) as u64,
            bytes: inputs.iter().chain(outputs).map(|ty| ty.bytes() as u64).sum(),
        }
    }
}

impl Op for Attention {
    op_basics!("attention");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("attention", inputs, 1..=1)?;
        Ok(self.outputs("attention", inputs[0])?.to_vec())
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        self.cost(inputs[0], 2, inputs, outputs)
    }
    /// Exponentials between the two products, and tiles that the mask cuts: 305 to 490 TFLOP/s over rows of up to 2048 tokens
    /// on an H200, most of them in windows, where products reach 620 and more.
    fn effort(&self) -> u64 {
        3
    }
    fn statistics(&self) -> &'static [usize] {
        &[1]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        b.without_gradient(1)?;
        let operands = [b.gradient(0)?, b.input(0), b.output(0), b.output(1)];
        let dqkv = b.emit(AttentionBackward(self.clone()), &operands)?[0];
        b.contribute(0, dqkv)
    }
}

/// `(dy_bt(hd), qkv_btw, y_bt(hd), lse_bht) -> dqkv_btw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttentionBackward(
    /// The forward op.
    pub Attention,
);

impl Op for AttentionBackward {
    op_basics!("attention_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let op = self.name();
        check::arity(op, inputs, 4..=4)?;
        let [y, lse] = self.0.outputs(op, inputs[1])?;
        check::shape(op, inputs, 0, &y.shape)?;
        check::shape(op, inputs, 2, &y.shape)?;
        check::shape(op, inputs, 3, &lse.shape)?;
        Ok(vec![inputs[1].clone()])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        self.0.cost(inputs[1], 5, inputs, outputs)
    }
    no_backward!();
}

/// `(qkv_b1w, keys_bs(kd), values_bs(kd), position) -> y_b1(hd)`: one position against a cache of S positions. Writes the row's
/// keys and values at `position` (an i32 scalar) of the caches, then attends over what the window shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttentionDecode(
    /// Heads and window.
    pub Attention,
);

impl Op for AttentionDecode {
    op_basics!("attention_decode");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let op = self.name();
        check::arity(op, inputs, 4..=4)?;
        let [y, _] = self.0.outputs(op, inputs[0])?;
        check::integers(op, inputs, 3)?;
        let (qkv, cache) = (inputs[0].shape.dims(), inputs[1].shape.dims());
        check::that(op, qkv[1] == 1 && cache.len() == 3, || {
            "expected one position and a B×S×(K·D) cache".to_owned()
        })?;
        let kv_width = y.shape.last() / self.0.heads * self.0.kv_heads;
        check::shape(op, inputs, 1, &Shape::from([qkv[0], cache[1], kv_width]))?;
        check::same(op, inputs, 2, 1)?;
        Ok(vec![y])
    }
    fn updates(&self) -> Vec<usize> {
        vec![1, 2]
    }
    no_backward!();
}

/// Head dim of packed rows B×T×((H + 2K)·D), where K divides H.
pub(crate) fn head_dim(
    op: &'static str,
    heads: usize,
    kv_heads: usize,
    qkv: &Type,
) -> Result<usize, OpError> {
    let all = heads + 2 * kv_heads;
    let fits = kv_heads > 0
        && heads > 0
        && heads.is_multiple_of(kv_heads)
        && qkv.shape.dims().len() == 3
        && qkv.shape.last().is_multiple_of(all);
    check::that(op, fits, || {
        format!("{} does not split into {heads} query and twice {kv_heads} key/value heads", qkv.shape)
    })?;
    Ok(qkv.shape.last() / all)
}
