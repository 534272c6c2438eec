//! The head and its loss, a chunk of rows at a time.
//!
//! The fast path holds the logits of one chunk only ([`CHUNK_BYTES`]); a softcap up to [`LOW_CAP`] bounds them, so the
//! softmax needs no pass for the maximum: it subtracts the cap. In training each chunk's logits become their own gradient
//! in place.

use crate::io::Io;
use crate::matmul::{Matrix, multiply};
use crate::ops::linear::dot;
use crate::real::Real;
use crate::simd::{self, vectorized};
use rayon::prelude::*;
use wootz_ops::{LinearCrossEntropy, LinearCrossEntropyBackward};
use wootz_tensor::Shape;

/// Bytes of the logits of one chunk: large enough that reading the head once per chunk costs little beside the products.
const CHUNK_BYTES: usize = 32 << 20;

/// Largest cap that can stand for a row's maximum: e^(−2·cap), the smallest term there can be, is still a normal number.
const LOW_CAP: f64 = 40.0;

pub(super) fn reference<T: Real>(op: &LinearCrossEntropy, io: &Io<T>) -> Result<(), String> {
    let count = check_targets(io.integers(2), op.vocab)?;
    let mut total = T::ZERO;
    for (i, target) in io.integers(2).iter().enumerate() {
        let loss = usize::try_from(*target).map_or(T::ZERO, |target| {
            let logits = logits(op, io, i);
            log_sum_exp(&logits) - logits[target]
        });
        io.output(1)[i] = loss;
        total += loss;
    }
    io.output(0)[0] = total / T::of(count);
    Ok(())
}

pub(super) fn reference_backward<T: Real>(op: &LinearCrossEntropyBackward, io: &Io<T>) -> Result<(), String> {
    let op = &op.0;
    let (x, w, targets, seed, dw) = (io.input(0), io.input(1), io.integers(2), io.scalar(3), io.updated(4));
    let (dx, c) = (io.output(0), io.last(0));
    let count = check_targets(targets, op.vocab)?;
    let mut total = T::ZERO;
    dx.fill(T::ZERO);
    for (i, target) in targets.iter().enumerate() {
        io.output(2)[i] = T::ZERO;
        let Ok(target) = usize::try_from(*target) else { continue };
        let (logits, x) = (logits(op, io, i), &x[i * c..(i + 1) * c]);
        let log_sum = log_sum_exp(&logits);
        io.output(2)[i] = log_sum - logits[target];
        total += log_sum - logits[target];
        for (j, z) in logits.iter().enumerate() {
            let hit = if j == target { 1.0 } else { 0.0 };
            let t = *z / T::of(op.softcap);
            let dz = ((*z - log_sum).exp() - T::of(hit)) * (T::of(1.0) - t * t) * seed / T::of(count);
            dx[i * c..(i + 1) * c].iter_mut().zip(&w[j * c..(j + 1) * c]).for_each(|(dx, w)| *dx += dz * *w);
            dw[j * c..(j + 1) * c].iter_mut().zip(x).for_each(|(dw, x)| *dw += dz * *x);
        }
    }
    io.output(1)[0] = total / T::of(count);
    Ok(())
}

fn logits<T: Real>(op: &LinearCrossEntropy, io: &Io<T>, row: usize) -> Vec<T> {
    let c = io.last(0);
    let x = &io.input(0)[row * c..(row + 1) * c];
    let w = io.input(1).chunks_exact(c).take(op.vocab);
    w.map(|w| T::of(op.softcap) * (dot(x, w) / T::of(op.softcap)).tanh()).collect()
}

fn log_sum_exp<T: Real>(logits: &[T]) -> T {
    let top = logits.iter().fold(logits[0], |top, z| top.max(*z));
    top + logits.iter().fold(T::ZERO, |sum, z| sum + (*z - top).exp()).ln()
}

/// Number of targets that count, at least 1.
fn check_targets(targets: &[i32], vocab: usize) -> Result<f64, String> {
    if let Some(bad) = targets.iter().find(|t| **t < -1 || **t >= vocab as i32) {
        return Err(format!("target {bad} is outside the vocabulary of {vocab}"));
    }
    Ok(targets.iter().filter(|t| **t >= 0).count().max(1) as f64)
}

/// Logits of one chunk.
pub(super) fn scratch_elements(inputs: &[&Shape]) -> usize {
    chunk_rows(inputs[0].rows(), inputs[1].rows()) * inputs[1].rows()
}

fn chunk_rows(rows: usize, vocab: usize) -> usize {
    let fitting = CHUNK_BYTES / (4 * vocab);
    (fitting / 32 * 32).clamp(32, rows.max(32)).min(rows)
}

pub(super) fn fast(op: &LinearCrossEntropy, io: &Io<f32>) -> Result<(), String> {
    let (targets, losses) = (io.integers(2), io.output(1));
    let count = check_targets(targets, op.vocab)?;
    for_each_chunk(
        op,
        io,
        |_, targets, logits, losses| {
            softmax_rows(op, targets, logits, losses, |_, _, _, _| {});
        },
        losses,
    );
    io.output(0)[0] = (mean_sum(losses) / count) as f32;
    Ok(())
}

pub(super) fn fast_backward(op: &LinearCrossEntropyBackward, io: &Io<f32>) -> Result<(), String> {
    let op = &op.0;
    let (x, w, c, vocab) = (io.input(0), io.input(1), io.last(0), op.vocab);
    let (targets, dw, dx, losses) = (io.integers(2), io.updated(4), io.output(0), io.output(2));
    let count = check_targets(targets, vocab)?;
    let weight = (f64::from(io.scalar(3)) / count) as f32;
    for_each_chunk(
        op,
        io,
        |first, targets, logits, losses| {
            softmax_rows(op, targets, logits, losses, |row, target, top, inverse_sum| {
                row_gradient(op, row, target, top, inverse_sum, weight);
            });
            let rows = targets.len();
            let dz = Matrix::rows(logits, vocab);
            multiply(rows, c, vocab, dz, Matrix::rows(w, c), &mut dx[first * c..(first + rows) * c], false);
            multiply(vocab, c, rows, dz.transposed(), Matrix::rows(&x[first * c..], c), dw, true);
        },
        losses,
    );
    io.output(1)[0] = (mean_sum(losses) / count) as f32;
    Ok(())
}

/// Calls `f(first row, targets, logits, losses)` for each chunk.
fn for_each_chunk(
    op: &LinearCrossEntropy,
    io: &Io<f32>,
    mut f: impl FnMut(usize, &[i32], &mut [f32], &mut [f32]),
    losses: &mut [f32],
) {
    let (x, w, targets, scratch, c) = (io.input(0), io.input(1), io.integers(2), io.scratch(), io.last(0));
    let step = chunk_rows(targets.len(), io.rows(1));
    for (i, (targets, losses)) in targets.chunks(step).zip(losses.chunks_mut(step)).enumerate() {
        let (first, rows) = (i * step, targets.len());
        let logits = &mut scratch[..rows * op.vocab];
        let (x, w) = (Matrix::rows(&x[first * c..], c), Matrix::rows(w, c));
        multiply(rows, op.vocab, c, x, w.transposed(), logits, false);
        f(first, targets, logits, losses);
    }
}

/// Softcap and loss of each row; each logit z becomes tanh(z / cap). `then(row, target, top, 1 / Σ e^((tanh − top)·cap))`
/// follows, where no tanh is above `top`; rows without a target become zeros.
fn softmax_rows(
    op: &LinearCrossEntropy,
    targets: &[i32],
    logits: &mut [f32],
    losses: &mut [f32],
    then: impl Fn(&mut [f32], usize, f32, f32) + Sync,
) {
    let cap = op.softcap as f32;
    let rows = logits.par_chunks_exact_mut(op.vocab).zip(targets).zip(losses);
    rows.for_each(|((row, target), loss)| match usize::try_from(*target) {
        Err(_) => {
            *loss = 0.0;
            row.fill(0.0);
        }
        Ok(target) => {
            let (top, sum) = vectorized(|| {
                let inverse_cap = 1.0 / cap;
                row.iter_mut().for_each(|z| *z = simd::tanh(*z * inverse_cap));
                let top =
                    if op.softcap <= LOW_CAP { 1.0 } else { row.iter().fold(-1.0, |top, t| t.max(top)) };
                (top, simd::sum(row.len(), |i| simd::exp((row[i] - top) * cap)))
            });
            *loss = sum.ln() + cap * top - cap * row[target];
            then(row, target, top, 1.0 / sum);
        }
    });
}

/// tanh values → the gradient of the row's logits, in place.
fn row_gradient(
    op: &LinearCrossEntropy,
    row: &mut [f32],
    target: usize,
    top: f32,
    inverse_sum: f32,
    weight: f32,
) {
    let cap = op.softcap as f32;
    let t = row[target];
    let at_target = weight * (simd::exp((t - top) * cap) * inverse_sum - 1.0) * (1.0 - t * t);
    let factor = weight * inverse_sum;
    vectorized(|| row.iter_mut().for_each(|t| *t = factor * simd::exp((*t - top) * cap) * (1.0 - *t * *t)));
    row[target] = at_target;
}

fn mean_sum(losses: &[f32]) -> f64 {
    losses.iter().map(|l| f64::from(*l)).sum()
}
