//! The residual stream entering a block, and its norm.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::ops::rms_norm::{fast_inverse_rms, inverse_rms, pull};
use crate::parallel::{over_rows_of_two, over_rows_of_two_and_numbers};
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::{LEAST_RESID, ResidualMix, ResidualMixBackward};

pub(super) fn reference<T: Real>(op: &ResidualMix, io: &Io<T>) -> Result<(), String> {
    let (x, x0, c) = (io.input(0), io.input(1), io.last(0));
    let (resid, skip) = (io.input(2)[op.layer], io.input(3)[op.layer]);
    let (mixed, normed, rstd) = (io.output(0), io.output(1), io.output(2));
    for (mixed, (x, x0)) in mixed.iter_mut().zip(x.iter().zip(x0)) {
        *mixed = resid * *x + skip * *x0;
    }
    for ((normed, r), mixed) in normed.chunks_exact_mut(c).zip(rstd).zip(mixed.chunks_exact(c)) {
        *r = inverse_rms(mixed);
        normed.iter_mut().zip(mixed).for_each(|(normed, mixed)| *normed = *mixed * *r);
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(op: &ResidualMixBackward, io: &Io<T>) -> Result<(), String> {
    let (at, c) = (op.gradients(), io.last(0));
    let (normed, rstd, x0) = (io.input(at), io.input(at + 1), io.input(at + 2));
    let (resid, skip) = (io.input(at + 3)[op.layer], io.input(at + 4)[op.layer]);
    let mut g = if op.mixed { io.input(0).to_vec() } else { vec![T::ZERO; x0.len()] };
    if op.normed {
        let dnormed = io.input(at - 1);
        for (i, g) in g.chunks_exact_mut(c).enumerate() {
            let (n, dn) = (&normed[i * c..(i + 1) * c], &dnormed[i * c..(i + 1) * c]);
            let pull = pull(dot(dn, n), dot(n, n), rstd[i]);
            g.iter_mut().zip(dn).zip(n).for_each(|((g, dn), n)| *g += rstd[i] * (*dn - *n * pull));
        }
    }
    let stream = |i: usize| (normed[i] / rstd[i / c] - skip * x0[i]) / divisor(resid);
    let x: Vec<T> = (0..x0.len()).map(stream).collect();
    io.updated(at + 5)[op.layer] += dot(&g, &x);
    io.updated(at + 6)[op.layer] += dot(&g, x0);
    match io.input_count() > at + 7 {
        true => io.output_over(1, &[at + 7]).0.iter_mut().zip(&g).for_each(|(dx0, g)| *dx0 += skip * *g),
        false => io.output(1).iter_mut().zip(&g).for_each(|(dx0, g)| *dx0 = skip * *g),
    }
    io.output(0).iter_mut().zip(&g).for_each(|(dx, g)| *dx = resid * *g);
    Ok(())
}

/// What the stream's part of the mix is divided by.
fn divisor<T: Real>(resid: T) -> T {
    let least = T::of(LEAST_RESID);
    if resid < T::ZERO { -(-resid).max(least) } else { resid.max(least) }
}

pub(super) fn fast(op: &ResidualMix, io: &Io<f32>) -> Result<(), String> {
    let (x, x0, c) = (io.input(0), io.input(1), io.last(0));
    let (resid, skip) = (io.input(2)[op.layer], io.input(3)[op.layer]);
    over_rows_of_two_and_numbers(
        io.output(0),
        io.output(1),
        c,
        io.output(2),
        |first, mixed, normed, rstd| {
            vectorized(|| {
                let rows = mixed.chunks_exact_mut(c).zip(normed.chunks_exact_mut(c)).zip(rstd);
                for (i, ((mixed, normed), r)) in rows.enumerate() {
                    let row = (first + i) * c..(first + i + 1) * c;
                    let (x, x0) = (&x[row.clone()], &x0[row]);
                    mixed.iter_mut().zip(x).zip(x0).for_each(|((m, x), x0)| *m = resid * x + skip * x0);
                    *r = fast_inverse_rms(mixed);
                    normed.iter_mut().zip(&*mixed).for_each(|(n, m)| *n = m * *r);
                }
            });
        },
    );
    Ok(())
}

pub(super) fn fast_backward(op: &ResidualMixBackward, io: &Io<f32>) -> Result<(), String> {
    let (at, c) = (op.gradients(), io.last(0));
    let (normed, rstd, x0) = (io.input(at), io.input(at + 1), io.input(at + 2));
    let (resid, skip) = (io.input(at + 3)[op.layer], io.input(at + 4)[op.layer]);
    // `dx` begins as the first gradient and becomes `g` before it becomes `dx`.
    let dx = io.output_over(0, &[0]).0;
    let second = (op.mixed && op.normed).then(|| io.input(1));
    let adds = io.input_count() > at + 7;
    let dx0 = if adds { io.output_over(1, &[at + 7]).0 } else { io.output(1) };
    let sums = over_rows_of_two(dx, c, dx0, c, |first, dx, dx0| {
        let (mut of_mix, mut of_x0) = (0.0, 0.0);
        vectorized(|| {
            for (i, (dx, dx0)) in dx.chunks_exact_mut(c).zip(dx0.chunks_exact_mut(c)).enumerate() {
                let row = (first + i) * c..(first + i + 1) * c;
                let (n, x0, r) = (&normed[row.clone()], &x0[row.clone()], rstd[first + i]);
                if op.normed {
                    through_norm(dx, second.map(|dn| &dn[row]), n, r);
                }
                of_mix += simd::dot(dx, n) / r;
                of_x0 += simd::dot(dx, x0);
                match adds {
                    true => dx0.iter_mut().zip(&*dx).for_each(|(dx0, g)| *dx0 += skip * g),
                    false => dx0.iter_mut().zip(&*dx).for_each(|(dx0, g)| *dx0 = skip * g),
                }
                dx.iter_mut().for_each(|dx| *dx *= resid);
            }
        });
        [of_mix, of_x0]
    });
    let [of_mix, of_x0] = [0, 1].map(|i| sums.iter().map(|sums| sums[i]).sum::<f32>());
    io.updated(at + 5)[op.layer] += (of_mix - skip * of_x0) / divisor(resid);
    io.updated(at + 6)[op.layer] += of_x0;
    Ok(())
}

/// Adds to a row `g` of `dmixed` the gradient that comes through the norm, from its output and its factor; without a row `dn`,
/// `g` itself is `dnormed`.
#[inline(always)]
fn through_norm(g: &mut [f32], dn: Option<&[f32]>, normed: &[f32], r: f32) {
    match dn {
        Some(dn) => {
            let pull = pull(simd::dot(dn, normed), simd::dot(normed, normed), r);
            g.iter_mut().zip(dn).zip(normed).for_each(|((g, dn), n)| *g += r * (dn - n * pull));
        }
        None => {
            let pull = pull(simd::dot(g, normed), simd::dot(normed, normed), r);
            g.iter_mut().zip(normed).for_each(|(g, n)| *g = r * (*g - n * pull));
        }
    }
}
