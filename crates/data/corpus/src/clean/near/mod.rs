//! Near duplicates: documents that share at least 0.8 of their shingles with an earlier one (Jaccard).
//!
//! What may be alike is found by minimum hashes, 260 of them in 20 bands of 13 rows (Broder, "On the resemblance and
//! containment of documents", 1997). A band agrees as a whole with a chance of J¹³, and 20 of them find a pair at
//! J = 0.8 in 2 of 3 cases only; here a band also counts where one of its halves (6 and 7 rows) agrees, which finds
//! such a pair in 99,999 of 100,000. How alike the candidates are is told by their odd sketches, whose standard error at
//! 0.8 is 0.003. The first in order stays; a document that is left out is not remembered, so that likeness does not spread
//! along a chain of edits.
//!
//! Memory for one remembered document: its sketch, 1.3 KB (2.3 KB from 6,000 shingles on), and 40 slots of 4 bytes in a table
//! that is between 3/8 and 3/4 full, 1.6 KB on average. At most two times [`GENERATION`] documents are remembered
//! (about 420 MB); beyond that the older half is forgotten.

mod sketch;

use sketch::KEYS;
pub use sketch::{Sketch, sketch};

/// Likeness from which a document counts as a near duplicate.
pub const THRESHOLD: f64 = 0.8;

/// Documents in one generation of memory.
const GENERATION: usize = 1 << 17;

/// Remembers sketches and finds the first that is like another.
#[derive(Default)]
pub struct NearIndex {
    /// Documents before the first of `old`.
    forgotten: u64,
    old: Generation,
    new: Generation,
    /// Documents in one generation; 0 stands for [`GENERATION`].
    capacity: usize,
}

impl NearIndex {
    /// An index that remembers between one and two times so many documents.
    #[cfg(test)]
    fn with_capacity(capacity: usize) -> NearIndex {
        NearIndex { capacity, ..NearIndex::default() }
    }

    /// The number of the first remembered document that is like this one; otherwise `None`, and it is remembered
    /// under the next number.
    pub fn find_or_insert(&mut self, sketch: &Sketch) -> Option<u64> {
        let keys = sketch.keys();
        if let Some(found) = self.old.find(sketch, &keys) {
            return Some(self.forgotten + found as u64);
        }
        if let Some(found) = self.new.find(sketch, &keys) {
            return Some(self.forgotten + (self.old.sketches.len() + found) as u64);
        }
        self.new.insert(sketch, &keys);
        if self.new.sketches.len() >= if self.capacity == 0 { GENERATION } else { self.capacity } {
            self.forgotten += self.old.sketches.len() as u64;
            self.old = std::mem::take(&mut self.new);
        }
        None
    }
}

/// Bits of a slot that hold a document's number plus one; the others are a tag that keeps strangers apart.
const NUMBER_BITS: u32 = 19;
const NUMBER_MASK: u32 = (1 << NUMBER_BITS) - 1;

/// Slots that are looked at for one key: what all documents share (a license's text) must not fill the table.
const REACH: usize = 24;

/// Sketches and a table of open addresses from the keys of their bands to their numbers.
#[derive(Default)]
struct Generation {
    sketches: Vec<Sketch>,
    slots: Vec<u32>,
    used: usize,
}

impl Generation {
    fn find(&self, sketch: &Sketch, keys: &[u64; KEYS]) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut candidates: Vec<u32> = Vec::new();
        for key in keys {
            let tag = tag(*key);
            let mut slot = self.home(*key);
            for _ in 0..REACH {
                match self.slots[slot] {
                    0 => break,
                    entry if entry & !NUMBER_MASK == tag => candidates.push((entry & NUMBER_MASK) - 1),
                    _ => {}
                }
                slot = (slot + 1) & (self.slots.len() - 1);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        let is_like = |number: &u32| sketch.likeness(&self.sketches[*number as usize]) >= THRESHOLD;
        candidates.into_iter().find(is_like).map(|number| number as usize)
    }

    fn insert(&mut self, sketch: &Sketch, keys: &[u64; KEYS]) {
        if (self.used + KEYS) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.sketches.push(sketch.clone());
        self.enter(keys, self.sketches.len());
    }

    /// Enters a document's keys; `number` counts from one.
    fn enter(&mut self, keys: &[u64; KEYS], number: usize) {
        let number = u32::try_from(number).unwrap_or(0) & NUMBER_MASK;
        for key in keys {
            let mut slot = self.home(*key);
            for _ in 0..REACH {
                if self.slots[slot] == 0 {
                    self.slots[slot] = tag(*key) | number;
                    self.used += 1;
                    break;
                }
                slot = (slot + 1) & (self.slots.len() - 1);
            }
        }
    }

    /// Doubles the table; the keys are made again from the sketches.
    fn grow(&mut self) {
        self.slots = vec![0; (self.slots.len() * 2).max(4096)];
        self.used = 0;
        for number in 0..self.sketches.len() {
            let keys = self.sketches[number].keys();
            self.enter(&keys, number + 1);
        }
    }

    fn home(&self, key: u64) -> usize {
        // The low bits: the high ones are the tag.
        usize::try_from(key & (self.slots.len() as u64 - 1)).unwrap_or(0)
    }
}

fn tag(key: u64) -> u32 {
    u32::try_from(key >> 32).unwrap_or(0) & !NUMBER_MASK
}

#[cfg(test)]
mod tests;
