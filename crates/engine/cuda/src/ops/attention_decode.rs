//! One position against a cache: stretches of the cache side by side, then joined.

use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView, Operand};
use wootz_ops::AttentionDecode;
use wootz_program::Cost;
use wootz_tensor::DType;

/// Positions of the cache that one block goes through.
const STRETCH: usize = 256;
const THREADS: usize = 128;
/// Head dims whose partial results fit in a block's shared memory.
const LARGEST_HEAD: usize = 1024;

struct Sizes {
    batch: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    capacity: usize,
    stretches: usize,
}

impl Sizes {
    fn of(op: &AttentionDecode, node: &NodeView<'_>) -> Sizes {
        let (heads, kv_heads, qkv) = (op.0.heads, op.0.kv_heads, node.input(0).shape.dims());
        let capacity = node.input(1).shape.dims()[1];
        let head_dim = qkv[2] / (heads + 2 * kv_heads);
        Sizes { batch: qkv[0], heads, kv_heads, head_dim, capacity, stretches: capacity.div_ceil(STRETCH) }
    }
}

impl Code for AttentionDecode {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        let by = Sizes::of(self, node);
        Ok(4 * by.batch * by.heads * by.stretches * (2 + by.head_dim))
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let by = Sizes::of(self, node);
        let [qkv, keys, values, position] = [0, 1, 2, 3].map(|i| node.input(i));
        let y = node.output(0);
        let real = |operand: &&Operand| matches!(operand.dtype, DType::F32 | DType::BF16);
        let fits = [qkv, keys, values, y].iter().all(real) && keys.dtype == values.dtype;
        node.require(fits, || "its operands must be f32 or bf16, and the caches of one type".to_owned())?;
        let head_dim = by.head_dim;
        node.require(head_dim <= LARGEST_HEAD, || format!("heads of {head_dim} exceed {LARGEST_HEAD}"))?;
        let width = [8, 4, 1].into_iter().find(|width| head_dim.is_multiple_of(*width)).unwrap_or(1);
        let lanes = (head_dim / width).next_power_of_two().min(32);
        let macros = vec![
            ("TQ", qkv.c_type()),
            ("TC", keys.c_type()),
            ("TY", y.c_type()),
            ("D", head_dim.to_string()),
            ("EACH", (width * (head_dim / width).div_ceil(lanes)).to_string()),
            ("LANES", lanes.to_string()),
            ("WIDTH", width.to_string()),
        ];
        let stretch = node.function("attention_decode", "decode_stretch", &macros)?;
        let join = node.function("attention_decode", "decode_join", &macros)?;
        let parts = node.scratch.pointer;
        let window = self.0.window.unwrap_or(by.capacity).min(by.capacity);
        let arguments = Arguments::new()
            .pointer(parts)
            .pointer(qkv.pointer)
            .pointer(keys.pointer)
            .pointer(values.pointer)
            .pointer(position.pointer)
            .i32(by.heads)
            .i32(by.kv_heads)
            .i32(by.capacity)
            .i32(STRETCH)
            .i32(window)
            .f32(1.0 / (head_dim as f64).sqrt());
        let grid = [by.stretches as u32, by.heads as u32, by.batch as u32];
        let block = [THREADS as u32, 1, 1];
        let cost = Cost { flops: 0, bytes: (keys.bytes() + values.bytes()) as u64 };
        let first = Launch::kernel("attention_decode", stretch, grid, block, 0, arguments).costs(cost);
        let arguments = Arguments::new().pointer(y.pointer).pointer(parts).i32(by.stretches);
        let grid = [by.heads as u32, by.batch as u32, 1];
        Ok(vec![first, Launch::kernel("attention_decode join", join, grid, block, 0, arguments)])
    }
}
