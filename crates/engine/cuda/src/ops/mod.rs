//! The ops on the device: one file each, named as in `wootz-ops`, with its code for a node.
//!
//! An op takes the element type of every operand from its node, and compiles its kernel for those types; what it cannot
//! run is an error when the program is loaded. There is no fallback.

mod add;
mod linear;
mod linear_relu_squared;

use crate::launch::Code;
use wootz_program::Op;

/// The code of an op.
pub(crate) fn code(op: &dyn Op) -> Option<&dyn Code> {
    macro_rules! find {
        ($($kind:ty),* $(,)?) => {{
            $(if let Some(op) = op.as_any().downcast_ref::<$kind>() {
                return Some(op);
            })*
            None
        }};
    }
    find!(
        wootz_ops::Add,
        wootz_ops::Linear,
        wootz_ops::LinearInputGradient,
        wootz_ops::LinearInputGradientReluSquared,
        wootz_ops::LinearReluSquared,
        wootz_ops::LinearWeightGradient,
    )
}
