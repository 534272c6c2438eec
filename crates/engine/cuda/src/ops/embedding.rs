//! Table lookup and its scatter.

use super::scatter_rows::ScatterRows;
use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView};
use crate::token_order::Ordered;
use wootz_ops::{Embedding, EmbeddingBackward};

const THREADS: u32 = 256;
/// Rows of a block, a warp each.
const WARPS: usize = 8;

impl Code for Embedding {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (table, tokens, y) = (node.input(0), node.input(1), node.output(0));
        let width = table.shape.last();
        node.require(width.is_multiple_of(8), || {
            format!("rows of {width} elements are not a multiple of 8")
        })?;
        let macros = vec![("C", width.to_string()), ("TT", table.c_type()), ("TY", y.c_type())];
        let function = node.function("embedding", "embedding", &macros)?;
        let arguments = Arguments::new()
            .pointer(y.pointer)
            .pointer(table.pointer)
            .pointer(tokens.pointer)
            .i32(table.shape.dims()[0])
            .i64(tokens.len());
        let grid = [tokens.len().div_ceil(WARPS).max(1) as u32, 1, 1];
        Ok(vec![node.kernel("embedding", function, grid, THREADS, arguments)])
    }
}

fn scatter<'a>(node: &'a NodeView<'_>) -> ScatterRows<'a> {
    let (dy, dtable, order) = (node.input(0), node.input(2), node.input(3));
    ScatterRows { dy, stride: dy.shape.last(), offset: 0, order, dtable, gate: None }
}

impl Code for Ordered<EmbeddingBackward> {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(scatter(node).bytes())
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        scatter(node).launches(node, "embedding_backward")
    }
}
