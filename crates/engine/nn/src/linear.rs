//! Linear map.

use wootz_ops::Linear;
use wootz_program::{Builder, OpError, Type, Value};

/// `x [w_1; …; w_n]ᵀ (+ residual)` with the bias-free weights `name.weight` of `rows` × the last dim of `x`, for each pair of a
/// name and its rows: the results stand side by side in the last dim.
pub fn linear(
    b: &mut Builder,
    x: Value,
    weights: &[(&str, usize)],
    residual: Option<Value>,
) -> Result<Value, OpError> {
    let cols = b.ty(x).shape.last();
    let mut operands = vec![x];
    for (name, rows) in weights {
        operands.push(b.parameter(&format!("{name}.weight"), Type::f32([*rows, cols])));
    }
    operands.extend(residual);
    b.apply_one(Linear { weights: weights.len(), residual: residual.is_some() }, &operands)
}
