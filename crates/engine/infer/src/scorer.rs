//! Cross-entropy of given text.

use crate::model::{InferError, Model};
use wootz_models::nanochat::{self, LOSSES, TARGETS, TOKENS};
use wootz_program::{Backend, Session};
use wootz_tensor::{HostTensor, TensorError};

/// A model that tells what each next token cost it, for batches of one shape.
pub struct Scorer {
    session: Box<dyn Session>,
    shape: [usize; 2],
}

impl Scorer {
    /// Loads the evaluation program for `batch` rows of the model's training context.
    pub fn new(model: &Model, backend: &dyn Backend, batch: usize) -> Result<Scorer, InferError> {
        let session = model.session(backend, nanochat::evaluation(&model.config, batch)?)?;
        Ok(Scorer { session, shape: [batch, model.config.sequence_len] })
    }
    /// Rows and tokens of a batch.
    pub fn shape(&self) -> (usize, usize) {
        (self.shape[0], self.shape[1])
    }
    /// Loss of each target, B×T, nats; 0 where the target is −1.
    pub fn token_losses(&mut self, tokens: &[i32], targets: &[i32]) -> Result<Vec<f32>, InferError> {
        for (name, ids) in [(TOKENS, tokens), (TARGETS, targets)] {
            let tensor = HostTensor::i32(self.shape, ids.to_vec()).map_err(|e| shape_error(name, &e))?;
            self.session.write(name, &tensor)?;
        }
        self.session.run(0)?;
        let losses = self.session.read(LOSSES)?;
        Ok(losses.as_f32().map(<[f32]>::to_vec).map_err(|e| shape_error(LOSSES, &e))?)
    }
}

fn shape_error(name: &str, error: &TensorError) -> wootz_program::BackendError {
    wootz_program::BackendError::Mismatch {
        name: name.to_owned(),
        expected: "a batch of the loaded shape".to_owned(),
        actual: error.to_string(),
    }
}
