//! A share of the middle of the network, taken out before the head.

use super::relu_squared::{blocks, blocks_over};
use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView};
use crate::partial_sums::{Shares, Summed, Sums, Target};
use wootz_ops::{Backout, BackoutBackward};
use wootz_program::Type;

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

impl Summed for BackoutBackward {
    fn sums(&self, inputs: &[&Type]) -> Sums {
        let target = Target { input: 3, first: 0, len: 1 };
        let blocks = blocks_over(inputs[0].shape.len(), inputs[0].dtype);
        Sums { blocks, factor: -1.0, targets: vec![target] }
    }
}

impl Code for Shares<BackoutBackward> {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (dy, middle, lambda) = (node.input(0), node.input(1), node.input(2));
        let (dmiddle, shares) = (node.output(0), node.output(1));
        let macros = vec![
            ("TX", dy.c_type()),
            ("TM", middle.c_type()),
            ("TL", lambda.c_type()),
            ("TY", dmiddle.c_type()),
        ];
        let function = node.function("backout", "backout_backward", &macros)?;
        let arguments = Arguments::new()
            .pointer(dmiddle.target())
            .pointer(dy.pointer)
            .pointer(middle.pointer)
            .pointer(lambda.pointer)
            .pointer(shares.pointer)
            .i64(dy.len());
        Ok(vec![node.kernel("backout_backward", function, blocks(dy), THREADS, arguments)])
    }
}
