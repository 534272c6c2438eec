//! The endless stream of encoded documents, read and encoded ahead of their use by a thread.
//!
//! Documents come in batches of up to 128 that never cross a row group: the batches decide when the packing buffer is
//! refilled, so they are part of what a cursor means. The thread only runs ahead; where a consumer stands is known
//! from the batches it has taken.

use crate::folder::{DatasetError, Part};
use crate::shard::ShardReader;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use wootz_tokenizer::Tokenizer;

/// Documents of a batch; nanochat's tokenizer batch.
pub(crate) const BATCH_DOCUMENTS: u64 = 128;

/// Batches that may wait: two row groups of the usual size.
const BATCHES_AHEAD: usize = 16;

/// Consecutive documents.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Ordinal number of the first one.
    pub(crate) first: u64,
    /// Ids of each, without the token that begins it.
    pub(crate) documents: Vec<Vec<u32>>,
}

type Message = Result<Batch, DatasetError>;

/// Batches in order from a given document on.
#[derive(Debug)]
pub(crate) struct Stream {
    batches: Option<Receiver<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Streams the documents from ordinal number `first`, for `passes` over the part or for ever.
    pub(crate) fn start(
        part: Arc<Part>,
        tokenizer: Arc<Tokenizer>,
        threads: usize,
        first: u64,
        passes: Option<u64>,
    ) -> Stream {
        let (sender, receiver) = sync_channel(BATCHES_AHEAD);
        let source = Source { part, tokenizer, threads, sender, checked: Vec::new() };
        let thread = std::thread::spawn(move || source.run(first, passes));
        Stream { batches: Some(receiver), thread: Some(thread) }
    }

    /// The next batch; `None` after the last pass.
    pub(crate) fn next(&mut self) -> Result<Option<Batch>, DatasetError> {
        let message = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        if message.is_none()
            && let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
        message.transpose()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Without a receiver the thread's next send fails, and it ends.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Source {
    part: Arc<Part>,
    tokenizer: Arc<Tokenizer>,
    threads: usize,
    sender: SyncSender<Message>,
    /// Shards whose digest has been compared with the manifest's.
    checked: Vec<bool>,
}

impl Source {
    fn run(mut self, first: u64, passes: Option<u64>) {
        self.checked = vec![false; self.part.paths.len()];
        let documents = self.part.documents;
        let mut epoch = first / documents;
        let mut within = first % documents;
        while passes.is_none_or(|passes| epoch < passes) {
            for group in self.part.group_of(within)..self.part.groups.len() {
                match self.send_group(group, epoch * documents, within) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        // Nobody left to tell is no error.
                        let _ = self.sender.send(Err(error));
                        return;
                    }
                }
            }
            epoch += 1;
            within = 0;
        }
    }

    /// Sends the documents of a row group from `within` on; says whether there is still a receiver.
    fn send_group(&mut self, group: usize, before: u64, within: u64) -> Result<bool, DatasetError> {
        let group = self.part.groups[group];
        let path = &self.part.paths[group.shard];
        if !std::mem::replace(&mut self.checked[group.shard], true) {
            self.part.folder.check_digest(path)?;
        }
        let skipped = within.saturating_sub(group.first);
        let texts = ShardReader::open(path)?.texts_from(group.index, skipped)?;
        let mut documents = self.tokenizer.encode_batch(&texts, self.threads).into_iter();
        let mut first = before + group.first + skipped;
        loop {
            let batch: Vec<Vec<u32>> = documents.by_ref().take(BATCH_DOCUMENTS as usize).collect();
            let len = batch.len() as u64;
            if len == 0 {
                return Ok(true);
            }
            if self.sender.send(Ok(Batch { first, documents: batch })).is_err() {
                return Ok(false);
            }
            first += len;
        }
    }
}

/// Reads and encodes single documents, given by their ordinal numbers, in that order.
pub(crate) fn encode_at(
    part: &Part,
    tokenizer: &Tokenizer,
    threads: usize,
    ordinals: &[u64],
) -> Result<Vec<Vec<u32>>, DatasetError> {
    let mut wanted: Vec<u64> = ordinals.iter().map(|ordinal| ordinal % part.documents).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut texts = Vec::with_capacity(wanted.len());
    for rows in wanted.chunk_by(|a, b| part.group_of(*a) == part.group_of(*b)) {
        let group = part.groups[part.group_of(rows[0])];
        let rows: Vec<u64> = rows.iter().map(|document| document - group.first).collect();
        texts.extend(ShardReader::open(&part.paths[group.shard])?.texts_at(group.index, &rows)?);
    }
    let encoded = tokenizer.encode_batch(&texts, threads);
    let place = |ordinal: &u64| wanted.binary_search(&(ordinal % part.documents));
    Ok(ordinals
        .iter()
        .map(|o| encoded[place(o).expect("an entry, because it was asked for")].clone())
        .collect())
}
