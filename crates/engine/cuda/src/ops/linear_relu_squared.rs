//! Linear map with squared ReLU, and the gradient of what comes before, by the products of Hopper's kernel.
//!
//! Legend: M rows, i channels in, o channels out.

use crate::driver::CudaError;
use crate::gemm::hopper::{Epilogue, fused};
use crate::gemm::{Matrix, Product};
use crate::launch::{Code, Launch, NodeView};
use wootz_ops::{LinearInputGradientReluSquared, LinearReluSquared};

/// `h[M×o] = max(x[M×i]·wᵀ, 0)²`.
impl Code for LinearReluSquared {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (x, w, h) = (node.input(0), node.input(1), node.output(0));
        let [m, i, o] = [x.shape.rows(), x.shape.last(), h.shape.last()];
        let x = Matrix::new(x.pointer, x.dtype, i);
        let w = Matrix::new(w.pointer, w.dtype, i).transposed();
        let product = Product::new("gemm", [m, o, i], x, w, Matrix::new(h.pointer, h.dtype, o));
        Ok(vec![fused(node.gpu, &product, Epilogue::ReluSquared)?.0.costs(node.cost)])
    }
}

/// `du[M×i] = 2 √h (dy[M×o]·w)`.
impl Code for LinearInputGradientReluSquared {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (dy, w, h, du) = (node.input(0), node.input(1), node.input(2), node.output(0));
        let [m, i, o] = [du.shape.rows(), du.shape.last(), dy.shape.last()];
        let dy = Matrix::new(dy.pointer, dy.dtype, o);
        let w = Matrix::new(w.pointer, w.dtype, i);
        let product = Product::new("gemm", [m, i, o], dy, w, Matrix::new(du.pointer, du.dtype, i))
            .plus(1.0, Matrix::new(h.pointer, h.dtype, i));
        Ok(vec![fused(node.gpu, &product, Epilogue::ReluSquaredBackward)?.0.costs(node.cost)])
    }
}
