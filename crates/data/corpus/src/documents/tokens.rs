//! Lengths in tokens, by the real tokenizer.
//!
//! A tokenizer cuts text into pieces before it merges, and a piece never reaches over a newline into a line that is
//! not empty. Text that is put together from parts which each begin a line and end with a newline therefore has
//! exactly as many tokens as its parts: each part is counted once, whatever number of documents it stands in.

use std::sync::{Mutex, PoisonError};
use wootz_tokenizer::{Encoder, Tokenizer};

/// Counts tokens; shared by threads, each of which has an encoder with its own memory of what it has seen.
#[derive(Debug)]
pub struct Counter<'a> {
    encoders: Vec<Mutex<(Encoder<'a>, Vec<u32>)>>,
}

impl<'a> Counter<'a> {
    /// A counter for the threads of the pool it is made in.
    pub fn new(tokenizer: &'a Tokenizer) -> Counter<'a> {
        let encoder = || Mutex::new((Encoder::new(tokenizer), Vec::new()));
        Counter { encoders: (0..rayon::current_num_threads().max(1)).map(|_| encoder()).collect() }
    }

    /// Tokens of a text.
    pub fn count(&self, text: &str) -> u64 {
        let thread = rayon::current_thread_index().unwrap_or(0) % self.encoders.len();
        let mut guard = self.encoders[thread].lock().unwrap_or_else(PoisonError::into_inner);
        let (encoder, ids) = &mut *guard;
        ids.clear();
        encoder.encode_into(text.as_bytes(), ids);
        ids.len() as u64
    }
}
