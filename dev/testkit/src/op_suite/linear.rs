//! Linear map: single elements, odd sizes, square weights (whose gradients fit over their input's).

use super::{Case, Operand};
use wootz_ops::Linear;

pub(super) fn cases() -> Vec<Case> {
    let case = |b: usize, t: usize, cols: usize, rows: usize| {
        Case::new(Linear, [Operand::activation("x", [b, t, cols]), Operand::weight("w", [rows, cols])])
            .differentiable()
    };
    vec![
        case(1, 1, 1, 1),
        case(2, 3, 5, 7),
        case(2, 3, 6, 6),
        case(3, 67, 31, 33),
        case(2, 65, 64, 64),
        case(1, 130, 128, 65),
    ]
}
