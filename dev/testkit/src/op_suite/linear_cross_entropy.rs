//! Head and loss: ignored targets, padding rows of the head, a row count beyond one chunk, weak and strong softcaps.

use super::{Case, Fill, Operand};
use wootz_ops::LinearCrossEntropy;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(1, 1, 1, 1, 1, 15.0),
        case(2, 5, 3, 7, 7, 15.0),
        case(2, 9, 6, 10, 64, 15.0),
        case(2, 65, 33, 100, 128, 2.0),
        // The tanh is exact to 3e-7, the cap times that is what a logit is off by.
        case(1, 7, 5, 11, 64, 200.0).tolerance(2e-4),
        case(2, 64, 64, 150, 192, 15.0).aligned(),
        case(1, 67, 128, 100, 128, 15.0).aligned(),
        // Tokens in turned pieces of 32 and of 16; more columns than a warp of a cluster takes at once.
        sixteens(160, 300, 320),
        sixteens(72, 300, 320),
        sixteens(64, 4100, 4112),
        all_ignored(),
        case(1, 150, 3, 69_999, 70_016, 15.0).large(),
    ]
}

fn case(b: usize, t: usize, c: usize, vocab: usize, rows: usize, softcap: f64) -> Case {
    with_targets(b, t, c, vocab, rows, softcap, Fill::Targets(vocab))
}

/// Sides for products in 8 bits, and logits of about 3: probabilities count, and what these products lose stays a few percent.
fn sixteens(t: usize, vocab: usize, rows: usize) -> Case {
    let w = Operand::weight("w", [rows, 128]).filled(Fill::Normal(0.25));
    let targets = Operand::input("targets", [2, t], Fill::Targets(vocab));
    let operands = [Operand::activation("x", [2, t, 128]), w, targets];
    let op = LinearCrossEntropy { vocab, softcap: 15.0 };
    Case::new(op, operands).differentiable().tolerance(2e-5).aligned()
}

fn all_ignored() -> Case {
    // The mean over no target is 0, not 0/0.
    with_targets(1, 2, 3, 5, 64, 15.0, Fill::Ignored)
}

fn with_targets(b: usize, t: usize, c: usize, vocab: usize, rows: usize, softcap: f64, fill: Fill) -> Case {
    // Weights of deviation 1, so that logits reach into the softcap.
    let w = Operand::weight("w", [rows, c]).filled(Fill::Normal(1.0));
    let operands = [Operand::activation("x", [b, t, c]), w, Operand::input("targets", [b, t], fill)];
    Case::new(LinearCrossEntropy { vocab, softcap }, operands).differentiable().tolerance(2e-5)
}
