//! Linear map and its gradients.

use crate::io::Io;
use crate::matmul::{Matrix, multiply};
use crate::real::Real;
use wootz_ops::{Linear, LinearInputGradient, LinearWeightGradient};

pub(super) fn reference<T: Real>(_: &Linear, io: &Io<T>) -> Result<(), String> {
    let (x, w, cols) = (io.input(0), io.input(1), io.last(0));
    let out = io.output(0).chunks_exact_mut(io.rows(1));
    for (y, x) in out.zip(x.chunks_exact(cols)) {
        for (y, w) in y.iter_mut().zip(w.chunks_exact(cols)) {
            *y = dot(x, w);
        }
    }
    Ok(())
}

pub(super) fn reference_input_gradient<T: Real>(_: &LinearInputGradient, io: &Io<T>) -> Result<(), String> {
    let (dy, w, rows, cols) = (io.input(0), io.input(1), io.last(0), io.last(1));
    let dx = match io.input_count() {
        3 => io.output_over(0, &[2]).0,
        _ => {
            let dx = io.output(0);
            dx.fill(T::ZERO);
            dx
        }
    };
    for (dx, dy) in dx.chunks_exact_mut(cols).zip(dy.chunks_exact(rows)) {
        for (dy, w) in dy.iter().zip(w.chunks_exact(cols)) {
            dx.iter_mut().zip(w).for_each(|(dx, w)| *dx += *dy * *w);
        }
    }
    Ok(())
}

pub(super) fn reference_weight_gradient<T: Real>(_: &LinearWeightGradient, io: &Io<T>) -> Result<(), String> {
    let (dy, x, dw, rows, cols) = (io.input(0), io.input(1), io.updated(2), io.last(0), io.last(1));
    for (dy, x) in dy.chunks_exact(rows).zip(x.chunks_exact(cols)) {
        for (dy, dw) in dy.iter().zip(dw.chunks_exact_mut(cols)) {
            dw.iter_mut().zip(x).for_each(|(dw, x)| *dw += *dy * *x);
        }
    }
    Ok(())
}

pub(super) fn fast(_: &Linear, io: &Io<f32>) -> Result<(), String> {
    let (n, rows, cols) = (io.rows(0), io.rows(1), io.last(0));
    let (x, w) = (Matrix::rows(io.input(0), cols), Matrix::rows(io.input(1), cols));
    multiply(n, rows, cols, x, w.transposed(), io.output(0), false);
    Ok(())
}

pub(super) fn fast_input_gradient(_: &LinearInputGradient, io: &Io<f32>) -> Result<(), String> {
    let (n, rows, cols) = (io.rows(0), io.last(0), io.last(1));
    let (dy, w) = (Matrix::rows(io.input(0), rows), Matrix::rows(io.input(1), cols));
    match io.input_count() {
        3 => multiply(n, cols, rows, dy, w, io.output_over(0, &[2]).0, true),
        _ => multiply(n, cols, rows, dy, w, io.output(0), false),
    }
    Ok(())
}

pub(super) fn fast_weight_gradient(_: &LinearWeightGradient, io: &Io<f32>) -> Result<(), String> {
    let (n, rows, cols) = (io.rows(0), io.last(0), io.last(1));
    let (dy, x) = (Matrix::rows(io.input(0), rows), Matrix::rows(io.input(1), cols));
    multiply(rows, cols, n, dy.transposed(), x, io.updated(2), true);
    Ok(())
}

pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).fold(T::ZERO, |sum, (a, b)| sum + *a * *b)
}
