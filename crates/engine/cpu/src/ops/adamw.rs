//! AdamW.

use crate::io::Io;
use crate::parallel::PIECE;
use crate::real::Real;
use crate::simd::vectorized;
use rayon::prelude::*;
use wootz_ops::AdamW;

pub(super) fn reference<T: Real>(op: &AdamW, io: &Io<T>) -> Result<(), String>
where
    f64: From<f32>,
{
    let lr = T::of(op.lr) * io.scalar(0);
    let (one, beta1, beta2) = (T::of(1.0), T::of(op.beta1), T::of(op.beta2));
    let (bias1, bias2) = (one - power(beta1, io.scalar(1)), one - power(beta2, io.scalar(1)));
    let (p, g, m, v) = (io.updated(2), io.updated(3), io.updated(4), io.updated(5));
    for i in 0..p.len() {
        m[i] = beta1 * m[i] + (one - beta1) * g[i];
        v[i] = beta2 * v[i] + (one - beta2) * g[i] * g[i];
        let denominator = (v[i] / bias2).sqrt() + T::of(op.eps);
        p[i] = p[i] * (one - lr * T::of(op.weight_decay)) - lr / bias1 * (m[i] / denominator);
        g[i] = T::ZERO;
    }
    if op.copy {
        io.updated(6).copy_from_slice(p);
    }
    Ok(())
}

/// `base^exponent` for a positive base.
fn power<T: Real>(base: T, exponent: T) -> T {
    (base.ln() * exponent).exp()
}

pub(super) fn fast(op: &AdamW, io: &Io<f32>) -> Result<(), String> {
    let step = f64::from(io.scalar(1));
    let lr = (op.lr * f64::from(io.scalar(0))) as f32;
    let (beta1, beta2, eps) = (op.beta1 as f32, op.beta2 as f32, op.eps as f32);
    let (rest1, rest2) = ((1.0 - op.beta1) as f32, (1.0 - op.beta2) as f32);
    let step_size = (f64::from(lr) / (1.0 - op.beta1.powf(step))) as f32;
    let root_bias2 = (1.0 / (1.0 - op.beta2.powf(step))).sqrt() as f32;
    let keep = 1.0 - lr * op.weight_decay as f32;
    let (p, g, m, v) = (io.updated(2), io.updated(3), io.updated(4), io.updated(5));
    let pieces = p.par_chunks_mut(PIECE).zip(g.par_chunks_mut(PIECE));
    let states = m.par_chunks_mut(PIECE).zip(v.par_chunks_mut(PIECE));
    pieces.zip(states).for_each(|((p, g), (m, v))| {
        vectorized(|| {
            for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                *m = beta1 * *m + rest1 * *g;
                *v = beta2 * *v + rest2 * *g * *g;
                *p = *p * keep - step_size * (*m / (v.sqrt() * root_bias2 + eps));
                *g = 0.0;
            }
        });
    });
    if op.copy {
        io.updated(6).copy_from_slice(p);
    }
    Ok(())
}
