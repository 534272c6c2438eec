//! The residual stream entering a block.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::parallel::{over_rows, sum_over_rows};
use crate::real::Real;
use crate::simd::{self, vectorized};
use wootz_ops::{ResidualMix, ResidualMixBackward};

pub(super) fn reference<T: Real>(op: &ResidualMix, io: &Io<T>) -> Result<(), String> {
    let (resid, skip) = (io.input(2)[op.layer], io.input(3)[op.layer]);
    for (y, x0) in io.output_over(0, &[0]).0.iter_mut().zip(io.input(1)) {
        *y = resid * *y + skip * *x0;
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(op: &ResidualMixBackward, io: &Io<T>) -> Result<(), String> {
    let dy = io.input(0).to_vec();
    let (resid, skip) = (io.input(3)[op.layer], io.input(4)[op.layer]);
    io.updated(5)[op.layer] += dot(&dy, io.input(1));
    io.updated(6)[op.layer] += dot(&dy, io.input(2));
    match io.input_count() {
        8 => io.output_over(1, &[7]).0.iter_mut().zip(&dy).for_each(|(dx0, dy)| *dx0 += skip * *dy),
        _ => io.output(1).iter_mut().zip(&dy).for_each(|(dx0, dy)| *dx0 = skip * *dy),
    }
    io.output_over(0, &[0]).0.iter_mut().for_each(|dx| *dx = resid * *dx);
    Ok(())
}

pub(super) fn fast(op: &ResidualMix, io: &Io<f32>) -> Result<(), String> {
    let (x0, resid, skip) = (io.input(1), io.input(2)[op.layer], io.input(3)[op.layer]);
    over_rows(io.output_over(0, &[0]).0, 1, |first, y| {
        let x0 = &x0[first..first + y.len()];
        vectorized(|| y.iter_mut().zip(x0).for_each(|(y, x0)| *y = resid * *y + skip * x0));
    });
    Ok(())
}

pub(super) fn fast_backward(op: &ResidualMixBackward, io: &Io<f32>) -> Result<(), String> {
    let (resid, skip) = (io.input(3)[op.layer], io.input(4)[op.layer]);
    {
        let (dy, x, x0) = (io.input(0), io.input(1), io.input(2));
        let against = |other: &[f32]| {
            sum_over_rows(dy.len(), 1, |from, to| vectorized(|| simd::dot(&dy[from..to], &other[from..to])))
        };
        io.updated(5)[op.layer] += against(x);
        io.updated(6)[op.layer] += against(x0);
        let adds = io.input_count() == 8;
        let dx0 = if adds { io.output_over(1, &[7]).0 } else { io.output(1) };
        over_rows(dx0, 1, |first, dx0| {
            let dy = &dy[first..first + dx0.len()];
            vectorized(|| match adds {
                true => dx0.iter_mut().zip(dy).for_each(|(dx0, dy)| *dx0 += skip * dy),
                false => dx0.iter_mut().zip(dy).for_each(|(dx0, dy)| *dx0 = skip * dy),
            });
        });
    }
    over_rows(io.output_over(0, &[0]).0, 1, |_, dx| vectorized(|| dx.iter_mut().for_each(|dx| *dx *= resid)));
    Ok(())
}
