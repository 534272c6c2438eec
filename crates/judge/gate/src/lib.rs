//! Metrics and thresholds in, promote or hold with reasons out.

mod config;
mod judge;

pub use config::{GateError, from_value, parse, validate};
pub use judge::judge;
