//! The second half of sums over blocks: the shares that the blocks of a kernel have left are added in a fixed order.

use crate::driver::{Arguments, CudaError, Pointer};
use crate::launch::{Launch, NodeView};
use wootz_tensor::DType;

/// Numbers to which shares are added.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    /// Where they begin.
    pub pointer: Pointer,
    /// Their type.
    pub dtype: DType,
    /// How many there are.
    pub len: usize,
}

/// Scratch for `numbers` sums of `shares` blocks, bytes.
pub(super) fn bytes(numbers: usize, shares: usize) -> usize {
    numbers * shares * size_of::<f32>()
}

/// `a`, then `b`, takes `factor` times the sums of `partial`, numbers × `shares` in binary32.
pub(super) fn add(
    node: &NodeView<'_>,
    [a, b]: [Sums; 2],
    partial: Pointer,
    shares: usize,
    factor: f64,
) -> Result<Launch, CudaError> {
    let c_type = |dtype| match dtype {
        DType::BF16 => Ok("bf16".to_owned()),
        DType::F32 => Ok("float".to_owned()),
        other => Err(node.unsupported(format!("sums in {other}"))),
    };
    let macros = vec![("TA", c_type(a.dtype)?), ("TB", c_type(b.dtype)?)];
    let function = node.function("partial_sums", "partial_sums", &macros)?;
    let arguments = Arguments::new()
        .pointer(a.pointer)
        .pointer(b.pointer)
        .pointer(partial)
        .i32(a.len)
        .i32(shares)
        .f32(factor);
    let blocks = [(a.len + b.len) as u32, 1, 1];
    Ok(Launch::kernel("partial_sums", function, blocks, [256, 1, 1], 0, arguments))
}

impl Sums {
    /// Elements from `first` on of an operand.
    pub fn of(operand: &crate::launch::Operand, first: usize, len: usize) -> Sums {
        Sums { pointer: operand.element(first), dtype: operand.dtype, len }
    }
    /// No numbers.
    pub const NONE: Sums = Sums { pointer: 0, dtype: DType::F32, len: 0 };
}
