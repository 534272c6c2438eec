//! `tokenizer.json`, the form that the `tokenizers` package and everything built on it reads.
//!
//! Tokens are byte strings and JSON holds text, so every byte is written as a printable character: GPT-2's byte
//! alphabet. Only files of the shape written here are read back; anything else is refused with the difference named.

use crate::split::PATTERN;
use crate::tokenizer::{Tokenizer, TokenizerError};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use wootz_schema::tokenizer::{AddedToken, BpeModel, FILE_VERSION, TokenizerFile};

impl Tokenizer {
    /// The text of `tokenizer.json`.
    pub fn to_json(&self) -> String {
        let alphabet = byte_alphabet();
        let spelled = |id: u32| -> String {
            let token =
                self.token(id).expect("an id of the vocabulary, because the callers count up to its size");
            token.iter().map(|b| alphabet[usize::from(*b)]).collect()
        };
        let vocab: Map<String, Value> =
            (0..self.ordinary() as u32).map(|id| (spelled(id), Value::from(id))).collect();
        let merges = self.pairs().iter().map(|(a, b)| format!("{} {}", spelled(*a), spelled(*b))).collect();
        let added_tokens = self.special_tokens().iter().enumerate().map(|(at, content)| AddedToken {
            id: (self.ordinary() + at) as u32,
            content: content.clone(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
        });
        let file = TokenizerFile {
            version: FILE_VERSION.to_owned(),
            truncation: Value::Null,
            padding: Value::Null,
            added_tokens: added_tokens.collect(),
            normalizer: Value::Null,
            pre_tokenizer: pre_tokenizer(),
            post_processor: Value::Null,
            decoder: decoder(),
            model: BpeModel { vocab, merges, ..model() },
        };
        let mut text = serde_json::to_string_pretty(&file).expect("JSON, because every key is a string");
        text.push('\n');
        text
    }

    /// Reads the text of a `tokenizer.json`.
    pub fn from_json(text: &str) -> Result<Tokenizer, TokenizerError> {
        let file: TokenizerFile = serde_json::from_str(text)?;
        check_shape(&file)?;
        let letters: HashMap<char, u8> = byte_alphabet().into_iter().zip(0..=255).collect();
        let unsupported = |what: String| TokenizerError::Unsupported(what);
        let mut ids: HashMap<&str, u32> = HashMap::with_capacity(file.model.vocab.len());
        for (token, id) in &file.model.vocab {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            ids.insert(token, id.ok_or_else(|| unsupported(format!("the id of {token:?} is no number")))?);
        }
        for (letter, byte) in byte_alphabet().into_iter().zip(0u32..) {
            if ids.get(letter.encode_utf8(&mut [0; 4]) as &str) != Some(&byte) {
                return Err(unsupported(format!("byte {byte} does not have id {byte}")));
            }
        }
        if ids.len() != 256 + file.model.merges.len() {
            return Err(unsupported("the vocabulary holds more than the bytes and the merges".to_owned()));
        }
        let mut pairs = Vec::with_capacity(file.model.merges.len());
        for (rank, merge) in file.model.merges.iter().enumerate() {
            let id_of = |token: &str| ids.get(token).copied();
            let parts = merge.split_once(' ').and_then(|(a, b)| {
                let joined = id_of(&format!("{a}{b}"))?;
                (joined as usize == 256 + rank).then_some((id_of(a)?, id_of(b)?))
            });
            pairs.push(parts.ok_or_else(|| {
                unsupported(format!("merge {rank} ({merge:?}) does not give id {}", 256 + rank))
            })?);
        }
        if let Some(letter) =
            file.model.vocab.keys().flat_map(|t| t.chars()).find(|c| !letters.contains_key(c))
        {
            return Err(unsupported(format!("{letter:?} is not in the byte alphabet")));
        }
        for (at, token) in file.added_tokens.iter().enumerate() {
            if token.id as usize != 256 + pairs.len() + at
                || !token.special
                || token.single_word
                || token.lstrip
                || token.rstrip
            {
                return Err(unsupported(format!("{:?} is no special token at the end", token.content)));
            }
        }
        let special_tokens = file.added_tokens.into_iter().map(|token| token.content).collect();
        Tokenizer::new(pairs, special_tokens)
    }
}

fn check_shape(file: &TokenizerFile) -> Result<(), TokenizerError> {
    let plain_model = BpeModel { vocab: Map::new(), merges: Vec::new(), ..file.model.clone() } == model();
    let wrong = match () {
        () if file.version != FILE_VERSION => "version",
        () if !file.truncation.is_null() => "truncation",
        () if !file.padding.is_null() => "padding",
        () if !file.normalizer.is_null() => "normalizer",
        () if file.pre_tokenizer != pre_tokenizer() => "pre_tokenizer",
        () if !file.post_processor.is_null() => "post_processor",
        () if file.decoder != decoder() => "decoder",
        () if !plain_model => "model",
        () => return Ok(()),
    };
    Err(TokenizerError::Unsupported(format!("its {wrong:?} is not the one that wootz writes")))
}

fn pre_tokenizer() -> Value {
    json!({
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ],
    })
}

fn decoder() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true})
}

/// The model without vocabulary and merges.
fn model() -> BpeModel {
    BpeModel {
        kind: "BPE".to_owned(),
        dropout: Value::Null,
        unk_token: Value::Null,
        continuing_subword_prefix: Value::Null,
        end_of_word_suffix: Value::Null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Map::new(),
        merges: Vec::new(),
    }
}

/// GPT-2's letters for the bytes: printable bytes of Latin-1 are themselves, the others take U+0100 and up in order.
fn byte_alphabet() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| match byte as u8 {
        b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte as u8),
        _ => {
            next += 1;
            char::from_u32(next - 1).expect("a letter, because at most 68 bytes are not printable")
        }
    })
}
