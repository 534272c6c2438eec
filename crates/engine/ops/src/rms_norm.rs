//! Root-mean-square norm without weights (Zhang & Sennrich, arXiv 1910.07467).

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Backward, Op, OpError, Type};

/// `(x_…c) -> x / sqrt(mean(x²) + eps)` over the last dim; eps is the smallest step at 1 of binary32.
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
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
    fn cheap(&self) -> bool {
        true
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let mut operands = vec![b.gradient(0)?, b.input(0)];
        operands.extend(b.partial(0));
        let dx = b.emit(RmsNormBackward, &operands)?[0];
        b.set(0, dx);
        Ok(())
    }
}

/// `(dy_…c, x_…c, [dx_…c]) -> dx_…c`: with r = 1/rms(x), `r (dy − x r² mean(dy·x))`, added to the third input where there is
/// one: that is the residual stream's gradient, which saves a pass over memory.
#[derive(Debug, Clone)]
pub struct RmsNormBackward;

impl Op for RmsNormBackward {
    op_basics!("rms_norm_backward");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity(self.name(), inputs, 2..=3)?;
        (1..inputs.len()).try_for_each(|i| check::same(self.name(), inputs, i, 0))?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, inputs: usize) -> Vec<(usize, usize)> {
        if inputs == 3 { vec![(0, 2)] } else { vec![(0, 0)] }
    }
    no_backward!();
}
