//! Value embeddings, looked up and added to the value columns of packed rows.

use crate::io::Io;
use crate::ops::embedding::{self, SHARES};
use crate::ops::linear::dot;
use crate::parallel::{Shared, over_rows};
use crate::real::Real;
use crate::simd::{self, vectorized};
use rayon::prelude::*;
use wootz_ops::{ValueGate, ValueGateBackward};

/// Where the values lie in a packed row.
#[derive(Clone, Copy)]
struct Values {
    /// Columns of a packed row.
    width: usize,
    /// First column of the values.
    first: usize,
    heads: usize,
    d: usize,
}

impl Values {
    fn new(op: &ValueGate, width: usize) -> Values {
        let d = width / (op.heads + 2 * op.kv_heads);
        Values { width, first: (op.heads + op.kv_heads) * d, heads: op.kv_heads, d }
    }
    /// Columns of the table.
    fn columns(&self) -> usize {
        self.heads * self.d
    }
}

pub(super) fn reference<T: Real>(op: &ValueGate, io: &Io<T>) -> Result<(), String> {
    let (s, table, tokens, v) = (io.input(1), io.input(2), io.integers(3), Values::new(op, io.last(0)));
    embedding::check(tokens, io.rows(2))?;
    let rows = io.output_over(0, &[0]).0.chunks_exact_mut(v.width).zip(s.chunks_exact(v.heads));
    for ((row, s), token) in rows.zip(tokens) {
        let entry = &table[*token as usize * v.columns()..][..v.columns()];
        for ((y, e), s) in row[v.first..].chunks_exact_mut(v.d).zip(entry.chunks_exact(v.d)).zip(s) {
            y.iter_mut().zip(e).for_each(|(y, e)| *y += *s * *e);
        }
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(op: &ValueGateBackward, io: &Io<T>) -> Result<(), String> {
    let (dy, s, table, tokens) = (io.input(0), io.input(1), io.input(2), io.integers(3));
    let (dtable, v) = (io.updated(4), Values::new(&op.0, io.last(0)));
    embedding::check(tokens, io.rows(2))?;
    for (i, ds) in io.output(0).chunks_exact_mut(v.heads).enumerate() {
        let dv = &dy[i * v.width + v.first..(i + 1) * v.width];
        let at = tokens[i] as usize * v.columns();
        for (h, (ds, dv)) in ds.iter_mut().zip(dv.chunks_exact(v.d)).enumerate() {
            let (entry, s) = (at + h * v.d..at + (h + 1) * v.d, s[i * v.heads + h]);
            *ds = dot(dv, &table[entry.clone()]);
            dtable[entry].iter_mut().zip(dv).for_each(|(sum, dv)| *sum += s * *dv);
        }
    }
    Ok(())
}

pub(super) fn fast(op: &ValueGate, io: &Io<f32>) -> Result<(), String> {
    let (s, table, tokens, v) = (io.input(1), io.input(2), io.integers(3), Values::new(op, io.last(0)));
    embedding::check(tokens, io.rows(2))?;
    over_rows(io.output_over(0, &[0]).0, v.width, |first, rows| {
        vectorized(|| {
            for (i, row) in rows.chunks_exact_mut(v.width).enumerate() {
                let i = first + i;
                let entry = &table[tokens[i] as usize * v.columns()..][..v.columns()];
                let heads = row[v.first..].chunks_exact_mut(v.d).zip(entry.chunks_exact(v.d));
                for ((y, e), s) in heads.zip(&s[i * v.heads..]) {
                    y.iter_mut().zip(e).for_each(|(y, e)| *y += s * e);
                }
            }
        });
    });
    Ok(())
}

/// The strengths' gradients by rows; the table's by shares of the vocabulary, as in [`embedding`].
pub(super) fn fast_backward(op: &ValueGateBackward, io: &Io<f32>) -> Result<(), String> {
    let (dy, s, table, tokens) = (io.input(0), io.input(1), io.input(2), io.integers(3));
    let v = Values::new(&op.0, io.last(0));
    embedding::check(tokens, io.rows(2))?;
    let gradient = |i: usize| &dy[i * v.width + v.first..(i + 1) * v.width];
    over_rows(io.output(0), v.heads, |first, rows| {
        vectorized(|| {
            for (i, ds) in rows.chunks_exact_mut(v.heads).enumerate() {
                let i = first + i;
                let entry = &table[tokens[i] as usize * v.columns()..][..v.columns()];
                let heads = gradient(i).chunks_exact(v.d).zip(entry.chunks_exact(v.d));
                ds.iter_mut().zip(heads).for_each(|(ds, (dv, e))| *ds = simd::dot(dv, e));
            }
        });
    });
    let dtable = Shared::new(io.updated(4));
    (0..SHARES).into_par_iter().for_each(|share| {
        for (i, token) in tokens.iter().enumerate().filter(|(_, t)| **t as usize % SHARES == share) {
            // SAFETY: the token is below the number of rows, checked above; its row belongs to this share alone.
            let sum = unsafe {
                std::slice::from_raw_parts_mut(dtable.at(*token as usize * v.columns()), v.columns())
            };
            let heads = sum.chunks_exact_mut(v.d).zip(gradient(i).chunks_exact(v.d));
            for ((sum, dv), s) in heads.zip(&s[i * v.heads..]) {
                sum.iter_mut().zip(dv).for_each(|(sum, dv)| *sum += s * dv);
            }
        }
    });
    Ok(())
}
