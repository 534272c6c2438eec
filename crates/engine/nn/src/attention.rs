//! Self-attention with QK norm, rotary positions and value embeddings.

use crate::{embedding, linear};
use wootz_ops::{Attention, AttentionDecode, QkNormRope, ValueGate};
use wootz_program::{Builder, OpError, Type, Value};

/// Channels the value-embedding gate reads.
const GATE_CHANNELS: usize = 12;

/// Sizes and constants of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionSpec {
    /// Query heads H.
    pub heads: usize,
    /// Key and value heads K.
    pub kv_heads: usize,
    /// Head dim D.
    pub head_dim: usize,
    /// A query sees this many keys before itself; none: all.
    pub window: Option<usize>,
    /// Base of the rotary angles.
    pub rope_base: f64,
    /// Factor of queries and keys after their norm.
    pub qk_scale: f64,
}

/// The per-token table of a layer that has one.
#[derive(Debug, Clone, Copy)]
pub struct ValueEmbedding<'a> {
    /// Tokens B×T.
    pub tokens: Value,
    /// Name of the table.
    pub name: &'a str,
    /// Its rows.
    pub rows: usize,
}

/// Where decoding keeps the keys and values seen so far.
#[derive(Debug, Clone, Copy)]
pub struct Cache<'a> {
    /// Prefix of the names of its states.
    pub name: &'a str,
    /// Positions it holds.
    pub capacity: usize,
    /// Position of the query, an i32 scalar.
    pub position: Value,
}

/// `c_proj(attend(q, k, v))` of the normed input; decodes one position where there is a cache.
pub fn attention(
    b: &mut Builder,
    x_btc: Value,
    name: &str,
    spec: AttentionSpec,
    value_embedding: Option<ValueEmbedding<'_>>,
    cache: Option<Cache<'_>>,
) -> Result<Value, OpError> {
    let (c, kv_width) = (b.ty(x_btc).shape.last(), spec.kv_heads * spec.head_dim);
    let q_bthd = linear(b, x_btc, &format!("{name}.c_q"), spec.heads * spec.head_dim)?;
    let k_btkd = linear(b, x_btc, &format!("{name}.c_k"), kv_width)?;
    let mut v_btkd = linear(b, x_btc, &format!("{name}.c_v"), kv_width)?;
    if let Some(table) = value_embedding {
        let ve_btkd = embedding(b, table.tokens, table.name, table.rows, kv_width)?;
        let gate = b.parameter(&format!("{name}.ve_gate.weight"), Type::f32([spec.kv_heads, GATE_CHANNELS]));
        v_btkd = b.apply_one(ValueGate, &[v_btkd, x_btc, gate, ve_btkd])?;
    }
    let rope = QkNormRope { head_dim: spec.head_dim, base: spec.rope_base, scale: spec.qk_scale };
    let op = Attention { heads: spec.heads, kv_heads: spec.kv_heads, window: spec.window };
    let y_bthd = match cache {
        None => {
            let q_bthd = b.apply_one(rope.clone(), &[q_bthd])?;
            let k_btkd = b.apply_one(rope, &[k_btkd])?;
            b.apply(op, &[q_bthd, k_btkd, v_btkd])?[0]
        }
        Some(cache) => {
            let q_bthd = b.apply_one(rope.clone(), &[q_bthd, cache.position])?;
            let k_btkd = b.apply_one(rope, &[k_btkd, cache.position])?;
            let ty = Type::f32([b.ty(x_btc).shape.dims()[0], cache.capacity, kv_width]);
            let keys = b.state(&format!("{}.keys", cache.name), ty.clone());
            let values = b.state(&format!("{}.values", cache.name), ty);
            b.apply_one(AttentionDecode(op), &[q_bthd, k_btkd, v_btkd, keys, values, cache.position])?
        }
    };
    linear(b, y_bthd, &format!("{name}.c_proj"), c)
}
