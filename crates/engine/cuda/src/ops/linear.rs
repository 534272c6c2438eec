//! Linear maps and their gradients, by matrix products of the library.
//!
//! Legend: M rows of x, i channels in, o channels out, over all weights. Weights that lie one behind the other in memory are
//! one product; others one product each, on their columns of y or dy.

use crate::driver::{CudaError, Pointer};
use crate::gemm::{self, Matrix, Product};
use crate::launch::{Code, Launch, NodeView, Operand};
use wootz_ops::{Linear, LinearInputGradient, LinearWeightGradient};
use wootz_tensor::DType;

/// `y[M×o] = x[M×i]·wᵀ (+ residual)`.
impl Code for Linear {
    fn scratch_bytes(&self, _node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(gemm::WORKSPACE_BYTES)
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (x, y) = (node.input(0), node.output(0));
        let parts = parts(&node.inputs[1..=self.weights]);
        let residual = self.residual.then(|| node.input(self.weights + 1));
        let [m, i, o] = [x.shape.rows(), x.shape.last(), y.shape.last()];
        each(node, &parts, |part| {
            let columns = |of: &Operand| Matrix::new(at_column(of, part.row), of.dtype, o);
            let w = Matrix::new(part.pointer, part.dtype, i).transposed();
            let product =
                Product::new("gemm", [m, part.rows, i], Matrix::new(x.pointer, x.dtype, i), w, columns(y));
            match residual {
                Some(residual) => product.plus(1.0, columns(residual)),
                None => product,
            }
        })
    }
}

/// `dx[M×i] = dy[M×o]·w (+ dx)`.
impl Code for LinearInputGradient {
    fn scratch_bytes(&self, _node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(gemm::WORKSPACE_BYTES)
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (dy, dx) = (node.input(0), node.output(0));
        let parts = parts(&node.inputs[1..=self.weights]);
        let [m, i, o] = [dx.shape.rows(), dx.shape.last(), dy.shape.last()];
        let whole = |of: &Operand| Matrix::new(of.pointer, of.dtype, i);
        let partial = node.inputs.get(self.weights + 1);
        each(node, &parts, |part| {
            let dy = Matrix::new(at_column(dy, part.row), dy.dtype, o);
            let w = Matrix::new(part.pointer, part.dtype, i);
            let product = Product::new("gemm", [m, i, part.rows], dy, w, whole(dx));
            match (part.row, partial) {
                (0, None) => product,
                (0, Some(partial)) => product.plus(1.0, whole(partial)),
                _ => product.accumulated(),
            }
        })
    }
}

/// `dw[o×i] += dyᵀ·x`.
impl Code for LinearWeightGradient {
    fn scratch_bytes(&self, _node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(gemm::WORKSPACE_BYTES)
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (dy, x) = (node.input(0), node.input(1));
        let parts = parts(&node.inputs[2..]);
        let [m, i, o] = [x.shape.rows(), x.shape.last(), dy.shape.last()];
        each(node, &parts, |part| {
            let dy = Matrix::new(at_column(dy, part.row), dy.dtype, o).transposed();
            let dw = Matrix::new(part.pointer, part.dtype, i);
            Product::new("gemm", [part.rows, i, m], dy, Matrix::new(x.pointer, x.dtype, i), dw).accumulated()
        })
    }
}

/// Weights, or their gradients, that lie one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where they begin.
    pub pointer: Pointer,
    /// Their element type.
    pub dtype: DType,
    /// Its first row among those of all weights.
    pub row: usize,
    /// Rows of them together.
    pub rows: usize,
}

/// Adjacent weights as one.
pub(crate) fn parts(weights: &[Operand]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut row = 0;
    let mut end = None;
    for weight in weights {
        let rows = weight.shape.rows();
        match parts.last_mut() {
            Some(part) if end == Some(weight.pointer) && part.dtype == weight.dtype => part.rows += rows,
            _ => parts.push(Part { pointer: weight.pointer, dtype: weight.dtype, row, rows }),
        }
        row += rows;
        end = Some(weight.pointer + weight.bytes() as u64);
    }
    parts
}

fn at_column(of: &Operand, column: usize) -> Pointer {
    of.pointer + (column * of.dtype.bytes()) as u64
}

fn each(
    node: &NodeView<'_>,
    parts: &[Part],
    product: impl Fn(&Part) -> Product,
) -> Result<Vec<Launch>, CudaError> {
    parts.iter().map(|part| gemm::product(node.gpu, &product(part), node.scratch)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_tensor::Shape;

    #[test]
    fn weights_one_behind_the_other_are_one_part() {
        let weight = |pointer, rows: usize, dtype| Operand {
            pointer,
            shape: Shape::from([rows, 8]),
            dtype,
            read: true,
        };
        let part = |pointer, dtype, row, rows| Part { pointer, dtype, row, rows };
        let three =
            [weight(256, 4, DType::BF16), weight(256 + 64, 2, DType::BF16), weight(256 + 96, 2, DType::BF16)];
        assert_eq!(parts(&three), [part(256, DType::BF16, 0, 8)]);
        let apart = [weight(256, 4, DType::F32), weight(512, 2, DType::F32), weight(576, 2, DType::F32)];
        assert_eq!(parts(&apart), [part(256, DType::F32, 0, 4), part(512, DType::F32, 4, 4)]);
    }
}
