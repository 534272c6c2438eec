//! Evaluations with canned answers.
#![allow(clippy::unwrap_used)] // The lint's own exemption stops at the functions marked as tests.

mod suite {
    mod bpb;
    mod samples;
}

use wootz_eval::model::ModelError;
use wootz_schema::{Diagnose, ExitCode};

/// A failure with an exit code and a hint of its own.
#[derive(Debug, thiserror::Error)]
#[error("read the model: no GPU")]
struct NoGpu;

impl Diagnose for NoGpu {
    fn exit(&self) -> ExitCode {
        ExitCode::Environment
    }
    fn hint(&self) -> Option<String> {
        Some("plug one in".to_owned())
    }
}

fn no_gpu() -> ModelError {
    ModelError::new(NoGpu)
}
