//! Strengths of the value embeddings.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::ops::smear::sigmoid;
use crate::parallel::over_rows;
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::{GateStrength, GateStrengthBackward};

pub(super) fn reference<T: Real>(_: &GateStrength, io: &Io<T>) -> Result<(), String> {
    let (n, gate, c, g, heads) = (io.input(0), io.input(1), io.last(0), io.last(1), io.rows(1));
    for (s, n) in io.output(0).chunks_exact_mut(heads).zip(n.chunks_exact(c)) {
        for (s, gate) in s.iter_mut().zip(gate.chunks_exact(g)) {
            *s = T::of(GateStrength::MAX) * dot(gate, &n[..g]).sigmoid();
        }
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(_: &GateStrengthBackward, io: &Io<T>) -> Result<(), String> {
    let (ds, s, n, gate, dgate) = (io.input(0), io.input(1), io.input(2), io.input(3), io.updated(4));
    let (c, g, heads, dn) = (io.last(2), io.last(3), io.rows(3), gradient_of_input(io));
    for i in 0..io.rows(0) {
        for h in 0..heads {
            let dz = ds[i * heads + h] * slope(s[i * heads + h]);
            let (n, gate) = (&n[i * c..i * c + g], &gate[h * g..(h + 1) * g]);
            dgate[h * g..(h + 1) * g].iter_mut().zip(n).for_each(|(dg, n)| *dg += dz * *n);
            dn[i * c..i * c + g].iter_mut().zip(gate).for_each(|(dn, gate)| *dn += dz * *gate);
        }
    }
    Ok(())
}

/// Derivative of a strength by the gate's product, from the strength: `3σ(1 − σ)` with `σ = s/3`.
#[inline(always)]
fn slope<T: Real>(s: T) -> T {
    s * (T::of(1.0) - s / T::of(GateStrength::MAX))
}

/// The input's gradient so far: the sixth operand, or zeros.
fn gradient_of_input<T: Real>(io: &Io<T>) -> &mut [T] {
    match io.input_count() {
        6 => io.output_over(0, &[5]).0,
        _ => {
            let dn = io.output(0);
            dn.fill(T::ZERO);
            dn
        }
    }
}

pub(super) fn fast(_: &GateStrength, io: &Io<f32>) -> Result<(), String> {
    let (n, gate, c, g, heads) = (io.input(0), io.input(1), io.last(0), io.last(1), io.rows(1));
    over_rows(io.output(0), heads, |first, rows| {
        vectorized(|| {
            for (i, s) in rows.chunks_exact_mut(heads).enumerate() {
                let n = &n[(first + i) * c..(first + i) * c + g];
                for (s, gate) in s.iter_mut().zip(gate.chunks_exact(g)) {
                    *s = GateStrength::MAX as f32 * sigmoid(simd::dot(gate, n));
                }
            }
        });
    });
    Ok(())
}

/// The input's gradient in parallel; the gate's, a dozen channels a head, on one thread.
pub(super) fn fast_backward(_: &GateStrengthBackward, io: &Io<f32>) -> Result<(), String> {
    let (ds, s, n, gate, dgate) = (io.input(0), io.input(1), io.input(2), io.input(3), io.updated(4));
    let (c, g, heads) = (io.last(2), io.last(3), io.rows(3));
    over_rows(gradient_of_input(io), c, |first, rows| {
        for (i, dn) in rows.chunks_exact_mut(c).enumerate() {
            let at = (first + i) * heads;
            for (h, gate) in gate.chunks_exact(g).enumerate() {
                let dz = ds[at + h] * slope(s[at + h]);
                dn.iter_mut().zip(gate).for_each(|(dn, gate)| *dn += dz * gate);
            }
        }
    });
    for (i, n) in n.chunks_exact(c).enumerate() {
        for (h, dgate) in dgate.chunks_exact_mut(g).enumerate() {
            let dz = ds[i * heads + h] * slope(s[i * heads + h]);
            dgate.iter_mut().zip(n).for_each(|(dg, n)| *dg += dz * n);
        }
    }
    Ok(())
}
