//! Training: texts in, a tokenizer out.
//!
//! Texts are counted as they come and can be forgotten, so memory grows with the number of different pieces only.

use crate::count::PieceCounts;
use crate::learn::{Pieces, learn};
use crate::tokenizer::{SPECIAL_TOKENS, Tokenizer, TokenizerError};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::tokenizer::TokenizerOptions;

/// Pieces longer than this teach nothing: no word is as long, and a few of them would cost more than all others.
pub const LONGEST_LEARNED_PIECE_BYTES: usize = 4096;

/// Takes texts batch by batch, then learns the merges.
#[derive(Debug)]
pub struct Trainer {
    options: TokenizerOptions,
    /// One per thread.
    counts: Vec<PieceCounts>,
    documents: u64,
    bytes: u64,
}

/// A tokenizer and what it was learned from.
#[derive(Debug)]
pub struct Trained {
    /// The tokenizer; its vocabulary is smaller than asked for where the text ran out of pairs.
    pub tokenizer: Tokenizer,
    /// Documents read.
    pub documents: u64,
    /// Text read, in bytes.
    pub bytes: u64,
    /// Different pieces in it.
    pub distinct_pieces: u64,
}

impl Trainer {
    /// A trainer that counts on `threads` threads; the result does not depend on their number.
    pub fn new(options: &TokenizerOptions, threads: usize) -> Result<Trainer, TokenizerError> {
        let least = 256 + SPECIAL_TOKENS.len();
        if options.vocab_size < least {
            return Err(TokenizerError::VocabularyTooSmall { vocab_size: options.vocab_size, least });
        }
        let counts = vec![PieceCounts::new(LONGEST_LEARNED_PIECE_BYTES); threads.max(1)];
        Ok(Trainer { options: options.clone(), counts, documents: 0, bytes: 0 })
    }

    /// Counts a batch of texts, best of several megabytes; says whether there is room for more.
    pub fn feed<S: AsRef<str>>(&mut self, texts: &[S]) -> bool {
        let mut taken: Vec<&[u8]> = Vec::with_capacity(texts.len());
        let before = self.bytes;
        for text in texts {
            if self.bytes >= self.options.max_bytes {
                break;
            }
            let text = text.as_ref();
            let end = text.floor_char_boundary(self.options.document_cap_bytes);
            taken.push(&text.as_bytes()[..end]);
            self.bytes += end as u64;
            self.documents += 1;
        }
        let share = (self.bytes - before).div_ceil(self.counts.len() as u64);
        let mut rest = taken.as_slice();
        std::thread::scope(|scope| {
            for counts in &mut self.counts {
                let mut bytes = 0;
                let len = rest
                    .iter()
                    .take_while(|text| {
                        let room = bytes < share;
                        bytes += text.len() as u64;
                        room
                    })
                    .count();
                let (mine, others) = rest.split_at(len);
                rest = others;
                if !mine.is_empty() {
                    scope.spawn(move || mine.iter().for_each(|text| counts.count(text)));
                }
            }
        });
        self.bytes < self.options.max_bytes
    }

    /// Text counted so far, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Learns the merges and builds the tokenizer.
    pub fn finish(self, observe: &dyn Observe) -> Result<Trained, TokenizerError> {
        let mut counts = self.counts.into_iter();
        let mut all = counts.next().unwrap_or_else(|| PieceCounts::new(LONGEST_LEARNED_PIECE_BYTES));
        counts.for_each(|other| all.absorb(other));
        if all.distinct() == 0 {
            return Err(TokenizerError::NoText);
        }
        let distinct_pieces = all.distinct() as u64;
        let mut pieces = Pieces::default();
        all.into_each(|piece, count| pieces.push(piece, count));
        let merges = learn(pieces, self.options.vocab_size - 256 - SPECIAL_TOKENS.len(), observe);
        let special_tokens = SPECIAL_TOKENS.map(str::to_owned).to_vec();
        let tokenizer = Tokenizer::new(merges, special_tokens)?;
        if tokenizer.vocab_size() < self.options.vocab_size {
            let (found, asked) = (tokenizer.vocab_size(), self.options.vocab_size);
            let text = format!(
                "the text has no more pairs: the vocabulary has {found} of the {asked} entries asked for"
            );
            observe.observe(Progress::Message(&text));
        }
        Ok(Trained { tokenizer, documents: self.documents, bytes: self.bytes, distinct_pieces })
    }
}
