//! The op suite: every op on every backend.
//!
//! A [`Case`] is data: an op and its operands. The checks put it into small programs ([`Form`]) that differ in what they
//! stress (memory taken over from an input, inputs that live on, gradients added to what is there, one value in two
//! places), so that the backward ops and their optional operands are reached through the rules that emit them.
//!
//! 1. [`agrees_with_reference`]: a backend beside the definition of the op in binary64.
//!    [`agrees_with_reference_within`] is the same for backends that compute in fewer bits or take some sizes only.
//! 2. [`agrees_with_finite_differences`]: the backward rules beside central differences of the definition.
//! 3. [`agrees_bit_for_bit`]: several backends with one another, e.g. thread counts.
//!
//! One file per op, under the name it has in `wootz-ops`. Each has cases of odd sizes, and `aligned` ones of sizes that the
//! tiles of a GPU take: channels in multiples of 64, heads of 64 or 128.

mod accumulate;
mod adamw;
mod add;
mod attention;
mod backout;
mod case;
mod check;
mod embedding;
mod form;
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
mod tolerance;
mod value_gate;

pub use case::{Case, Fill, Operand};
pub use check::{
    agrees_bit_for_bit, agrees_with_finite_differences, agrees_with_reference, agrees_with_reference_within,
    op_names, passes_nan_on, plan_is_sound,
};
pub use form::Form;
pub use tolerance::{Tolerance, Verdict};

/// The cases of all ops.
pub fn cases() -> Vec<Case> {
    let columns = [
        accumulate::cases(),
        adamw::cases(),
        add::cases(),
        attention::cases(),
        backout::cases(),
        embedding::cases(),
        gate_strength::cases(),
        global_norm::cases(),
        linear::cases(),
        linear_cross_entropy::cases(),
        linear_relu_squared::cases(),
        logits::cases(),
        muon::cases(),
        qk_norm_rope::cases(),
        relu_squared::cases(),
        residual_mix::cases(),
        rms_norm::cases(),
        smear::cases(),
        value_gate::cases(),
    ];
    columns.into_iter().flatten().collect()
}
