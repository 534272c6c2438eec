//! Smear: a gated share of the position before.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::parallel::over_rows;
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::{Smear, SmearBackward, SmearDecode};

pub(super) fn reference<T: Real>(_: &Smear, io: &Io<T>) -> Result<(), String> {
    let (x, gate, lambda) = (io.input(0), io.input(1), io.scalar(2));
    let (t_len, c) = (io.dims(0)[1], io.last(0));
    let y = io.output(0);
    y.copy_from_slice(x);
    for (i, y) in y.chunks_exact_mut(c).enumerate().filter(|(i, _)| i % t_len > 0) {
        let (before, now) = (&x[(i - 1) * c..i * c], &x[i * c..(i + 1) * c]);
        let share = lambda * dot(gate, now).sigmoid();
        y.iter_mut().zip(before).for_each(|(y, before)| *y += share * *before);
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(_: &SmearBackward, io: &Io<T>) -> Result<(), String> {
    let (dy, x, gate, lambda) = (io.input(0), io.input(1), io.input(2), io.scalar(3));
    let (dgate, dlambda, dx) = (io.updated(4), io.updated(5), io.output(0));
    let (t_len, c) = (io.dims(0)[1], io.last(0));
    dx.copy_from_slice(dy);
    for i in (0..io.rows(0)).filter(|i| i % t_len > 0) {
        let (before, now) = (&x[(i - 1) * c..i * c], &x[i * c..(i + 1) * c]);
        let dy = &dy[i * c..(i + 1) * c];
        let sigma = dot(gate, now).sigmoid();
        let pull = dot(dy, before);
        dlambda[0] += sigma * pull;
        let dz = lambda * sigma * (T::of(1.0) - sigma) * pull;
        dgate.iter_mut().zip(now).for_each(|(dg, x)| *dg += dz * *x);
        dx[(i - 1) * c..i * c].iter_mut().zip(dy).for_each(|(dx, dy)| *dx += lambda * sigma * *dy);
        dx[i * c..(i + 1) * c].iter_mut().zip(gate).for_each(|(dx, g)| *dx += dz * *g);
    }
    Ok(())
}

pub(super) fn reference_decode<T: Real>(_: &SmearDecode, io: &Io<T>) -> Result<(), String> {
    let (x, previous, gate, lambda) = (io.input(0), io.updated(1), io.input(2), io.scalar(3));
    let c = io.last(0);
    for ((y, x), previous) in
        io.output(0).chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(previous.chunks_exact_mut(c))
    {
        let share = lambda * dot(gate, x).sigmoid();
        y.iter_mut().zip(x).zip(&*previous).for_each(|((y, x), before)| *y = *x + share * *before);
        previous.copy_from_slice(x);
    }
    Ok(())
}

pub(super) fn fast(_: &Smear, io: &Io<f32>) -> Result<(), String> {
    let (x, gate, lambda) = (io.input(0), io.input(1), io.scalar(2));
    let (t_len, c) = (io.dims(0)[1], io.last(0));
    over_rows(io.output(0), c, |first, rows| {
        vectorized(|| {
            for (i, y) in rows.chunks_exact_mut(c).enumerate() {
                let i = first + i;
                let now = &x[i * c..(i + 1) * c];
                if i % t_len == 0 {
                    y.copy_from_slice(now);
                    continue;
                }
                let before = &x[(i - 1) * c..i * c];
                let share = lambda * sigmoid(simd::dot(gate, now));
                y.iter_mut().zip(now).zip(before).for_each(|((y, x), before)| *y = x + share * before);
            }
        });
    });
    Ok(())
}

/// The gradient of a row takes from its own and from the next position, so that rows are independent; the gate's
/// gradient, which is 24 numbers, is summed on one thread.
pub(super) fn fast_backward(_: &SmearBackward, io: &Io<f32>) -> Result<(), String> {
    let (dy, x, gate, lambda) = (io.input(0), io.input(1), io.input(2), io.scalar(3));
    let (dgate, dlambda) = (io.updated(4), io.updated(5));
    let (t_len, c) = (io.dims(0)[1], io.last(0));
    over_rows(io.output(0), c, |first, rows| {
        vectorized(|| {
            for (i, dx) in rows.chunks_exact_mut(c).enumerate() {
                let i = first + i;
                dx.copy_from_slice(&dy[i * c..(i + 1) * c]);
                let (sigma, pull) = sigma_and_pull(dy, x, gate, c, i, t_len);
                let dz = lambda * sigma * (1.0 - sigma) * pull;
                dx.iter_mut().zip(gate).for_each(|(dx, g)| *dx += dz * g);
                if (i + 1) % t_len != 0 {
                    let share = lambda * sigmoid(simd::dot(gate, &x[(i + 1) * c..(i + 2) * c]));
                    dx.iter_mut().zip(&dy[(i + 1) * c..(i + 2) * c]).for_each(|(dx, dy)| *dx += share * dy);
                }
            }
        });
    });
    vectorized(|| {
        for i in 0..io.rows(0) {
            let (sigma, pull) = sigma_and_pull(dy, x, gate, c, i, t_len);
            dlambda[0] += sigma * pull;
            let dz = lambda * sigma * (1.0 - sigma) * pull;
            dgate.iter_mut().zip(&x[i * c..]).for_each(|(dg, x)| *dg += dz * x);
        }
    });
    Ok(())
}

/// σ at position i, and dy[i]·x[i−1]; both 0 where a sequence begins.
#[inline(always)]
fn sigma_and_pull(dy: &[f32], x: &[f32], gate: &[f32], c: usize, i: usize, t_len: usize) -> (f32, f32) {
    if i.is_multiple_of(t_len) {
        return (0.0, 0.0);
    }
    let sigma = sigmoid(simd::dot(gate, &x[i * c..(i + 1) * c]));
    (sigma, simd::dot(&dy[i * c..(i + 1) * c], &x[(i - 1) * c..i * c]))
}

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + simd::exp(-x))
}
