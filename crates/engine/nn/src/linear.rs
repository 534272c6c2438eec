//! Linear map.

use wootz_ops::Linear;
use wootz_program::{Builder, OpError, Type, Value};

/// `x wᵀ` with the bias-free weight `name.weight` of `rows` × the last dim of `x`.
pub fn linear(b: &mut Builder, x: Value, name: &str, rows: usize) -> Result<Value, OpError> {
    let cols = b.ty(x).shape.last();
    let weight = b.parameter(&format!("{name}.weight"), Type::f32([rows, cols]));
    b.apply_one(Linear, &[x, weight])
}
