//! Squared ReLU.

use crate::io::Io;
use crate::parallel::over_rows;
use crate::real::Real;
use crate::simd::vectorized;
use wootz_ops::{ReluSquared, ReluSquaredBackward};

pub(super) fn reference<T: Real>(_: &ReluSquared, io: &Io<T>) -> Result<(), String> {
    for x in io.output_over(0, &[0]).0 {
        *x = positive(*x) * positive(*x);
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(_: &ReluSquaredBackward, io: &Io<T>) -> Result<(), String> {
    for (dx, y) in io.output_over(0, &[0]).0.iter_mut().zip(io.input(1)) {
        *dx = *dx * T::of(2.0) * y.sqrt();
    }
    Ok(())
}

pub(super) fn fast(_: &ReluSquared, io: &Io<f32>) -> Result<(), String> {
    let y = io.output(0);
    if io.inputs[0].start as *const f32 == y.as_ptr() {
        over_rows(y, 1, |_, y| vectorized(|| y.iter_mut().for_each(|y| *y = positive(*y) * positive(*y))));
        return Ok(());
    }
    let x = io.input(0);
    over_rows(y, 1, |first, y| {
        let x = &x[first..first + y.len()];
        vectorized(|| y.iter_mut().zip(x).for_each(|(y, x)| *y = positive(*x) * positive(*x)));
    });
    Ok(())
}

pub(super) fn fast_backward(_: &ReluSquaredBackward, io: &Io<f32>) -> Result<(), String> {
    let y = io.input(1);
    over_rows(io.output_over(0, &[0]).0, 1, |first, dx| {
        let y = &y[first..first + dx.len()];
        vectorized(|| dx.iter_mut().zip(y).for_each(|(dx, y)| *dx *= 2.0 * y.sqrt()));
    });
    Ok(())
}

/// max(x, 0); not a number stays so, or a diverged run would look alive.
#[inline(always)]
pub(super) fn positive<T: Real>(x: T) -> T {
    if x < T::ZERO { T::ZERO } else { x }
}
