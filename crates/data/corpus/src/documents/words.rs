//! Words as numbers.
//!
//! A word is its 64-bit hash until a project is complete, and then the dense number of a symbol if anything in the
//! project declares it. Two words of one hash would be one to a slice, which then holds an item too many.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::entry::Mention;
use super::lexis::{After, words};

/// The bits of a hashed word that hold how it is mentioned.
const WAYS: u64 = (1 << Mention::BITS) - 1;

/// Hash of a word, its lowest bits free.
pub(super) fn hash(word: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = word.len() as u64;
    for chunk in word.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        state = (state ^ u64::from_le_bytes(bytes)).wrapping_mul(FACTOR);
        state ^= state >> 29;
    }
    state.wrapping_mul(FACTOR) & !WAYS
}

/// A map from hashes, which need no further hashing.
pub(super) type HashedMap<V> = HashMap<u64, V, BuildHasherDefault<AsIs>>;

/// Takes a hash as it is.
#[derive(Debug, Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value.rotate_left(20);
    }
}

/// Appends the words of `range`, each once, with the ways in which they are mentioned; sorted by hash.
///
/// `body` is the part that does not count as head. What stands in `std::` is nobody's but a macro's.
pub(super) fn mentions(
    source: &[u8],
    range: std::ops::Range<usize>,
    body: std::ops::Range<usize>,
    into: &mut Vec<u64>,
) {
    let before = into.len();
    let std = hash(b"std");
    let (mut scope_end, mut in_std) = (usize::MAX, false);
    words(source, range, &mut |word, after, call| {
        let hashed = hash(&source[word.clone()]);
        let mut ways = match after {
            After::Member => Mention::MEMBER,
            After::Scope if in_std && scope_end + 2 == word.start => 0,
            _ => Mention::PLAIN,
        };
        in_std = hashed == std || ways == 0;
        scope_end = word.end;
        if call {
            ways |= Mention::CALL;
        }
        if !body.contains(&word.start) {
            ways |= Mention::HEAD;
        }
        into.push(hashed | u64::from(ways));
    });
    merge(into, before);
}

/// Sorts the words from `start` on and joins equal ones.
pub(super) fn merge(words: &mut Vec<u64>, start: usize) {
    words[start..].sort_unstable();
    let mut kept = start;
    for at in start..words.len() {
        if kept > start && words[kept - 1] & !WAYS == words[at] & !WAYS {
            words[kept - 1] |= words[at] & WAYS;
        } else {
            words[kept] = words[at];
            kept += 1;
        }
    }
    words.truncate(kept);
}

/// A hashed word without its ways, and the ways.
pub(super) fn parted(word: u64) -> (u64, u32) {
    (word & !WAYS, (word & WAYS) as u32)
}
