//! One binary: shards, packing and cursors, bad input.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod loading;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use wootz_dataset::{DatasetOptions, write};
use wootz_schema::document::{Document, DocumentKind};
use wootz_schema::progress::Silent;
use wootz_stdx::digest::sha256;
use wootz_tokenizer::{Tokenizer, TokenizerOptions, Trainer};

/// A text of some length that no other number has.
fn text(number: usize) -> String {
    let words = ["fn ", "let mut ", "x += 1;\n", "return ", "größe", " == ", "    ", "struct Shard", "{}\n"];
    let mut text = format!("// document {number}\n");
    let mut state = number as u64 + 1;
    // Mostly short, now and then longer than a row.
    let len = if number.is_multiple_of(23) { 90 } else { number * 7 % 40 };
    for _ in 0..len {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        text.push_str(words[(state >> 40) as usize % words.len()]);
    }
    text
}

fn document(number: usize) -> Document {
    let text = text(number);
    Document {
        language: "rust".to_owned(),
        repo: format!("repo-{}", number / 6),
        path: format!("src/{}.rs", number / 2),
        commit: None,
        license: "MIT".to_owned(),
        kind: DocumentKind::Items,
        symbols: Vec::new(),
        tokens: None,
        sha256: sha256(text.as_bytes()),
        text,
    }
}

fn write_documents(folder: &Path, count: usize) -> PathBuf {
    let path = folder.join("documents.jsonl");
    let lines: Vec<String> =
        (0..count).map(|n| serde_json::to_string(&document(n)).unwrap() + "\n").collect();
    std::fs::write(&path, lines.concat()).unwrap();
    path
}

fn options() -> DatasetOptions {
    DatasetOptions { validation_share: 0.05, shard_bytes: 60_000, row_group_documents: 150, seed: 3 }
}

static TOKENIZER: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| {
    let options = TokenizerOptions { vocab_size: 512, ..TokenizerOptions::default() };
    let mut trainer = Trainer::new(&options, 1).unwrap();
    trainer.feed(&(0..200).map(text).collect::<Vec<_>>());
    Arc::new(trainer.finish(&Silent).unwrap().tokenizer)
});

/// A dataset of 900 documents in several shards; the folder lives as long as the test binary.
static DATASET: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dataset");
    write(&write_documents(folder.path(), 900), &out, &options(), &Silent).unwrap();
    (folder, out)
});

/// A copy of the dataset that a test may break.
fn copy_of_dataset() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&DATASET.1).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

/// The texts of one shard, by parquet's own row reader.
fn texts_of(shard: &Path) -> Vec<String> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let reader = SerializedFileReader::new(std::fs::File::open(shard).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap().get_string(0).unwrap().clone()).collect()
}
