//! Element-wise sum.

use super::{Case, Operand};
use wootz_ops::Add;

pub(super) fn cases() -> Vec<Case> {
    let case = |dims: Vec<usize>| {
        Case::new(Add, [Operand::activation("a", dims.clone()), Operand::activation("b", dims)])
            .differentiable()
    };
    vec![
        case(vec![1]),
        case(vec![3, 5]),
        case(vec![2, 70, 130]),
        case(vec![2, 64, 128]).aligned(),
        case(vec![1, 67, 192]).aligned(),
    ]
}
