//! How much of a value embedding each key/value head takes: a gate on the first channels of the block's input.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};

/// `(n_btc, gate_kg) -> s_btk`: `s = 3 σ(gate · n[..g])`, one strength per key/value head.
#[derive(Debug, Clone)]
pub struct GateStrength;

impl GateStrength {
    /// Largest strength.
    pub const MAX: f64 = 3.0;
}

impl Op for GateStrength {
    op_basics!("gate_strength");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("gate_strength", inputs, 2..=2)?;
        Ok(vec![strengths("gate_strength", inputs[0], inputs[1])?])
    }
    fn statistics(&self) -> &'static [usize] {
        &[0]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let dgate = b.parameter_gradient(1)?;
        let mut operands = vec![b.gradient(0)?, b.output(0), b.input(0), b.input(1), dgate];
        operands.extend(b.partial(0));
        let dn = b.emit(GateStrengthBackward, &operands)?[0];
        b.set(0, dn);
        Ok(())
    }
}

/// `(ds_btk, s_btk, n_btc, gate_kg, dgate_kg, [dn_btc]) -> dn_btc`, from the output: with `dz = ds·s·(1 − s/3)`, `dgate += Σ dz·n`
/// and `dn[..g] = Σ_k dz·gate`. The other channels have no gradient: zero, or what the sixth operand holds, to which all is
/// added.
#[derive(Debug, Clone)]
pub struct GateStrengthBackward;

impl Op for GateStrengthBackward {
    op_basics!("gate_strength_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let op = self.name();
        check::arity(op, inputs, 5..=6)?;
        let s = strengths(op, inputs[2], inputs[3])?;
        (0..2).try_for_each(|i| check::shape(op, inputs, i, &s.shape))?;
        check::same(op, inputs, 4, 3)?;
        if inputs.len() == 6 {
            check::same(op, inputs, 5, 2)?;
        }
        Ok(vec![inputs[2].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 5)]
    }
    fn updates(&self) -> Vec<usize> {
        vec![4]
    }
    no_backward!();
}

fn strengths(op: &'static str, n: &Type, gate: &Type) -> Result<Type, OpError> {
    match gate.shape.dims() {
        [heads, channels] if *channels <= n.shape.last() => Ok(Type::f32(n.shape.with_last(*heads))),
        _ => Err(OpError::inputs(op, format!("the gate {} does not fit the input {}", gate.shape, n.shape))),
    }
}
