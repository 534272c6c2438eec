//! Residual mix: first, middle and last of the scalars; gradients through the mix, its norm and both. The scalars of the stream
//! are not about zero, where the gradient does not hold.

use super::{Case, Fill, Operand};
use wootz_ops::ResidualMix;

pub(super) fn cases() -> Vec<Case> {
    let case = |dims: [usize; 3], layer: usize, layers: usize, roots: &[usize]| {
        let [x, x0] = ["x", "x0"].map(|name| Operand::activation(name, dims));
        let [resid, skip] = ["resid", "skip"].map(|name| Operand::weight(name, [layers]));
        // The gradient of `resid` is of a stream that comes back from its norm, as rounded.
        let resid = resid.filled(Fill::Uniform(0.5, 1.5));
        let case = Case::new(ResidualMix { layer }, [x, x0, resid, skip]).tolerance(5e-5);
        case.differentiable().through(roots).sums()
    };
    vec![
        case([1, 1, 1], 0, 1, &[0, 1]),
        case([2, 3, 5], 1, 3, &[0]),
        // A norm does not change with the scale of what it norms: along it the gradients cancel.
        case([2, 3, 5], 1, 3, &[1]).cancels(),
        case([2, 3, 5], 1, 3, &[0, 1]),
        case([2, 67, 130], 3, 4, &[0, 1]),
        case([2, 67, 130], 3, 4, &[1]).cancels().tolerance(2e-4),
        case([2, 64, 128], 2, 4, &[0, 1]).aligned(),
        case([1, 67, 1280], 0, 2, &[0, 1]).aligned(),
    ]
}
