//! RMS norm.

use crate::compiler::Macros;
use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView, Operand};
use crate::of_input::OfInput;
use wootz_ops::{RmsNorm, RmsNormBackward};
use wootz_tensor::{DType, Shape};

/// How the rows of a kernel that holds whole rows are spread over threads.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// Number of rows.
    pub count: usize,
    /// Elements of one.
    pub width: usize,
    /// Threads that share one: a warp, or the whole block.
    pub lanes: usize,
    /// Threads of a block.
    pub threads: usize,
}

impl Rows {
    /// Those of an operand, if a block can hold one.
    pub fn of(node: &NodeView<'_>, x: &Operand) -> Result<Rows, CudaError> {
        const WIDEST: usize = 16384;
        let width = x.shape.last();
        node.require(width.is_multiple_of(8) && (8..=WIDEST).contains(&width), || {
            format!("rows of {width} elements; the kernel takes multiples of 8 up to {WIDEST}")
        })?;
        Ok(Rows::over(&x.shape))
    }
    /// A thread holds at most 48 elements of a row.
    pub fn over(shape: &Shape) -> Rows {
        let width = shape.last();
        let mut lanes = 32;
        while width > lanes * 48 {
            lanes *= 2;
        }
        let threads = if lanes == 32 { 128 } else { lanes };
        Rows { count: shape.rows(), width, lanes, threads }
    }
    /// Rows that a block takes at once.
    pub fn at_once(&self) -> usize {
        self.threads / self.lanes
    }
    /// Blocks, where each takes `turns` times its rows.
    pub fn blocks(&self, turns: usize) -> usize {
        self.count.div_ceil(self.at_once() * turns).max(1)
    }
    /// The macros of a kernel that holds whole rows.
    pub fn macros(&self) -> Macros {
        vec![
            ("C", self.width.to_string()),
            ("LANES", self.lanes.to_string()),
            ("THREADS", self.threads.to_string()),
        ]
    }
}

impl Code for RmsNorm {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (x, y, rstd) = (node.input(0), node.output(0), node.output(1));
        let rows = Rows::of(node, x)?;
        let mut macros = rows.macros();
        macros.extend([("TX", x.c_type()), ("TY", y.c_type())]);
        require_factors(node, rstd)?;
        let function = node.function("rms_norm", "rms_norm", &macros)?;
        let arguments =
            Arguments::new().pointer(y.pointer).pointer(rstd.target()).pointer(x.pointer).i64(rows.count);
        let grid = [rows.blocks(1) as u32, 1, 1];
        Ok(vec![node.kernel("rms_norm", function, grid, rows.threads as u32, arguments)])
    }
}

impl Code for RmsNormBackward {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        backward(node, false)
    }
}

impl Code for OfInput<RmsNormBackward> {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        backward(node, true)
    }
}

/// From the norm's output, or from its input.
fn backward(node: &NodeView<'_>, of_input: bool) -> Result<Vec<Launch>, CudaError> {
    let (dy, y, rstd, dx) = (node.input(0), node.input(1), node.input(2), node.output(0));
    let sum = node.inputs.get(3);
    let rows = Rows::of(node, y)?;
    require_factors(node, rstd)?;
    let mut macros = rows.macros();
    macros.extend([("TDY", dy.c_type()), ("TX", y.c_type()), ("TY", dx.c_type())]);
    macros.extend(sum.map(|sum| ("TD", sum.c_type())));
    macros.extend(node.largest.map(|_| ("LARGEST", "1".to_owned())));
    macros.extend(of_input.then(|| ("INPUT", "1".to_owned())));
    let function = node.function("rms_norm", "rms_norm_backward", &macros)?;
    let arguments = Arguments::new()
        .pointer(dx.pointer)
        .pointer(dy.pointer)
        .pointer(y.pointer)
        .pointer(rstd.pointer)
        .pointer(sum.map_or(0, |sum| sum.pointer))
        .pointer(node.largest.unwrap_or(0))
        .i64(rows.count);
    let grid = [rows.blocks(1) as u32, 1, 1];
    Ok(vec![node.kernel("rms_norm_backward", function, grid, rows.threads as u32, arguments)])
}

/// An error unless the factor of each row is in binary32.
pub(super) fn require_factors(node: &NodeView<'_>, rstd: &Operand) -> Result<(), CudaError> {
    node.require(rstd.dtype == DType::F32, || {
        format!("the factors of its rows must be f32, not {}", rstd.dtype)
    })
}
