//! The residual stream entering a block, and its norm.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::ops::rms_norm::{fast_inverse_rms, inverse_rms, inverse_root};
use crate::parallel::over_rows_of_two;
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::{ResidualMix, ResidualMixBackward};

pub(super) fn reference<T: Real>(op: &ResidualMix, io: &Io<T>) -> Result<(), String> {
    let (x, x0, c) = (io.input(0), io.input(1), io.last(0));
    let (resid, skip) = (io.input(2)[op.layer], io.input(3)[op.layer]);
    let (mixed, normed) = (io.output(0), io.output(1));
    for (mixed, (x, x0)) in mixed.iter_mut().zip(x.iter().zip(x0)) {
        *mixed = resid * *x + skip * *x0;
    }
    for (normed, mixed) in normed.chunks_exact_mut(c).zip(mixed.chunks_exact(c)) {
        let r = inverse_rms(mixed);
        normed.iter_mut().zip(mixed).for_each(|(normed, mixed)| *normed = *mixed * r);
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(op: &ResidualMixBackward, io: &Io<T>) -> Result<(), String> {
    let (at, c) = (op.gradients(), io.last(0));
    let (x, x0) = (io.input(at), io.input(at + 1));
    let (resid, skip) = (io.input(at + 2)[op.layer], io.input(at + 3)[op.layer]);
    let mut g = if op.mixed { io.input(0).to_vec() } else { vec![T::ZERO; x.len()] };
    if op.normed {
        let dnormed = io.input(at - 1);
        for (i, g) in g.chunks_exact_mut(c).enumerate() {
            let row = i * c..(i + 1) * c;
            let mix = x[row.clone()].iter().zip(&x0[row.clone()]).map(|(x, x0)| resid * *x + skip * *x0);
            let (mix, dn): (Vec<T>, _) = (mix.collect(), &dnormed[row]);
            let r = inverse_rms(&mix);
            let pull = dot(dn, &mix) * r * r / T::of(c as f64);
            g.iter_mut().zip(dn).zip(&mix).for_each(|((g, dn), m)| *g += r * (*dn - *m * pull));
        }
    }
    io.updated(at + 4)[op.layer] += dot(&g, x);
    io.updated(at + 5)[op.layer] += dot(&g, x0);
    match io.input_count() > at + 6 {
        true => io.output_over(1, &[at + 6]).0.iter_mut().zip(&g).for_each(|(dx0, g)| *dx0 += skip * *g),
        false => io.output(1).iter_mut().zip(&g).for_each(|(dx0, g)| *dx0 = skip * *g),
    }
    io.output(0).iter_mut().zip(&g).for_each(|(dx, g)| *dx = resid * *g);
    Ok(())
}

pub(super) fn fast(op: &ResidualMix, io: &Io<f32>) -> Result<(), String> {
    let (x, x0, c) = (io.input(0), io.input(1), io.last(0));
    let (resid, skip) = (io.input(2)[op.layer], io.input(3)[op.layer]);
    over_rows_of_two(io.output(0), c, io.output(1), c, |first, mixed, normed| {
        vectorized(|| {
            for (i, (mixed, normed)) in mixed.chunks_exact_mut(c).zip(normed.chunks_exact_mut(c)).enumerate()
            {
                let row = (first + i) * c..(first + i + 1) * c;
                let (x, x0) = (&x[row.clone()], &x0[row]);
                mixed.iter_mut().zip(x).zip(x0).for_each(|((m, x), x0)| *m = resid * x + skip * x0);
                let r = fast_inverse_rms(mixed);
                normed.iter_mut().zip(&*mixed).for_each(|(n, m)| *n = m * r);
            }
        });
    });
    Ok(())
}

pub(super) fn fast_backward(op: &ResidualMixBackward, io: &Io<f32>) -> Result<(), String> {
    let (at, c) = (op.gradients(), io.last(0));
    let (x, x0) = (io.input(at), io.input(at + 1));
    let (resid, skip) = (io.input(at + 2)[op.layer], io.input(at + 3)[op.layer]);
    // `dx` begins as the first gradient and becomes `g` before it becomes `dx`.
    let dx = io.output_over(0, &[0]).0;
    let second = (op.mixed && op.normed).then(|| io.input(1));
    let adds = io.input_count() > at + 6;
    let dx0 = if adds { io.output_over(1, &[at + 6]).0 } else { io.output(1) };
    let sums = over_rows_of_two(dx, c, dx0, c, |first, dx, dx0| {
        let (mut of_x, mut of_x0) = (0.0, 0.0);
        vectorized(|| {
            for (i, (dx, dx0)) in dx.chunks_exact_mut(c).zip(dx0.chunks_exact_mut(c)).enumerate() {
                let row = (first + i) * c..(first + i + 1) * c;
                let (x, x0) = (&x[row.clone()], &x0[row.clone()]);
                if op.normed {
                    through_norm(dx, second.map(|dn| &dn[row]), x, x0, resid, skip);
                }
                of_x += simd::dot(dx, x);
                of_x0 += simd::dot(dx, x0);
                match adds {
                    true => dx0.iter_mut().zip(&*dx).for_each(|(dx0, g)| *dx0 += skip * g),
                    false => dx0.iter_mut().zip(&*dx).for_each(|(dx0, g)| *dx0 = skip * g),
                }
                dx.iter_mut().for_each(|dx| *dx *= resid);
            }
        });
        [of_x, of_x0]
    });
    io.updated(at + 4)[op.layer] += sums.iter().map(|[of_x, _]| of_x).sum::<f32>();
    io.updated(at + 5)[op.layer] += sums.iter().map(|[_, of_x0]| of_x0).sum::<f32>();
    Ok(())
}

/// Adds to a row `g` of `dmixed` the gradient that comes through the norm; without a row `dn`, `g` itself is `dnormed`.
#[inline(always)]
fn through_norm(g: &mut [f32], dn: Option<&[f32]>, x: &[f32], x0: &[f32], resid: f32, skip: f32) {
    let n = g.len();
    let (x, x0) = (&x[..n], &x0[..n]);
    let mix = |i: usize| resid * x[i] + skip * x0[i];
    let squares = simd::sum(n, |i| mix(i) * mix(i));
    let r = inverse_root(squares, n);
    match dn {
        Some(dn) => {
            let dn = &dn[..n];
            let pull = simd::sum(n, |i| dn[i] * mix(i)) * r * r / n as f32;
            (0..n).for_each(|i| g[i] += r * (dn[i] - mix(i) * pull));
        }
        None => {
            let pull = simd::sum(n, |i| g[i] * mix(i)) * r * r / n as f32;
            (0..n).for_each(|i| g[i] = r * (g[i] - mix(i) * pull));
        }
    }
}
