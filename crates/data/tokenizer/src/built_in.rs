//! A tokenizer that is in the program: for whoever must count tokens before one is trained.
//!
//! 32,768 entries, learned by [`crate::Trainer`] with its defaults from 198 MB of source code, at most 64 KiB of each document: C and C++
//! (59 MB: fmtlib, abseil, leveldb, re2, protobuf, redis, rocksdb, nlohmann-json), Rust (40 MB of crates), Python (40 MB, the
//! standard library), Go (30 MB, the standard library and toolchain), TypeScript and JavaScript (30 MB of packages). Stored as
//! what it is: merges in their order, two ids of 16 bits each.

use crate::Tokenizer;
use crate::tokenizer::SPECIAL_TOKENS;
use std::sync::OnceLock;

static MERGES: &[u8] = include_bytes!("../assets/code-32k.merges");

impl Tokenizer {
    /// The built-in tokenizer, made when it is asked for first.
    pub fn built_in() -> &'static Tokenizer {
        static BUILT_IN: OnceLock<Tokenizer> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            let id = |bytes: &[u8]| u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
            let pairs = MERGES.chunks_exact(4).map(|pair| (id(&pair[..2]), id(&pair[2..]))).collect();
            let special = SPECIAL_TOKENS.iter().map(|token| (*token).to_owned()).collect();
            Tokenizer::new(pairs, special).expect("merges hold together because they were learned")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_code_well_and_gives_it_back() {
        let tokenizer = Tokenizer::built_in();
        assert_eq!(tokenizer.vocab_size(), 32_768);
        let text = include_bytes!("merges.rs");
        let ids = tokenizer.encode_ordinary(text);
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        // A text that it has not learned from.
        let bytes_per_token = text.len() as f64 / ids.len() as f64;
        assert!(bytes_per_token > 3.2, "{bytes_per_token}");
    }
}
