//! The tokenizer as a value: vocabulary, merges, special tokens; decoding and the table of token lengths.

use crate::encode::Entries;
use crate::merges::{Merges, Workspace};
use wootz_schema::{Diagnose, ExitCode};

/// The token that begins every document.
pub const BOS: &str = "<|bos|>";

/// The special tokens, in the order of their ids at the end of the vocabulary: nanochat's nine, then those for
/// filling in the middle.
pub const SPECIAL_TOKENS: [&str; 12] = [
    BOS,
    "<|user_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
    "<|assistant_end|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|output_start|>",
    "<|output_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
];

/// Why a tokenizer cannot be trained, read or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The vocabulary has no room for bytes and special tokens.
    #[error("train a tokenizer of {vocab_size} entries: 256 bytes and the special tokens alone are {least}")]
    VocabularyTooSmall {
        /// What was asked for.
        vocab_size: usize,
        /// The least that makes sense.
        least: usize,
    },
    /// There was no text.
    #[error("train a tokenizer: there is no text to learn from")]
    NoText,
    /// The text is no JSON of the expected shape.
    #[error("read the tokenizer: {0}")]
    Json(#[from] serde_json::Error),
    /// The JSON is a tokenizer, but not one of ours.
    #[error("read the tokenizer: {0}")]
    Unsupported(String),
    /// An id that is not in the vocabulary.
    #[error("decode token {id}: the vocabulary has {vocab_size} entries")]
    UnknownId {
        /// The id.
        id: u32,
        /// Entries of the vocabulary.
        vocab_size: usize,
    },
    /// A special token that is not in the vocabulary.
    #[error("find the special token {0:?} in the tokenizer")]
    UnknownSpecial(String),
}

impl Diagnose for TokenizerError {
    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            TokenizerError::VocabularyTooSmall { least, .. } => {
                return Some(format!("set vocab_size to {least} or more"));
            }
            TokenizerError::NoText => "check that the corpus has documents and that max_bytes is not 0",
            TokenizerError::Json(_) | TokenizerError::Unsupported(_) => {
                "train it again with `wootz tokenizer train`: only files of that shape are read"
            }
            TokenizerError::UnknownId { .. } => "use the tokenizer that the ids were made with",
            TokenizerError::UnknownSpecial(_) => "train the tokenizer again: this one was made without it",
        };
        Some(hint.to_owned())
    }
}

/// A byte-level BPE tokenizer. Cheap to share behind an `Arc`; all methods take `&self`.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    /// Bytes of all tokens one after another, special ones with their text.
    bytes: Vec<u8>,
    /// Token `id` is `bytes[starts[id]..starts[id + 1]]`.
    starts: Vec<u32>,
    pairs: Vec<(u32, u32)>,
    special_tokens: Vec<String>,
    bos: u32,
    pub(crate) merges: Merges,
    pub(crate) entries: Entries,
}

impl Tokenizer {
    /// A tokenizer whose id `256 + r` is the merge of `pairs[r]`, with the special tokens after the last merge.
    ///
    /// Errors where a pair names an id that is not there yet, where two merges give the same bytes, and without
    /// `<|bos|>`.
    pub fn new(pairs: Vec<(u32, u32)>, special_tokens: Vec<String>) -> Result<Tokenizer, TokenizerError> {
        let mut bytes: Vec<u8> = (0..=255).collect();
        let mut starts: Vec<u32> = (0..=256).collect();
        for (rank, &(a, b)) in pairs.iter().enumerate() {
            let id = 256 + rank as u32;
            if a >= id || b >= id {
                return Err(TokenizerError::Unsupported(format!(
                    "merge {rank} joins a token that comes later"
                )));
            }
            for part in [a, b] {
                bytes.extend_from_within(starts[part as usize] as usize..starts[part as usize + 1] as usize);
            }
            starts.push(bytes.len() as u32);
        }
        let ordinary = 256 + pairs.len();
        for token in &special_tokens {
            bytes.extend_from_slice(token.as_bytes());
            starts.push(bytes.len() as u32);
        }
        let Some(bos) = special_tokens.iter().position(|token| token == BOS) else {
            return Err(TokenizerError::UnknownSpecial(BOS.to_owned()));
        };
        let merges = Merges::new(&pairs);
        let mut tokenizer = Tokenizer {
            bytes,
            starts,
            pairs,
            special_tokens,
            bos: (ordinary + bos) as u32,
            merges,
            entries: Entries::default(),
        };
        tokenizer.entries = tokenizer.direct_entries()?;
        Ok(tokenizer)
    }

    /// The entries that a piece may be looked up in without going through the merges: those whose bytes, taken as
    /// a piece, merge into just that entry. Merges learned from text make that true of all; a file may hold others.
    fn direct_entries(&self) -> Result<Entries, TokenizerError> {
        let mut entries = Entries::with_capacity(self.ordinary());
        let mut work = Workspace::default();
        let mut ids = Vec::new();
        for id in 0..self.ordinary() as u32 {
            let token = self.token(id).expect("an ordinary id, because the loop counts them");
            if entries.find(self, token).is_some() {
                return Err(TokenizerError::Unsupported(format!("two merges give the same token, id {id}")));
            }
            ids.clear();
            self.merges.apply(token, &mut work, &mut ids);
            if ids == [id] {
                entries.insert(token, id);
            }
        }
        Ok(entries)
    }

    /// Entries of the vocabulary: bytes, merges and special tokens.
    pub fn vocab_size(&self) -> usize {
        self.starts.len() - 1
    }

    /// Bytes and merges: the ids below this number are no special tokens.
    pub fn ordinary(&self) -> usize {
        256 + self.pairs.len()
    }

    /// The merges by rank.
    pub fn pairs(&self) -> &[(u32, u32)] {
        &self.pairs
    }

    /// The special tokens by id, beginning at [`Tokenizer::ordinary`].
    pub fn special_tokens(&self) -> &[String] {
        &self.special_tokens
    }

    /// Id of `<|bos|>`.
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// Id of a special token.
    pub fn encode_special(&self, name: &str) -> Result<u32, TokenizerError> {
        match self.special_tokens.iter().position(|token| token == name) {
            Some(at) => Ok((self.ordinary() + at) as u32),
            None => Err(TokenizerError::UnknownSpecial(name.to_owned())),
        }
    }

    /// Whether the id is a special token's.
    pub fn is_special(&self, id: u32) -> bool {
        (self.ordinary()..self.vocab_size()).contains(&(id as usize))
    }

    /// Bytes of a token; of a special one, its text.
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        let end = *self.starts.get(id as usize + 1)?;
        Some(&self.bytes[self.starts[id as usize] as usize..end as usize])
    }

    /// Length of a token in bytes as bits per byte counts it: 0 for special tokens and for ids past the end.
    pub fn token_bytes(&self, id: u32) -> usize {
        if (id as usize) < self.ordinary() { self.token(id).map_or(0, <[u8]>::len) } else { 0 }
    }

    /// The bytes of a sequence of ids; special tokens give their text.
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>, TokenizerError> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            match self.token(id) {
                Some(token) => bytes.extend_from_slice(token),
                None => return Err(TokenizerError::UnknownId { id, vocab_size: self.vocab_size() }),
            }
        }
        Ok(bytes)
    }
}
