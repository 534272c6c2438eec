//! Value embeddings: the values of attention take a gated share of a per-token table.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};

/// Largest share of a value embedding.
const STRENGTH: f64 = 3.0;

/// `(v_btkd, x_btc, gate_kg, ve_btkd) -> v + 3 σ(gate · x[..g]) ve`, one gate per key/value head.
#[derive(Debug, Clone)]
pub struct ValueGate;

impl ValueGate {
    /// Largest share of a value embedding.
    pub const STRENGTH: f64 = STRENGTH;
}

impl Op for ValueGate {
    op_basics!("value_gate");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("value_gate", inputs, 4..=4)?;
        check::same("value_gate", inputs, 3, 0)?;
        gate("value_gate", inputs[0], inputs[1], inputs[2])?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let (dy, dgate) = (b.gradient(0)?, b.parameter_gradient(2)?);
        let mut operands = vec![dy, b.input(1), b.input(2), b.input(3), dgate];
        operands.extend(b.partial(1));
        let gradients = b.emit(ValueGateBackward, &operands)?;
        b.set(1, gradients[1]); // first: it holds what was gathered before this rule, and no more
        b.contribute(3, gradients[0])?;
        b.contribute(0, dy)
    }
}

/// `(dy_btkd, x_btc, gate_kg, ve_btkd, dgate_kg, [dx_btc]) -> (dve_btkd, dx_btc)`; only the first g channels of `x` have a
/// gradient, which is added to the sixth input where there is one.
#[derive(Debug, Clone)]
pub struct ValueGateBackward;

impl Op for ValueGateBackward {
    op_basics!("value_gate_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 5..=6)?;
        check::same(self.name(), inputs, 3, 0)?;
        check::same(self.name(), inputs, 4, 2)?;
        gate(self.name(), inputs[0], inputs[1], inputs[2])?;
        Ok(vec![inputs[0].clone(), inputs[1].clone()])
    }
    fn in_place(&self, _inputs: usize) -> &'static [(usize, usize)] {
        &[(1, 5)]
    }
    fn updates(&self) -> &'static [usize] {
        &[4]
    }
    no_backward!();
}

fn gate(op: &'static str, v: &Type, x: &Type, gate: &Type) -> Result<(), OpError> {
    let fits = match gate.shape.dims() {
        [heads, channels] => v.shape.last().is_multiple_of(*heads) && *channels <= x.shape.last(),
        _ => false,
    };
    check::that(op, fits && v.shape.rows() == x.shape.rows(), || {
        format!("the gate {} fits neither the values {} nor the input {}", gate.shape, v.shape, x.shape)
    })
}
