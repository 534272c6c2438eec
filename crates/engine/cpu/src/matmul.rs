//! Matrix products through the binary32 part of the `gemm` crate.
//!
//! The crate's kernels store columns: a row-major output is asked for as the transposed product, `outᵀ = bᵀ aᵀ`. Asked for
//! as it stands, every tile is scattered over rows whose distance is a power of two in our shapes, and all of them fall
//! into the same few cache sets.
//!
//! | shape (GFLOP/s, AMD Zen 5, 2 cores; peak 232 a core) | scattered, 1 / 2 threads | transposed, 1 / 2 threads |
//! |---|---|---|
//! | 1024×1024×1024 | 59 / 111 | 216 / 409 |
//! | 4096×1024×256 (up projection) | 45 / 74 | 216 / 421 |
//! | 4096×4096×256 (head) | 46 / 93 | 220 / 447 |
//! | 1024×256×4096 (weight gradient) | 109 / 208 | 168 / 332 |
//!
//! Predicted from the peak: 3×; measured on the products: 1.5× to 4.9×.

use gemm_common::Parallelism;

/// Strides of a matrix in elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) start: *const f32,
    pub(crate) row: usize,
    pub(crate) col: usize,
}

impl Matrix {
    /// Row-major rows of this width.
    pub(crate) fn rows(x: &[f32], width: usize) -> Matrix {
        Matrix { start: x.as_ptr(), row: width, col: 1 }
    }
    /// The same matrix, transposed.
    pub(crate) fn transposed(self) -> Matrix {
        Matrix { row: self.col, col: self.row, ..self }
    }
}

/// Where a product goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) start: *mut f32,
    pub(crate) row: usize,
    /// Whether the product is added to what is there.
    pub(crate) accumulate: bool,
}

/// `out (+)= scale · a b` with a of m×k and b of k×n; row-major output.
///
/// # Safety
/// The three matrices lie in memory that is valid for their dims and strides; nothing else touches `out` meanwhile.
pub(crate) unsafe fn product(
    m: usize,
    n: usize,
    k: usize,
    a: Matrix,
    b: Matrix,
    out: Target,
    scale: f32,
    threads: usize,
) {
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    // SAFETY: by this function's contract; strides are those of the matrices.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            n,
            m,
            k,
            out.start,
            out.row as isize,
            1,
            out.accumulate,
            b.start,
            b.row as isize,
            b.col as isize,
            a.start,
            a.row as isize,
            a.col as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `out (+)= a b` on whole row-major slices with all threads of the current pool.
pub(crate) fn multiply(
    m: usize,
    n: usize,
    k: usize,
    a: Matrix,
    b: Matrix,
    out: &mut [f32],
    accumulate: bool,
) {
    assert!(out.len() >= m * n, "the output holds {} elements of {m}×{n}", out.len());
    let target = Target { start: out.as_mut_ptr(), row: n, accumulate };
    // SAFETY: `out` is exclusive and long enough; callers pass operands of m×k and k×n, which the ops' shape rules give.
    unsafe { product(m, n, k, a, b, target, 1.0, rayon::current_num_threads()) }
}
