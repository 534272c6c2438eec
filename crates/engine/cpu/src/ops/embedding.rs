//! Table lookup and its scatter-add.

use crate::io::Io;
use crate::parallel::{Shared, over_rows};
use crate::real::Real;
use rayon::prelude::*;
use wootz_ops::{Embedding, EmbeddingBackward};

pub(super) fn reference<T: Real>(_: &Embedding, io: &Io<T>) -> Result<(), String> {
    let (table, tokens, c) = (io.input(0), io.integers(1), io.last(0));
    check(tokens, io.rows(0))?;
    for (row, token) in io.output(0).chunks_exact_mut(c).zip(tokens) {
        let start = *token as usize * c;
        row.copy_from_slice(&table[start..start + c]);
    }
    Ok(())
}

pub(super) fn reference_backward<T: Real>(_: &EmbeddingBackward, io: &Io<T>) -> Result<(), String> {
    let (dx, tokens, dtable, c) = (io.input(0), io.integers(1), io.updated(2), io.last(0));
    check(tokens, io.rows(2))?;
    for (row, token) in dx.chunks_exact(c).zip(tokens) {
        let start = *token as usize * c;
        dtable[start..start + c].iter_mut().zip(row).for_each(|(sum, x)| *sum += *x);
    }
    Ok(())
}

pub(super) fn fast(_: &Embedding, io: &Io<f32>) -> Result<(), String> {
    let (table, tokens, c) = (io.input(0), io.integers(1), io.last(0));
    check(tokens, io.rows(0))?;
    over_rows(io.output(0), c, |first, rows| {
        for (row, token) in rows.chunks_exact_mut(c).zip(&tokens[first..]) {
            let start = *token as usize * c;
            row.copy_from_slice(&table[start..start + c]);
        }
    });
    Ok(())
}

/// Shares of the vocabulary, each scattered by one task in token order: no two tasks meet in a row, and a row's sum has
/// the same order for any number of threads.
pub(super) const SHARES: usize = 16;

pub(super) fn fast_backward(_: &EmbeddingBackward, io: &Io<f32>) -> Result<(), String> {
    let (dx, tokens, c) = (io.input(0), io.integers(1), io.last(0));
    check(tokens, io.rows(2))?;
    let dtable = Shared::new(io.updated(2));
    (0..SHARES).into_par_iter().for_each(|share| {
        for (row, token) in dx.chunks_exact(c).zip(tokens).filter(|(_, t)| **t as usize % SHARES == share) {
            // SAFETY: the token is below the number of rows, checked above; its row belongs to this share alone.
            let sum = unsafe { std::slice::from_raw_parts_mut(dtable.at(*token as usize * c), c) };
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += *x);
        }
    });
    Ok(())
}

/// Every token names one of `rows` rows.
pub(super) fn check(tokens: &[i32], rows: usize) -> Result<(), String> {
    match tokens.iter().find(|t| usize::try_from(**t).map_or(true, |t| t >= rows)) {
        Some(token) => Err(format!("token {token} is outside the vocabulary of {rows}")),
        None => Ok(()),
    }
}
