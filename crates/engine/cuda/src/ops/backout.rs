//! A share of the middle of the network, taken out before the head.

use super::partial_sums::{self, Sums};
use super::relu_squared::blocks;
use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView};
use wootz_ops::{Backout, BackoutBackward};

const THREADS: u32 = 256;

impl Code for Backout {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (x, middle, lambda, y) = (node.input(0), node.input(1), node.input(2), node.output(0));
        let macros =
            vec![("TX", x.c_type()), ("TM", middle.c_type()), ("TL", lambda.c_type()), ("TY", y.c_type())];
        let function = node.function("backout", "backout", &macros)?;
        let arguments = Arguments::new()
            .pointer(y.pointer)
            .pointer(x.pointer)
            .pointer(middle.pointer)
            .pointer(lambda.pointer)
            .i64(x.len());
        Ok(vec![node.kernel("backout", function, blocks(x), THREADS, arguments)])
    }
}

impl Code for BackoutBackward {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(partial_sums::bytes(1, blocks(node.input(0))[0] as usize))
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (dy, middle, lambda) = (node.input(0), node.input(1), node.input(2));
        let (dlambda, dmiddle) = (node.input(3), node.output(0));
        let macros = vec![
            ("TX", dy.c_type()),
            ("TM", middle.c_type()),
            ("TL", lambda.c_type()),
            ("TY", dmiddle.c_type()),
        ];
        let function = node.function("backout", "backout_backward", &macros)?;
        let (partial, grid) = (node.scratch.pointer, blocks(dy));
        let arguments = Arguments::new()
            .pointer(dmiddle.target())
            .pointer(dy.pointer)
            .pointer(middle.pointer)
            .pointer(lambda.pointer)
            .pointer(partial)
            .i64(dy.len());
        let sums = [Sums::of(dlambda, 0, 1), Sums::NONE];
        Ok(vec![
            node.kernel("backout_backward", function, grid, THREADS, arguments),
            partial_sums::add(node, sums, partial, grid[0] as usize, -1.0)?,
        ])
    }
}
