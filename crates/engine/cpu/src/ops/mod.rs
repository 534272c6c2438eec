//! One file per op: the reference (generic over the element type) and, where it pays, the fast kernel.
//!
//! The tables below are the registration: a new op is one file and one line in each table it has a row in.

mod accumulate;
mod adamw;
mod add;
mod attention;
mod attention_decode;
mod backout;
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

pub(crate) use collective::kernel as collective;
pub(crate) use qk_norm_rope::AngleTables;

use crate::io::Io;
use crate::real::Real;
use wootz_ops as op;
use wootz_program::Op;
use wootz_tensor::Shape;

/// Computes one node; the error says which input is at fault.
pub(crate) type Kernel<T> = Box<dyn Fn(&Io<T>) -> Result<(), String> + Send + Sync>;

macro_rules! table {
    ($op:expr, $($ty:ty => $kernel:expr,)*) => {{
        $(if let Some(op) = $op.as_any().downcast_ref::<$ty>() {
            let op = op.clone();
            return Some(Box::new(move |io| $kernel(&op, io)));
        })*
        None
    }};
}

/// The definition of an op.
pub(crate) fn reference<T: Real>(op: &dyn Op) -> Option<Kernel<T>> {
    table!(op,
        op::Accumulate => accumulate::reference,
        op::AdamW => adamw::reference,
        op::Add => add::reference,
        op::Attention => attention::reference,
        op::AttentionBackward => attention::reference_backward,
        op::AttentionDecode => attention_decode::reference,
        op::Backout => backout::reference,
        op::BackoutBackward => backout::reference_backward,
        op::Drain => accumulate::drain,
        op::Embedding => embedding::reference,
        op::EmbeddingBackward => embedding::reference_backward,
        op::GateStrength => gate_strength::reference,
        op::GateStrengthBackward => gate_strength::reference_backward,
        op::GlobalNorm => global_norm::reference,
        op::Linear => linear::reference,
        op::LinearCrossEntropy => linear_cross_entropy::reference,
        op::LinearCrossEntropyBackward => linear_cross_entropy::reference_backward,
        op::LinearInputGradient => linear::reference_input_gradient,
        op::LinearInputGradientReluSquared => linear_relu_squared::reference_input_gradient,
        op::LinearReluSquared => linear_relu_squared::reference,
        op::LinearWeightGradient => linear::reference_weight_gradient,
        op::Logits => logits::reference,
        op::Muon => muon::reference,
        op::QkNormRope => qk_norm_rope::reference,
        op::QkNormRopeBackward => qk_norm_rope::reference_backward,
        op::ReluSquared => relu_squared::reference,
        op::ReluSquaredBackward => relu_squared::reference_backward,
        op::ResidualMix => residual_mix::reference,
        op::ResidualMixBackward => residual_mix::reference_backward,
        op::RmsNorm => rms_norm::reference,
        op::RmsNormBackward => rms_norm::reference_backward,
        op::Smear => smear::reference,
        op::SmearBackward => smear::reference_backward,
        op::SmearDecode => smear::reference_decode,
        op::ValueGate => value_gate::reference,
        op::ValueGateBackward => value_gate::reference_backward,
    )
}

/// The fast kernel of an op; ops without a row here run by their definition, which is as fast as they need.
pub(crate) fn fast(op: &dyn Op, tables: &AngleTables) -> Option<Kernel<f32>> {
    let tables = tables.clone();
    table!(op,
        op::AdamW => adamw::fast,
        op::Add => add::fast,
        op::Attention => attention::fast,
        op::AttentionBackward => attention::fast_backward,
        op::Backout => backout::fast,
        op::BackoutBackward => backout::fast_backward,
        op::Embedding => embedding::fast,
        op::EmbeddingBackward => embedding::fast_backward,
        op::GateStrength => gate_strength::fast,
        op::GateStrengthBackward => gate_strength::fast_backward,
        op::GlobalNorm => global_norm::fast,
        op::Linear => linear::fast,
        op::LinearCrossEntropy => linear_cross_entropy::fast,
        op::LinearCrossEntropyBackward => linear_cross_entropy::fast_backward,
        op::LinearInputGradient => linear::fast_input_gradient,
        op::LinearWeightGradient => linear::fast_weight_gradient,
        op::Logits => logits::fast,
        op::Muon => muon::fast,
        op::QkNormRope => |op, io| qk_norm_rope::fast(op, &tables, io),
        op::QkNormRopeBackward => |op, io| qk_norm_rope::fast_backward(op, &tables, io),
        op::ReluSquared => relu_squared::fast,
        op::ReluSquaredBackward => relu_squared::fast_backward,
        op::ResidualMix => residual_mix::fast,
        op::ResidualMixBackward => residual_mix::fast_backward,
        op::RmsNorm => rms_norm::fast,
        op::RmsNormBackward => rms_norm::fast_backward,
        op::Smear => smear::fast,
        op::SmearBackward => smear::fast_backward,
        op::ValueGate => value_gate::fast,
        op::ValueGateBackward => value_gate::fast_backward,
    )
}

/// Scratch memory of a fast kernel, in binary32 elements.
pub(crate) fn scratch_elements(op: &dyn Op, inputs: &[&Shape], threads: usize) -> usize {
    let any = op.as_any();
    if any.is::<op::LinearCrossEntropy>() || any.is::<op::LinearCrossEntropyBackward>() {
        linear_cross_entropy::scratch_elements(inputs)
    } else if any.is::<op::Attention>() {
        attention::scratch_elements(inputs[0], threads)
    } else if any.is::<op::AttentionBackward>() {
        attention::scratch_elements_backward(inputs[1], threads)
    } else if any.is::<op::Muon>() {
        muon::scratch_elements(inputs[3])
    } else {
        0
    }
}
