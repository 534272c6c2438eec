//! Element-wise sum; also how gradients of one value are summed.

use crate::check::{self, op_basics};
use wootz_program::{Backward, Op, OpError, Type};

/// `a + b`, same shapes.
#[derive(Debug, Clone)]
pub struct Add;

impl Op for Add {
    op_basics!("add");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("add", inputs, 2..=2)?;
        check::same("add", inputs, 1, 0)?;
        Ok(vec![inputs[0].clone()])
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0), (0, 1)]
    }
    fn backward(&self, b: &mut Backward<'_>) -> Result<(), OpError> {
        let dy = b.gradient(0)?;
        for i in 0..2 {
            if b.needs(i) {
                b.contribute(i, dy)?;
            }
        }
        Ok(())
    }
}
