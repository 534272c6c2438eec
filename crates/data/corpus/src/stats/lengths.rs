//! How often each length occurs, and what share of all is no longer than one.

use std::collections::BTreeMap;

/// Lengths, counted: exact, and no larger than the longest of them allows.
#[derive(Default)]
pub(super) struct Lengths {
    counts: BTreeMap<u64, u64>,
    total: u64,
}

impl Lengths {
    pub fn add(&mut self, length: u64) {
        *self.counts.entry(length).or_default() += 1;
        self.total += 1;
    }

    /// The smallest, the median, the 99th percentile and the largest; zeros where there is none.
    pub fn quantiles(&self) -> [u64; 4] {
        [0, 50, 99, 100].map(|percent| self.at(percent))
    }

    /// The length with as many before it as that share of all but one.
    fn at(&self, percent: u64) -> u64 {
        // Half of 2^64 documents would overflow, which nobody has.
        let mut before = self.total.saturating_sub(1) * percent / 100;
        for (length, count) in &self.counts {
            match before.checked_sub(*count) {
                Some(rest) => before = rest,
                None => return *length,
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_list(mut lengths in prop::collection::vec(0u64..50, 0..200)) {
            let mut counted = Lengths::default();
            lengths.iter().for_each(|length| counted.add(*length));
            lengths.sort_unstable();
            let at = |percent: usize| lengths.get(lengths.len().saturating_sub(1) * percent / 100).copied();
            let expected = [0, 50, 99, 100].map(|percent| at(percent).unwrap_or(0));
            prop_assert_eq!(counted.quantiles(), expected);
        }
    }
}
