//! Muon: wide, tall, square and thin matrices, one and several in a node, with and without copies; a zero gradient.

use super::{Case, Fill, Operand};
use wootz_ops::Muon;

pub(super) fn cases() -> Vec<Case> {
    let shapes = [[1, 1], [3, 3], [2, 12], [12, 2], [33, 65], [65, 33], [64, 64], [130, 70]];
    let normal = Fill::Normal(0.1);
    let mut cases: Vec<Case> = shapes.iter().map(|[r, c]| case(*r, *c, 1, false, normal, normal)).collect();
    cases.push(case(5, 9, 1, false, Fill::Constant(0.0), Fill::Constant(0.0)));
    cases.push(case(5, 9, 3, false, normal, normal));
    cases.push(case(9, 5, 2, true, normal, normal));
    for copies in [false, true] {
        cases.push(case(128, 64, 2, copies, normal, normal).aligned());
        cases.push(case(64, 192, 3, copies, normal, normal).aligned());
        cases.push(case(128, 128, 1, copies, normal, normal).aligned());
        cases.push(case(2, 12, 2, copies, normal, normal).aligned());
    }
    cases
}

/// Names of the operands of each matrix.
const NAMES: [[&str; 5]; 3] = [
    ["p1", "g1", "buffer1", "second1", "copy1"],
    ["p2", "g2", "buffer2", "second2", "copy2"],
    ["p3", "g3", "buffer3", "second3", "copy3"],
];

fn case(rows: usize, cols: usize, count: usize, copies: bool, gradient: Fill, buffer: Fill) -> Case {
    let mut operands = vec![
        Operand::input("lr_multiplier", [], Fill::Uniform(0.1, 1.0)),
        Operand::input("momentum", [], Fill::Constant(0.95)),
        Operand::input("weight_decay", [], Fill::Constant(0.1)),
    ];
    for [p, g, m, v, copy] in &NAMES[..count] {
        let state = |name, fill| Operand::state(name, [rows, cols], fill);
        operands.extend([state(p, Fill::Normal(1.0)), state(g, gradient), state(m, buffer)]);
        operands.push(Operand::state(v, [Muon::second_len(rows, cols)], Fill::Uniform(1e-3, 1e-1)));
        if copies {
            operands.push(state(copy, Fill::Normal(1.0)));
        }
    }
    Case::new(Muon { lr: 0.02, beta2: 0.9, count, copies }, operands)
}
