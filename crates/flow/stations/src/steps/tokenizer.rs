//! `tokenizer`: learns a vocabulary from a corpus.

use super::dataset::documents_file;
use super::{apart, outside};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use wootz_corpus::read_documents;
use wootz_dataset::save_tokenizer;
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome};
use wootz_schema::metrics::Metric;
use wootz_schema::progress::Observe;
use wootz_schema::tokenizer::TokenizerOptions;
use wootz_stdx::human;
use wootz_tokenizer::{Trained, Trainer};

/// The file the step leaves.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

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
        let learned = train_tokenizer(&own.corpus, &options, own.threads, context.observe)?;
        let Learned { trained, bytes_per_token } = learned;
        let path = context.work.join(TOKENIZER_FILE);
        save_tokenizer(&trained.tokenizer, &path).map_err(|error| StepError::from_error(&error))?;
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

/// Learns a tokenizer from a corpus folder or a file of documents.
pub fn train_tokenizer(
    corpus: &Path,
    options: &TokenizerOptions,
    threads: Option<usize>,
    observe: &dyn Observe,
) -> Result<Learned, StepError> {
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let trained = wootz_dataset::train_tokenizer(&documents_file(corpus)?, options, threads, observe)
        .map_err(|error| StepError::from_error(&error))?;
    let (mut texts, mut bytes) = (Vec::new(), 0);
    for document in read_documents(corpus).map_err(|error| StepError::from_error(&error))? {
        let document = document.map_err(|error| StepError::from_error(&error))?;
        bytes += document.text.len();
        texts.push(document.text);
        if bytes >= MEASURED_BYTES {
            break;
        }
    }
    let tokens: usize = trained.tokenizer.encode_batch(&texts, threads).iter().map(Vec::len).sum();
    Ok(Learned { trained, bytes_per_token: bytes as f64 / tokens.max(1) as f64 })
}
