//! Element-wise sum.

use crate::io::Io;
use crate::parallel::over_rows;
use crate::real::Real;
use crate::simd::vectorized;
use wootz_ops::Add;

pub(super) fn reference<T: Real>(_: &Add, io: &Io<T>) -> Result<(), String> {
    let (y, over) = io.output_over(0, &[0, 1]);
    y.iter_mut().zip(io.input(1 - over)).for_each(|(y, b)| *y += *b);
    Ok(())
}

pub(super) fn fast(_: &Add, io: &Io<f32>) -> Result<(), String> {
    let (y, over) = io.output_over(0, &[0, 1]);
    let b = io.input(1 - over);
    over_rows(y, 1, |first, y| {
        let b = &b[first..first + y.len()];
        vectorized(|| y.iter_mut().zip(b).for_each(|(y, b)| *y += *b));
    });
    Ok(())
}
