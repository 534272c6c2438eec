//! What happens on the residual stream.

use wootz_ops::{Backout, ResidualMix, RmsNorm, Smear, SmearDecode};
use wootz_program::{Builder, OpError, Type, Value};

/// Channels the smear gate reads.
const SMEAR_CHANNELS: usize = 24;

/// RMS norm without weights over the last dim.
pub fn rms_norm(b: &mut Builder, x: Value) -> Result<Value, OpError> {
    Ok(b.apply(RmsNorm, &[x])?[0])
}

/// `mixed = resid_lambdas[layer]·x + x0_lambdas[layer]·x0`, and its norm: (mixed, normed).
pub fn residual_mix(
    b: &mut Builder,
    x: Value,
    x0: Value,
    layer: usize,
    layers: usize,
) -> Result<[Value; 2], OpError> {
    let resid = b.parameter("resid_lambdas", Type::f32([layers]));
    let skip = b.parameter("x0_lambdas", Type::f32([layers]));
    let outputs = b.apply(ResidualMix { layer }, &[x, x0, resid, skip])?;
    Ok([outputs[0], outputs[1]])
}

/// Each position takes a gated share of the one before it.
pub fn smear(b: &mut Builder, x: Value) -> Result<Value, OpError> {
    let [gate, lambda] = smear_parameters(b);
    b.apply_one(Smear, &[x, gate, lambda])
}

/// [`smear`] for one position, with the one before it in a state.
pub fn smear_decode(b: &mut Builder, x: Value) -> Result<Value, OpError> {
    let previous = b.state("cache.smear", b.ty(x).clone());
    let [gate, lambda] = smear_parameters(b);
    b.apply_one(SmearDecode, &[x, previous, gate, lambda])
}

/// `x − backout_lambda·middle`.
pub fn backout(b: &mut Builder, x: Value, middle: Value) -> Result<Value, OpError> {
    let lambda = b.parameter("backout_lambda", Type::f32([1]));
    b.apply_one(Backout, &[x, middle, lambda])
}

fn smear_parameters(b: &mut Builder) -> [Value; 2] {
    let gate = b.parameter("smear_gate.weight", Type::f32([1, SMEAR_CHANNELS]));
    [gate, b.parameter("smear_lambda", Type::f32([1]))]
}
