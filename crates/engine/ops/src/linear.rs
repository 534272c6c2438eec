//! Bias-free linear map, and its two gradients.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Cost, Op, OpError, Type};

/// `(x_…i, w_oi) -> y_…o`: `y = x wᵀ`.
#[derive(Debug, Clone)]
pub struct Linear;

impl Op for Linear {
    op_basics!("linear");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("linear", inputs, 2..=2)?;
        let [rows, cols] = weight("linear", inputs[1])?;
        check::that("linear", inputs[0].shape.last() == cols, || {
            format!("the weight takes {cols} channels, the input has {}", inputs[0].shape)
        })?;
        Ok(vec![Type::f32(inputs[0].shape.with_last(rows))])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), inputs[1], inputs, outputs)
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let (dy, x, w) = (b.gradient(0)?, b.input(0), b.input(1));
        if b.needs(0) {
            let mut operands = vec![dy, w];
            operands.extend(b.partial(0));
            let dx = b.emit(LinearInputGradient, &operands)?[0];
            b.set(0, dx);
        }
        if b.needs(1) {
            let dw = b.parameter_gradient(1)?;
            b.emit(LinearWeightGradient, &[dy, x, dw])?;
        }
        Ok(())
    }
}

/// `(dy_…o, w_oi, [dx_…i]) -> dx_…i`: `dy w`, added to the third input where there is one.
#[derive(Debug, Clone)]
pub struct LinearInputGradient;

impl Op for LinearInputGradient {
    op_basics!("linear_input_gradient");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let op = self.name();
        check::arity(op, inputs, 2..=3)?;
        let [rows, cols] = weight(op, inputs[1])?;
        check::shape(op, inputs, 0, &inputs[0].shape.with_last(rows))?;
        let dx = inputs[0].shape.with_last(cols);
        if inputs.len() == 3 {
            check::shape(op, inputs, 2, &dx)?;
        }
        Ok(vec![Type::f32(dx)])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), inputs[1], inputs, outputs)
    }
    fn in_place(&self, _inputs: usize) -> &'static [(usize, usize)] {
        &[(0, 2)]
    }
    no_backward!();
}

/// `(dy_…o, x_…i, dw_oi)`: `dw += dyᵀ x`.
#[derive(Debug, Clone)]
pub struct LinearWeightGradient;

impl Op for LinearWeightGradient {
    op_basics!("linear_weight_gradient");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let op = self.name();
        check::arity(op, inputs, 3..=3)?;
        let [rows, cols] = weight(op, inputs[2])?;
        check::shape(op, inputs, 0, &inputs[1].shape.with_last(rows))?;
        check::shape(op, inputs, 1, &inputs[0].shape.with_last(cols))?;
        Ok(vec![])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), inputs[2], inputs, outputs)
    }
    fn updates(&self) -> &'static [usize] {
        &[2]
    }
    no_backward!();
}

fn weight(op: &'static str, ty: &Type) -> Result<[usize; 2], OpError> {
    match ty.shape.dims() {
        [rows, cols] => Ok([*rows, *cols]),
        _ => Err(OpError::inputs(op, format!("a weight has two dims, got {}", ty.shape))),
    }
}

/// A product of `rows` vectors with a weight: 2 FLOP per element of the weight and row.
pub(crate) fn product(rows: usize, weight: &Type, inputs: &[&Type], outputs: &[&Type]) -> Cost {
    Cost {
        flops: 2 * rows as u64 * weight.shape.len() as u64,
        bytes: inputs.iter().chain(outputs).map(|ty| ty.bytes() as u64).sum(),
    }
}
