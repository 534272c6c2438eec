//! Memory filled with normal bf16 numbers, to time choices on: zeros draw less power and run faster than data does.

use crate::driver::{Arguments, CudaError, Pointer, Stream};
use crate::gpu::Gpu;

pub(crate) fn fill(gpu: &Gpu, stream: &Stream, pointer: Pointer, bytes: usize) -> Result<(), CudaError> {
    let function = gpu.function("noise", "noise", &Vec::new())?;
    let words = bytes / 4;
    if words == 0 {
        return Ok(());
    }
    let blocks = words.div_ceil(1024).min(1 << 14) as u32;
    function.launch(stream, [blocks, 1, 1], [256, 1, 1], 0, &Arguments::new().pointer(pointer).i64(words))
}
