//! Causal attention with grouped heads and a sliding window.
//!
//! The fast path works on tiles of [`TILE`] queries: scores of a tile against all keys it can see (products by gemm on
//! strided heads), softmax in place, product with the values. Tiles above the diagonal are never computed. Backward
//! goes over the tiles of one key/value head in order, so that its key and value gradients need no synchronisation.

use crate::io::Io;
use crate::matmul::{Matrix, Target, product};
use crate::parallel::{Shared, over_rows};
use crate::real::Real;
use crate::simd::{self, vectorized};
use rayon::prelude::*;
use std::ops::Range;
use wootz_ops::{Attention, AttentionBackward};
use wootz_tensor::Shape;

/// Queries of one tile.
const TILE: usize = 64;

/// Where a head's rows lie: in the packed B×T×W operand, and in the B×T×(H·D) output.
#[derive(Clone, Copy)]
struct Dims {
    batch: usize,
    t_len: usize,
    d: usize,
    heads: usize,
    kv_heads: usize,
    window: usize,
}

impl Dims {
    fn new(op: &Attention, qkv: &[usize]) -> Dims {
        Dims {
            batch: qkv[0],
            t_len: qkv[1],
            d: qkv[2] / (op.heads + 2 * op.kv_heads),
            heads: op.heads,
            kv_heads: op.kv_heads,
            window: op.window.unwrap_or(qkv[1]),
        }
    }
    /// Columns of a packed row.
    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.d
    }
    fn q(&self, b: usize, t: usize, h: usize) -> usize {
        (b * self.t_len + t) * self.width() + h * self.d
    }
    /// Keys that query head `h` reads.
    fn k(&self, b: usize, t: usize, h: usize) -> usize {
        (b * self.t_len + t) * self.width() + (self.heads + h * self.kv_heads / self.heads) * self.d
    }
    /// Values that query head `h` reads.
    fn v(&self, b: usize, t: usize, h: usize) -> usize {
        self.k(b, t, h) + self.kv_heads * self.d
    }
    fn y(&self, b: usize, t: usize, h: usize) -> usize {
        ((b * self.t_len + t) * self.heads + h) * self.d
    }
    fn lse(&self, b: usize, h: usize, t: usize) -> usize {
        (b * self.heads + h) * self.t_len + t
    }
    /// Keys that the query at `t` sees.
    fn visible(&self, t: usize) -> Range<usize> {
        t.saturating_sub(self.window)..t + 1
    }
    fn scale(&self) -> f64 {
        1.0 / (self.d as f64).sqrt()
    }
}

pub(super) fn reference<T: Real>(op: &Attention, io: &Io<T>) -> Result<(), String> {
    let n = Dims::new(op, io.dims(0));
    let (qkv, y, lse) = (io.input(0), io.output(0), io.output(1));
    y.fill(T::ZERO);
    for (b, h, t) in triples(&n) {
        let row = &qkv[n.q(b, t, h)..][..n.d];
        let scores: Vec<T> = n.visible(t).map(|s| score(&n, row, &qkv[n.k(b, s, h)..][..n.d])).collect();
        let log_sum = log_sum_exp(&scores);
        lse[n.lse(b, h, t)] = log_sum;
        let out = &mut y[n.y(b, t, h)..][..n.d];
        for (s, z) in n.visible(t).zip(scores) {
            let p = (z - log_sum).exp();
            out.iter_mut().zip(&qkv[n.v(b, s, h)..][..n.d]).for_each(|(y, v)| *y += p * *v);
        }
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(op: &AttentionBackward, io: &Io<T>) -> Result<(), String> {
    let n = Dims::new(&op.0, io.dims(1));
    let (dy, qkv, y, lse, d) = (io.input(0), io.input(1), io.input(2), io.input(3), io.output(0));
    d.fill(T::ZERO);
    let dot = crate::ops::linear::dot::<T>;
    let at = |start: usize| start..start + n.d;
    for (b, h, t) in triples(&n) {
        let (dy, y, query) = (&dy[at(n.y(b, t, h))], &y[at(n.y(b, t, h))], at(n.q(b, t, h)));
        let (q, delta) = (&qkv[query.clone()], dot(dy, y));
        for s in n.visible(t) {
            let (key, value) = (at(n.k(b, s, h)), at(n.v(b, s, h)));
            let p = (score(&n, q, &qkv[key.clone()]) - lse[n.lse(b, h, t)]).exp();
            let ds = p * (dot(dy, &qkv[value.clone()]) - delta) * T::of(n.scale());
            d[value].iter_mut().zip(dy).for_each(|(dv, dy)| *dv += p * *dy);
            d[key.clone()].iter_mut().zip(q).for_each(|(dk, q)| *dk += ds * *q);
            d[query.clone()].iter_mut().zip(&qkv[key]).for_each(|(dq, k)| *dq += ds * *k);
        }
    }
    Ok(())
}

fn triples(n: &Dims) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
    let n = *n;
    (0..n.batch).flat_map(move |b| (0..n.heads).flat_map(move |h| (0..n.t_len).map(move |t| (b, h, t))))
}

fn score<T: Real>(n: &Dims, q: &[T], k: &[T]) -> T {
    crate::ops::linear::dot(q, k) * T::of(n.scale())
}

fn log_sum_exp<T: Real>(scores: &[T]) -> T {
    let top = scores.iter().fold(scores[0], |top, z| top.max(*z));
    top + scores.iter().fold(T::ZERO, |sum, z| sum + (*z - top).exp()).ln()
}

/// A tile of scores for each thread.
pub(super) fn scratch_elements(qkv: &Shape, threads: usize) -> usize {
    threads * TILE * qkv.dims()[1]
}

/// A tile of probabilities and one of their gradients for each thread.
pub(super) fn scratch_elements_backward(qkv: &Shape, threads: usize) -> usize {
    2 * threads * TILE * qkv.dims()[1]
}

/// One tile of queries and the keys it sees.
struct Tile {
    b: usize,
    h: usize,
    queries: Range<usize>,
    keys: Range<usize>,
}

impl Tile {
    fn new(n: &Dims, b: usize, h: usize, i: usize) -> Tile {
        let queries = i * TILE..((i + 1) * TILE).min(n.t_len);
        let keys = n.visible(queries.start).start..queries.end;
        Tile { b, h, queries, keys }
    }
    /// Keys of query `t`, counted from the first key of the tile.
    fn visible(&self, n: &Dims, t: usize) -> Range<usize> {
        let keys = n.visible(t);
        keys.start - self.keys.start..keys.end - self.keys.start
    }
}

pub(super) fn fast(op: &Attention, io: &Io<f32>) -> Result<(), String> {
    let n = Dims::new(op, io.dims(0));
    let (qkv, scratch) = (io.input(0), io.scratch());
    let (y, lse) = (Shared::new(io.output(0)), Shared::new(io.output(1)));
    let tiles_of_head = n.t_len.div_ceil(TILE);
    let tiles = n.batch * n.heads * tiles_of_head;
    let lanes = scratch.len() / (TILE * n.t_len);
    scratch.par_chunks_exact_mut(TILE * n.t_len).enumerate().for_each(|(lane, scores)| {
        // Long tiles (late queries) and short ones alternate between the lanes.
        for i in (lane..tiles).step_by(lanes) {
            let (head, tile) = (i % (n.batch * n.heads), tiles_of_head - 1 - i / (n.batch * n.heads));
            let tile = Tile::new(&n, head / n.heads, head % n.heads, tile);
            // SAFETY: the tile's rows of `y` and `lse` belong to this tile alone.
            unsafe { forward_tile(&n, &tile, qkv, scores, y, lse) };
        }
    });
    Ok(())
}

/// # Safety
/// No other task writes this tile's rows of `y` and `lse`.
unsafe fn forward_tile(n: &Dims, tile: &Tile, qkv: &[f32], scores: &mut [f32], y: Shared, lse: Shared) {
    let (rows, cols) = (tile.queries.len(), tile.keys.len());
    let scores = &mut scores[..rows * cols];
    tile_scores(n, tile, qkv, scores);
    for (t, row) in tile.queries.clone().zip(scores.chunks_exact_mut(cols)) {
        let visible = tile.visible(n, t);
        let log_sum = vectorized(|| softmax(row, visible));
        // SAFETY: in bounds, and this tile's alone.
        unsafe { *lse.at(n.lse(tile.b, tile.h, t)) = log_sum };
    }
    let p = Matrix::rows(scores, cols);
    let v = packed(n, qkv, n.v(tile.b, tile.keys.start, tile.h));
    // SAFETY: rows of one head of values and of this tile of `y`, with their strides.
    unsafe {
        let out = Target {
            start: y.at(n.y(tile.b, tile.queries.start, tile.h)),
            row: n.heads * n.d,
            accumulate: false,
        };
        product(rows, n.d, cols, p, v, out, 1.0, 1);
    }
}

/// Scaled scores of a tile's queries against its keys.
fn tile_scores(n: &Dims, tile: &Tile, qkv: &[f32], scores: &mut [f32]) {
    let (rows, cols) = (tile.queries.len(), tile.keys.len());
    let q = packed(n, qkv, n.q(tile.b, tile.queries.start, tile.h));
    let k = packed(n, qkv, n.k(tile.b, tile.keys.start, tile.h));
    let out = Target { start: scores.as_mut_ptr(), row: cols, accumulate: false };
    // SAFETY: rows of one head of queries and of keys with their stride; `scores` holds rows × cols.
    unsafe { product(rows, cols, n.d, q, k.transposed(), out, n.scale() as f32, 1) };
}

/// Rows of one head of the packed operand from an offset on.
fn packed(n: &Dims, qkv: &[f32], first: usize) -> Matrix {
    Matrix { start: qkv[first..].as_ptr(), row: n.width(), col: 1 }
}

/// Softmax over the visible part of a row, zeros elsewhere; returns the log-sum-exp.
#[inline(always)]
fn softmax(row: &mut [f32], visible: Range<usize>) -> f32 {
    row[..visible.start].fill(0.0);
    row[visible.end..].fill(0.0);
    let row = &mut row[visible];
    let top = row.iter().fold(f32::NEG_INFINITY, |top, z| top.max(*z));
    row.iter_mut().for_each(|z| *z = simd::exp(*z - top));
    let sum = simd::sum(row.len(), |i| row[i]);
    let inverse = 1.0 / sum;
    row.iter_mut().for_each(|z| *z *= inverse);
    top + sum.ln()
}

pub(super) fn fast_backward(op: &AttentionBackward, io: &Io<f32>) -> Result<(), String> {
    let n = Dims::new(&op.0, io.dims(1));
    let dqkv = io.output(0);
    // Gradients of keys and values are sums over queries; those of queries are written once.
    over_rows(dqkv, n.width(), |_, rows| {
        rows.chunks_exact_mut(n.width()).for_each(|row| row[n.heads * n.d..].fill(0.0));
    });
    let dqkv = Shared::new(dqkv);
    let scratch = io.scratch();
    let width = 2 * TILE * n.t_len;
    let lanes = scratch.len() / width;
    let (tasks, group) = (n.batch * n.kv_heads, n.heads / n.kv_heads);
    scratch.par_chunks_exact_mut(width).enumerate().for_each(|(lane, scratch)| {
        let (p, dp) = scratch.split_at_mut(width / 2);
        for task in (lane..tasks).step_by(lanes) {
            let (b, kv) = (task / n.kv_heads, task % n.kv_heads);
            for h in kv * group..(kv + 1) * group {
                for i in 0..n.t_len.div_ceil(TILE) {
                    let tile = Tile::new(&n, b, h, i);
                    // SAFETY: this task alone writes the gradients of key/value head `kv` and its query heads.
                    unsafe { backward_tile(&n, &tile, io, p, dp, dqkv) };
                }
            }
        }
    });
    Ok(())
}

/// # Safety
/// No other task writes the gradients of this tile's query head and key/value head.
unsafe fn backward_tile(n: &Dims, tile: &Tile, io: &Io<f32>, p: &mut [f32], dp: &mut [f32], dqkv: Shared) {
    let (dy, qkv, y, lse) = (io.input(0), io.input(1), io.input(2), io.input(3));
    let (rows, cols, d) = (tile.queries.len(), tile.keys.len(), n.d);
    let (p, dp) = (&mut p[..rows * cols], &mut dp[..rows * cols]);
    let first_q = n.q(tile.b, tile.queries.start, tile.h);
    let (first_k, first_v) = (n.k(tile.b, tile.keys.start, tile.h), n.v(tile.b, tile.keys.start, tile.h));
    let first_y = n.y(tile.b, tile.queries.start, tile.h);
    let dy_rows = Matrix { start: dy[first_y..].as_ptr(), row: n.heads * d, col: 1 };
    tile_scores(n, tile, qkv, p);
    let out = Target { start: dp.as_mut_ptr(), row: cols, accumulate: false };
    // SAFETY: rows of one head with their strides; `dp` holds rows × cols.
    unsafe { product(rows, cols, d, dy_rows, packed(n, qkv, first_v).transposed(), out, 1.0, 1) };
    for (i, t) in tile.queries.clone().enumerate() {
        let at = n.y(tile.b, t, tile.h)..n.y(tile.b, t, tile.h) + d;
        let (p, dp) = (&mut p[i * cols..(i + 1) * cols], &mut dp[i * cols..(i + 1) * cols]);
        let (visible, log_sum) = (tile.visible(n, t), lse[n.lse(tile.b, tile.h, t)]);
        let scale = n.scale() as f32;
        vectorized(|| {
            let delta = simd::dot(&dy[at.clone()], &y[at]);
            softmax_backward(p, dp, visible, log_sum, delta, scale);
        });
    }
    let (p, dp) = (Matrix::rows(p, cols), Matrix::rows(dp, cols));
    // SAFETY: in bounds with the packed stride; exclusive by this function's contract.
    unsafe {
        let to =
            |first: usize, accumulate: bool| Target { start: dqkv.at(first), row: n.width(), accumulate };
        product(cols, d, rows, p.transposed(), dy_rows, to(first_v, true), 1.0, 1);
        product(cols, d, rows, dp.transposed(), packed(n, qkv, first_q), to(first_k, true), 1.0, 1);
        product(rows, d, cols, dp, packed(n, qkv, first_k), to(first_q, false), 1.0, 1);
    }
}

/// Turns scores into probabilities, and the probabilities' gradients into the scores', in place.
#[inline(always)]
fn softmax_backward(
    p: &mut [f32],
    dp: &mut [f32],
    visible: Range<usize>,
    log_sum: f32,
    delta: f32,
    scale: f32,
) {
    for row in [&mut *p, &mut *dp] {
        row[..visible.start].fill(0.0);
        row[visible.end..].fill(0.0);
    }
    for (p, dp) in p[visible.clone()].iter_mut().zip(&mut dp[visible]) {
        *p = simd::exp(*p - log_sum);
        *dp = *p * (*dp - delta) * scale;
    }
}
