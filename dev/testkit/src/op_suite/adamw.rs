//! AdamW: the first update, a late one, with and without weight decay and a copy, and more than one piece of work.

use super::{Case, Fill, Operand};
use wootz_ops::AdamW;

pub(super) fn cases() -> Vec<Case> {
    let usual = AdamW { lr: 0.1, beta1: 0.8, beta2: 0.95, eps: 1e-10, weight_decay: 0.05, copy: false };
    let without_decay = AdamW { beta1: 0.96, eps: 1e-3, weight_decay: 0.0, ..usual.clone() };
    let copied = AdamW { copy: true, ..usual.clone() };
    vec![
        case(usual.clone(), 1.0, &[1]),
        case(usual.clone(), 1.0, &[5, 7]),
        case(without_decay, 3.0, &[64, 3]),
        case(usual.clone(), 2000.0, &[131, 257]),
        case(copied.clone(), 7.0, &[5, 7]),
        case(usual, 7.0, &[192, 128]).aligned(),
        case(copied, 7.0, &[192, 128]).aligned(),
    ]
}

fn case(op: AdamW, step: f64, dims: &[usize]) -> Case {
    let state = |name, fill| Operand::state(name, dims.to_vec(), fill);
    let mut operands = vec![
        Operand::input("lr_multiplier", [], Fill::Uniform(0.1, 1.0)),
        Operand::input("step", [], Fill::Constant(step)),
        state("p", Fill::Normal(1.0)),
        state("g", Fill::Normal(0.1)),
        state("m", Fill::Normal(0.1)),
        state("v", Fill::Uniform(1e-3, 1e-1)),
    ];
    if op.copy {
        operands.push(state("copy", Fill::Normal(1.0)));
    }
    Case::new(op, operands)
}
