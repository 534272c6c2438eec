//! Gated value embeddings: one and several heads, inputs as wide as the values and wider.

use super::{Case, Operand};
use wootz_ops::ValueGate;

pub(super) fn cases() -> Vec<Case> {
    let case = |b: usize, t: usize, c: usize, heads: usize, d: usize, channels: usize| {
        let [v, ve] = ["v", "ve"].map(|name| Operand::activation(name, [b, t, heads * d]));
        let gate = Operand::weight("gate", [heads, channels]);
        Case::new(ValueGate, [v, Operand::activation("x", [b, t, c]), gate, ve]).differentiable()
    };
    vec![
        case(1, 1, 1, 1, 1, 1),
        case(2, 3, 5, 2, 3, 2),
        case(2, 5, 6, 2, 3, 4),
        case(2, 67, 130, 3, 16, 12),
        case(3, 65, 96, 3, 32, 12),
    ]
}
