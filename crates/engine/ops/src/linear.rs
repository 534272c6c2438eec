//! Bias-free linear map with one or several weights, and its two gradients.
//!
//! Several weights on one input are one product with packed columns: queries, keys and values leave it side by side. A
//! residual that is added costs no pass of its own.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Cost, Op, OpError, Type};

/// `(x_…i, w_1, …, w_n, [residual_…o]) -> y_…o`: `y = x [w_1; …; w_n]ᵀ (+ residual)`, where w_j has rows_j × i elements and
/// o = Σ rows_j.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    /// Number of weights n.
    pub weights: usize,
    /// Whether the last operand is a residual.
    pub residual: bool,
}

impl Linear {
    /// One weight, no residual.
    pub const PLAIN: Linear = Linear { weights: 1, residual: false };
}

impl Op for Linear {
    op_basics!("linear");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let count = 1 + self.weights + usize::from(self.residual);
        check::arity("linear", inputs, count..=count)?;
        let [rows, cols] = packed("linear", &inputs[1..=self.weights])?;
        check::that("linear", inputs[0].shape.last() == cols, || {
            format!("the weight takes {cols} channels, the input has {}", inputs[0].shape)
        })?;
        let y = inputs[0].with_shape(inputs[0].shape.with_last(rows));
        if self.residual {
            check::shape("linear", inputs, count - 1, &y.shape)?;
        }
        Ok(vec![y])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), &inputs[1..=self.weights], inputs, outputs)
    }
    fn in_place(&self, inputs: usize) -> Vec<(usize, usize)> {
        if self.residual { vec![(0, inputs - 1)] } else { Vec::new() }
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let (dy, x, n) = (b.gradient(0)?, b.input(0), self.weights);
        if self.residual && b.needs(n + 1) {
            b.contribute(n + 1, dy)?;
        }
        if b.needs(0) {
            let mut operands = vec![dy];
            operands.extend((1..=n).map(|i| b.input(i)));
            operands.extend(b.partial(0));
            let dx = b.emit(LinearInputGradient { weights: n }, &operands)?[0];
            b.set(0, dx);
        }
        if (1..=n).any(|i| b.needs(i)) {
            let mut operands = vec![dy, x];
            for i in 1..=n {
                operands.push(b.parameter_gradient(i)?);
            }
            b.emit(LinearWeightGradient { weights: n }, &operands)?;
        }
        Ok(())
    }
}

/// `(dy_…o, w_1, …, w_n, [dx_…i]) -> dx_…i`: `dy [w_1; …; w_n]`, added to the last operand where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearInputGradient {
    /// Number of weights n.
    pub weights: usize,
}

impl Op for LinearInputGradient {
    op_basics!("linear_input_gradient");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let (op, n) = (self.name(), self.weights);
        check::arity(op, inputs, n + 1..=n + 2)?;
        let [rows, cols] = packed(op, &inputs[1..=n])?;
        check::shape(op, inputs, 0, &inputs[0].shape.with_last(rows))?;
        let dx = inputs[0].with_shape(inputs[0].shape.with_last(cols));
        if inputs.len() == n + 2 {
            check::shape(op, inputs, n + 1, &dx.shape)?;
        }
        Ok(vec![dx])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), &inputs[1..=self.weights], inputs, outputs)
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, self.weights + 1)]
    }
    no_backward!();
}

/// `(dy_…o, x_…i, dw_1, …, dw_n)`: `[dw_1; …; dw_n] += dyᵀ x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinearWeightGradient {
    /// Number of weights n.
    pub weights: usize,
}

impl Op for LinearWeightGradient {
    op_basics!("linear_weight_gradient");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let op = self.name();
        check::arity(op, inputs, self.weights + 2..=self.weights + 2)?;
        let [rows, cols] = packed(op, &inputs[2..])?;
        check::shape(op, inputs, 0, &inputs[1].shape.with_last(rows))?;
        check::shape(op, inputs, 1, &inputs[0].shape.with_last(cols))?;
        Ok(vec![])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        product(inputs[0].shape.rows(), &inputs[2..], inputs, outputs)
    }
    fn updates(&self) -> Vec<usize> {
        (2..self.weights + 2).collect()
    }
    no_backward!();
}

/// Rows of all weights together, and their common width.
fn packed(op: &'static str, weights: &[&Type]) -> Result<[usize; 2], OpError> {
    let mut packed = None;
    for ty in weights {
        let [rows, cols] = match ty.shape.dims() {
            [rows, cols] => [*rows, *cols],
            _ => return Err(OpError::inputs(op, format!("a weight has two dims, got {}", ty.shape))),
        };
        let [above, width] = packed.unwrap_or([0, cols]);
        check::that(op, width == cols, || format!("weights of {width} and of {cols} channels"))?;
        packed = Some([above + rows, cols]);
    }
    packed.ok_or_else(|| OpError::inputs(op, "it has no weight"))
}

/// A product of `rows` vectors with weights: 2 FLOP per element of the weights and row.
pub(crate) fn product(rows: usize, weights: &[&Type], inputs: &[&Type], outputs: &[&Type]) -> Cost {
    let elements: usize = weights.iter().map(|w| w.shape.len()).sum();
    Cost {
        flops: 2 * (rows * elements) as u64,
        bytes: inputs.iter().chain(outputs).map(|ty| ty.bytes() as u64).sum(),
    }
}
