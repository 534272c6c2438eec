//! Inference: the sampler.

pub mod sampler;
