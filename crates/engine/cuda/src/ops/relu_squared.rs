//! Squared ReLU.

use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView, Operand};
use wootz_ops::{ReluSquared, ReluSquaredBackward};
use wootz_tensor::DType;

const THREADS: u32 = 256;

impl Code for ReluSquared {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (u, h) = (node.input(0), node.output(0));
        let macros = vec![("TX", u.c_type()), ("TY", h.c_type())];
        let function = node.function("relu_squared", "relu_squared", &macros)?;
        let arguments = Arguments::new().pointer(h.pointer).pointer(u.pointer).i64(u.len());
        Ok(vec![node.kernel("relu_squared", function, blocks(u), THREADS, arguments)])
    }
}

impl Code for ReluSquaredBackward {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (dh, h, du) = (node.input(0), node.input(1), node.output(0));
        let macros = vec![("TX", dh.c_type()), ("TH", h.c_type()), ("TY", du.c_type())];
        let function = node.function("relu_squared", "relu_squared_backward", &macros)?;
        let arguments =
            Arguments::new().pointer(du.pointer).pointer(dh.pointer).pointer(h.pointer).i64(dh.len());
        Ok(vec![node.kernel("relu_squared_backward", function, blocks(dh), THREADS, arguments)])
    }
}

/// A thread of an element-wise kernel takes 64 bytes of its first operand, in groups of eight elements.
pub(super) fn blocks(first: &Operand) -> [u32; 3] {
    [blocks_over(first.len(), first.dtype) as u32, 1, 1]
}

/// The same for a first operand of `len` elements.
pub(super) fn blocks_over(len: usize, dtype: DType) -> usize {
    let elements = if dtype.bytes() == 2 { 32 } else { 16 };
    len.div_ceil(THREADS as usize * elements).max(1)
}
