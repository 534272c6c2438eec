//! Root-mean-square norm.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::parallel::{over_rows, over_rows_of_two};
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::{RmsNorm, RmsNormBackward};

pub(super) fn reference<T: Real>(_: &RmsNorm, io: &Io<T>) -> Result<(), String> {
    let c = io.last(0);
    for (row, r) in io.output_over(0, &[0]).0.chunks_exact_mut(c).zip(io.output(1)) {
        *r = inverse_rms(row);
        row.iter_mut().for_each(|x| *x = *x * *r);
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(_: &RmsNormBackward, io: &Io<T>) -> Result<(), String> {
    let (dy, y, rstd, c) = (io.input(0), io.input(1), io.input(2), io.last(0));
    let gradient: Vec<T> = dy
        .chunks_exact(c)
        .zip(y.chunks_exact(c))
        .zip(rstd)
        .flat_map(|((dy, y), r)| {
            let pull = pull(dot(dy, y), dot(y, y), *r);
            dy.iter().zip(y).map(move |(dy, y)| *r * (*dy - *y * pull))
        })
        .collect();
    match io.input_count() {
        4 => io.output_over(0, &[3]).0.iter_mut().zip(gradient).for_each(|(dx, g)| *dx += g),
        _ => io.output(0).copy_from_slice(&gradient),
    }
    Ok(())
}

/// The factor of y in the gradient of a norm, from Σ dy·y and Σ y² and the norm's factor.
#[inline(always)]
pub(super) fn pull<T: Real>(along: T, own: T, r: T) -> T {
    if own > T::ZERO { along / own * (T::of(1.0) - T::of(RmsNorm::EPS) * r * r) } else { T::ZERO }
}

pub(super) fn inverse_rms<T: Real>(row: &[T]) -> T {
    T::of(1.0) / (dot(row, row) / T::of(row.len() as f64) + T::of(RmsNorm::EPS)).sqrt()
}

pub(super) fn fast(_: &RmsNorm, io: &Io<f32>) -> Result<(), String> {
    let c = io.last(0);
    let (x, y) = (io.inputs[0].start as *const f32, io.output(0));
    let in_place = x == y.as_ptr();
    if !in_place {
        let x = io.input(0);
        over_rows_of_two(y, c, io.output(1), 1, |first, rows, rstd| {
            vectorized(|| {
                let x = x[first * c..].chunks_exact(c);
                for ((y, x), r) in rows.chunks_exact_mut(c).zip(x).zip(rstd) {
                    *r = fast_inverse_rms(x);
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = *x * *r);
                }
            });
        });
        return Ok(());
    }
    over_rows_of_two(y, c, io.output(1), 1, |_, rows, rstd| {
        vectorized(|| {
            for (row, r) in rows.chunks_exact_mut(c).zip(rstd) {
                *r = fast_inverse_rms(row);
                row.iter_mut().for_each(|x| *x *= *r);
            }
        });
    });
    Ok(())
}

pub(super) fn fast_backward(_: &RmsNormBackward, io: &Io<f32>) -> Result<(), String> {
    let (y, rstd, c) = (io.input(1), io.input(2), io.last(0));
    // Written over `dy` where nothing is added; over the partial gradient where there is one.
    let adds = io.input_count() == 4;
    let dx = io.output_over(0, if adds { &[3] } else { &[0] }).0;
    let dy = adds.then(|| io.input(0));
    over_rows(dx, c, |first, rows| {
        vectorized(|| {
            for (i, dx) in rows.chunks_exact_mut(c).enumerate() {
                let at = (first + i) * c..(first + i + 1) * c;
                let (y, r) = (&y[at.clone()], rstd[first + i]);
                match dy {
                    Some(dy) => {
                        let dy = &dy[at];
                        let pull = pull(simd::dot(dy, y), simd::dot(y, y), r);
                        dx.iter_mut().zip(dy).zip(y).for_each(|((dx, dy), y)| *dx += r * (dy - y * pull));
                    }
                    None => {
                        let pull = pull(simd::dot(dx, y), simd::dot(y, y), r);
                        dx.iter_mut().zip(y).for_each(|(dx, y)| *dx = r * (*dx - y * pull));
                    }
                }
            }
        });
    });
    Ok(())
}

/// 1 / rms of a row.
#[inline(always)]
pub(super) fn fast_inverse_rms(row: &[f32]) -> f32 {
    1.0 / (simd::dot(row, row) / row.len() as f32 + RmsNorm::EPS as f32).sqrt()
}
