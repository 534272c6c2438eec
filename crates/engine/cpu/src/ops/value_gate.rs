//! Value embeddings, gated per key/value head.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::ops::smear::sigmoid;
use crate::parallel::over_rows;
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::{ValueGate, ValueGateBackward};

pub(super) fn reference<T: Real>(_: &ValueGate, io: &Io<T>) -> Result<(), String> {
    let (x, gate, ve) = (io.input(1), io.input(2), io.input(3));
    let (heads, g, c, width) = (io.rows(2), io.last(2), io.last(1), io.last(0));
    let d = width / heads;
    let (y, _) = io.output_over(0, &[0]);
    for (i, y) in y.chunks_exact_mut(width).enumerate() {
        for h in 0..heads {
            let share =
                T::of(ValueGate::STRENGTH) * dot(&gate[h * g..(h + 1) * g], &x[i * c..(i + 1) * c]).sigmoid();
            let ve = &ve[i * width + h * d..i * width + (h + 1) * d];
            y[h * d..(h + 1) * d].iter_mut().zip(ve).for_each(|(y, ve)| *y += share * *ve);
        }
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(_: &ValueGateBackward, io: &Io<T>) -> Result<(), String> {
    let (dy, x, gate, ve, dgate) = (io.input(0), io.input(1), io.input(2), io.input(3), io.updated(4));
    let (heads, g, c, width) = (io.rows(2), io.last(2), io.last(1), io.last(0));
    let d = width / heads;
    let (dve, dx) = (io.output(0), gradient_of_input(io));
    for i in 0..io.rows(0) {
        for h in 0..heads {
            let (gate, x) = (&gate[h * g..(h + 1) * g], &x[i * c..i * c + g]);
            let at = i * width + h * d..i * width + (h + 1) * d;
            let sigma = dot(gate, x).sigmoid();
            let dz = T::of(ValueGate::STRENGTH)
                * sigma
                * (T::of(1.0) - sigma)
                * dot(&dy[at.clone()], &ve[at.clone()]);
            let share = T::of(ValueGate::STRENGTH) * sigma;
            dve[at.clone()].iter_mut().zip(&dy[at]).for_each(|(dve, dy)| *dve = share * *dy);
            dgate[h * g..(h + 1) * g].iter_mut().zip(x).for_each(|(dg, x)| *dg += dz * *x);
            dx[i * c..i * c + g].iter_mut().zip(gate).for_each(|(dx, gate)| *dx += dz * *gate);
        }
    }
    Ok(())
}

pub(super) fn fast(_: &ValueGate, io: &Io<f32>) -> Result<(), String> {
    let (x, gate, ve) = (io.input(1), io.input(2), io.input(3));
    let (heads, g, c, width) = (io.rows(2), io.last(2), io.last(1), io.last(0));
    let d = width / heads;
    over_rows(io.output_over(0, &[0]).0, width, |first, rows| {
        vectorized(|| {
            for (i, y) in rows.chunks_exact_mut(width).enumerate() {
                let i = first + i;
                for h in 0..heads {
                    let z = simd::dot(&gate[h * g..(h + 1) * g], &x[i * c..i * c + g]);
                    let share = ValueGate::STRENGTH as f32 * sigmoid(z);
                    let ve = &ve[i * width + h * d..i * width + (h + 1) * d];
                    y[h * d..(h + 1) * d].iter_mut().zip(ve).for_each(|(y, ve)| *y += share * ve);
                }
            }
        });
    });
    Ok(())
}

/// One pass for the table's gradient in parallel; the gate's and the input's gradients, a dozen channels, on one thread.
pub(super) fn fast_backward(_: &ValueGateBackward, io: &Io<f32>) -> Result<(), String> {
    let (dy, x, gate, ve, dgate) = (io.input(0), io.input(1), io.input(2), io.input(3), io.updated(4));
    let (heads, g, c, width) = (io.rows(2), io.last(2), io.last(1), io.last(0));
    let d = width / heads;
    over_rows(io.output(0), width, |first, rows| {
        vectorized(|| {
            for (i, dve) in rows.chunks_exact_mut(width).enumerate() {
                let i = first + i;
                for h in 0..heads {
                    let share = ValueGate::STRENGTH as f32
                        * sigmoid(simd::dot(&gate[h * g..(h + 1) * g], &x[i * c..i * c + g]));
                    let dy = &dy[i * width + h * d..i * width + (h + 1) * d];
                    dve[h * d..(h + 1) * d].iter_mut().zip(dy).for_each(|(dve, dy)| *dve = share * dy);
                }
            }
        });
    });
    let dx = gradient_of_input(io);
    vectorized(|| {
        for i in 0..io.rows(0) {
            for h in 0..heads {
                let at = i * width + h * d..i * width + (h + 1) * d;
                let s = sigmoid(simd::dot(&gate[h * g..(h + 1) * g], &x[i * c..i * c + g]));
                let dz = ValueGate::STRENGTH as f32 * s * (1.0 - s) * simd::dot(&dy[at.clone()], &ve[at]);
                dgate[h * g..(h + 1) * g].iter_mut().zip(&x[i * c..]).for_each(|(dg, x)| *dg += dz * x);
                dx[i * c..].iter_mut().zip(&gate[h * g..(h + 1) * g]).for_each(|(dx, gate)| *dx += dz * gate);
            }
        }
    });
    Ok(())
}

/// The input's gradient so far: the sixth operand, or zeros.
fn gradient_of_input<T: Real>(io: &Io<T>) -> &mut [T] {
    match io.input_count() {
        6 => io.output_over(1, &[5]).0,
        _ => {
            let dx = io.output(1);
            dx.fill(T::ZERO);
            dx
        }
    }
}
