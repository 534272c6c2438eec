//! A checkpoint's weights, ready to be loaded into programs.

use crate::sampler::SampleError;
use std::path::Path;
use wootz_checkpoint::{CheckpointError, Scope, load, load_latest};
use wootz_program::{Backend, BackendError, OpError, Planned, Program, Session, plan};
use wootz_schema::model::ModelConfig;
use wootz_schema::{Diagnose, ExitCode};
use wootz_tensor::HostTensor;

/// A trained model in host memory.
#[derive(Debug)]
pub struct Model {
    /// Its configuration.
    pub config: ModelConfig,
    /// Updates it has had.
    pub step: u64,
    /// Digest of the checkpoint it came from.
    pub digest: String,
    parameters: Vec<(String, HostTensor)>,
}

impl Model {
    /// Reads the model of a step folder, or of the newest whole one below a folder of checkpoints.
    pub fn open(folder: &Path) -> Result<Model, InferError> {
        let loaded = match folder.join("manifest.json").exists() {
            true => load(folder, Scope::Model)?,
            false => {
                let nested = folder.join("checkpoints");
                let checkpoints = if nested.is_dir() { nested } else { folder.to_owned() };
                let latest = load_latest(&checkpoints, Scope::Model)?;
                latest
                    .loaded
                    .ok_or_else(|| InferError::NoCheckpoint { folder: folder.display().to_string() })?
            }
        };
        let snapshot = loaded.snapshot;
        Ok(Model {
            config: snapshot.model,
            step: snapshot.state.step,
            digest: loaded.digest,
            parameters: snapshot.parameters,
        })
    }
    /// Plans and loads a program of this model with its weights.
    pub(crate) fn session(
        &self,
        backend: &dyn Backend,
        program: Program,
    ) -> Result<Box<dyn Session>, InferError> {
        let mut programs = backend.lower(vec![program])?.into_iter();
        let program = programs.next().expect("as many programs as were given, because lowering drops none");
        let plan = plan(&program, &|program, node| backend.scratch_bytes(program, node));
        let mut session = backend.load(vec![Planned { program, plan }])?;
        for (name, tensor) in &self.parameters {
            session.write(name, tensor)?;
        }
        Ok(session)
    }
}

/// Why a model could not be run.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// There is no whole checkpoint.
    #[error("find a whole checkpoint in {folder}")]
    NoCheckpoint {
        /// Where it was looked for.
        folder: String,
    },
    /// More tokens than the cache holds.
    #[error("continue a prompt of {prompt} tokens: the model's context is {capacity}")]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Positions of the cache.
        capacity: usize,
    },
    /// Nothing to continue.
    #[error("continue a prompt of no tokens")]
    EmptyPrompt,
    /// A checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The program could not be built.
    #[error(transparent)]
    Program(#[from] OpError),
    /// No token could be drawn.
    #[error(transparent)]
    Sample(#[from] SampleError),
}

impl Diagnose for InferError {
    fn exit(&self) -> ExitCode {
        match self {
            InferError::NoCheckpoint { .. } | InferError::TooLong { .. } | InferError::EmptyPrompt => {
                ExitCode::Usage
            }
            InferError::Checkpoint(error) => error.exit(),
            InferError::Backend(error) => error.exit(),
            InferError::Sample(error) => error.exit(),
            InferError::Program(_) => ExitCode::Bug,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            InferError::NoCheckpoint { .. } => Some(
                "name the output folder of a training run, its checkpoints folder, or one step folder"
                    .to_owned(),
            ),
            InferError::TooLong { .. } => Some("shorten the prompt".to_owned()),
            InferError::EmptyPrompt => Some("begin the prompt with the BOS token at least".to_owned()),
            InferError::Checkpoint(error) => error.hint(),
            InferError::Backend(error) => error.hint(),
            InferError::Sample(error) => error.hint(),
            InferError::Program(_) => None,
        }
    }
}
