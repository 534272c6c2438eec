//! Attention of one position against a cache. Bound by reading the cache, so the definition serves as the fast path too.

use crate::io::Io;
use crate::ops::linear::dot;
use crate::real::Real;
use wootz_ops::AttentionDecode;

pub(super) fn reference<T: Real>(op: &AttentionDecode, io: &Io<T>) -> Result<(), String> {
    let op = &op.0;
    let (qkv, position, width) = (io.input(0), io.integers(3)[0] as usize, io.last(0));
    let (keys, values, y) = (io.updated(1), io.updated(2), io.output(0));
    let (capacity, kv_width, d) = (io.dims(1)[1], io.last(1), width / (op.heads + 2 * op.kv_heads));
    if position >= capacity {
        return Err(format!("position {position} is beyond the cache of {capacity}"));
    }
    y.fill(T::ZERO);
    for b in 0..io.dims(0)[0] {
        let row = |t: usize, head: usize| (b * capacity + t) * kv_width + head * d;
        let new = row(position, 0)..row(position, 0) + kv_width;
        let (q, kv) = qkv[b * width..(b + 1) * width].split_at(op.heads * d);
        keys[new.clone()].copy_from_slice(&kv[..kv_width]);
        values[new].copy_from_slice(&kv[kv_width..]);
        for h in 0..op.heads {
            let (at, kv) = ((b * op.heads + h) * d, h * op.kv_heads / op.heads);
            let visible = position.saturating_sub(op.window.unwrap_or(position))..position + 1;
            let scale = T::of(1.0 / (d as f64).sqrt());
            let scores: Vec<T> = visible
                .clone()
                .map(|t| dot(&q[h * d..(h + 1) * d], &keys[row(t, kv)..][..d]) * scale)
                .collect();
            let top = scores.iter().fold(scores[0], |top, z| top.max(*z));
            let weights: Vec<T> = scores.iter().map(|z| (*z - top).exp()).collect();
            let sum = weights.iter().fold(T::ZERO, |sum, w| sum + *w);
            for (t, w) in visible.zip(weights) {
                let share = w / sum;
                y[at..at + d].iter_mut().zip(&values[row(t, kv)..][..d]).for_each(|(y, v)| *y += share * *v);
            }
        }
    }
    Ok(())
}
