//! How often each piece occurs in the training text.
//!
//! Short pieces are counted in an open table keyed by their bytes, long ones in a map. Counts of several threads add
//! up to the same sums whoever counted what, and nothing here is read out in an order that could reach the result.

use crate::key::{self, Key};
use crate::split::pieces;
use std::collections::HashMap;

/// Counts of pieces.
#[derive(Debug, Clone)]
pub(crate) struct PieceCounts {
    /// Open addressing, at most three quarters full; an empty slot has the empty key.
    slots: Vec<(Key, u64)>,
    used: usize,
    long: HashMap<Box<[u8]>, u64>,
    longest: usize,
}

impl PieceCounts {
    /// Empty counts that pass over pieces longer than `longest` bytes.
    pub(crate) fn new(longest: usize) -> PieceCounts {
        PieceCounts { slots: vec![(Key::default(), 0); 1 << 12], used: 0, long: HashMap::new(), longest }
    }

    /// Counts the pieces of a text.
    pub(crate) fn count(&mut self, text: &[u8]) {
        let mut start = 0;
        for piece in pieces(text) {
            let end = start + piece.len();
            if piece.len() <= key::LONGEST {
                self.add_short(Key::new(text, start, end), 1);
            } else if piece.len() <= self.longest {
                match self.long.get_mut(piece) {
                    Some(count) => *count += 1,
                    None => _ = self.long.insert(piece.into(), 1),
                }
            }
            start = end;
        }
    }

    /// Adds the counts of another.
    pub(crate) fn absorb(&mut self, other: PieceCounts) {
        for (key, count) in other.slots {
            if key != Key::default() {
                self.add_short(key, count);
            }
        }
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
        for (piece, count) in other.long {
            *self.long.entry(piece).or_default() += count;
        }
    }

    /// Different pieces.
    pub(crate) fn distinct(&self) -> usize {
        self.used + self.long.len()
    }

    /// Hands out every piece with its count, each group in the order of its bytes or key, so that memory is walked
    /// in the same order in every run.
    pub(crate) fn into_each(self, mut take: impl FnMut(&[u8], u64)) {
        let mut short: Vec<(Key, u64)> = self.slots;
        short.retain(|(key, _)| *key != Key::default());
        short.sort_unstable_by_key(|(key, _)| (key.high, key.low));
        for (key, count) in short {
            take(&key.bytes()[..key.len()], count);
        }
        let mut long: Vec<(Box<[u8]>, u64)> = self.long.into_iter().collect();
        long.sort_unstable();
        for (piece, count) in long {
            take(&piece, count);
        }
    }

    #[inline]
    fn add_short(&mut self, key: Key, count: u64) {
        let at = self.find(key);
        let slot = &mut self.slots[at];
        if slot.0 == key {
            slot.1 += count;
            return;
        }
        *slot = (key, count);
        self.used += 1;
        if self.used * 4 > self.slots.len() * 3 {
            self.grow();
        }
    }

    /// The slot of a key, or the empty one where it belongs.
    #[inline]
    fn find(&self, key: Key) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = key.hash() as usize & mask;
        while self.slots[at].0 != key && self.slots[at].0 != Key::default() {
            at = (at + 1) & mask;
        }
        at
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![(Key::default(), 0); self.slots.len() * 2];
        for (key, count) in std::mem::replace(&mut self.slots, larger) {
            if key != Key::default() {
                let at = self.find(key);
                self.slots[at] = (key, count);
            }
        }
    }
}
