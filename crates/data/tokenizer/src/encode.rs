//! Encoding: pieces to ids.
//!
//! Text repeats its pieces, so almost all of them are answered by one probe of a small table that holds the ids of
//! the pieces seen last (direct-mapped, 2 MiB, bounded: a collision overwrites). Behind it stands the table of the
//! vocabulary's entries, and behind that the merges. All three give the same ids; only their speed differs.

use crate::key::{self, Key, hash_bytes};
use crate::merges::Workspace;
use crate::split::piece_end;
use crate::tokenizer::Tokenizer;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ids that fit into a slot of the cache; pieces of more are merged anew each time.
const CACHED_IDS: usize = 3;

/// Slots of the cache, as a power of two: for short texts and at most.
const CACHE_BITS: std::ops::RangeInclusive<u32> = 8..=16;

impl Tokenizer {
    /// The ids of a text; the names of special tokens in it are plain text. Any bytes are welcome, and
    /// `decode` gives them back.
    pub fn encode_ordinary(&self, text: &[u8]) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        Encoder::for_bytes(self, text.len()).encode_into(text, &mut ids);
        ids
    }

    /// `encode_ordinary` of many texts on `threads` threads; the result does not depend on their number.
    pub fn encode_batch<S: AsRef<[u8]> + Sync>(&self, texts: &[S], threads: usize) -> Vec<Vec<u32>> {
        let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
        let threads = threads.clamp(1, texts.len().max(1));
        let next = AtomicUsize::new(0);
        let encode_some = || {
            let mut encoder = Encoder::for_bytes(self, bytes / threads);
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(text) = texts.get(at) else { return done };
                let mut ids = Vec::with_capacity(text.as_ref().len() / 3);
                encoder.encode_into(text.as_ref(), &mut ids);
                done.push((at, ids));
            }
        };
        let mut all = vec![Vec::new(); texts.len()];
        let place = |all: &mut Vec<Vec<u32>>, done: Vec<(usize, Vec<u32>)>| {
            done.into_iter().for_each(|(at, ids)| all[at] = ids);
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(encode_some)).collect();
            place(&mut all, encode_some());
            for other in others {
                match other.join() {
                    Ok(done) => place(&mut all, done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        all
    }
}

/// Encodes one text after another and remembers the pieces it has seen.
#[derive(Debug)]
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    cache: Box<[Slot]>,
    shift: u32,
    work: Workspace,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: Key,
    ids: [u32; CACHED_IDS],
    len: u32,
}

impl<'a> Encoder<'a> {
    /// An encoder for much text.
    pub fn new(tokenizer: &'a Tokenizer) -> Encoder<'a> {
        Encoder::with_bits(tokenizer, *CACHE_BITS.end())
    }

    /// An encoder for about so many bytes: a cache for a short text must cost less than the text.
    fn for_bytes(tokenizer: &'a Tokenizer, bytes: usize) -> Encoder<'a> {
        let bits = (bytes / 8 + 1).ilog2().clamp(*CACHE_BITS.start(), *CACHE_BITS.end());
        Encoder::with_bits(tokenizer, bits)
    }

    fn with_bits(tokenizer: &'a Tokenizer, bits: u32) -> Encoder<'a> {
        let cache = vec![Slot::default(); 1 << bits].into_boxed_slice();
        Encoder { tokenizer, cache, shift: 64 - bits, work: Workspace::default() }
    }

    /// Appends the ids of a text.
    pub fn encode_into(&mut self, text: &[u8], ids: &mut Vec<u32>) {
        let mut start = 0;
        while start < text.len() {
            let end = piece_end(text, start);
            if end - start <= key::LONGEST {
                let key = Key::new(text, start, end);
                let at = (key.hash() >> self.shift) as usize;
                let slot = &self.cache[at];
                if slot.key != key {
                    self.encode_missed(&text[start..end], key, at, ids);
                } else if slot.len == 1 {
                    ids.push(slot.ids[0]);
                } else {
                    ids.extend_from_slice(&slot.ids[..slot.len as usize]);
                }
            } else {
                self.encode_piece(&text[start..end], ids);
            }
            start = end;
        }
    }

    #[inline(never)]
    fn encode_missed(&mut self, piece: &[u8], key: Key, at: usize, ids: &mut Vec<u32>) {
        let before = ids.len();
        self.encode_piece(piece, ids);
        let new = &ids[before..];
        if new.len() <= CACHED_IDS {
            let slot = &mut self.cache[at];
            slot.key = key;
            slot.len = new.len() as u32;
            slot.ids[..new.len()].copy_from_slice(new);
        }
    }

    fn encode_piece(&mut self, piece: &[u8], ids: &mut Vec<u32>) {
        match self.tokenizer.entries.find(self.tokenizer, piece) {
            Some(id) => ids.push(id),
            None => self.tokenizer.merges.apply(piece, &mut self.work, ids),
        }
    }
}

/// From the bytes of an entry to its id. The bytes themselves stay in the tokenizer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entries {
    /// Open addressing over `(upper half of the hash, id)`, at most half full; `u32::MAX` is no id.
    slots: Box<[(u32, u32)]>,
    longest: usize,
}

impl Entries {
    pub(crate) fn with_capacity(entries: usize) -> Entries {
        let size = (entries * 2).next_power_of_two();
        Entries { slots: vec![(0, u32::MAX); size].into_boxed_slice(), longest: 0 }
    }

    /// Adds an entry that is not there yet.
    pub(crate) fn insert(&mut self, token: &[u8], id: u32) {
        let hash = hash_bytes(token);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at].1 != u32::MAX {
            at = (at + 1) & mask;
        }
        self.slots[at] = ((hash >> 32) as u32, id);
        self.longest = self.longest.max(token.len());
    }

    pub(crate) fn find(&self, tokenizer: &Tokenizer, piece: &[u8]) -> Option<u32> {
        if piece.len() > self.longest {
            return None;
        }
        let hash = hash_bytes(piece);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (upper, id) = self.slots[at];
            if id == u32::MAX {
                return None;
            }
            if upper == (hash >> 32) as u32 && tokenizer.token(id) == Some(piece) {
                return Some(id);
            }
            at = (at + 1) & mask;
        }
    }
}
