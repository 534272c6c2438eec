//! Which rank updates which parameter.
//!
//! Whole tensors are dealt, the costly ones first, each to the rank with the least to do (longest processing time first:
//! Graham, "Bounds on Multiprocessing Timing Anomalies", 1969). Element-wise updates come before matrix updates: their
//! cost is memory, which is thereby even, and the matrices, which cost time, fill up what is uneven. Matrices of one shape
//! cost the same and so are dealt evenly, which keeps the batches of a rank as large as they can be.

use std::cmp::Reverse;

/// A parameter as the deal sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its name, which breaks ties.
    pub name: String,
    /// Bytes that its update reads and writes.
    pub bytes: u64,
    /// Floating-point operations of its update; 0 where it is element-wise.
    pub flops: u64,
}

/// Floating-point operations that take as long as one byte on the devices this is for: about 700 TFLOP/s against 4 TB/s.
const FLOPS_PER_BYTE: u64 = 175;

impl Share {
    /// Time of its update, in bytes of memory traffic.
    fn cost(&self) -> u64 {
        self.bytes + self.flops / FLOPS_PER_BYTE
    }
}

/// The owner of each parameter. Depends on the parameters and the number of ranks alone, so every rank finds the same.
pub fn deal(shares: &[Share], ranks: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|i| (shares[*i].flops > 0, Reverse(shares[*i].cost()), &shares[*i].name));
    let mut loads = vec![0u64; ranks];
    let mut owners = vec![0; shares.len()];
    for i in order {
        let least = (0..ranks).min_by_key(|rank| (loads[*rank], *rank)).unwrap_or(0);
        owners[i] = least;
        // One at least, so that even what costs nothing is spread.
        loads[least] += shares[i].cost().max(1);
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(name: &str, bytes: u64, flops: u64) -> Share {
        Share { name: name.to_owned(), bytes, flops }
    }

    #[test]
    fn memory_is_even_then_time() {
        let tables = (0..6).map(|i| share(&format!("table.{i}"), 700, 0));
        let matrices = (0..8).map(|i| share(&format!("matrix.{i}"), 100, 175_000));
        let shares: Vec<Share> = tables.chain(matrices).collect();
        let owners = deal(&shares, 4);
        let of = |rank: usize, flops: bool| {
            shares.iter().zip(&owners).filter(|(s, o)| **o == rank && (s.flops > 0) == flops).count()
        };
        assert_eq!((0..4).map(|rank| of(rank, false)).collect::<Vec<_>>(), [2, 2, 1, 1]);
        assert!((0..4).all(|rank| (1..=3).contains(&of(rank, true))), "{owners:?}");
        assert!(of(2, true) >= of(0, true), "who has fewer tables has no fewer matrices: {owners:?}");
    }

    #[test]
    fn the_order_of_the_parameters_does_not_matter() {
        let shares: Vec<Share> = (0..9).map(|i| share(&format!("p{i}"), 10 + i % 3, 0)).collect();
        let backwards: Vec<Share> = shares.iter().rev().cloned().collect();
        let mut owners = deal(&backwards, 3);
        owners.reverse();
        assert_eq!(deal(&shares, 3), owners);
        assert_eq!(deal(&shares, 1), [0; 9]);
    }
}
