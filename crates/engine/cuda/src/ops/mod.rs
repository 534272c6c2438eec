//! The ops on the device: one file each, named as in `wootz-ops`, with its code for a node.
//!
//! An op takes the element type of every operand from its node, and compiles its kernel for those types; what it cannot
//! run is an error when the program is loaded. There is no fallback.

mod accumulate;
mod adamw;
mod add;
pub(crate) mod attention;
mod attention_decode;
mod backout;
mod collective;
mod embedding;
mod fp8;
mod gate_rope;
mod gate_strength;
mod global_norm;
mod linear;
pub(crate) mod linear_cross_entropy;
mod linear_relu_squared;
mod logits;
mod muon;
mod partial_sums;
mod qk_norm_rope;
mod relu_squared;
mod residual_mix;
mod rms_norm;
mod scatter_rows;
mod smear;
mod symmetric;
mod table;
mod token_order;
mod value_gate;

use crate::launch::Code;
use wootz_program::Op;

/// The code of an op.
pub(crate) fn code(op: &dyn Op) -> Option<&dyn Code> {
    macro_rules! find {
        ($($kind:ty),* $(,)?) => {{
            $(if let Some(op) = op.as_any().downcast_ref::<$kind>() {
                return Some(op);
            })*
            None
        }};
    }
    find!(
        crate::attention_rope::AttentionRopeBackward,
        crate::fp8_hidden::GradientFp8,
        crate::fp8_norm::NormFp8,
        crate::fp8::ProductFp8,
        crate::fp8::Quantize,
        crate::fp8::WeightGradientFp8,
        crate::gate_rope::GateRope,
        crate::largest::WithLargest,
        crate::of_input::OfInput<wootz_ops::RmsNormBackward>,
        crate::partial_sums::AddSums,
        crate::partial_sums::Shares<wootz_ops::BackoutBackward>,
        crate::partial_sums::Shares<wootz_ops::GateStrengthBackward>,
        crate::partial_sums::Shares<crate::of_input::OfInput<wootz_ops::ResidualMixBackward>>,
        crate::partial_sums::Shares<wootz_ops::ResidualMixBackward>,
        crate::partial_sums::Shares<wootz_ops::SmearBackward>,
        crate::token_order::Ordered<wootz_ops::EmbeddingBackward>,
        crate::token_order::Ordered<wootz_ops::ValueGateBackward>,
        crate::token_order::TokenOrder,
        wootz_ops::Accumulate,
        wootz_ops::AdamW,
        wootz_ops::Add,
        wootz_ops::AllGather,
        wootz_ops::AllReduce,
        wootz_ops::Attention,
        wootz_ops::AttentionBackward,
        wootz_ops::AttentionDecode,
        wootz_ops::Backout,
        wootz_ops::BroadcastFromOwner,
        wootz_ops::Drain,
        wootz_ops::Embedding,
        wootz_ops::GateStrength,
        wootz_ops::GlobalNorm,
        wootz_ops::Linear,
        wootz_ops::LinearCrossEntropy,
        wootz_ops::LinearCrossEntropyBackward,
        wootz_ops::LinearInputGradient,
        wootz_ops::LinearInputGradientReluSquared,
        wootz_ops::LinearReluSquared,
        wootz_ops::LinearWeightGradient,
        wootz_ops::Logits,
        wootz_ops::Muon,
        wootz_ops::QkNormRope,
        wootz_ops::QkNormRopeBackward,
        wootz_ops::ReduceToOwner,
        wootz_ops::ReluSquared,
        wootz_ops::ReluSquaredBackward,
        wootz_ops::ResidualMix,
        wootz_ops::RmsNorm,
        wootz_ops::RmsNormBackward,
        wootz_ops::Smear,
        wootz_ops::SmearDecode,
        wootz_ops::ValueGate,
    )
}
