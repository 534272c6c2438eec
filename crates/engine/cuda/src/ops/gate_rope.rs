//! Value embeddings with their strengths, RoPE, RMS norm and scale in one launch.

use super::qk_norm_rope::{Angles, THREADS, launch, macros, rows};
use crate::driver::{Arguments, CudaError};
use crate::gate_rope::GateRope;
use crate::launch::{Code, Launch, NodeView};

impl Code for GateRope {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let [x, n, gate, table, tokens] = [0, 1, 2, 3, 4].map(|i| node.input(i));
        let [y, rstd, s] = [0, 1, 2].map(|i| node.output(i));
        let mut macros = macros(&self.rope, node, x)?;
        macros.extend([("GATED", "1".to_owned())]);
        macros.extend([("G", gate.shape.last().to_string()), ("C", n.shape.last().to_string())]);
        macros.extend([("TX", x.c_type()), ("TY", y.c_type()), ("TR", rstd.c_type())]);
        macros.extend([("TN", n.c_type()), ("TG", gate.c_type())]);
        macros.extend([("TT", table.c_type()), ("TS", s.c_type())]);
        let function = node.function("qk_norm_rope", "qk_norm_rope", &macros)?;
        let angles = Angles::constant(&self.rope, node, x)?;
        let arguments = Arguments::new()
            .pointer(y.pointer)
            .pointer(rstd.target())
            .pointer(x.pointer)
            .pointer(angles.pointer)
            .f32(self.rope.scale)
            .i32(x.shape.dims()[1])
            .i32(0)
            .i64(rows(x))
            .pointer(s.target())
            .pointer(n.pointer)
            .pointer(gate.pointer)
            .pointer(table.pointer)
            .pointer(tokens.pointer)
            .i32(table.shape.dims()[0]);
        Ok(vec![launch(node, "value_gate_rope", function, 2 * THREADS, angles, arguments, x)])
    }
}
