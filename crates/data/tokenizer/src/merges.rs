//! The learned merges, and their application to one piece.
//!
//! A piece is joined lowest rank first, leftmost first among equals, as every byte-level BPE does. Short pieces keep
//! the ranks of their pairs in an array and search it: for a dozen bytes that is faster than any heap. Long ones
//! (a megabyte without a space is still one piece) use a heap over a linked list, n log n.

use crate::key::fold;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Pieces up to this many bytes are searched, longer ones use the heap: where the two cross on the test machine.
const SEARCHED_BYTES: usize = 96;

/// "These two do not merge"; larger than every id.
const NONE: u32 = u32::MAX;

/// From a pair of ids to the id they merge into. The id grows with the rank, so it serves as the rank too.
#[derive(Debug, Clone)]
pub(crate) struct Merges {
    /// Pairs of bytes, `first * 256 + second`: the first look-ups of every piece need no hash.
    of_bytes: Box<[u32]>,
    /// Open addressing over `(pair, id)`, at most half full; an empty slot has id `NONE`.
    slots: Box<[(u64, u32)]>,
    shift: u32,
}

impl Merges {
    /// The table of `pairs`, where pair `r` merges into id `256 + r`.
    pub(crate) fn new(pairs: &[(u32, u32)]) -> Merges {
        let size = (pairs.len() * 2).next_power_of_two().max(16);
        let mut merges = Merges {
            of_bytes: vec![NONE; 1 << 16].into_boxed_slice(),
            slots: vec![(0, NONE); size].into_boxed_slice(),
            shift: 64 - size.trailing_zeros(),
        };
        for (rank, &(a, b)) in pairs.iter().enumerate() {
            let id = 256 + rank as u32;
            if a < 256 && b < 256 {
                merges.of_bytes[(a * 256 + b) as usize] = id;
            }
            let mut at = merges.home(pair(a, b));
            while merges.slots[at].1 != NONE {
                at = (at + 1) % size;
            }
            merges.slots[at] = (pair(a, b), id);
        }
        merges
    }

    /// Appends the ids of one piece.
    pub(crate) fn apply(&self, piece: &[u8], work: &mut Workspace, out: &mut Vec<u32>) {
        match piece.len() {
            0 => {}
            1 => out.push(u32::from(piece[0])),
            n if n <= SEARCHED_BYTES => self.apply_searched(piece, work, out),
            _ => self.apply_heaped(piece, out),
        }
    }

    fn apply_searched(&self, piece: &[u8], work: &mut Workspace, out: &mut Vec<u32>) {
        let Workspace { ids, ranks } = work;
        ids.clear();
        ids.extend(piece.iter().map(|b| u32::from(*b)));
        ranks.clear();
        ranks.extend(piece.windows(2).map(|w| self.of_bytes[usize::from(w[0]) * 256 + usize::from(w[1])]));
        loop {
            let mut best = NONE;
            let mut at = 0;
            for (i, rank) in ranks.iter().enumerate() {
                if *rank < best {
                    best = *rank;
                    at = i;
                }
            }
            if best == NONE {
                break;
            }
            ids[at] = best;
            ids.remove(at + 1);
            ranks.remove(at);
            if at < ranks.len() {
                ranks[at] = self.get(ids[at], ids[at + 1]);
            }
            if at > 0 {
                ranks[at - 1] = self.get(ids[at - 1], ids[at]);
            }
        }
        out.extend_from_slice(ids);
    }

    fn apply_heaped(&self, piece: &[u8], out: &mut Vec<u32>) {
        let n = piece.len();
        let mut ids: Vec<u32> = piece.iter().map(|b| u32::from(*b)).collect();
        // Positions of the neighbours that are still there; `n` is past the end. A swallowed id is `NONE`.
        let mut next: Vec<usize> = (1..=n).collect();
        let mut previous: Vec<usize> = (0..n).map(|i| i.wrapping_sub(1)).collect();
        let mut heap: BinaryHeap<Reverse<(u32, usize)>> = (0..n - 1)
            .filter_map(|i| match self.get(ids[i], ids[i + 1]) {
                NONE => None,
                id => Some(Reverse((id, i))),
            })
            .collect();
        while let Some(Reverse((id, at))) = heap.pop() {
            let right = next[at];
            if ids[at] == NONE || right == n || self.get(ids[at], ids[right]) != id {
                continue; // the pair that was pushed is gone
            }
            ids[at] = id;
            ids[right] = NONE;
            next[at] = next[right];
            if next[at] < n {
                previous[next[at]] = at;
                let joined = self.get(id, ids[next[at]]);
                if joined != NONE {
                    heap.push(Reverse((joined, at)));
                }
            }
            if at > 0 {
                let left = previous[at];
                let joined = self.get(ids[left], id);
                if joined != NONE {
                    heap.push(Reverse((joined, left)));
                }
            }
        }
        out.extend(ids.into_iter().filter(|id| *id != NONE));
    }

    #[inline]
    fn get(&self, a: u32, b: u32) -> u32 {
        let key = pair(a, b);
        let mut at = self.home(key);
        loop {
            let (found, id) = self.slots[at];
            if id == NONE || found == key {
                return id;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    fn home(&self, key: u64) -> usize {
        (fold(key ^ 0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F) >> self.shift) as usize
    }
}

/// Buffers that one piece after another uses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workspace {
    ids: Vec<u32>,
    ranks: Vec<u32>,
}

/// Two ids in one word, ordered like the pair.
#[inline]
pub(crate) fn pair(a: u32, b: u32) -> u64 {
    u64::from(a) << 32 | u64::from(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_and_heap_agree() {
        // aa, ab, (aa)(ab), (aa)(aa), bb, ...
        let pairs = [(97, 97), (97, 98), (256, 257), (256, 256), (98, 98), (259, 259), (260, 97)];
        let merges = Merges::new(&pairs);
        let mut state = 1u64;
        for len in 1..200usize {
            let piece: Vec<u8> = (0..len)
                .map(|_| {
                    state = fold(state ^ 0x1234_5678_9ABC_DEF1, 0xC2B2_AE3D_27D4_EB4F);
                    if state.is_multiple_of(3) { b'b' } else { b'a' }
                })
                .collect();
            let (mut searched, mut heaped) = (Vec::new(), Vec::new());
            merges.apply_searched(&piece, &mut Workspace::default(), &mut searched);
            if len > 1 {
                merges.apply_heaped(&piece, &mut heaped);
                assert_eq!(searched, heaped);
            }
        }
    }
}
