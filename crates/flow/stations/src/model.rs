//! A checkpoint with its tokenizer as the evaluations see it: the seam between the judge and the engine.
//!
//! The judge knows no tensors and the engine no text; both meet here only.

use std::path::Path;
use std::sync::Arc;
use wootz_cpu::CpuBackend;
use wootz_dataset::{DatasetError, Loader, Split, load_tokenizer};
use wootz_eval::model::{Completion, Generate, ModelError, Prompt, Rows, Score};
use wootz_infer::{Generated, Generator, InferError, Model, Scorer};
use wootz_schema::eval::Sampling;
use wootz_schema::{Diagnose, ExitCode};
use wootz_tokenizer::{BOS, Tokenizer, TokenizerError};

/// Rows scored at once.
const SCORED_ROWS: usize = 8;
/// Threads that encode validation text beside those of the model.
const LOADER_THREADS: usize = 1;

/// A trained model and the tokenizer it was trained with.
pub struct TextModel {
    model: Model,
    tokenizer: Arc<Tokenizer>,
    backend: CpuBackend,
}

impl TextModel {
    /// Reads the newest whole checkpoint below a folder, or the one that the folder is. `threads` 0: all cores.
    pub fn open(folder: &Path, tokenizer: &Path, threads: usize) -> Result<TextModel, TextModelError> {
        let model = Model::open(folder)?;
        let path = tokenizer.display().to_string();
        let tokenizer = Arc::new(load_tokenizer(tokenizer)?);
        let (entries, vocab_size) = (tokenizer.vocab_size(), model.config.vocab_size);
        if entries != vocab_size {
            return Err(TextModelError::Vocabulary { path, entries, vocab_size });
        }
        Ok(TextModel { model, tokenizer, backend: CpuBackend::fast(threads) })
    }

    /// Updates the model has had.
    pub fn step(&self) -> u64 {
        self.model.step
    }

    /// Digest of its checkpoint.
    pub fn digest(&self) -> &str {
        &self.model.digest
    }

    /// Bytes that each token stands for; 0 for special tokens, which stand for none.
    pub fn token_bytes(&self) -> Vec<u32> {
        token_bytes(&self.tokenizer)
    }

    /// The model as one that continues texts.
    pub fn generator(&self) -> Result<TextGenerator, TextModelError> {
        let generator = Generator::new(&self.model, &self.backend)?;
        let bos = self.tokenizer.encode_special(BOS)?;
        Ok(TextGenerator { generator, tokenizer: Arc::clone(&self.tokenizer), bos })
    }

    /// The model as one that scores rows.
    pub fn scorer(&self) -> Result<TextScorer, TextModelError> {
        Ok(TextScorer(Scorer::new(&self.model, &self.backend, SCORED_ROWS)?))
    }

    /// The rows of a dataset's validation part, as long as the model's context.
    pub fn validation(&self, data: &Path) -> Result<ValidationRows, TextModelError> {
        let tokenizer = Arc::clone(&self.tokenizer);
        let len = self.model.config.sequence_len;
        Ok(ValidationRows(Loader::open(data, Split::Validation, tokenizer, 1, len, LOADER_THREADS, None)?))
    }
}

/// Bytes that each token of a tokenizer stands for; 0 for special tokens.
pub fn token_bytes(tokenizer: &Tokenizer) -> Vec<u32> {
    (0..tokenizer.vocab_size() as u32)
        .map(|id| if tokenizer.is_special(id) { 0 } else { tokenizer.token_bytes(id) as u32 })
        .collect()
}

/// Continues texts.
pub struct TextGenerator {
    generator: Generator,
    tokenizer: Arc<Tokenizer>,
    bos: u32,
}

impl TextGenerator {
    /// Continues one text; `sequence` is its number among those that share the seed.
    fn one(&mut self, text: &str, sampling: &Sampling, sequence: u64) -> Result<Completion, TextModelError> {
        let mut prompt = vec![self.bos];
        prompt.extend(self.tokenizer.encode_ordinary(text.as_bytes()));
        let tokenizer = &self.tokenizer;
        let ends = |token| tokenizer.is_special(token);
        let Generated { tokens, ended } = self.generator.generate(&prompt, sampling, sequence, &ends)?;
        // A limit may cut a character in two; what is left of it is shown as a replacement character.
        let text = String::from_utf8_lossy(&tokenizer.decode(&tokens)?).into_owned();
        Ok(Completion { text, tokens: tokens.len(), ended })
    }
}

impl Generate for TextGenerator {
    fn generate(&mut self, prompts: &[Prompt], sampling: &Sampling) -> Result<Vec<Completion>, ModelError> {
        let numbered = prompts.iter().zip(0..);
        numbered.map(|(prompt, n)| self.one(&prompt.text, sampling, n).map_err(ModelError::new)).collect()
    }
}

/// Scores rows.
pub struct TextScorer(Scorer);

impl Score for TextScorer {
    fn shape(&self) -> (usize, usize) {
        self.0.shape()
    }

    fn token_losses(&mut self, tokens_bt: &[i32], targets_bt: &[i32]) -> Result<Vec<f32>, ModelError> {
        self.0.token_losses(tokens_bt, targets_bt).map_err(ModelError::new)
    }
}

/// Validation rows, each document at most once as long as there are others.
pub struct ValidationRows(Loader);

impl Rows for ValidationRows {
    fn next_row(&mut self, row: &mut [i32]) -> Result<bool, ModelError> {
        let cursor = self.0.cursor();
        let all_read = cursor.documents >= cursor.documents_per_epoch;
        // The loader goes on with the next pass for ever; the first is over when none of its documents is left.
        if all_read && cursor.buffered.iter().all(|ordinal| *ordinal >= cursor.documents_per_epoch) {
            return Ok(false);
        }
        self.0.next_batch(row).map_err(ModelError::new)?;
        Ok(true)
    }
}

/// Why a model and its tokenizer could not be put to use.
#[derive(Debug, thiserror::Error)]
pub enum TextModelError {
    /// The model.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The tokenizer's file, or the validation part.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The tokenizer in use.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// They do not belong together.
    #[error("use the tokenizer {path}: it has {entries} entries, the model was trained with {vocab_size}")]
    Vocabulary {
        /// The tokenizer's file.
        path: String,
        /// Its entries.
        entries: usize,
        /// The model's.
        vocab_size: usize,
    },
}

impl Diagnose for TextModelError {
    fn exit(&self) -> ExitCode {
        match self {
            TextModelError::Infer(error) => error.exit(),
            TextModelError::Dataset(error) => error.exit(),
            TextModelError::Tokenizer(error) => error.exit(),
            TextModelError::Vocabulary { .. } => ExitCode::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            TextModelError::Infer(error) => error.hint(),
            TextModelError::Dataset(error) => error.hint(),
            TextModelError::Tokenizer(error) => error.hint(),
            TextModelError::Vocabulary { .. } => {
                Some("name the tokenizer that the model was trained with".to_owned())
            }
        }
    }
}
