//! Rows, their counts, and cursors.

use crate::{DATASET, TOKENIZER, texts_of};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use wootz_dataset::{
    BUFFERED_DOCUMENTS, Cursor, DatasetManifest, Loader, Split, inspect, pack, pack_manifest_path,
};
use wootz_schema::dataset::{Inspection, PackManifest};
use wootz_schema::progress::Silent;

const T: usize = 96;

fn open(split: Split, rows: usize, threads: usize, cursor: Option<Cursor>) -> Loader {
    Loader::open(&DATASET.1, split, Arc::clone(&TOKENIZER), rows, T, threads, cursor).unwrap()
}

fn next_rows(loader: &mut Loader, rows: usize) -> Vec<i32> {
    let mut tokens = vec![-1; rows * (T + 1)];
    loader.next_batch(&mut tokens).unwrap();
    tokens
}

/// Rows of an undisturbed run and the cursor before each.
static UNDISTURBED: LazyLock<Vec<(Cursor, Vec<i32>)>> = LazyLock::new(|| {
    let mut loader = open(Split::Train, 1, 1, None);
    (0..1500).map(|_| (loader.cursor(), next_rows(&mut loader, 1))).collect()
});

/// Documents in batches as they are read, with the token that begins each.
fn batches(passes: usize) -> Vec<Vec<Vec<i32>>> {
    let manifest: DatasetManifest =
        serde_json::from_slice(&std::fs::read(DATASET.1.join("manifest.json")).unwrap()).unwrap();
    let mut batches = Vec::new();
    for shard in manifest.shards.iter().filter(|shard| shard.split == Split::Train) {
        for group in texts_of(&DATASET.1.join(&shard.file)).chunks(150) {
            for batch in group.chunks(128) {
                let with_bos = |text: &String| {
                    let ids = TOKENIZER.encode_ordinary(text.as_bytes());
                    [TOKENIZER.bos()].into_iter().chain(ids).map(|id| id as i32).collect()
                };
                batches.push(batch.iter().map(with_bos).collect());
            }
        }
    }
    vec![batches; passes].concat()
}

#[test]
fn rows_are_those_of_the_plain_rule() {
    let mut batches = batches(4).into_iter();
    let mut buffer: Vec<Vec<i32>> = Vec::new();
    for (_, expected) in UNDISTURBED.iter().take(600) {
        let mut row = Vec::new();
        while row.len() < T + 1 {
            while buffer.len() < BUFFERED_DOCUMENTS {
                buffer.extend(batches.next().unwrap());
            }
            let room = T + 1 - row.len();
            let mut best: Option<usize> = None;
            for (at, document) in buffer.iter().enumerate() {
                if document.len() <= room && best.is_none_or(|best| document.len() > buffer[best].len()) {
                    best = Some(at);
                }
            }
            if let Some(best) = best {
                row.extend(buffer.remove(best));
            } else {
                let least = buffer.iter().map(Vec::len).min().unwrap();
                let at = buffer.iter().position(|document| document.len() == least).unwrap();
                row.extend(&buffer.remove(at)[..room]);
            }
        }
        assert_eq!(&row, expected);
    }
}

#[test]
fn rows_begin_with_a_document_and_no_token_is_lost() {
    let mut loader = open(Split::Train, 4, 2, None);
    for step in 1..200 {
        let tokens = next_rows(&mut loader, 4);
        assert!(tokens.chunks_exact(T + 1).all(|row| row[0] == TOKENIZER.bos() as i32));
        assert!(tokens.iter().all(|token| (0..TOKENIZER.vocab_size() as i32).contains(token)));
        let counts = loader.counts();
        assert_eq!(counts.received, counts.placed + counts.dropped + counts.buffered);
        assert_eq!(counts.placed, step * 4 * (T as u64 + 1));
    }
    assert!(loader.counts().dropped > 0, "some documents are longer than a row");
}

#[test]
fn rows_do_not_depend_on_threads_or_batch_size() {
    for (rows, threads) in [(1, 4), (8, 1), (5, 3)] {
        let mut loader = open(Split::Train, rows, threads, None);
        for expected in UNDISTURBED.chunks_exact(rows).take(100) {
            let expected: Vec<i32> = expected.iter().flat_map(|(_, row)| row.clone()).collect();
            assert_eq!(next_rows(&mut loader, rows), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_resumed_loader_goes_on_exactly(at in 0..UNDISTURBED.len() - 120, threads in 1..3usize) {
        // As a checkpoint stores it.
        let json = serde_json::to_string(&UNDISTURBED[at].0).unwrap();
        let mut loader = open(Split::Train, 1, threads, Some(serde_json::from_str(&json).unwrap()));
        for (cursor, row) in &UNDISTURBED[at..at + 120] {
            prop_assert_eq!(&loader.cursor(), cursor);
            prop_assert_eq!(&next_rows(&mut loader, 1), row);
            let counts = loader.counts();
            prop_assert_eq!(counts.received, counts.placed + counts.dropped + counts.buffered);
        }
    }
}

#[test]
fn the_undisturbed_run_passes_several_epochs() {
    assert!(UNDISTURBED.last().unwrap().0.epoch() >= 2);
}

#[test]
fn a_small_validation_part_is_repeated() {
    let mut loader = open(Split::Validation, 2, 1, None);
    next_rows(&mut loader, 2);
    assert!(loader.cursor().epoch() > 10);
}

#[test]
fn packed_tokens_account_for_every_token() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("train.npy");
    let manifest = pack(&DATASET.1, Split::Train, Arc::clone(&TOKENIZER), T, &out, 2, &Silent).unwrap();
    let all: usize = batches(1).iter().flatten().map(Vec::len).sum();
    assert_eq!(manifest.tokens, all as u64);
    assert_eq!(manifest.tokens, manifest.placed_tokens + manifest.dropped_tokens);
    assert_eq!(manifest.placed_tokens, manifest.rows * T as u64);
    let Inspection::Packed(packed) = inspect(&out).unwrap() else { panic!("a token file") };
    assert_eq!((packed.rows, packed.sequence_len, packed.dtype.as_str()), (manifest.rows, T as u64, "<i4"));
    assert_eq!(packed.manifest.as_ref(), Some(&manifest));
    let bytes = std::fs::read(&out).unwrap();
    let bos = (TOKENIZER.bos() as i32).to_le_bytes();
    assert!(bytes[128..].chunks_exact(T * 4).all(|row| row[..4] == bos));
    let again = folder.path().join("again.npy");
    pack(&DATASET.1, Split::Train, Arc::clone(&TOKENIZER), T, &again, 1, &Silent).unwrap();
    assert_eq!(std::fs::read(&again).unwrap(), bytes);
    let stored: PackManifest =
        serde_json::from_slice(&std::fs::read(pack_manifest_path(&out)).unwrap()).unwrap();
    assert_eq!(stored, manifest);
}
