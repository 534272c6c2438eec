//! Table lookup: tokens that repeat, in runs around shares of work and longer than many of them.

use super::{Case, Fill, Operand};
use wootz_ops::Embedding;

pub(super) fn cases() -> Vec<Case> {
    let case = |rows: usize, width: usize, b: usize, t: usize| {
        let tokens = Operand::input("tokens", [b, t], Fill::Ids(rows));
        Case::new(Embedding, [Operand::weight("table", [rows, width]), tokens]).differentiable()
    };
    vec![
        case(1, 1, 1, 1),
        case(5, 3, 2, 9),
        case(67, 33, 2, 130),
        case(100, 130, 3, 65),
        case(128, 64, 2, 64).aligned(),
        case(192, 128, 1, 67).aligned(),
        case(2, 64, 2, 2100).aligned(),
        case(20, 1344, 2, 320).aligned(),
    ]
}
