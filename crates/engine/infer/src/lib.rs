//! Inference: a trained checkpoint as a generator of tokens and as a scorer of text.
//!
//! Not covered yet: batches of requests and serving. A [`Generator`] decodes one sequence at a time against its KV cache.

mod generator;
mod model;
pub mod sampler;
mod scorer;

pub use generator::{Generated, Generator};
pub use model::{InferError, Model};
pub use scorer::Scorer;
