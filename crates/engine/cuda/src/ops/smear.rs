//! Smear: a gated share of the position before.

use crate::compiler::Macros;
use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView, Operand};
use crate::partial_sums::{Shares, Summed, Sums, Target};
use wootz_ops::{Smear, SmearBackward, SmearDecode};
use wootz_program::Type;

const THREADS: u32 = 256;
/// Rows that a block takes at once, a warp each.
const WARPS: usize = 8;
/// Rows that a warp of the backward pass takes in turn.
const TURNS: usize = 4;

/// Rows of C elements, and the macros of a gate of G of them.
fn rows(
    node: &NodeView<'_>,
    x: &Operand,
    gate: &Operand,
    lambda: &Operand,
) -> Result<(usize, Macros), CudaError> {
    let (width, channels) = (x.shape.last(), gate.shape.last());
    node.require(width.is_multiple_of(8), || format!("rows of {width} elements are not a multiple of 8"))?;
    node.require(channels <= 1024, || format!("a gate of {channels} channels is too large"))?;
    let mut macros = vec![("C", width.to_string()), ("G", channels.to_string())];
    macros.extend([("TX", x.c_type()), ("TG", gate.c_type()), ("TL", lambda.c_type())]);
    Ok((x.len() / width, macros))
}

impl Code for Smear {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (x, gate, lambda, y) = (node.input(0), node.input(1), node.input(2), node.output(0));
        let (rows, mut macros) = rows(node, x, gate, lambda)?;
        macros.push(("TY", y.c_type()));
        let function = node.function("smear", "smear", &macros)?;
        let arguments = Arguments::new()
            .pointer(y.pointer)
            .pointer(x.pointer)
            .pointer(gate.pointer)
            .pointer(lambda.pointer)
            .i32(x.shape.dims()[1])
            .i64(rows);
        let grid = [rows.div_ceil(WARPS).max(1) as u32, 1, 1];
        Ok(vec![node.kernel("smear", function, grid, THREADS, arguments)])
    }
}

impl Summed for SmearBackward {
    fn sums(&self, inputs: &[&Type]) -> Sums {
        let blocks = inputs[1].shape.rows().div_ceil(WARPS * TURNS).max(1);
        let targets = [4, 5].map(|input| Target { input, first: 0, len: inputs[input].shape.len() });
        Sums { blocks, factor: 1.0, targets: targets.into() }
    }
}

impl Code for Shares<SmearBackward> {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let [dy, x, gate, lambda] = [0, 1, 2, 3].map(|i| node.input(i));
        let (dx, shares) = (node.output(0), node.output(1));
        let (rows, mut macros) = rows(node, x, gate, lambda)?;
        macros.extend([("TD", dy.c_type()), ("TY", dx.c_type())]);
        let function = node.function("smear", "smear_backward", &macros)?;
        let blocks = rows.div_ceil(WARPS * TURNS).max(1);
        let arguments = Arguments::new()
            .pointer(dx.pointer)
            .pointer(dy.pointer)
            .pointer(x.pointer)
            .pointer(gate.pointer)
            .pointer(lambda.pointer)
            .pointer(shares.pointer)
            .i32(x.shape.dims()[1])
            .i64(rows);
        Ok(vec![node.kernel("smear_backward", function, [blocks as u32, 1, 1], THREADS, arguments)])
    }
}

impl Code for SmearDecode {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let [x, previous, gate, lambda] = [0, 1, 2, 3].map(|i| node.input(i));
        let y = node.output(0);
        let (rows, mut macros) = rows(node, x, gate, lambda)?;
        macros.extend([("TP", previous.c_type()), ("TY", y.c_type())]);
        let function = node.function("smear", "smear_decode", &macros)?;
        let arguments = Arguments::new()
            .pointer(y.pointer)
            .pointer(x.pointer)
            .pointer(previous.pointer)
            .pointer(gate.pointer)
            .pointer(lambda.pointer)
            .i64(rows);
        let grid = [rows.div_ceil(WARPS).max(1) as u32, 1, 1];
        Ok(vec![node.kernel("smear_decode", function, grid, THREADS, arguments)])
    }
}
