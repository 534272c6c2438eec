//! Byte-level BPE: training, encoding and decoding of code and text.
//!
//! Text is cut into pieces (`split`), each piece becomes bytes, and the learned merges join neighbours, lowest rank
//! first (`merges`). Ids: byte `b` is id `b`, merge `r` is id `256 + r`, special tokens follow. Every byte string has
//! an encoding and decodes to itself. The stored form is the ecosystem's `tokenizer.json` (`json`).
//!
//! Not covered: normalisation, other split patterns, vocabularies whose ids are not laid out as above.

mod built_in;
mod count;
mod encode;
mod json;
mod key;
mod learn;
mod merges;
mod split;
mod tokenizer;
mod train;
mod unicode_ranges;

pub use encode::Encoder;
pub use split::{PATTERN, Pieces, pieces};
pub use tokenizer::{BOS, SPECIAL_TOKENS, Tokenizer, TokenizerError};
pub use train::{LONGEST_LEARNED_PIECE_BYTES, Trained, Trainer};
pub use wootz_schema::tokenizer::TokenizerOptions;
