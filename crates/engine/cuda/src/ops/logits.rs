//! Logits for sampling: a product in binary32, then the softcap, in place where the rows are aligned.

use crate::driver::{Arguments, CudaError, Pointer};
use crate::gemm::{self, Matrix, Product};
use crate::launch::{Code, Launch, NodeView, Scratch};
use wootz_ops::Logits;
use wootz_program::Cost;
use wootz_tensor::DType;

/// Scratch memory of one chunk's logits, where they need some.
const CHUNK_BYTES: usize = 128 << 20;

struct Sizes {
    rows: usize,
    /// Elements from one row of the product to the next.
    stride: usize,
    /// Rows of one product.
    chunk: usize,
    /// Bytes of one product outside the output; 0: it goes there.
    bytes: usize,
}

impl Sizes {
    fn of(op: &Logits, node: &NodeView<'_>) -> Sizes {
        let (rows, stride) = (node.input(0).shape.rows(), op.vocab.next_multiple_of(8));
        if stride == op.vocab && node.output(0).dtype == DType::F32 {
            return Sizes { rows, stride, chunk: rows, bytes: 0 };
        }
        let chunk = (CHUNK_BYTES / (4 * stride)).clamp(1, rows.max(1));
        Sizes { rows, stride, chunk, bytes: (4 * chunk * stride).next_multiple_of(256) }
    }
}

impl Code for Logits {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(Sizes::of(self, node).bytes + gemm::WORKSPACE_BYTES)
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (x, w, y) = (node.input(0), node.input(1), node.output(0));
        let channels = x.shape.last();
        super::linear_cross_entropy::check_head(node, x, w)?;
        let by = Sizes::of(self, node);
        let function = node.function("logits", "softcap", &vec![("TY", y.c_type())])?;
        let scratch = node.scratch.pointer;
        let workspace =
            Scratch { pointer: scratch + by.bytes as Pointer, bytes: node.scratch.bytes - by.bytes };
        let mut launches = Vec::new();
        for first in (0..by.rows).step_by(by.chunk.max(1)) {
            let rows = by.chunk.min(by.rows - first);
            let out = y.pointer + (first * self.vocab * y.dtype.bytes()) as Pointer;
            let z = if by.bytes == 0 { out } else { scratch };
            let from = x.pointer + (first * channels * x.dtype.bytes()) as Pointer;
            let product = Product::new(
                "logits",
                [rows, self.vocab, channels],
                Matrix::new(from, x.dtype, channels),
                Matrix::new(w.pointer, w.dtype, channels).transposed(),
                Matrix::new(z, DType::F32, by.stride),
            );
            launches.push(gemm::product(node.gpu, &product, workspace)?);
            let arguments = Arguments::new()
                .pointer(out)
                .pointer(z)
                .i64(rows)
                .i32(self.vocab)
                .i64(by.stride)
                .f32(self.softcap);
            let grid = [self.vocab.div_ceil(256).clamp(1, 1024) as u32, rows.min(32768) as u32, 1];
            let cost = Cost { flops: 0, bytes: (rows * self.vocab * (4 + y.dtype.bytes())) as u64 };
            let softcap = Launch::kernel("logits softcap", function.clone(), grid, [256, 1, 1], 0, arguments);
            launches.push(softcap.costs(cost));
        }
        Ok(launches)
    }
}
