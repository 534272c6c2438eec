//! Residual mix: first, middle and last of the scalars.

use super::{Case, Operand};
use wootz_ops::ResidualMix;

pub(super) fn cases() -> Vec<Case> {
    let case = |dims: [usize; 3], layer: usize, layers: usize| {
        let [x, x0] = ["x", "x0"].map(|name| Operand::activation(name, dims));
        let [resid, skip] = ["resid", "skip"].map(|name| Operand::weight(name, [layers]));
        Case::new(ResidualMix { layer }, [x, x0, resid, skip]).differentiable().tolerance(5e-5)
    };
    vec![case([1, 1, 1], 0, 1), case([2, 3, 5], 1, 3), case([2, 67, 130], 3, 4)]
}
