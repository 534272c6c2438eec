//! Rows added to those of a table's gradient that their tokens name: the same sums every time.

use crate::compiler::Macros;
use crate::driver::{Arguments, CudaError, Pointer};
use crate::launch::{Launch, NodeView, Operand};

const THREADS: u32 = 128;
const WARPS: usize = 4;
/// Positions of a piece of a long run, as in the kernel.
const SHORT: usize = 32;
/// Sorted positions whose runs a warp takes, as in the kernel.
const OWN: usize = 2;
/// Elements of a row that a warp holds at most, in vectors of 8 for each of its 32 lanes: more would not fit its registers.
const MOST_VECTORS: usize = 5;
const MOST_GATED_VECTORS: usize = 3;

/// A scatter of rows, and with a gate the gradient of the gate's strengths in the same pass.
pub(super) struct ScatterRows<'a> {
    /// Gradients of the rows, of `stride` elements each, of which the table's begin at `offset`.
    pub dy: &'a Operand,
    /// Elements of a row of `dy`.
    pub stride: usize,
    /// First element of them that is added.
    pub offset: usize,
    /// Which row of the table each row belongs to, sorted: a token and a position for each row.
    pub order: &'a Operand,
    /// The table's gradient, V×C.
    pub dtable: &'a Operand,
    /// What the rows are multiplied with.
    pub gate: Option<Gate<'a>>,
}

/// A strength for each head of each row.
pub(super) struct Gate<'a> {
    /// Strengths.
    pub s: &'a Operand,
    /// The table.
    pub table: &'a Operand,
    /// Gradients of the strengths.
    pub ds: &'a Operand,
    /// Elements of a head.
    pub head_dim: usize,
}

impl ScatterRows<'_> {
    /// Scratch memory: two sums for each piece.
    pub fn bytes(&self) -> usize {
        2 * self.pieces() * self.columns() * size_of::<f32>()
    }
    /// The launch that does it.
    pub fn launches(&self, node: &NodeView<'_>, name: &'static str) -> Result<Vec<Launch>, CudaError> {
        let (columns, vocabulary) = (self.columns(), self.dtable.shape.dims()[0]);
        let aligned =
            columns.is_multiple_of(8) && self.stride.is_multiple_of(8) && self.offset.is_multiple_of(8);
        node.require(aligned, || format!("rows of {columns} elements are not a multiple of 8"))?;
        let (macros, vectors) = self.macros(node)?;
        let function = node.function("scatter_rows", "scatter_rows", &macros)?;
        let place = |of: fn(&Gate<'_>) -> Pointer| self.gate.as_ref().map_or(0, of);
        let stripes = columns.div_ceil(vectors * 256);
        let left = node.gpu.zeros(stripes * self.pieces() * size_of::<u32>())?;
        let arguments = Arguments::new()
            .pointer(self.dtable.pointer)
            .pointer(place(|gate| gate.ds.target()))
            .pointer(node.scratch.pointer)
            .pointer(left.pointer)
            .pointer(self.dy.pointer)
            .pointer(self.order.pointer)
            .pointer(place(|gate| gate.s.pointer))
            .pointer(place(|gate| gate.table.pointer))
            .i32(vocabulary)
            .i32(self.pieces())
            .i32(self.count());
        let warps = self.pieces() + self.count().div_ceil(OWN);
        let grid = [warps.div_ceil(WARPS) as u32, stripes as u32, 1];
        Ok(vec![node.kernel(name, function, grid, THREADS, arguments).holding(vec![left])])
    }

    fn columns(&self) -> usize {
        self.dtable.shape.last()
    }
    fn pieces(&self) -> usize {
        self.count().div_ceil(SHORT)
    }
    /// Rows that are added.
    fn count(&self) -> usize {
        self.order.shape.rows()
    }
    /// The macros, and the vectors of a lane.
    fn macros(&self, node: &NodeView<'_>) -> Result<(Macros, usize), CudaError> {
        let most = if self.gate.is_some() { MOST_GATED_VECTORS } else { MOST_VECTORS };
        let vectors = self.columns().div_ceil(256).min(most);
        let mut macros = vec![
            ("C", self.columns().to_string()),
            ("VECTORS", vectors.to_string()),
            ("STRIDE", self.stride.to_string()),
            ("OFFSET", self.offset.to_string()),
            ("TX", self.dy.c_type()),
            ("TG", self.dtable.c_type()),
        ];
        if let Some(gate) = &self.gate {
            let d = gate.head_dim;
            node.require(d.is_power_of_two() && (8..=256).contains(&d), || {
                format!("heads of {d} elements; the kernel takes powers of two from 8 to 256")
            })?;
            macros.extend([("GATED", "1".to_owned()), ("D", d.to_string())]);
            macros.extend([("K", (self.columns() / d).to_string()), ("TT", gate.table.c_type())]);
            macros.extend([("TS", gate.s.c_type()), ("TY", gate.ds.c_type())]);
        }
        Ok((macros, vectors))
    }
}
