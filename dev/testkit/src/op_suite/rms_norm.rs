//! RMS norm over rows of one element, of odd and of usual lengths, and of numbers as small as its eps.

use super::{Case, Fill, Operand};
use wootz_ops::RmsNorm;

pub(super) fn cases() -> Vec<Case> {
    let case = |dims: [usize; 3]| Case::new(RmsNorm, [Operand::activation("x", dims)]).differentiable();
    let small = Operand::activation("x", [2, 3, 9]).filled(Fill::Normal(1e-3));
    vec![
        case([1, 1, 1]).cancels(),
        case([2, 3, 5]),
        case([2, 67, 130]),
        case([1, 3, 768]).aligned(),
        case([2, 64, 128]).aligned(),
        case([1, 67, 1280]).aligned(),
        Case::new(RmsNorm, [small]),
    ]
}
