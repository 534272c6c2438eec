//! Evaluations: bits per byte and samples. A model is only a trait here, so every evaluation is tested with
//! canned answers and no engine.

pub mod bpb;
pub mod model;
pub mod samples;
