//! Work on many values, divided among threads, each with a share of them one behind the other.

use std::thread;

/// Fewer than this are not worth another thread.
const LEAST: usize = 8_000;

/// What `work` makes of each share of the values, in their order.
pub fn in_shares<'v, T: Sync, R: Send>(values: &'v [T], work: impl Fn(&'v [T]) -> Vec<R> + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    let share = values.len().div_ceil(threads).max(LEAST);
    let (first, others) = values.split_at(share.min(values.len()));
    thread::scope(|scope| {
        let others: Vec<_> = others.chunks(share).map(|share| scope.spawn(|| work(share))).collect();
        let mut all = work(first);
        for other in others {
            all.extend(other.join().expect("a share's work does not panic"));
        }
        all
    })
}
