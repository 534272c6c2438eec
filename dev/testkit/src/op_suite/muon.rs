//! Muon: wide, tall, square and thin matrices; a zero gradient.

use super::{Case, Fill, Operand};
use wootz_ops::Muon;

pub(super) fn cases() -> Vec<Case> {
    let shapes = [[1, 1], [3, 3], [2, 12], [12, 2], [33, 65], [65, 33], [64, 64], [130, 70]];
    let mut cases: Vec<Case> =
        shapes.iter().map(|[r, c]| case(*r, *c, Fill::Normal(0.1), Fill::Normal(0.1))).collect();
    cases.push(case(5, 9, Fill::Constant(0.0), Fill::Constant(0.0)));
    cases
}

fn case(rows: usize, cols: usize, gradient: Fill, buffer: Fill) -> Case {
    let state = |name, fill| Operand::state(name, [rows, cols], fill);
    Case::new(
        Muon { lr: 0.02, beta2: 0.9 },
        [
            Operand::input("lr_multiplier", [], Fill::Uniform(0.1, 1.0)),
            Operand::input("momentum", [], Fill::Constant(0.95)),
            Operand::input("weight_decay", [], Fill::Constant(0.1)),
            state("p", Fill::Normal(1.0)),
            state("g", gradient),
            state("buffer", buffer),
            Operand::state("second", [Muon::second_len(rows, cols)], Fill::Uniform(1e-3, 1e-1)),
        ],
    )
}
