//! Running sums on the device.

use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView};
use wootz_ops::{Accumulate, Drain};

const THREADS: u32 = 256;

fn blocks(len: usize) -> [u32; 3] {
    [len.div_ceil(THREADS as usize).clamp(1, 1 << 16) as u32, 1, 1]
}

impl Code for Accumulate {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (value, sum) = (node.input(0), node.input(1));
        let macros = vec![("TX", value.c_type()), ("TS", sum.c_type())];
        let function = node.function("accumulate", "accumulate", &macros)?;
        let arguments = Arguments::new().pointer(sum.pointer).pointer(value.pointer).i64(sum.len());
        Ok(vec![node.kernel("accumulate", function, blocks(sum.len()), THREADS, arguments)])
    }
}

impl Code for Drain {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (sum, y) = (node.input(0), node.output(0));
        let macros = vec![("TS", sum.c_type()), ("TY", y.c_type())];
        let function = node.function("accumulate", "drain", &macros)?;
        let arguments = Arguments::new().pointer(y.target()).pointer(sum.pointer).i64(sum.len());
        Ok(vec![node.kernel("drain", function, blocks(sum.len()), THREADS, arguments)])
    }
}
