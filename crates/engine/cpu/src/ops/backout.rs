//! A share of the middle of the network, taken out before the head.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::parallel::{over_rows, sum_over_rows};
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::{Backout, BackoutBackward};

pub(super) fn reference<T: Real>(_: &Backout, io: &Io<T>) -> Result<(), String> {
    let lambda = io.scalar(2);
    io.output_over(0, &[0]).0.iter_mut().zip(io.input(1)).for_each(|(y, middle)| *y -= lambda * *middle);
    Ok(())
}

pub(super) fn reference_backward<T: Real>(_: &BackoutBackward, io: &Io<T>) -> Result<(), String> {
    let (dy, middle, lambda) = (io.input(0), io.input(1), io.scalar(2));
    io.updated(3)[0] -= dot(dy, middle);
    io.output(0).iter_mut().zip(dy).for_each(|(dm, dy)| *dm = -lambda * *dy);
    Ok(())
}

pub(super) fn fast(_: &Backout, io: &Io<f32>) -> Result<(), String> {
    let (middle, lambda) = (io.input(1), io.scalar(2));
    over_rows(io.output_over(0, &[0]).0, 1, |first, y| {
        let middle = &middle[first..first + y.len()];
        vectorized(|| y.iter_mut().zip(middle).for_each(|(y, middle)| *y -= lambda * middle));
    });
    Ok(())
}

pub(super) fn fast_backward(_: &BackoutBackward, io: &Io<f32>) -> Result<(), String> {
    let (dy, middle, lambda) = (io.input(0), io.input(1), io.scalar(2));
    io.updated(3)[0] -=
        sum_over_rows(dy.len(), 1, |from, to| vectorized(|| simd::dot(&dy[from..to], &middle[from..to])));
    over_rows(io.output(0), 1, |first, dm| {
        let dy = &dy[first..first + dm.len()];
        vectorized(|| dm.iter_mut().zip(dy).for_each(|(dm, dy)| *dm = -lambda * dy));
    });
    Ok(())
}
