//! RoPE, RMS norm and scale per head.

use crate::io::Io;
use crate::parallel::over_rows;
use crate::real::Real;
use crate::simd::{self, vectorized};
use std::sync::{Arc, Mutex, PoisonError};
use wootz_ops::{QkNormRope, QkNormRopeBackward, RmsNorm};

pub(super) fn reference<T: Real>(op: &QkNormRope, io: &Io<T>) -> Result<(), String> {
    let start = if io.input_count() == 2 { io.integers(1)[0] as usize } else { 0 };
    let (t_len, width) = (io.dims(0)[1], io.last(0));
    for (i, row) in io.output_over(0, &[0]).0.chunks_exact_mut(width).enumerate() {
        for head in row.chunks_exact_mut(op.head_dim) {
            rotate(op, start + i % t_len, head, 1.0);
            let r = T::of(op.scale) * inverse_rms(head);
            head.iter_mut().for_each(|x| *x = *x * r);
        }
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(op: &QkNormRopeBackward, io: &Io<T>) -> Result<(), String> {
    let op = &op.0;
    let (x, t_len, width) = (io.input(1), io.dims(0)[1], io.last(0));
    for (i, row) in io.output_over(0, &[0]).0.chunks_exact_mut(width).enumerate() {
        for (h, dx) in row.chunks_exact_mut(op.head_dim).enumerate() {
            let mut u = x[i * width + h * op.head_dim..][..op.head_dim].to_vec();
            rotate(op, i % t_len, &mut u, 1.0);
            let r = inverse_rms(&u);
            let pull = crate::ops::linear::dot(dx, &u) * r * r / T::of(op.head_dim as f64);
            for (dx, u) in dx.iter_mut().zip(&u) {
                *dx = T::of(op.scale) * r * (*dx - *u * pull);
            }
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
    over_rows(io.output_over(0, &[0]).0, width, |first, rows| {
        vectorized(|| {
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                let t = (first + i) % t_len;
                let (cos, sin) =
                    (&angles.cos[t * half..(t + 1) * half], &angles.sin[t * half..(t + 1) * half]);
                for head in row.chunks_exact_mut(d) {
                    // A rotation keeps the norm, so it is taken before.
                    let r = scale / (simd::dot(head, head) / d as f32 + RmsNorm::EPS as f32).sqrt();
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
    let (x, t_len, width, d) = (io.input(1), io.dims(0)[1], io.last(0), op.head_dim);
    let (angles, half, scale) = (tables.get(op, t_len), d / 2, op.scale as f32);
    over_rows(io.output_over(0, &[0]).0, width, |first, rows| {
        vectorized(|| {
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                let t = (first + i) % t_len;
                let (cos, sin) =
                    (&angles.cos[t * half..(t + 1) * half], &angles.sin[t * half..(t + 1) * half]);
                let x_row = &x[(first + i) * width..(first + i + 1) * width];
                for (dx, x) in row.chunks_exact_mut(d).zip(x_row.chunks_exact(d)) {
                    // Rotate the gradient back first: the norm then works on the input as it is.
                    let (a, b) = dx.split_at_mut(half);
                    for j in 0..half {
                        let (x, y) = (a[j], b[j]);
                        a[j] = x * cos[j] - y * sin[j];
                        b[j] = y * cos[j] + x * sin[j];
                    }
                    let r = 1.0 / (simd::dot(x, x) / d as f32 + RmsNorm::EPS as f32).sqrt();
                    let pull = simd::dot(dx, x) * r * r / d as f32;
                    dx.iter_mut().zip(x).for_each(|(dx, x)| *dx = scale * r * (*dx - x * pull));
                }
            }
        });
    });
    Ok(())
}
