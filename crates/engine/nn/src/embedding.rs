//! Table lookup.

use wootz_ops::Embedding;
use wootz_program::{Builder, OpError, Type, Value};

/// Rows of the table `name.weight`, of `rows` × `width`, for tokens B×T.
pub fn embedding(
    b: &mut Builder,
    tokens: Value,
    name: &str,
    rows: usize,
    width: usize,
) -> Result<Value, OpError> {
    let table = b.parameter(&format!("{name}.weight"), Type::f32([rows, width]));
    b.apply_one(Embedding, &[table, tokens])
}
