//! Element-wise sum, with operands of any mix of binary32 and bf16.

use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView};
use wootz_ops::Add;

const THREADS: usize = 256;
/// Elements of one thread: one 16-byte access at bf16.
const GROUP: usize = 8;

impl Code for Add {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (a, b, y) = (node.input(0), node.input(1), node.output(0));
        let macros = vec![("TA", a.c_type()), ("TB", b.c_type()), ("TY", y.c_type())];
        let function = node.function("add", "add", &macros)?;
        let arguments =
            Arguments::new().pointer(y.pointer).pointer(a.pointer).pointer(b.pointer).i64(y.len());
        let blocks = y.len().div_ceil(THREADS * GROUP).clamp(1, 1 << 20) as u32;
        Ok(vec![node.kernel("add", function, [blocks, 1, 1], THREADS as u32, arguments)])
    }
}
