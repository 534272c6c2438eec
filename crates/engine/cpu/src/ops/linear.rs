//! Linear map and its gradients. The results of several weights stand side by side in the rows of the output.

use crate::io::Io;
use crate::matmul::{Matrix, Target, multiply, product};
use crate::real::Real;
use std::ops::Range;
use wootz_ops::{Linear, LinearInputGradient, LinearWeightGradient};

pub(super) fn reference<T: Real>(op: &Linear, io: &Io<T>) -> Result<(), String> {
    let (x, cols, width) = (io.input(0), io.last(0), io.outputs[0].shape.last());
    let y = start_of_sum(io, op.residual.then_some(op.weights + 1));
    for (i, columns) in parts(io, 1..op.weights + 1) {
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(cols)) {
            for (y, w) in y[columns.clone()].iter_mut().zip(io.input(i).chunks_exact(cols)) {
                *y += dot(x, w);
            }
        }
    }
    Ok(())
}

pub(super) fn reference_input_gradient<T: Real>(op: &LinearInputGradient, io: &Io<T>) -> Result<(), String> {
    let (dy, rows, cols) = (io.input(0), io.last(0), io.last(1));
    let dx = start_of_sum(io, (io.input_count() > op.weights + 1).then_some(op.weights + 1));
    for (i, columns) in parts(io, 1..op.weights + 1) {
        for (dx, dy) in dx.chunks_exact_mut(cols).zip(dy.chunks_exact(rows)) {
            for (dy, w) in dy[columns.clone()].iter().zip(io.input(i).chunks_exact(cols)) {
                dx.iter_mut().zip(w).for_each(|(dx, w)| *dx += *dy * *w);
            }
        }
    }
    Ok(())
}

pub(super) fn reference_weight_gradient<T: Real>(
    op: &LinearWeightGradient,
    io: &Io<T>,
) -> Result<(), String> {
    let (dy, x, rows, cols) = (io.input(0), io.input(1), io.last(0), io.last(1));
    for (i, columns) in parts(io, 2..op.weights + 2) {
        let dw = io.updated(i);
        for (dy, x) in dy.chunks_exact(rows).zip(x.chunks_exact(cols)) {
            for (dy, dw) in dy[columns.clone()].iter().zip(dw.chunks_exact_mut(cols)) {
                dw.iter_mut().zip(x).for_each(|(dw, x)| *dw += *dy * *x);
            }
        }
    }
    Ok(())
}

/// Output 0 holding what a sum begins with: input `from` where there is one, else zeros.
fn start_of_sum<T: Real>(io: &Io<T>, from: Option<usize>) -> &mut [T] {
    match from {
        Some(i) => io.output_over(0, &[i]).0,
        None => {
            let sum = io.output(0);
            sum.fill(T::ZERO);
            sum
        }
    }
}

/// For each of the weights at `places` among the inputs: its place, and its columns of the packed rows.
fn parts<T: Copy>(io: &Io<T>, places: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
    places.scan(0, |first, i| {
        let columns = *first..*first + io.rows(i);
        *first = columns.end;
        Some((i, columns))
    })
}

pub(super) fn fast(op: &Linear, io: &Io<f32>) -> Result<(), String> {
    let (n, cols, width) = (io.rows(0), io.last(0), io.outputs[0].shape.last());
    let y = match op.residual {
        true => io.output_over(0, &[op.weights + 1]).0,
        false => io.output(0),
    };
    assert!(y.len() == n * width, "the output holds {} elements of {n}×{width}", y.len());
    let x = Matrix::rows(io.input(0), cols);
    for (i, columns) in parts(io, 1..op.weights + 1) {
        let w = Matrix::rows(io.input(i), cols).transposed();
        let target = Target { start: y[columns.start..].as_mut_ptr(), row: width, accumulate: op.residual };
        // SAFETY: the target is the columns of one weight in whole rows of `y`, which is exclusive; x is n×cols and w is
        // cols×columns by the op's shape rules.
        unsafe { product(n, columns.len(), cols, x, w, target, 1.0, rayon::current_num_threads()) };
    }
    Ok(())
}

pub(super) fn fast_input_gradient(op: &LinearInputGradient, io: &Io<f32>) -> Result<(), String> {
    let (n, rows, cols) = (io.rows(0), io.last(0), io.last(1));
    let adds = io.input_count() > op.weights + 1;
    let dx = if adds { io.output_over(0, &[op.weights + 1]).0 } else { io.output(0) };
    for (i, columns) in parts(io, 1..op.weights + 1) {
        let dy = Matrix::rows(&io.input(0)[columns.start..], rows);
        let w = Matrix::rows(io.input(i), cols);
        multiply(n, cols, columns.len(), dy, w, dx, adds || i > 1);
    }
    Ok(())
}

pub(super) fn fast_weight_gradient(op: &LinearWeightGradient, io: &Io<f32>) -> Result<(), String> {
    let (n, rows, cols) = (io.rows(0), io.last(0), io.last(1));
    let x = Matrix::rows(io.input(1), cols);
    for (i, columns) in parts(io, 2..op.weights + 2) {
        let dy = Matrix::rows(&io.input(0)[columns.start..], rows).transposed();
        multiply(columns.len(), cols, n, dy, x, io.updated(i), true);
    }
    Ok(())
}

pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).fold(T::ZERO, |sum, (a, b)| sum + *a * *b)
}
