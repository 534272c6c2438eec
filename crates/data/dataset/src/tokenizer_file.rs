//! The tokenizer's files: learned from `documents.jsonl`, stored as `tokenizer.json`.

use crate::documents::DocumentLines;
use crate::folder::{DatasetError, io_error};
use std::fs;
use std::path::Path;
use wootz_schema::progress::{Observe, Progress};
use wootz_stdx::file::write_atomic;
use wootz_tokenizer::{Tokenizer, TokenizerError, TokenizerOptions, Trained, Trainer};

/// Text that is read before it is counted: enough for all threads to be busy, and all of the text that memory holds.
const BATCH_BYTES: usize = 16 << 20;

/// Learns a tokenizer from a file of documents.
pub fn train_tokenizer(
    documents: &Path,
    options: &TokenizerOptions,
    threads: usize,
    observe: &dyn Observe,
) -> Result<Trained, DatasetError> {
    let failed = |source: TokenizerError| DatasetError::Tokenizer { path: documents.to_owned(), source };
    let mut trainer = Trainer::new(options, threads).map_err(failed)?;
    let mut lines = DocumentLines::open(documents)?;
    observe.observe(Progress::Begin { task: "tokenizer: count", total: Some(lines.total()?), unit: "bytes" });
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut room = true;
    while room && let Some((document, _)) = lines.next()? {
        bytes += document.text.len();
        batch.push(document.text);
        if bytes >= BATCH_BYTES {
            room = trainer.feed(&batch);
            batch.clear();
            bytes = 0;
            observe.observe(Progress::Advance { done: lines.offset() });
        }
    }
    trainer.feed(&batch);
    observe.observe(Progress::End);
    trainer.finish(observe).map_err(failed)
}

/// Reads a `tokenizer.json`.
pub fn load_tokenizer(path: &Path) -> Result<Tokenizer, DatasetError> {
    let text = fs::read_to_string(path).map_err(io_error("read", path))?;
    Tokenizer::from_json(&text).map_err(|source| DatasetError::Tokenizer { path: path.to_owned(), source })
}

/// Writes a `tokenizer.json`, whole or not at all.
pub fn save_tokenizer(tokenizer: &Tokenizer, path: &Path) -> Result<(), DatasetError> {
    write_atomic(path, tokenizer.to_json().as_bytes()).map_err(io_error("write", path))
}
