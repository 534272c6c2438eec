//! Feed-forward block.

use crate::linear::linear;
use wootz_ops::ReluSquared;
use wootz_program::{Builder, OpError, Value};

/// `residual + c_proj(relu²(c_fc(x)))` with an inner dim of `expansion`·C.
pub fn mlp(
    b: &mut Builder,
    x_btc: Value,
    residual_btc: Value,
    name: &str,
    expansion: usize,
) -> Result<Value, OpError> {
    let c = b.ty(x_btc).shape.last();
    let up = linear(b, x_btc, &[(&format!("{name}.c_fc"), expansion * c)], None)?;
    let active = b.apply_one(ReluSquared, &[up])?;
    linear(b, active, &[(&format!("{name}.c_proj"), c)], Some(residual_btc))
}
