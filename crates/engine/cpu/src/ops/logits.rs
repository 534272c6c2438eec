//! Softcapped logits.

use crate::io::Io;
use crate::matmul::{Matrix, multiply};
use crate::ops::linear::dot;
use crate::real::Real;
use wootz_ops::Logits;

pub(super) fn reference<T: Real>(op: &Logits, io: &Io<T>) -> Result<(), String> {
    let (x, w, c) = (io.input(0), io.input(1), io.last(0));
    for (row, x) in io.output(0).chunks_exact_mut(op.vocab).zip(x.chunks_exact(c)) {
        for (z, w) in row.iter_mut().zip(w.chunks_exact(c)) {
            *z = T::of(op.softcap) * (dot(x, w) / T::of(op.softcap)).tanh();
        }
    }
    Ok(())
}

pub(super) fn fast(op: &Logits, io: &Io<f32>) -> Result<(), String> {
    let (n, c) = (io.rows(0), io.last(0));
    let (x, w) = (Matrix::rows(io.input(0), c), Matrix::rows(io.input(1), c));
    let out = io.output(0);
    multiply(n, op.vocab, c, x, w.transposed(), out, false);
    let softcap = op.softcap as f32;
    out.iter_mut().for_each(|z| *z = softcap * (*z / softcap).tanh());
    Ok(())
}
