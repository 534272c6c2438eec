//! Running sums.

use crate::io::Io;
use crate::real::Real;
use wootz_ops::{Accumulate, Drain};

pub(super) fn reference<T: Real>(_: &Accumulate, io: &Io<T>) -> Result<(), String> {
    io.updated(1).iter_mut().zip(io.input(0)).for_each(|(sum, value)| *sum += *value);
    Ok(())
}

pub(super) fn drain<T: Real>(_: &Drain, io: &Io<T>) -> Result<(), String> {
    let sum = io.updated(0);
    io.output(0).copy_from_slice(sum);
    sum.fill(T::ZERO);
    Ok(())
}
