//! Linear map with squared ReLU. Backends that fuse them are compared with this; on the CPU the two ops stay apart.

use super::linear::dot;
use super::relu_squared::positive;
use crate::io::Io;
use crate::real::Real;
use wootz_ops::{LinearInputGradientReluSquared, LinearReluSquared};

pub(super) fn reference<T: Real>(_: &LinearReluSquared, io: &Io<T>) -> Result<(), String> {
    let (x, w, cols, width) = (io.input(0), io.input(1), io.last(0), io.outputs[0].shape.last());
    for (h, x) in io.output(0).chunks_exact_mut(width).zip(x.chunks_exact(cols)) {
        for (h, w) in h.iter_mut().zip(w.chunks_exact(cols)) {
            let u = positive(dot(x, w));
            *h = u * u;
        }
    }
    Ok(())
}

pub(super) fn reference_input_gradient<T: Real>(
    _: &LinearInputGradientReluSquared,
    io: &Io<T>,
) -> Result<(), String> {
    let (dy, w, rows, cols) = (io.input(0), io.input(1), io.last(0), io.last(1));
    // The output begins as h.
    for (du, dy) in io.output_over(0, &[2]).0.chunks_exact_mut(cols).zip(dy.chunks_exact(rows)) {
        for (i, du) in du.iter_mut().enumerate() {
            let dh = dy.iter().zip(w.chunks_exact(cols)).fold(T::ZERO, |sum, (dy, w)| sum + *dy * w[i]);
            *du = T::of(2.0) * du.sqrt() * dh;
        }
    }
    Ok(())
}
