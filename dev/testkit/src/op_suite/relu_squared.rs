//! Squared ReLU.

use super::{Case, Operand};
use wootz_ops::ReluSquared;

pub(super) fn cases() -> Vec<Case> {
    let case = |dims: Vec<usize>| Case::new(ReluSquared, [Operand::activation("x", dims)]).differentiable();
    vec![
        case(vec![1]),
        case(vec![2, 3, 5]),
        case(vec![2, 67, 130]),
        case(vec![2, 64, 256]).aligned(),
        case(vec![1, 67, 192]).aligned(),
    ]
}
