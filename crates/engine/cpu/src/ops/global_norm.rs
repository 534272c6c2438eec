//! L2 norm over several tensors.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::parallel::sum_over_rows;
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::GlobalNorm;

pub(super) fn reference<T: Real>(_: &GlobalNorm, io: &Io<T>) -> Result<(), String> {
    let squares = (0..io.input_count()).fold(T::ZERO, |sum, i| sum + dot(io.input(i), io.input(i)));
    io.output(0)[0] = squares.sqrt();
    Ok(())
}

pub(super) fn fast(_: &GlobalNorm, io: &Io<f32>) -> Result<(), String> {
    let squares: f64 = (0..io.input_count())
        .map(|i| {
            let g = io.input(i);
            let sum = |from: usize, to: usize| vectorized(|| simd::dot(&g[from..to], &g[from..to]));
            f64::from(sum_over_rows(g.len(), 1, sum))
        })
        .sum();
    io.output(0)[0] = squares.sqrt() as f32;
    Ok(())
}
