//! The ops: one file each, with shapes, cost and backward rule.
//!
//! Dims in names: B batch, T time, C model dim, H query heads, K key/value heads, D head dim, V vocabulary rows,
//! W = (H + 2K)·D the packed queries, keys and values. Values keep heads folded into the last dim (`qkv_btw`, `y_bt(hd)`); an
//! op that needs the heads knows their number. Parameters' gradients are accumulated in place; the gradients of activations are values.

mod accumulate;
mod adamw;
mod add;
mod attention;
mod backout;
mod check;
mod collective;
mod embedding;
mod gate_strength;
mod global_norm;
mod linear;
mod linear_cross_entropy;
mod linear_relu_squared;
mod logits;
mod muon;
mod qk_norm_rope;
mod relu_squared;
mod residual_mix;
mod rms_norm;
mod smear;
mod value_gate;

pub use accumulate::{Accumulate, Drain};
pub use adamw::AdamW;
pub use add::Add;
pub use attention::{Attention, AttentionBackward, AttentionDecode};
pub use backout::{Backout, BackoutBackward};
pub use collective::{AllGather, AllReduce, BroadcastFromOwner, ReduceToOwner, Timing};
pub use embedding::{Embedding, EmbeddingBackward};
pub use gate_strength::{GateStrength, GateStrengthBackward};
pub use global_norm::GlobalNorm;
pub use linear::{Linear, LinearInputGradient, LinearWeightGradient};
pub use linear_cross_entropy::{LinearCrossEntropy, LinearCrossEntropyBackward};
pub use linear_relu_squared::{LinearInputGradientReluSquared, LinearReluSquared};
pub use logits::Logits;
pub use muon::{Muon, POLAR_EXPRESS};
pub use qk_norm_rope::{QkNormRope, QkNormRopeBackward};
pub use relu_squared::{ReluSquared, ReluSquaredBackward};
pub use residual_mix::{LEAST_RESID, ResidualMix, ResidualMixBackward};
pub use rms_norm::{RmsNorm, RmsNormBackward};
pub use smear::{Smear, SmearBackward, SmearDecode};
pub use value_gate::{ValueGate, ValueGateBackward};

use std::sync::Arc;
use wootz_program::{Builder, OpError, Value};

/// Appends the backward pass of `loss`: [`wootz_program::reverse`] with [`Add`] as the sum of gradients.
pub fn reverse(builder: &mut Builder, loss: Value, seed: Value) -> Result<usize, OpError> {
    wootz_program::reverse(builder, loss, seed, Arc::new(Add))
}
