//! One folder per model: its configuration, its program, its initial weights.

pub mod nanochat;
