//! Smear: sequences of one position, a gate as wide as the rows and narrower; and decoding.

use super::{Case, Fill, Operand};
use wootz_ops::{Smear, SmearDecode};

pub(super) fn cases() -> Vec<Case> {
    let gate = |channels: usize| [Operand::weight("gate", [1, channels]), Operand::weight("lambda", [1])];
    let case = |b: usize, t: usize, c: usize, channels: usize| {
        let [gate, lambda] = gate(channels);
        Case::new(Smear, [Operand::activation("x", [b, t, c]), gate, lambda]).differentiable()
    };
    let decode = |b: usize, c: usize, channels: usize| {
        let [gate, lambda] = gate(channels);
        let previous = Operand::state("previous", [b, 1, c], Fill::Normal(1.0));
        Case::new(SmearDecode, [Operand::activation("x", [b, 1, c]), previous, gate, lambda])
    };
    vec![
        case(1, 1, 1, 1),
        case(3, 1, 5, 2),
        case(2, 4, 5, 3),
        case(2, 9, 24, 24),
        case(2, 67, 130, 24),
        case(2, 64, 128, 24).aligned(),
        case(2, 67, 192, 24).aligned(),
        decode(1, 3, 2),
        decode(3, 33, 24),
        decode(2, 128, 24).aligned(),
    ]
}
