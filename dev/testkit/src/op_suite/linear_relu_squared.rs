//! Linear map with squared ReLU, and the gradient of what comes before: odd sizes, and sizes with part of a tile at the edges.

use super::{Case, Fill, Operand};
use wootz_ops::{LinearInputGradientReluSquared, LinearReluSquared};

pub(super) fn cases() -> Vec<Case> {
    vec![
        forward(1, 1, 1, 1),
        forward(2, 3, 5, 7),
        forward(2, 65, 31, 33),
        forward(2, 64, 128, 256).aligned(),
        forward(1, 67, 192, 72).aligned(),
        forward(3, 101, 256, 520).aligned(),
        gradient(1, 1, 1, 2),
        gradient(2, 3, 5, 7),
        gradient(2, 65, 31, 33),
        gradient(2, 64, 128, 256).aligned(),
        gradient(1, 67, 192, 64).aligned(),
        gradient(3, 101, 256, 576).aligned(),
    ]
}

fn forward(b: usize, t: usize, cols: usize, rows: usize) -> Case {
    Case::new(LinearReluSquared, [Operand::activation("x", [b, t, cols]), Operand::weight("w", [rows, cols])])
}

/// Its rows and columns differ, so that dy and h are never one value: h has a root.
fn gradient(b: usize, t: usize, rows: usize, cols: usize) -> Case {
    let h = Operand::activation("h", [b, t, cols]).filled(Fill::Uniform(0.0, 4.0));
    let operands = [Operand::activation("dy", [b, t, rows]), Operand::weight("w", [rows, cols]), h];
    Case::new(LinearInputGradientReluSquared, operands)
}
