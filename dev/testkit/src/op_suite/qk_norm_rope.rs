//! Rotation and norm per head: all heads of a row and the first of them, small and usual bases; from a position, as in
//! decoding.

use super::{Case, Fill, Operand};
use wootz_ops::QkNormRope;

pub(super) fn cases() -> Vec<Case> {
    let op =
        |heads: usize, head_dim: usize, base: f64, scale: f64| QkNormRope { heads, head_dim, base, scale };
    let x = |b: usize, t: usize, width: usize| Operand::activation("x", [b, t, width]);
    let position = || Operand::input("position", [], Fill::Ids(300));
    vec![
        Case::new(op(1, 2, 1e4, 1.0), [x(1, 1, 2)]).differentiable(),
        Case::new(op(2, 4, 10.0, 1.2), [x(2, 5, 12)]).differentiable(),
        Case::new(op(3, 16, 1e5, 1.2), [x(2, 67, 64)]).differentiable(),
        Case::new(op(1, 128, 1e5, 1.2), [x(2, 130, 128)]).differentiable(),
        Case::new(op(3, 64, 1e5, 1.2), [x(2, 64, 256)]).differentiable().aligned(),
        Case::new(op(3, 128, 1e5, 1.2), [x(1, 67, 512)]).differentiable().aligned(),
        Case::new(op(2, 4, 10.0, 1.2), [x(3, 1, 12), position()]),
        Case::new(op(2, 16, 1e5, 0.5), [x(2, 5, 32), position()]),
        Case::new(op(3, 64, 1e5, 1.2), [x(2, 1, 256), position()]).aligned(),
    ]
}
