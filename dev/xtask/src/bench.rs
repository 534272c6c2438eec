//! Measurements beside a peer: both sides run in turn in one call on one machine, and the result is a ratio.

mod train_cpu;

use anyhow::{Error, Result};
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Bench {
    /// One training step on the CPU: ours and PyTorch's, in turn on the same cores.
    TrainCpu(train_cpu::Arguments),
}

/// Runs a benchmark; true when its targets are reached.
pub fn run(bench: &Bench) -> Result<bool> {
    match bench {
        Bench::TrainCpu(arguments) => train_cpu::run(arguments),
    }
}

/// The machine lacks something; the message names the command that brings it.
#[derive(Debug)]
pub struct MissingTool(pub String);

impl std::fmt::Display for MissingTool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MissingTool {}

/// 3 for what the machine lacks, 1 for a failure.
pub fn exit_code(error: &Error) -> u8 {
    if error.is::<MissingTool>() { 3 } else { 1 }
}

/// The middle value; the mean of the two middle ones for an even count.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
