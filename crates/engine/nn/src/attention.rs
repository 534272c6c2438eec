//! Self-attention with QK norm, rotary positions and value embeddings.

use crate::linear;
use wootz_ops::{Attention, AttentionDecode, GateStrength, QkNormRope, ValueGate};
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

/// `residual + c_proj(attend(q, k, v))` of the normed input; decodes one position where there is a cache.
///
/// Queries, keys and values stay packed in the rows of one product, and are gated, rotated and normed where they are. The
/// strength of the value embedding is computed before that product, so that its gradient comes after the product's and adds
/// its few channels to it.
pub fn attention(
    b: &mut Builder,
    x_btc: Value,
    residual_btc: Value,
    name: &str,
    spec: AttentionSpec,
    value_embedding: Option<ValueEmbedding<'_>>,
    cache: Option<Cache<'_>>,
) -> Result<Value, OpError> {
    let AttentionSpec { heads, kv_heads, head_dim, .. } = spec;
    let (c, kv_width) = (b.ty(x_btc).shape.last(), kv_heads * head_dim);
    let gated = match value_embedding {
        None => None,
        Some(table) => {
            let gate = b.parameter(&format!("{name}.ve_gate.weight"), Type::f32([kv_heads, GATE_CHANNELS]));
            Some((table, b.apply_one(GateStrength, &[x_btc, gate])?))
        }
    };
    let [c_q, c_k, c_v] = ["c_q", "c_k", "c_v"].map(|part| format!("{name}.{part}"));
    let weights = [(c_q.as_str(), heads * head_dim), (c_k.as_str(), kv_width), (c_v.as_str(), kv_width)];
    let mut qkv_btw = linear(b, x_btc, &weights, None)?;
    if let Some((table, s_btk)) = gated {
        let rows = b.parameter(&format!("{}.weight", table.name), Type::f32([table.rows, kv_width]));
        qkv_btw = b.apply_one(ValueGate { heads, kv_heads }, &[qkv_btw, s_btk, rows, table.tokens])?;
    }
    let rope = QkNormRope { heads: heads + kv_heads, head_dim, base: spec.rope_base, scale: spec.qk_scale };
    let op = Attention { heads, kv_heads, window: spec.window };
    let y_bthd = match cache {
        None => {
            let qkv_btw = b.apply(rope, &[qkv_btw])?[0];
            b.apply(op, &[qkv_btw])?[0]
        }
        Some(cache) => {
            let qkv_btw = b.apply(rope, &[qkv_btw, cache.position])?[0];
            let ty = Type::f32([b.ty(x_btc).shape.dims()[0], cache.capacity, kv_width]);
            let keys = b.state(&format!("{}.keys", cache.name), ty.clone());
            let values = b.state(&format!("{}.values", cache.name), ty);
            b.apply_one(AttentionDecode(op), &[qkv_btw, keys, values, cache.position])?
        }
    };
    linear(b, y_bthd, &[(&format!("{name}.c_proj"), c)], Some(residual_btc))
}
