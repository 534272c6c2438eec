//! Learns merges from counted pieces.
//!
//! The rule is the textbook's (Sennrich et al. 2016, algorithm 1): join the pair that occurs most often, everywhere,
//! and repeat; among equals the pair with the smaller first id, then the smaller second id. What makes it fast is
//! that only the pieces which hold the pair are touched, and that a merge changes the counts of just four kinds of
//! pair: it makes (x, new) and (new, y) and takes from (x, first) and (second, y). One merge gathers those changes in
//! arrays indexed by x and y, and writes them to the table of pairs once for each x and y, not once for each
//! occurrence. Counts of known pairs only ever fall, so a heap entry that is too high is put back with the true
//! count when it comes up.
//!
//! The merges depend on the counts alone: neither on the order of the pieces nor on threads.

use crate::key::fold;
use crate::merges::pair;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use wootz_schema::progress::{Observe, Progress};

/// The pieces of the training text as ids, each with its count.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    ids: Vec<u32>,
    /// Piece `p` begins at `starts[p]`; merged pieces leave a gap before the next.
    starts: Vec<u32>,
    lens: Vec<u32>,
    counts: Vec<u64>,
}

impl Pieces {
    /// Adds a piece; one of a single byte has nothing to merge and is passed over.
    pub(crate) fn push(&mut self, piece: &[u8], count: u64) {
        if piece.len() > 1 {
            let start = u32::try_from(self.ids.len())
                .expect("under 4 GiB of different pieces, because max_bytes is read as counts");
            self.starts.push(start);
            self.lens.push(piece.len() as u32);
            self.counts.push(count);
            self.ids.extend(piece.iter().map(|b| u32::from(*b)));
        }
    }
}

/// Learns up to `wanted` merges; fewer where the text has no more pairs.
pub(crate) fn learn(pieces: Pieces, wanted: usize, observe: &dyn Observe) -> Vec<(u32, u32)> {
    let mut learner = Learner::new(pieces, wanted);
    observe.observe(Progress::Begin {
        task: "tokenizer: merges",
        total: Some(wanted as u64),
        unit: "merges",
    });
    let mut merges = Vec::with_capacity(wanted);
    while merges.len() < wanted {
        let Some((first, second)) = learner.most_frequent() else { break };
        let new = 256 + merges.len() as u32;
        learner.merge(first, second, new);
        merges.push((first, second));
        if merges.len() % 256 == 0 {
            observe.observe(Progress::Advance { done: merges.len() as u64 });
        }
    }
    observe.observe(Progress::End);
    merges
}

#[derive(Debug)]
struct Learner {
    pieces: Pieces,
    pairs: HashMap<u64, PairEntry, BuildHasherDefault<PairHasher>>,
    heap: BinaryHeap<Candidate>,
    left: Gains,
    right: Gains,
}

/// A pair that occurs: how often, and the pieces that hold it (or once did).
#[derive(Debug)]
struct PairEntry {
    count: u64,
    pieces: Vec<u32>,
}

/// Ordered so that the heap's greatest is the pair to merge.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: u64,
    pair: std::cmp::Reverse<u64>,
}

impl Learner {
    fn new(pieces: Pieces, wanted: usize) -> Learner {
        let (counts, holders) = byte_pairs(&pieces);
        let mut learner = Learner {
            pieces,
            pairs: HashMap::default(),
            heap: BinaryHeap::new(),
            left: Gains::new(256 + wanted),
            right: Gains::new(256 + wanted),
        };
        for (at, (count, pieces)) in counts.into_iter().zip(holders).enumerate() {
            if count > 0 {
                learner.insert(pair(at as u32 / 256, at as u32 % 256), PairEntry { count, pieces });
            }
        }
        learner
    }

    fn insert(&mut self, pair: u64, entry: PairEntry) {
        self.heap.push(Candidate { count: entry.count, pair: std::cmp::Reverse(pair) });
        self.pairs.insert(pair, entry);
    }

    fn most_frequent(&mut self) -> Option<(u32, u32)> {
        loop {
            let mut top = self.heap.peek_mut()?;
            let pair = top.pair.0;
            match self.pairs.get(&pair) {
                Some(entry) if entry.count == top.count => {
                    std::collections::binary_heap::PeekMut::pop(top);
                    return Some(((pair >> 32) as u32, pair as u32));
                }
                Some(entry) => top.count = entry.count,
                None => _ = std::collections::binary_heap::PeekMut::pop(top),
            }
        }
    }

    fn merge(&mut self, first: u32, second: u32, new: u32) {
        let entry = self.pairs.remove(&pair(first, second)).expect("the pair, because it was just chosen");
        // Occurrences of (new, first) that were counted and then merged away: "abab" is (new)(new) in the end.
        let mut undone = 0;
        for piece in entry.pieces {
            undone += self.merge_piece(piece, first, second, new);
        }
        self.left.touched.sort_unstable();
        for x in std::mem::take(&mut self.left.touched) {
            let (gain, pieces) = self.left.take(x);
            if x != new {
                self.lose(pair(x, first), gain);
            }
            self.insert(pair(x, new), PairEntry { count: gain, pieces });
        }
        self.right.touched.sort_unstable();
        for y in std::mem::take(&mut self.right.touched) {
            let (gain, pieces) = self.right.take(y);
            self.lose(pair(second, y), gain);
            let count = if y == first { gain - undone } else { gain };
            if count > 0 {
                self.insert(pair(new, y), PairEntry { count, pieces });
            }
        }
    }

    /// Merges within one piece, left to right, and notes what its neighbours gain.
    fn merge_piece(&mut self, piece: u32, first: u32, second: u32, new: u32) -> u64 {
        let Pieces { ids, starts, lens, counts } = &mut self.pieces;
        let at = piece as usize;
        let (start, len, count) = (starts[at] as usize, lens[at] as usize, counts[at]);
        let ids = &mut ids[start..start + len];
        let (mut read, mut write, mut undone) = (0, 0, 0);
        while read < len {
            if ids[read] != first || read + 1 == len || ids[read + 1] != second {
                ids[write] = ids[read];
                read += 1;
                write += 1;
                continue;
            }
            if write > 0 {
                let left = ids[write - 1];
                if left == new {
                    undone += count;
                }
                self.left.add(left, count, piece);
            }
            if read + 2 < len {
                self.right.add(ids[read + 2], count, piece);
            }
            ids[write] = new;
            read += 2;
            write += 1;
        }
        lens[at] = write as u32;
        undone
    }

    fn lose(&mut self, pair: u64, loss: u64) {
        // The merged pair itself is gone already: "aaa" loses a pair (a, a) that was never merged.
        if let Some(entry) = self.pairs.get_mut(&pair) {
            entry.count -= loss;
            if entry.count == 0 {
                self.pairs.remove(&pair);
            }
        }
    }
}

/// What one merge adds to the pairs on one side of the new id, by the id on that side.
#[derive(Debug)]
struct Gains {
    gain: Vec<u64>,
    pieces: Vec<Vec<u32>>,
    touched: Vec<u32>,
}

impl Gains {
    fn new(ids: usize) -> Gains {
        Gains { gain: vec![0; ids], pieces: vec![Vec::new(); ids], touched: Vec::new() }
    }

    #[inline]
    fn add(&mut self, id: u32, count: u64, piece: u32) {
        let at = id as usize;
        match self.pieces[at].last() {
            None => {
                self.touched.push(id);
                self.pieces[at].push(piece);
            }
            Some(last) if *last != piece => self.pieces[at].push(piece),
            Some(_) => {}
        }
        self.gain[at] += count;
    }

    fn take(&mut self, id: u32) -> (u64, Vec<u32>) {
        let at = id as usize;
        (std::mem::take(&mut self.gain[at]), std::mem::take(&mut self.pieces[at]))
    }
}

/// Counts of all pairs of bytes, and the pieces that hold each.
fn byte_pairs(pieces: &Pieces) -> (Vec<u64>, Vec<Vec<u32>>) {
    let mut counts = vec![0u64; 1 << 16];
    let mut held = vec![0usize; 1 << 16];
    let mut last = vec![u32::MAX; 1 << 16];
    each_byte_pair(pieces, |at, piece, count| {
        counts[at] += count;
        if last[at] != piece {
            last[at] = piece;
            held[at] += 1;
        }
    });
    // Counted first, so that each list is allocated once at its size.
    let mut holders: Vec<Vec<u32>> = held.into_iter().map(Vec::with_capacity).collect();
    each_byte_pair(pieces, |at, piece, _| {
        if holders[at].last() != Some(&piece) {
            holders[at].push(piece);
        }
    });
    (counts, holders)
}

fn each_byte_pair(pieces: &Pieces, mut take: impl FnMut(usize, u32, u64)) {
    for (piece, (&start, &len)) in pieces.starts.iter().zip(&pieces.lens).enumerate() {
        let count = pieces.counts[piece];
        for two in pieces.ids[start as usize..(start + len) as usize].windows(2) {
            take((two[0] * 256 + two[1]) as usize, piece as u32, count);
        }
    }
}

/// Hash of a pair: one multiplication.
#[derive(Debug, Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, pair: u64) {
        self.0 = fold(self.0 ^ pair ^ 0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F);
    }
}
