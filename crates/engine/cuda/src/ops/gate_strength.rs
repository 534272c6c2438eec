//! Strengths of the value embeddings.

use crate::compiler::Macros;
use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView, Operand};
use crate::partial_sums::{Shares, Summed, Sums, Target};
use wootz_ops::{GateStrength, GateStrengthBackward};
use wootz_program::Type;

const THREADS: u32 = 256;
/// Rows and threads of a block in the backward pass, as in the kernel.
const ROWS: usize = 64;
const BACKWARD_THREADS: u32 = 768;

/// Dims of the gate K×G over rows of C.
struct Dims {
    rows: usize,
    heads: usize,
    channels: usize,
    width: usize,
}

impl Dims {
    fn of(node: &NodeView<'_>, n: &Operand, gate: &Operand) -> Result<Dims, CudaError> {
        let (width, channels) = (n.shape.last(), gate.shape.last());
        let heads = gate.len() / channels;
        let shared = (ROWS * (heads + channels) + heads * channels) * size_of::<f32>();
        node.require(shared <= 48 << 10, || format!("a gate of {heads}×{channels} is too large"))?;
        Ok(Dims { rows: n.len() / width, heads, channels, width })
    }
    fn macros(&self) -> Macros {
        vec![("K", self.heads.to_string()), ("G", self.channels.to_string()), ("C", self.width.to_string())]
    }
}

/// Blocks of the backward pass.
fn blocks(rows: usize) -> usize {
    rows.div_ceil(ROWS).max(1)
}

impl Code for GateStrength {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (n, gate, s) = (node.input(0), node.input(1), node.output(0));
        let mut macros = Dims::of(node, n, gate)?.macros();
        macros.extend([("TN", n.c_type()), ("TG", gate.c_type()), ("TS", s.c_type())]);
        let function = node.function("gate_strength", "gate_strength", &macros)?;
        let arguments =
            Arguments::new().pointer(s.pointer).pointer(n.pointer).pointer(gate.pointer).i64(s.len());
        let grid = [s.len().div_ceil(THREADS as usize).max(1) as u32, 1, 1];
        Ok(vec![node.kernel("gate_strength", function, grid, THREADS, arguments)])
    }
}

impl Summed for GateStrengthBackward {
    fn sums(&self, inputs: &[&Type]) -> Sums {
        let target = Target { input: 4, first: 0, len: inputs[4].shape.len() };
        Sums { blocks: blocks(inputs[2].shape.rows()), factor: 1.0, targets: vec![target] }
    }
}

impl Code for Shares<GateStrengthBackward> {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let [ds, s, n, gate] = [0, 1, 2, 3].map(|i| node.input(i));
        let (sum, dn, shares) = (node.inputs.get(5), node.output(0), node.output(1));
        let dims = Dims::of(node, n, gate)?;
        let mut macros = dims.macros();
        macros.extend([("TDS", ds.c_type()), ("TS", s.c_type()), ("TN", n.c_type())]);
        macros.extend([("TG", gate.c_type()), ("TY", dn.c_type())]);
        macros.extend(sum.map(|sum| ("TD", sum.c_type())));
        let sum = sum.map_or(0, |sum| sum.pointer);
        let function = node.function("gate_strength", "gate_strength_backward", &macros)?;
        let arguments = Arguments::new()
            .pointer(dn.target())
            .pointer(ds.pointer)
            .pointer(s.pointer)
            .pointer(n.pointer)
            .pointer(gate.pointer)
            .pointer(sum)
            .pointer(shares.pointer)
            .i64(dims.rows);
        let grid = [blocks(dims.rows) as u32, 1, 1];
        let block = [BACKWARD_THREADS, 1, 1];
        let mut launches =
            vec![Launch::kernel("gate_strength_backward", function, grid, block, 0, arguments)];
        if dn.read && dn.pointer != sum {
            let rest = node.function("gate_strength", "gate_strength_rest", &macros)?;
            let arguments = Arguments::new().pointer(dn.pointer).pointer(sum).i64(dn.len());
            let grid = [dn.len().div_ceil(THREADS as usize).clamp(1, 1 << 20) as u32, 1, 1];
            launches.push(node.kernel("gate_strength_rest", rest, grid, THREADS, arguments));
        }
        Ok(launches)
    }
}
