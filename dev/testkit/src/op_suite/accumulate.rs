//! Running sums.

use super::{Case, Fill, Operand};
use wootz_ops::{Accumulate, Drain};

pub(super) fn cases() -> Vec<Case> {
    let sum = |dims: Vec<usize>| Operand::state("sum", dims, Fill::Normal(1.0));
    let add =
        |dims: Vec<usize>| Case::new(Accumulate, [Operand::activation("value", dims.clone()), sum(dims)]);
    vec![add(vec![]), add(vec![3, 7]), Case::new(Drain, [sum(vec![])]), Case::new(Drain, [sum(vec![65])])]
}
