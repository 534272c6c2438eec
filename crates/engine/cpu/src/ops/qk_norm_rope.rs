//! RoPE, RMS norm and scale per head.

use crate::io::Io;
use crate::parallel::{over_rows, over_rows_of_two};
use crate::real::Real;
use crate::simd::{self, vectorized};
use std::sync::{Arc, Mutex, PoisonError};
use wootz_ops::{QkNormRope, QkNormRopeBackward, RmsNorm};

pub(super) fn reference<T: Real>(op: &QkNormRope, io: &Io<T>) -> Result<(), String> {
    let start = if io.input_count() == 2 { io.integers(1)[0] as usize } else { 0 };
    let (t_len, width) = (io.dims(0)[1], io.last(0));
    let rows = io.output_over(0, &[0]).0.chunks_exact_mut(width);
    for (i, (row, rstd)) in rows.zip(io.output(1).chunks_exact_mut(op.heads)).enumerate() {
        for (head, rstd) in row.chunks_exact_mut(op.head_dim).zip(rstd) {
            rotate(op, start + i % t_len, head, 1.0);
            *rstd = inverse_rms(head);
            let r = T::of(op.scale) * *rstd;
            head.iter_mut().for_each(|x| *x = *x * r);
        }
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(op: &QkNormRopeBackward, io: &Io<T>) -> Result<(), String> {
    let op = &op.0;
    let (y, rstd, t_len, width) = (io.input(1), io.input(2), io.dims(0)[1], io.last(0));
    for (i, row) in io.output_over(0, &[0]).0.chunks_exact_mut(width).enumerate() {
        let heads = row.chunks_exact_mut(op.head_dim).take(op.heads);
        for (h, dx) in heads.enumerate() {
            let y = &y[i * width + h * op.head_dim..][..op.head_dim];
            let n: Vec<T> = y.iter().map(|y| *y / T::of(op.scale)).collect();
            let pull = crate::ops::linear::dot(dx, &n) / T::of(op.head_dim as f64);
            let r = T::of(op.scale) * rstd[i * op.heads + h];
            dx.iter_mut().zip(&n).for_each(|(dx, n)| *dx = r * (*dx - *n * pull));
            rotate(op, i % t_len, dx, -1.0);
        }
    }
    Ok(())
}

/// Rotates by `−direction·θ_j(t)`.
fn rotate<T: Real>(op: &QkNormRope, t: usize, head: &mut [T], direction: f64) {
    let half = op.head_dim / 2;
    let (first, second) = head.split_at_mut(half);
    for j in 0..half {
        let (sin, cos) = angle(op, t, j).sin_cos();
        let (sin, cos) = (T::of(direction * sin), T::of(cos));
        let (a, b) = (first[j], second[j]);
        first[j] = a * cos + b * sin;
        second[j] = b * cos - a * sin;
    }
}

fn inverse_rms<T: Real>(head: &[T]) -> T {
    let squares = crate::ops::linear::dot(head, head) / T::of(head.len() as f64);
    T::of(1.0) / (squares + T::of(RmsNorm::EPS)).sqrt()
}

fn angle(op: &QkNormRope, t: usize, j: usize) -> f64 {
    t as f64 * op.base.powf(-2.0 * j as f64 / op.head_dim as f64)
}

/// Cosines and sines of all positions of one op.
struct Angles {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Angles {
    fn new(op: &QkNormRope, t_len: usize) -> Angles {
        let half = op.head_dim / 2;
        let all = |f: fn(f64) -> f64| {
            (0..t_len * half).map(|i| f(angle(op, i / half, i % half)) as f32).collect::<Vec<f32>>()
        };
        Angles { cos: all(f64::cos), sin: all(f64::sin) }
    }
}

/// The angles of a session's layers, one entry per op and length: all layers and both directions share one.
#[derive(Clone, Default)]
pub(crate) struct AngleTables(Arc<Mutex<Vec<AngleTable>>>);

struct AngleTable {
    op: QkNormRope,
    t_len: usize,
    angles: Arc<Angles>,
}

impl AngleTables {
    fn get(&self, op: &QkNormRope, t_len: usize) -> Arc<Angles> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tables.iter().find(|table| table.op == *op && table.t_len == t_len) {
            return known.angles.clone();
        }
        let angles = Arc::new(Angles::new(op, t_len));
        tables.push(AngleTable { op: op.clone(), t_len, angles: angles.clone() });
        angles
    }
}

pub(super) fn fast(op: &QkNormRope, tables: &AngleTables, io: &Io<f32>) -> Result<(), String> {
    if io.input_count() == 2 {
        return reference(op, io); // one position: decoding
    }
    let (t_len, width, d) = (io.dims(0)[1], io.last(0), op.head_dim);
    let (angles, half, scale) = (tables.get(op, t_len), d / 2, op.scale as f32);
    over_rows_of_two(io.output_over(0, &[0]).0, width, io.output(1), op.heads, |first, rows, rstd| {
        vectorized(|| {
            for (i, (row, rstd)) in
                rows.chunks_exact_mut(width).zip(rstd.chunks_exact_mut(op.heads)).enumerate()
            {
                let t = (first + i) % t_len;
                let (cos, sin) =
                    (&angles.cos[t * half..(t + 1) * half], &angles.sin[t * half..(t + 1) * half]);
                for (head, rstd) in row.chunks_exact_mut(d).zip(rstd) {
                    // A rotation keeps the norm, so it is taken before.
                    *rstd = 1.0 / (simd::dot(head, head) / d as f32 + RmsNorm::EPS as f32).sqrt();
                    let r = scale * *rstd;
                    let (a, b) = head.split_at_mut(half);
                    for j in 0..half {
                        let (x, y) = (a[j] * r, b[j] * r);
                        a[j] = x * cos[j] + y * sin[j];
                        b[j] = y * cos[j] - x * sin[j];
                    }
                }
            }
        });
    });
    Ok(())
}

pub(super) fn fast_backward(
    op: &QkNormRopeBackward,
    tables: &AngleTables,
    io: &Io<f32>,
) -> Result<(), String> {
    let op = &op.0;
    let (y, rstd, t_len, width, d) = (io.input(1), io.input(2), io.dims(0)[1], io.last(0), op.head_dim);
    let (angles, half, scale) = (tables.get(op, t_len), d / 2, op.scale as f32);
    let inverse_scale = 1.0 / scale;
    over_rows(io.output_over(0, &[0]).0, width, |first, rows| {
        vectorized(|| {
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                let t = (first + i) % t_len;
                let (cos, sin) =
                    (&angles.cos[t * half..(t + 1) * half], &angles.sin[t * half..(t + 1) * half]);
                let y_row = &y[(first + i) * width..(first + i + 1) * width];
                let heads = row.chunks_exact_mut(d).zip(y_row.chunks_exact(d));
                for ((dx, y), rstd) in heads.zip(&rstd[(first + i) * op.heads..(first + i + 1) * op.heads]) {
                    // With n = y / scale, `n · mean(n · dy)` is `y · (y · dy) / (scale² D)`.
                    let pull = simd::dot(dx, y) * inverse_scale * inverse_scale / d as f32;
                    let r = scale * rstd;
                    dx.iter_mut().zip(y).for_each(|(dx, y)| *dx = r * (*dx - y * pull));
                    let (a, b) = dx.split_at_mut(half);
                    for j in 0..half {
                        let (x, y) = (a[j], b[j]);
                        a[j] = x * cos[j] - y * sin[j];
                        b[j] = y * cos[j] + x * sin[j];
                    }
                }
            }
        });
    });
    Ok(())
}
