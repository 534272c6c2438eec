//! `tokenizer`: learns a vocabulary from a corpus.

use super::{apart, io, outside};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use wootz_corpus::read_documents;
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome};
use wootz_schema::metrics::Metric;
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::tokenizer::TokenizerOptions;
use wootz_stdx::{file::write_atomic, human};
use wootz_tokenizer::{Trained, Trainer};

/// The file the step leaves.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// Text handed to the trainer at once: enough for every thread, little enough to forget.
const BATCH_BYTES: usize = 8 << 20;
/// Text that bytes per token are measured on.
const MEASURED_BYTES: usize = 4 << 20;

/// The kind.
pub struct TokenizerStep;

/// Settings beside the library's options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    /// The corpus to learn from.
    corpus: PathBuf,
    /// Worker threads; absent: one per core. Does not change the output.
    threads: Option<usize>,
}

fn read(config: &Value) -> Result<(Own, TokenizerOptions), StepError> {
    apart(config, &["corpus", "threads"])
}

impl Step for TokenizerStep {
    fn kind(&self) -> &'static str {
        "tokenizer"
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        let (_, options) = read(config)?;
        Trainer::new(&options, 1)
            .map(drop)
            .map_err(|error| StepError::from_error(&error).at_key("vocab_size"))
    }

    fn sources(&self, config: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(outside(&[&read(config)?.0.corpus]))
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let (own, options) = read(config)?;
        let learned = train_tokenizer(&own.corpus, &options, own.threads, context.observe, context.cancel)?;
        let Learned { trained, bytes_per_token } = learned;
        let path = context.work.join(TOKENIZER_FILE);
        write_atomic(&path, trained.tokenizer.to_json().as_bytes())
            .map_err(|error| io("write", &path, &error))?;
        let entries = trained.tokenizer.vocab_size();
        let read = human::bytes(trained.bytes);
        let metrics = [
            ("vocab_size", entries as f64),
            ("documents", trained.documents as f64),
            ("bytes", trained.bytes as f64),
            ("bytes_per_token", bytes_per_token),
        ];
        Ok(StepOutcome::passed(
            format!("{entries} entries from {read}, {bytes_per_token:.2} bytes per token"),
            metrics.map(|(name, value)| (name.to_owned(), Metric::Number(value))).into(),
        ))
    }
}

/// A tokenizer and how well it does.
pub struct Learned {
    /// The tokenizer and what it was learned from.
    pub trained: Trained,
    /// Bytes of text per token, over the first few megabytes of the corpus.
    pub bytes_per_token: f64,
}

/// Learns a tokenizer from a corpus folder or a documents file.
pub fn train_tokenizer(
    corpus: &Path,
    options: &TokenizerOptions,
    threads: Option<usize>,
    observe: &dyn Observe,
    cancel: &AtomicBool,
) -> Result<Learned, StepError> {
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut trainer = Trainer::new(options, threads).map_err(|error| StepError::from_error(&error))?;
    let mut measured: Vec<String> = Vec::new();
    let mut measured_bytes = 0;
    let mut batch: Vec<String> = Vec::new();
    let mut batch_bytes = 0;
    observe.observe(Progress::Begin { task: "tokenizer: count", total: None, unit: "bytes" });
    let mut documents = read_documents(corpus).map_err(|error| StepError::from_error(&error))?;
    let mut room = true;
    while room {
        let next = documents.next().transpose().map_err(|error| StepError::from_error(&error))?;
        let ended = next.is_none();
        if let Some(document) = next {
            if measured_bytes < MEASURED_BYTES {
                measured_bytes += document.text.len();
                measured.push(document.text.clone());
            }
            batch_bytes += document.text.len();
            batch.push(document.text);
        }
        if ended || batch_bytes >= BATCH_BYTES {
            room = trainer.feed(&batch) && !ended;
            observe.observe(Progress::Advance { done: trainer.bytes() });
            (batch, batch_bytes) = (Vec::new(), 0);
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(StepError::cancelled());
        }
    }
    observe.observe(Progress::End);
    let trained = trainer.finish(observe).map_err(|error| StepError::from_error(&error))?;
    let tokens: usize = trained.tokenizer.encode_batch(&measured, threads).iter().map(Vec::len).sum();
    Ok(Learned { trained, bytes_per_token: measured_bytes as f64 / tokens.max(1) as f64 })
}
