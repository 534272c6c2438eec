//! Backout.

use super::{Case, Operand};
use wootz_ops::Backout;

pub(super) fn cases() -> Vec<Case> {
    let case = |dims: Vec<usize>| {
        let [x, middle] = ["x", "middle"].map(|name| Operand::activation(name, dims.clone()));
        Case::new(Backout, [x, middle, Operand::weight("lambda", [1])]).differentiable()
    };
    vec![
        case(vec![1, 1, 1]),
        case(vec![2, 3, 5]),
        case(vec![2, 67, 130]),
        case(vec![2, 64, 128]).aligned(),
        case(vec![1, 67, 192]).aligned(),
    ]
}
