//! Linear map: single elements, odd sizes, square weights (whose gradients fit over their input's), packed weights, residuals.

use super::{Case, Operand};
use wootz_ops::{Linear, ReluSquared, RmsNorm};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(1, 1, 1, &[1], false),
        case(2, 3, 5, &[7], false),
        case(2, 3, 6, &[6], false),
        case(3, 67, 31, &[33], false),
        case(2, 65, 64, &[64], false).aligned(),
        case(1, 130, 128, &[65], false),
        case(2, 3, 5, &[4], true),
        case(2, 3, 6, &[6], true),
        case(2, 3, 5, &[4, 2, 3], false),
        case(2, 3, 6, &[2, 3, 1], true),
        case(3, 67, 31, &[33, 17], true),
        case(2, 64, 128, &[256, 128, 128], false).aligned(),
        case(1, 67, 192, &[128, 64, 64], false).aligned(),
        case(2, 64, 256, &[128], true).aligned(),
        case(1, 67, 128, &[128], true).aligned(),
        // Multiples of 16 that end within a tile of 128.
        case(2, 72, 144, &[160, 272], false),
        feed_forward(2, 72, 144, 272),
        feed_forward(2, 64, 256, 1024),
    ]
}

fn case(b: usize, t: usize, cols: usize, rows: &[usize], residual: bool) -> Case {
    let mut operands = vec![Operand::activation("x", [b, t, cols])];
    for (name, rows) in ["w1", "w2", "w3"].into_iter().zip(rows) {
        operands.push(Operand::weight(name, [*rows, cols]));
    }
    if residual {
        operands.push(Operand::activation("residual", [b, t, rows.iter().sum()]));
    }
    Case::new(Linear { weights: rows.len(), residual }, operands).differentiable()
}

/// A block's second half, whose tensors between the products a backend may never write in full.
fn feed_forward(b: usize, t: usize, cols: usize, hidden: usize) -> Case {
    let operands = [
        Operand::activation("x", [b, t, cols]),
        Operand::weight("up", [hidden, cols]),
        Operand::weight("down", [cols, hidden]),
    ];
    let case = Case::chain("FeedForward", operands, |b, inputs| {
        let [x, up, down] = [0, 1, 2].map(|i| inputs[i]);
        let normed = b.apply(RmsNorm, &[x])?[0];
        let u = b.apply_one(Linear::PLAIN, &[normed, up])?;
        let h = b.apply_one(ReluSquared, &[u])?;
        let y = b.apply_one(Linear { weights: 1, residual: true }, &[h, down, x])?;
        Ok(vec![y])
    });
    case.differentiable().aligned()
}
