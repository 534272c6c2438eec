//! Strengths of value embeddings: one and several heads, gates as wide as the input and narrower.

use super::{Case, Operand};
use wootz_ops::GateStrength;

pub(super) fn cases() -> Vec<Case> {
    let case = |b: usize, t: usize, c: usize, heads: usize, channels: usize| {
        let gate = Operand::weight("gate", [heads, channels]);
        Case::new(GateStrength, [Operand::activation("n", [b, t, c]), gate]).differentiable()
    };
    vec![
        case(1, 1, 1, 1, 1),
        case(2, 3, 5, 2, 2),
        case(2, 5, 4, 2, 4),
        case(2, 67, 130, 3, 12),
        case(2, 64, 128, 2, 12).aligned(),
        case(1, 67, 640, 5, 12).aligned(),
    ]
}
