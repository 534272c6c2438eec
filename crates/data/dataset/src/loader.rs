//! Rows of tokens for training, from the shards, endlessly.

use crate::folder::{DatasetError, Folder};
use crate::packer::Packer;
use crate::stream::{BATCH_DOCUMENTS, Stream, encode_at};
use std::path::Path;
use std::sync::Arc;
use wootz_schema::dataset::{Cursor, Split};
use wootz_tokenizer::Tokenizer;

/// Yields batches of B rows of T + 1 tokens: the inputs are the first T of a row, the targets the last T.
///
/// The rows depend on the shards, the tokenizer and T only: not on B, on threads, or on where a run was interrupted.
#[derive(Debug)]
pub struct Loader {
    stream: Stream,
    packer: Packer,
    rows_per_batch: usize,
    row_len: usize,
    documents_per_epoch: u64,
    documents: u64,
    rows: u64,
}

/// Tokens by what became of them; the token that begins each document counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCounts {
    /// Read from the shards: the sum of the others.
    pub received: u64,
    /// Handed out in rows.
    pub placed: u64,
    /// Cropped away.
    pub dropped: u64,
    /// Waiting in the buffer.
    pub buffered: u64,
}

impl Loader {
    /// Opens one part of a dataset for batches of `rows` rows of `sequence_len + 1` tokens, at its start or where a
    /// cursor stands. Encodes on `threads` threads beside the caller's.
    ///
    /// A shard that the manifest does not match is refused here by its size, and by its digest when it is first read.
    pub fn open(
        dir: &Path,
        split: Split,
        tokenizer: Arc<Tokenizer>,
        rows: usize,
        sequence_len: usize,
        threads: usize,
        cursor: Option<Cursor>,
    ) -> Result<Loader, DatasetError> {
        let part = Arc::new(Folder::open(dir)?.part(split)?);
        let documents_per_epoch = part.documents;
        let cursor = cursor.unwrap_or(Cursor { documents_per_epoch, ..Cursor::default() });
        let refuse = |reason: String| Err(DatasetError::Cursor { dir: dir.to_owned(), reason });
        if cursor.documents_per_epoch != documents_per_epoch {
            let expected = cursor.documents_per_epoch;
            return refuse(format!(
                "it has {documents_per_epoch} documents, and the cursor was made on {expected}"
            ));
        }
        let within = cursor.documents % documents_per_epoch;
        let group = part.groups[part.group_of(within)];
        if !(within - group.first).is_multiple_of(BATCH_DOCUMENTS) {
            return refuse(
                "the cursor stands within a batch of documents: the row groups are others".to_owned(),
            );
        }
        if let Some(ordinal) = cursor.buffered.iter().find(|ordinal| **ordinal >= cursor.documents) {
            return refuse(format!("the cursor has document {ordinal} in its buffer and has not read it"));
        }
        let mut packer = Packer::new(tokenizer.bos());
        let buffered = encode_at(&part, &tokenizer, threads, &cursor.buffered)?;
        cursor.buffered.iter().zip(buffered).for_each(|(ordinal, ids)| packer.push(*ordinal, ids));
        packer.counts.received += cursor.placed_tokens + cursor.dropped_tokens;
        packer.counts.placed = cursor.placed_tokens;
        packer.counts.dropped = cursor.dropped_tokens;
        Ok(Loader {
            stream: Stream::start(part, tokenizer, threads, cursor.documents, None),
            packer,
            rows_per_batch: rows,
            row_len: sequence_len + 1,
            documents_per_epoch,
            documents: cursor.documents,
            rows: cursor.rows,
        })
    }

    /// Fills `tokens`, B rows of T + 1 one after another.
    ///
    /// # Panics
    /// Where the length of `tokens` is another.
    pub fn next_batch(&mut self, tokens: &mut [i32]) -> Result<(), DatasetError> {
        assert_eq!(tokens.len(), self.rows_per_batch * self.row_len, "a batch is B x (T + 1) tokens");
        for row in tokens.chunks_exact_mut(self.row_len) {
            let (stream, documents) = (&mut self.stream, &mut self.documents);
            self.packer.fill_row(row, |packer| {
                let batch = stream.next()?.ok_or(DatasetError::Stopped)?;
                *documents += batch.documents.len() as u64;
                batch
                    .documents
                    .into_iter()
                    .zip(batch.first..)
                    .for_each(|(ids, ordinal)| packer.push(ordinal, ids));
                Ok::<bool, DatasetError>(true)
            })?;
            self.rows += 1;
        }
        Ok(())
    }

    /// Where another loader goes on with the row after the last one handed out.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            documents_per_epoch: self.documents_per_epoch,
            documents: self.documents,
            buffered: self.packer.ordinals(),
            rows: self.rows,
            placed_tokens: self.packer.counts.placed,
            dropped_tokens: self.packer.counts.dropped,
        }
    }

    /// What became of the tokens so far, over the whole run.
    pub fn counts(&self) -> TokenCounts {
        let counts = self.packer.counts;
        let buffered = self.packer.buffered_tokens();
        TokenCounts { received: counts.received, placed: counts.placed, dropped: counts.dropped, buffered }
    }
}
