//! L2 norm over several tensors.

use crate::check::{no_backward, op_basics};
use wootz_program::{Op, OpError, Type};

/// `(g_1, …, g_n) -> sqrt(Σ g²)`.
#[derive(Debug, Clone)]
pub struct GlobalNorm;

impl Op for GlobalNorm {
    op_basics!("global_norm");
    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>, OpError> {
        Ok(vec![Type::scalar()])
    }
    fn statistics(&self) -> &'static [usize] {
        &[0]
    }
    no_backward!();
}
