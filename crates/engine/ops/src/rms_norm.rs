//! Root-mean-square norm without weights (Zhang & Sennrich, arXiv 1910.07467).
//!
//! The backward pass works from the output, which the product behind a norm keeps anyway: the input need not be kept, and may
//! be overwritten by the block's result. With y = r·x, r = 1 / rms(x), the gradient is `r (dy − y mean(dy·y))`. Where y has been
//! rounded, its own Σ y² stands for the number of elements, so that nothing of dy stays along it.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};
use wootz_tensor::Shape;

/// `(x_…c) -> (y_…c, rstd_…)`: `y = rstd·x` with `rstd = 1 / sqrt(mean(x²) + eps)` over the last dim; eps is the smallest step
/// at 1 of binary32. Computing y again would save nothing, since x would be kept for it.
#[derive(Debug, Clone)]
pub struct RmsNorm;

impl RmsNorm {
    /// The default of `torch.nn.functional.rms_norm` for binary32.
    pub const EPS: f64 = f32::EPSILON as f64;
}

impl Op for RmsNorm {
    op_basics!("rms_norm");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("rms_norm", inputs, 1..=1)?;
        Ok(vec![inputs[0].clone(), Type::f32(factors(inputs[0]))])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
    fn statistics(&self) -> &'static [usize] {
        &[1]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        b.without_gradient(1)?;
        let mut operands = vec![b.gradient(0)?, b.output(0), b.output(1)];
        operands.extend(b.partial(0));
        let dx = b.emit(RmsNormBackward, &operands)?[0];
        b.set(0, dx);
        Ok(())
    }
}

/// `(dy_…c, y_…c, rstd_…, [dx_…c]) -> dx_…c`: `rstd (dy − y (1 − eps·rstd²) Σ dy·y / Σ y²)` from the outputs of the forward op,
/// which is `rstd (dy − y mean(dy·y))` where y is exact; 0 stands for 0 / 0. Added to the fourth
/// input where there is one: that is the residual stream's gradient, which saves a pass over memory.
#[derive(Debug, Clone)]
pub struct RmsNormBackward;

impl Op for RmsNormBackward {
    op_basics!("rms_norm_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 3..=4)?;
        [1, 3]
            .into_iter()
            .filter(|i| *i < inputs.len())
            .try_for_each(|i| check::same(self.name(), inputs, i, 0))?;
        check::shape(self.name(), inputs, 2, &factors(inputs[0]))?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, inputs: usize) -> Vec<(usize, usize)> {
        if inputs == 4 { vec![(0, 3)] } else { vec![(0, 0)] }
    }
    no_backward!();
}

/// One for each row.
pub(crate) fn factors(x: &Type) -> Shape {
    Shape::from(x.shape.dims().split_last().map_or(Vec::new(), |(_, rows)| rows.to_vec()))
}
