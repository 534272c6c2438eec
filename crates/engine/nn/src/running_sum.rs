//! Sums that live on the device between runs.

use wootz_ops::{Accumulate, Drain};
use wootz_program::{Builder, OpError, Value};

/// Adds `value` to the state `name`.
pub fn running_sum(b: &mut Builder, value: Value, name: &str) -> Result<(), OpError> {
    let sum = b.state(name, b.ty(value).clone());
    b.apply(Accumulate, &[value, sum]).map(drop)
}

/// Moves the state `sum` into the output `output` and sets it to zero.
pub fn drain(b: &mut Builder, sum: Value, output: &str) -> Result<(), OpError> {
    let value = b.apply_one(Drain, &[sum])?;
    b.output(value, output);
    Ok(())
}
