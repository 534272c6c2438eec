//! Linears in 8 bits: casts, and products of what was cast.

use crate::driver::{CudaError, Pointer};
use crate::fp8::{ProductFp8, Quantize, WeightGradientFp8};
use crate::fp8_hidden::GradientFp8;
use crate::gemm::fp8::{Cast, ReluSquaredGradient, tame};
use crate::gemm::{self, Element, Matrix, Product, Scales};
use crate::launch::{Code, Launch, NodeView, Operand};
use crate::ops::linear::parts;

impl Code for Quantize {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let [straight, turned, factor, found] = [0, 1, 2, 3].map(|i| node.output(i));
        let whole = parts(&node.inputs[..self.matrices]);
        node.require(whole.len() == 1, || "the matrices do not lie one behind the other".to_owned())?;
        let read = |of: &Operand| if of.read { of.pointer } else { 0 };
        let known = node.inputs.get(self.matrices);
        let cast = Cast {
            x: node.input(0).pointer,
            dtype: node.input(0).dtype,
            rows: turned.shape.last() * 4,
            cols: straight.shape.last() * 4,
            format: self.format,
            straight: read(straight),
            turned: read(turned),
            factor: factor.pointer,
            partials: known.unwrap_or(found).pointer,
        };
        if known.is_some() {
            Ok(vec![cast.cast_by(node.gpu, self.rule)?])
        } else {
            cast.launches_by(node.gpu, self.rule)
        }
    }
}

impl Code for GradientFp8 {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let dh = node.input(0);
        let [u, h_factor, a_factor, b_factor] = [1, 2, 3, 4].map(|i| node.input(i).pointer);
        let [straight, turned, factor] = [0, 1, 2].map(|i| node.output(i).pointer);
        let gradient = ReluSquaredGradient {
            rows: dh.shape.rows(),
            cols: dh.shape.last(),
            u,
            dh: dh.pointer,
            k: self.sum,
            factors: [a_factor, b_factor],
            h_factor,
            straight,
            turned,
            factor,
            h_turned: node.output(3).target(),
        };
        Ok(vec![gradient.launch(node.gpu)?])
    }
}

impl Code for ProductFp8 {
    fn scratch_bytes(&self, _node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(gemm::WORKSPACE_BYTES)
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let y = node.output(0);
        let n = self.shape[1];
        let product = Product {
            c: node.inputs.get(4).map(|c| Matrix::new(c.pointer, c.dtype, n)),
            ..product(node, self.formats, self.shape, 0, Matrix::new(y.pointer, y.dtype, n))?
        };
        Ok(vec![gemm::product(node.gpu, &product, node.scratch)?])
    }
}

impl Code for WeightGradientFp8 {
    fn scratch_bytes(&self, _node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(gemm::WORKSPACE_BYTES)
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let mut launches = Vec::new();
        for part in parts(&node.inputs[4..]) {
            let [_, n, k] = self.shape;
            let dw = Matrix::new(part.pointer, part.dtype, n);
            let product = product(node, self.formats, [part.rows, n, k], part.row, dw)?;
            launches.push(gemm::product(node.gpu, &product.accumulated(), node.scratch)?);
        }
        Ok(launches)
    }
}

/// `a·bᵀ` of the first four operands, from a row of `a` on.
fn product(
    node: &NodeView<'_>,
    formats: [Element; 2],
    [m, n, k]: [usize; 3],
    row: usize,
    d: Matrix,
) -> Result<Product, CudaError> {
    let [a, a_factor, b, b_factor] = [0, 1, 2, 3].map(|i| node.input(i));
    let stream = crate::driver::Stream::new(&node.gpu.device)?;
    tame(node.gpu, &stream, a.pointer, a.bytes())?;
    tame(node.gpu, &stream, b.pointer, b.bytes())?;
    stream.synchronize()?;
    let at: Pointer = a.pointer + (row * k) as u64;
    let (a, b) = (Matrix::new(at, formats[0], k), Matrix::new(b.pointer, formats[1], k).transposed());
    let scales = Some(Scales { a: a_factor.pointer, b: b_factor.pointer });
    Ok(Product { scales, ..Product::new("gemm fp8", [m, n, k], a, b, d) })
}
