//! Linears in 8 bits: casts, and products of what was cast.

use crate::driver::{Arguments, CudaError, Pointer};
use crate::fp8::{ProductFp8, Quantize, WeightGradientFp8};
use crate::fp8_hidden::GradientFp8;
use crate::fp8_norm::NormFp8;
use crate::gemm::fp8::{Cast, ReluSquaredGradient, norm_bound, tame};
use crate::gemm::{self, Element, Matrix, Product, Scales};
use crate::launch::{Code, Launch, NodeView, Operand};
use crate::ops::linear::parts;
use wootz_program::Cost;

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

/// Rows of a block of the norms' kernel, which a thread turns by groups.
const NORM_ROWS: usize = 64;
const NORM_GROUP: usize = 16;
/// Rows of more elements, and mixes, take more registers than 512 threads have.
const NORM_WIDE: usize = 1280;

/// Shared memory of a block of the norms' kernel: its rows, the groups eight banks apart.
fn norm_shared_bytes(cols: usize) -> usize {
    NORM_ROWS / NORM_GROUP * (NORM_GROUP * cols + 32)
}

impl Code for NormFp8 {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let x = node.input(0);
        let (rows, cols) = (x.shape.rows(), x.shape.last());
        let (mixed, outputs) = if self.mix.is_some() {
            (node.output(0).target(), &node.outputs[1..])
        } else {
            (0, &node.outputs[..])
        };
        let [normed, rstd, straight, turned, factor] = [0, 1, 2, 3, 4].map(|i| &outputs[i]);
        let threads = if self.mix.is_some() || cols > NORM_WIDE { 256 } else { 512 };
        let mut macros = vec![("C", cols.to_string()), ("THREADS", threads.to_string())];
        macros.push(("MIX", u8::from(self.mix.is_some()).to_string()));
        let rest = node.inputs[1..].iter();
        macros.extend(["TX0", "TR", "TS"].into_iter().zip(rest).map(|(name, of)| (name, of.c_type())));
        let function = node.function("norm_fp8", "norm_fp8", &macros)?;
        let shared = norm_shared_bytes(cols) as u32;
        function.allow_shared(shared)?;
        function.prefer_shared()?;
        let place = |i: usize| node.inputs.get(i).map_or(0, |operand| operand.pointer);
        let arguments = Arguments::new()
            .pointer(mixed)
            .pointer(normed.target())
            .pointer(rstd.target())
            .pointer(straight.target())
            .pointer(turned.target())
            .pointer(factor.pointer)
            .pointer(x.pointer)
            .pointer(place(1))
            .pointer(place(2))
            .pointer(place(3))
            .i32(self.mix.unwrap_or(0))
            .f32(norm_bound(cols))
            .i32(rows);
        let (grid, block) = ([rows.div_ceil(NORM_ROWS) as u32, 1, 1], [threads, 1, 1]);
        let written: usize = node.outputs.iter().filter(|output| output.read).map(Operand::bytes).sum();
        let cost = Cost { bytes: node.cost.bytes + written as u64, ..node.cost };
        Ok(vec![Launch::kernel("norm fp8", function, grid, block, shared, arguments).costs(cost)])
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
