//! Training against the plain algorithm, round trips, and the stored form.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use wootz_schema::progress::Silent;
use wootz_tokenizer::{
    Encoder, SPECIAL_TOKENS, Tokenizer, TokenizerError, TokenizerOptions, Trainer, pieces,
};

fn train(texts: &[String], vocab_size: usize, threads: usize) -> Tokenizer {
    let options = TokenizerOptions { vocab_size, ..TokenizerOptions::default() };
    let mut trainer = Trainer::new(&options, threads).unwrap();
    for batch in texts.chunks(7) {
        trainer.feed(batch);
    }
    trainer.finish(&Silent).unwrap().tokenizer
}

/// A tokenizer of real code that several tests share.
static SHARED: LazyLock<Tokenizer> = LazyLock::new(|| train(&crate::rust_sources(400_000), 2048, 2));

/// The algorithm as the textbook has it: count all pairs, merge the best everywhere, repeat.
fn plain_merges(texts: &[String], wanted: usize) -> Vec<(u32, u32)> {
    let mut words: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    for text in texts {
        for piece in pieces(text.as_bytes()) {
            *words.entry(piece.iter().map(|b| u32::from(*b)).collect()).or_default() += 1;
        }
    }
    let mut words: Vec<(Vec<u32>, u64)> = words.into_iter().collect();
    let mut merges = Vec::new();
    while merges.len() < wanted {
        let mut counts: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for (word, count) in &words {
            for two in word.windows(2) {
                *counts.entry((two[0], two[1])).or_default() += count;
            }
        }
        let Some((&best, _)) = counts.iter().max_by_key(|(pair, count)| (**count, std::cmp::Reverse(**pair)))
        else {
            break;
        };
        let new = 256 + merges.len() as u32;
        merges.push(best);
        for (word, _) in &mut words {
            let mut joined = Vec::new();
            let mut at = 0;
            while at < word.len() {
                if at + 1 < word.len() && (word[at], word[at + 1]) == best {
                    joined.push(new);
                    at += 2;
                } else {
                    joined.push(word[at]);
                    at += 1;
                }
            }
            *word = joined;
        }
    }
    merges
}

/// The merges of one piece as the textbook has them.
fn plain_encode(tokenizer: &Tokenizer, text: &[u8]) -> Vec<u32> {
    let mut all = Vec::new();
    for piece in pieces(text) {
        let mut ids: Vec<u32> = piece.iter().map(|b| u32::from(*b)).collect();
        for (rank, &(a, b)) in tokenizer.pairs().iter().enumerate() {
            while let Some(at) = ids.windows(2).position(|two| two == [a, b]) {
                ids.splice(at..at + 2, [256 + rank as u32]);
            }
        }
        all.extend(ids);
    }
    all
}

proptest! {
    #[test]
    fn merges_are_the_plain_algorithms(texts in proptest::collection::vec("[ab]{1,12}( [abc]{1,9}){0,6}", 1..12)) {
        let tokenizer = train(&texts, 256 + SPECIAL_TOKENS.len() + 40, 1);
        prop_assert_eq!(tokenizer.pairs(), plain_merges(&texts, 40));
        for text in &texts {
            prop_assert_eq!(tokenizer.encode_ordinary(text.as_bytes()), plain_encode(&tokenizer, text.as_bytes()));
        }
    }

    #[test]
    fn no_token_is_learned_twice(texts in proptest::collection::vec("[ab]{1,90}( [abc]{1,50}){0,6}", 1..12)) {
        // `Tokenizer::new` refuses a vocabulary with two ids for the same bytes.
        let tokenizer = train(&texts, 256 + SPECIAL_TOKENS.len() + 400, 1);
        for (rank, &(a, b)) in tokenizer.pairs().iter().enumerate() {
            let token = [tokenizer.token(a).unwrap(), tokenizer.token(b).unwrap()].concat();
            prop_assert_eq!(tokenizer.encode_ordinary(&token), [256 + rank as u32]);
        }
    }

    #[test]
    fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let ids = SHARED.encode_ordinary(&bytes);
        prop_assert_eq!(SHARED.decode(&ids).unwrap(), bytes);
    }

    #[test]
    fn a_warm_encoder_gives_the_ids_of_a_cold_one(texts in proptest::collection::vec("[a-z_(){};' \n0-9é日]{0,80}", 1..20)) {
        let mut warm = Encoder::new(&SHARED);
        for text in &texts {
            let mut ids = Vec::new();
            warm.encode_into(text.as_bytes(), &mut ids);
            prop_assert_eq!(&ids, &SHARED.encode_ordinary(text.as_bytes()));
            prop_assert_eq!(&ids, &plain_encode(&SHARED, text.as_bytes()));
        }
    }
}

#[test]
fn merges_of_code_are_the_plain_algorithms() {
    let texts = crate::rust_sources(60_000);
    assert_eq!(train(&texts, 256 + SPECIAL_TOKENS.len() + 200, 2).pairs(), plain_merges(&texts, 200));
}

#[test]
fn threads_do_not_change_the_result() {
    let texts = crate::rust_sources(1_000_000);
    let one = train(&texts, 1024, 1);
    for threads in [2, 3, 8] {
        assert_eq!(train(&texts, 1024, threads).to_json(), one.to_json());
        assert_eq!(one.encode_batch(&texts, threads), one.encode_batch(&texts, 1));
    }
}

#[test]
fn a_stored_tokenizer_reads_back() {
    let json = SHARED.to_json();
    let read = Tokenizer::from_json(&json).unwrap();
    assert_eq!(read.pairs(), SHARED.pairs());
    assert_eq!(read.special_tokens(), SHARED.special_tokens());
    assert_eq!(read.to_json(), json);
}

#[test]
fn special_tokens_stand_at_the_end_and_are_plain_text_when_encoded() {
    assert_eq!(SHARED.vocab_size(), 2048);
    for (at, name) in SPECIAL_TOKENS.iter().enumerate() {
        let id = SHARED.encode_special(name).unwrap();
        assert_eq!(id as usize, 2048 - SPECIAL_TOKENS.len() + at);
        assert_eq!(SHARED.token_bytes(id), 0);
        assert_eq!(SHARED.decode(&[id]).unwrap(), name.as_bytes());
        let ids = SHARED.encode_ordinary(name.as_bytes());
        assert!(ids.iter().all(|id| !SHARED.is_special(*id)));
        assert_eq!(SHARED.decode(&ids).unwrap(), name.as_bytes());
    }
    assert!(matches!(SHARED.encode_special("<|none|>"), Err(TokenizerError::UnknownSpecial(_))));
    assert!(matches!(SHARED.decode(&[2048]), Err(TokenizerError::UnknownId { id: 2048, .. })));
}

#[test]
fn token_bytes_add_up_to_the_text() {
    let text = crate::rust_sources(100_000).concat();
    let ids = SHARED.encode_ordinary(text.as_bytes());
    assert_eq!(ids.iter().map(|id| SHARED.token_bytes(*id)).sum::<usize>(), text.len());
}

#[test]
fn a_megabyte_without_a_cut_is_encoded() {
    let mut text = vec![b'a'; 1 << 20];
    let tokenizer = train(&["a".repeat(4000), "aaaa".to_owned()], 300, 1);
    assert!(tokenizer.encode_ordinary(&text).len() < text.len() / 100);
    text.iter_mut().zip(0u64..).for_each(|(b, i)| *b = b'a' + (i * i % 26) as u8);
    assert_eq!(SHARED.decode(&SHARED.encode_ordinary(&text)).unwrap(), text);
}

#[test]
fn what_cannot_be_learned_or_read_is_refused() {
    let small = TokenizerOptions { vocab_size: 267, ..TokenizerOptions::default() };
    assert!(matches!(Trainer::new(&small, 1), Err(TokenizerError::VocabularyTooSmall { least: 268, .. })));
    let trainer = Trainer::new(&TokenizerOptions::default(), 1).unwrap();
    assert!(matches!(trainer.finish(&Silent), Err(TokenizerError::NoText)));
    assert!(matches!(Tokenizer::from_json("{"), Err(TokenizerError::Json(_))));
    let foreign = SHARED.to_json().replace("{1,2}", "{1,3}");
    let error = Tokenizer::from_json(&foreign).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"read the tokenizer: its "pre_tokenizer" is not the one that wootz writes"#
    );
    let swapped = SHARED.to_json().replacen(": 300,", ": 301,", 1);
    assert!(matches!(Tokenizer::from_json(&swapped), Err(TokenizerError::Unsupported(_))));
}

#[test]
fn the_caps_bound_what_is_read() {
    let options = TokenizerOptions { vocab_size: 300, max_bytes: 100, document_cap_bytes: 21 };
    let mut trainer = Trainer::new(&options, 2).unwrap();
    let texts = vec!["日本語日本語日本語".to_owned(); 9];
    assert!(!trainer.feed(&texts), "nine documents are more than 100 bytes");
    assert_eq!(trainer.bytes(), 5 * 21);
}
