//! Work cut by shape: the pieces, and so the results, are the same for any number of threads.

use rayon::prelude::*;

/// Elements of one piece of an element-wise kernel: a few pieces per thread at usual sizes, each well above the cost of
/// handing it out.
pub(crate) const PIECE: usize = 1 << 14;

/// Rows of one piece for rows of this width.
pub(crate) fn rows_per_piece(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}

/// Runs `f` on each piece of whole rows of `out`, with the index of its first row.
pub(crate) fn over_rows<T: Send>(out: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let rows = rows_per_piece(width);
    out.par_chunks_mut(rows * width).enumerate().for_each(|(i, piece)| f(i * rows, piece));
}

/// Runs `f` on each piece of whole rows of two outputs with as many rows, of `width` and `other_width`, with the index of the
/// first row; returns the results in the order of the pieces.
pub(crate) fn over_rows_of_two<T: Send, R: Send>(
    out: &mut [T],
    width: usize,
    other: &mut [T],
    other_width: usize,
    f: impl Fn(usize, &mut [T], &mut [T]) -> R + Sync,
) -> Vec<R> {
    let rows = rows_per_piece(width);
    let pieces = out.par_chunks_mut(rows * width).zip(other.par_chunks_mut(rows * other_width));
    pieces.enumerate().map(|(i, (piece, other))| f(i * rows, piece, other)).collect()
}

/// The same over the rows of two buffers, and a number for each row.
pub(crate) fn over_rows_of_two_and_numbers<T: Send>(
    out: &mut [T],
    other: &mut [T],
    width: usize,
    numbers: &mut [T],
    f: impl Fn(usize, &mut [T], &mut [T], &mut [T]) + Sync,
) {
    let rows = rows_per_piece(width);
    let pieces = out.par_chunks_mut(rows * width).zip(other.par_chunks_mut(rows * width));
    pieces
        .zip(numbers.par_chunks_mut(rows))
        .enumerate()
        .for_each(|(i, ((piece, other), numbers))| f(i * rows, piece, other, numbers));
}

/// Sum over pieces of `rows` rows of this width, each computed by `f(first row, last row + 1)`, added in order.
pub(crate) fn sum_over_rows(rows: usize, width: usize, f: impl Fn(usize, usize) -> f32 + Sync) -> f32 {
    let step = rows_per_piece(width);
    let pieces: Vec<f32> =
        (0..rows.div_ceil(step)).into_par_iter().map(|i| f(i * step, ((i + 1) * step).min(rows))).collect();
    pieces.iter().sum()
}

/// A pointer that tasks share to write disjoint parts of one buffer.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

impl Shared {
    pub(crate) fn new(buffer: &mut [f32]) -> Shared {
        Shared(buffer.as_mut_ptr())
    }
    /// # Safety
    /// `offset` lies in the buffer, and what is written through the result is written by one task only.
    pub(crate) unsafe fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: in bounds by the caller's promise.
        unsafe { self.0.add(offset) }
    }
}

// SAFETY: users write disjoint parts, see `at`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}
