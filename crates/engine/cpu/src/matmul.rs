//! Matrix products through the binary32 part of the `gemm` crate.

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
            m,
            n,
            k,
            out.start,
            1,
            out.row as isize,
            out.accumulate,
            a.start,
            a.col as isize,
            a.row as isize,
            b.start,
            b.col as isize,
            b.row as isize,
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
