//! Measurements beside a peer: both sides run in turn in one call on one machine, and the result is a ratio.

mod corpus;
mod gpu;
mod script;
mod train_cpu;

use anyhow::{Context, Error, Result, ensure};
use clap::Subcommand;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Subcommand)]
pub enum Bench {
    /// One training step on the CPU: ours and PyTorch's, in turn on the same cores.
    TrainCpu(train_cpu::Arguments),
    /// Training steps on this machine's GPUs: ours and PyTorch's, in turn, at the shapes that have targets.
    Gpu(gpu::Arguments),
    /// Documents of real C and C++ projects: do they compile, are they in order, how fast and in how much memory.
    Corpus(corpus::Arguments),
    /// The tracker on 10,000 and 100,000 issues: processes that begin cold, beside what the disk needs.
    Tracker(script::Arguments),
    /// The pages of a wheel index of 100,000 files, on one core, beside a plain generator.
    Wheels(script::Arguments),
}

/// Runs a benchmark; true when its targets are reached.
pub fn run(bench: &Bench) -> Result<bool> {
    match bench {
        Bench::TrainCpu(arguments) => train_cpu::run(arguments),
        Bench::Gpu(arguments) => gpu::run(arguments),
        Bench::Corpus(arguments) => corpus::run(arguments),
        Bench::Tracker(arguments) => script::run("tracker.py", arguments),
        Bench::Wheels(arguments) => script::run("wheels.py", arguments),
    }
}

/// Why a benchmark cannot begin; the message names the fix.
#[derive(Debug)]
pub enum Refusal {
    /// What was asked cannot be done.
    Input(String),
    /// The machine lacks a tool.
    Tool(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Refusal::Input(message) | Refusal::Tool(message)) = self;
        f.write_str(message)
    }
}

impl std::error::Error for Refusal {}

/// As the binary's own: 2 for bad input, 3 for what the machine lacks, 1 for a failure.
pub fn exit_code(error: &Error) -> u8 {
    match error.downcast_ref() {
        Some(Refusal::Input(_)) => 2,
        Some(Refusal::Tool(_)) => 3,
        None => 1,
    }
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Builds for release, before anything is measured, and gives the path below the target folder.
fn built(root: &Path, what: &[&str], name: &str) -> Result<PathBuf> {
    let mut command = cargo();
    let status = command.current_dir(root).args(["build", "--release", "--quiet"]).args(what).status();
    ensure!(status.context("start cargo")?.success(), "{name} does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release").join(name))
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
