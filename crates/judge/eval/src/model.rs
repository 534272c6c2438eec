//! What an evaluation sees of a model, and how an evaluation fails.

use std::fmt;
use wootz_schema::eval::Sampling;
use wootz_schema::{Diagnose, ExitCode};

/// A model that continues texts.
pub trait Generate {
    /// One completion for each prompt, in the same order.
    ///
    /// The seed is shared: the draws of a prompt depend on its place among `prompts`, not on the others.
    fn generate(&mut self, prompts: &[Prompt], sampling: &Sampling) -> Result<Vec<Completion>, ModelError>;
}

/// A model that tells what each next token cost it.
///
/// Legend: B rows of a batch, T tokens of a row.
pub trait Score {
    /// B and T, the only shape that [`Score::token_losses`] takes.
    fn shape(&self) -> (usize, usize);
    /// The cross-entropy of every target in nats, row by row: B·T figures for B·T tokens and targets.
    fn token_losses(&mut self, tokens_bt: &[i32], targets_bt: &[i32]) -> Result<Vec<f32>, ModelError>;
}

/// Rows of validation tokens, always in the same order.
pub trait Rows {
    /// Fills a row of T + 1 tokens; false when there are no more.
    fn next_row(&mut self, row: &mut [i32]) -> Result<bool, ModelError>;
}

/// The beginning of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The text.
    pub text: String,
}

/// What a model wrote after a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The text, without the prompt.
    pub text: String,
    /// Tokens it wrote.
    pub tokens: usize,
    /// Whether it ended the text itself, before the limit.
    pub ended: bool,
}

/// A failure of whatever stands behind a trait of this module: it keeps its own exit code and hint.
#[derive(Debug)]
pub struct ModelError(Box<dyn Diagnose + Send + Sync>);

impl ModelError {
    /// Wraps the error of an engine, a loader or a server.
    pub fn new(error: impl Diagnose + Send + Sync + 'static) -> ModelError {
        ModelError(Box::new(error))
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for ModelError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Diagnose for ModelError {
    fn exit(&self) -> ExitCode {
        self.0.exit()
    }
    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

/// Why an evaluation gave no figure.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The model or the source of rows failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There was no token to count.
    #[error("measure bits per byte: the validation shard has no row of {row_tokens} tokens with text in it")]
    NoText {
        /// Tokens of a row.
        row_tokens: usize,
    },
    /// A token that the table does not know.
    #[error("measure bits per byte: token {token} of a vocabulary of {vocab_size}")]
    UnknownToken {
        /// Its id.
        token: i32,
        /// Entries of the table of byte lengths.
        vocab_size: usize,
    },
    /// A model that answered with something other than what it was asked.
    #[error("evaluate the model: it gave {actual} {what}, {expected} were asked for")]
    Count {
        /// What was counted.
        what: &'static str,
        /// How many were asked for.
        expected: usize,
        /// How many came.
        actual: usize,
    },
}

impl Diagnose for EvalError {
    fn exit(&self) -> ExitCode {
        match self {
            EvalError::Model(error) => error.exit(),
            EvalError::NoText { .. } | EvalError::UnknownToken { .. } => ExitCode::Usage,
            EvalError::Count { .. } => ExitCode::Bug,
        }
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            EvalError::Model(error) => return error.hint(),
            EvalError::NoText { .. } => "use a larger validation shard, or shorter rows",
            EvalError::UnknownToken { .. } => {
                "the shard was made with another tokenizer: name the one it was made with"
            }
            EvalError::Count { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
