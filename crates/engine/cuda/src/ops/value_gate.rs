//! Value embeddings, looked up and added to the value columns of packed rows.

use super::scatter_rows::{Gate, ScatterRows};
use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView};
use crate::token_order::Ordered;
use wootz_ops::{ValueGate, ValueGateBackward};

const THREADS: u32 = 256;
/// Rows of a block, a warp each.
const WARPS: usize = 8;

impl Code for ValueGate {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let [x, s, table, tokens] = [0, 1, 2, 3].map(|i| node.input(i));
        let y = node.output(0);
        let d = x.shape.last() / (self.heads + 2 * self.kv_heads);
        node.require(d.is_multiple_of(8), || format!("heads of {d} elements are not a multiple of 8"))?;
        let macros = vec![
            ("H", self.heads.to_string()),
            ("K", self.kv_heads.to_string()),
            ("D", d.to_string()),
            ("TX", x.c_type()),
            ("TS", s.c_type()),
            ("TT", table.c_type()),
            ("TY", y.c_type()),
        ];
        let function = node.function("value_gate", "value_gate", &macros)?;
        let arguments = Arguments::new()
            .pointer(y.pointer)
            .pointer(x.pointer)
            .pointer(s.pointer)
            .pointer(table.pointer)
            .pointer(tokens.pointer)
            .i32(table.shape.dims()[0])
            .i32(usize::from(x.pointer != y.pointer))
            .i64(tokens.len());
        let grid = [tokens.len().div_ceil(WARPS).max(1) as u32, 1, 1];
        Ok(vec![node.kernel("value_gate", function, grid, THREADS, arguments)])
    }
}

fn scatter<'a>(op: &ValueGate, node: &'a NodeView<'_>) -> ScatterRows<'a> {
    let [dy, s, table, dtable, order] = [0, 1, 2, 4, 5].map(|i| node.input(i));
    let stride = dy.shape.last();
    let head_dim = stride / (op.heads + 2 * op.kv_heads);
    let gate = Some(Gate { s, table, ds: node.output(0), head_dim });
    ScatterRows { dy, stride, offset: (op.heads + op.kv_heads) * head_dim, order, dtable, gate }
}

impl Code for Ordered<ValueGateBackward> {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(scatter(&self.0.0, node).bytes())
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        scatter(&self.0.0, node).launches(node, "value_gate_backward")
    }
}
