//! Muon: one definition, with the products and dot products passed in; one matrix after the other.

use crate::io::Io;
use crate::matmul::{Matrix, multiply};
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::{Muon, POLAR_EXPRESS};
use wootz_tensor::Shape;

/// X and its successor, A and its polynomial.
pub(super) fn scratch_elements(p: &Shape) -> usize {
    let (rows, cols) = (p.dims()[0], p.dims()[1]);
    2 * rows * cols + 2 * rows.min(cols).pow(2)
}

pub(super) fn reference<T: Real>(op: &Muon, io: &Io<T>) -> Result<(), String> {
    let mut scratch = vec![T::ZERO; scratch_elements(&io.inputs[3].shape)];
    for i in 0..op.count {
        update(op, i, io, &mut scratch, &crate::ops::linear::dot, &naive_product);
    }
    Ok(())
}

pub(super) fn fast(op: &Muon, io: &Io<f32>) -> Result<(), String> {
    let dot = |a: &[f32], b: &[f32]| vectorized(|| simd::dot(a, b));
    let product = |p: Product<'_, f32>| {
        let view = |side: Side<'_, f32>| {
            let matrix = Matrix::rows(side.elements, side.width);
            if side.transposed { matrix.transposed() } else { matrix }
        };
        multiply(p.m, p.n, p.k, view(p.a), view(p.b), p.out, p.accumulate);
    };
    for i in 0..op.count {
        update(op, i, io, io.scratch(), &dot, &product);
    }
    Ok(())
}

struct Product<'a, T> {
    m: usize,
    n: usize,
    k: usize,
    a: Side<'a, T>,
    b: Side<'a, T>,
    out: &'a mut [T],
    accumulate: bool,
}

fn side<T>(elements: &[T], width: usize, transposed: bool) -> Side<'_, T> {
    Side { elements, width, transposed }
}

/// A row-major matrix of rows of `width`, read as its transpose where it says so.
struct Side<'a, T> {
    elements: &'a [T],
    width: usize,
    transposed: bool,
}

fn naive_product<T: Real>(p: Product<'_, T>) {
    let at = |s: &Side<'_, T>, i: usize, j: usize| {
        if s.transposed { s.elements[j * s.width + i] } else { s.elements[i * s.width + j] }
    };
    for i in 0..p.m {
        for j in 0..p.n {
            let before = if p.accumulate { p.out[i * p.n + j] } else { T::ZERO };
            p.out[i * p.n + j] = (0..p.k).fold(before, |sum, l| sum + at(&p.a, i, l) * at(&p.b, l, j));
        }
    }
}

/// Updates matrix `i`.
fn update<T: Real>(
    op: &Muon,
    i: usize,
    io: &Io<T>,
    scratch: &mut [T],
    dot: &dyn Fn(&[T], &[T]) -> T,
    product: &dyn Fn(Product<'_, T>),
) {
    let (rows, cols, at) = (io.dims(3)[0], io.dims(3)[1], op.first(i));
    let (x, rest) = scratch.split_at_mut(rows * cols);
    let (p, g, buffer, second) = (io.updated(at), io.updated(at + 1), io.updated(at + 2), io.updated(at + 3));
    let (momentum, one) = (io.scalar(1), T::of(1.0));
    for ((x, g), buffer) in x.iter_mut().zip(&mut *g).zip(buffer) {
        *buffer = momentum * *buffer + (one - momentum) * *g;
        *x = (one - momentum) * *g + momentum * *buffer;
        *g = T::ZERO;
    }
    for row in x.chunks_exact_mut(cols) {
        let inverse = one / dot(row, row).sqrt().max(T::of(1e-7));
        row.iter_mut().for_each(|x| *x = *x * inverse);
    }
    let x = orthogonalize(x, rest, rows, cols, dot, product);
    reduce_variance(op, x, second, rows, cols, dot);
    let lr = T::of(op.lr * (rows as f64 / cols as f64).max(1.0).sqrt()) * io.scalar(0);
    let decay = lr * io.scalar(2);
    for (p, x) in p.iter_mut().zip(&*x) {
        let decay = if *x * *p >= T::ZERO { decay } else { T::ZERO };
        *p -= lr * *x + decay * *p;
    }
    if op.copies {
        io.updated(at + 4).copy_from_slice(p);
    }
}

/// Five Polar Express steps towards the nearest semi-orthogonal matrix, then Frobenius norm √min(rows, cols). Returns the
/// buffer the result is in.
fn orthogonalize<'a, T: Real>(
    x: &'a mut [T],
    rest: &'a mut [T],
    rows: usize,
    cols: usize,
    dot: &dyn Fn(&[T], &[T]) -> T,
    product: &dyn Fn(Product<'_, T>),
) -> &'a mut [T] {
    let small = rows.min(cols);
    let (mut x, rest) = (x, rest);
    let (mut next, rest) = rest.split_at_mut(rows * cols);
    let (gram, rest) = rest.split_at_mut(small * small);
    let poly = &mut rest[..small * small];
    let tall = rows > cols;
    let inverse = T::of(1.0) / (dot(x, x).sqrt() * T::of(1.01) + T::of(1e-6));
    x.iter_mut().for_each(|x| *x = *x * inverse);
    for (a, b, c) in POLAR_EXPRESS {
        let (m, k) = (small, rows.max(cols));
        product(Product {
            m,
            n: m,
            k,
            a: side(x, cols, tall),
            b: side(x, cols, !tall),
            out: gram,
            accumulate: false,
        });
        let (left, right) = (side(gram, m, false), side(gram, m, false));
        product(Product { m, n: m, k: m, a: left, b: right, out: poly, accumulate: false });
        poly.iter_mut().zip(&*gram).for_each(|(p, g)| *p = T::of(b) * *g + T::of(c) * *p);
        next.iter_mut().zip(&*x).for_each(|(next, x)| *next = T::of(a) * *x);
        let (left, right) = match tall {
            true => (side(x, cols, false), side(poly, m, false)),
            false => (side(poly, m, false), side(x, cols, false)),
        };
        product(Product { m: rows, n: cols, k: m, a: left, b: right, out: next, accumulate: true });
        std::mem::swap(&mut x, &mut next);
    }
    let snap = T::of((small as f64).sqrt()) / dot(x, x).sqrt().max(T::of(1e-7));
    x.iter_mut().for_each(|x| *x = *x * snap);
    x
}

/// NorMuon: scales rows (or columns) by their running root mean square, keeping the whole norm.
fn reduce_variance<T: Real>(
    op: &Muon,
    x: &mut [T],
    second: &mut [T],
    rows: usize,
    cols: usize,
    dot: &dyn Fn(&[T], &[T]) -> T,
) {
    let by_row = rows >= cols;
    let reduced = T::of(if by_row { cols } else { rows } as f64);
    let mut squares = vec![T::ZERO; second.len()];
    for (i, row) in x.chunks_exact(cols).enumerate() {
        match by_row {
            true => squares[i] = dot(row, row),
            false => squares.iter_mut().zip(row).for_each(|(sum, x)| *sum += *x * *x),
        }
    }
    let norm = squares.iter().fold(T::ZERO, |sum, s| sum + *s).sqrt();
    let mut new_square = T::ZERO;
    for (second, square) in second.iter_mut().zip(&squares) {
        *second = T::of(op.beta2) * *second + T::of(1.0 - op.beta2) * (*square / reduced);
        new_square += *square / second.max(T::of(1e-10));
    }
    let back = norm / new_square.sqrt().max(T::of(1e-10));
    let factors: Vec<T> = second.iter().map(|s| back / s.max(T::of(1e-10)).sqrt()).collect();
    for (i, row) in x.chunks_exact_mut(cols).enumerate() {
        match by_row {
            true => row.iter_mut().for_each(|x| *x = *x * factors[i]),
            false => row.iter_mut().zip(&factors).for_each(|(x, f)| *x = *x * *f),
        }
    }
}
