//! The op suite on the GPU: every op beside its definition in binary64, on fresh inputs, with poisoned outputs.
//!
//! `op_suite [--op NAME,…] [--small] [--limit 0.02] [--deterministic] [--for-race-checkers] [--long-sequences] [--library-attention] [--fp8]`: one line a case, a summary,
//! and exit code 1 where a case fails or an op has no case that ran. `--small` leaves out the large cases, for the memory and
//! race checkers. `--fp8` takes 8-bit products where sides allow, within [`FP8_LIMIT`]. Needs a GPU.

#![allow(clippy::print_stdout)] // It prints its figures.

use std::collections::BTreeSet;
use std::path::PathBuf;
use wootz_cuda::{CudaBackend, Options, Precision, Search};
use wootz_program::Backend;
use wootz_testkit::op_suite::{self, Case, Tolerance, Verdict};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let split = |name: &str| -> Vec<PathBuf> {
        std::env::var_os(name).map(|value| std::env::split_paths(&value).collect()).unwrap_or_default()
    };
    let fp8 = std::env::args().any(|a| a == "--fp8");
    let backend = CudaBackend::open(Options {
        search: Search::new(split("WOOTZ_CUDA_LIBRARIES"), split("PATH")),
        precision: Precision { bf16_tables: false, fp8, ..Precision::default() },
        deterministic: std::env::args().any(|a| a == "--deterministic"),
        long_sequences: std::env::args().any(|a| a == "--long-sequences").then_some(1),
        for_race_checkers: std::env::args().any(|a| a == "--for-race-checkers"),
        library_attention: std::env::args().any(|a| a == "--library-attention"),
        cache: Some(std::env::temp_dir().join("wootz-op-suite")),
        ..Options::default()
    })?;
    println!("{}", backend.describe());
    let limit = text("--limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(if fp8 { FP8_LIMIT } else { 0.02 });
    let (wanted, small) = (text("--op"), std::env::args().any(|a| a == "--small"));
    let cases: Vec<Case> = op_suite::cases()
        .into_iter()
        .filter(|case| !(small && case.is_large()))
        .filter(|case| wanted.as_ref().is_none_or(|ops| named(case, ops)))
        .collect();
    let (mut failed, mut skipped, mut ran) = (0, 0, Vec::new());
    for case in &cases {
        let relative = match case.name.split('(').next() {
            Some("FeedForward") if fp8 => FEED_FORWARD_FP8_LIMIT,
            _ if case.name.starts_with("Muon") => MUON_LIMIT,
            _ => limit,
        };
        let tolerance = Tolerance { relative, round_bf16: true };
        match op_suite::agrees_with_reference_within(case, &backend, &tolerance) {
            Ok(Verdict::Agrees { worst }) => {
                println!("ok      {worst:.1e}  {}", case.name);
                ran.push(case);
            }
            Ok(Verdict::Skipped { reason }) => {
                println!("skipped          {}: {reason}", case.name);
                skipped += 1;
            }
            Err(what) => {
                println!("FAILED           {what}");
                failed += 1;
            }
        }
    }
    let covered = op_suite::op_names(ran.iter().copied())?;
    let all: BTreeSet<&str> = op_suite::op_names(&cases)?;
    let uncovered: Vec<&&str> = all.difference(&covered).collect();
    println!("{} ran, {failed} failed, {skipped} skipped; ops that never ran: {uncovered:?}", ran.len());
    if failed > 0 || !uncovered.is_empty() {
        return Err("the op suite does not hold".into());
    }
    Ok(())
}

/// Muon's five steps in bf16 amplify rounding: small singular values grow thirtyfold, and the decay is a step function.
const MUON_LIMIT: f64 = 0.2;
/// A gradient in e5m2 is off by 5%, an operand in e4m3 by 3%.
const FP8_LIMIT: f64 = 0.1;
/// Two products in a row: the gradient is cast before each, and what it is multiplied with in between is off too.
const FEED_FORWARD_FP8_LIMIT: f64 = 0.15;

/// Whether the case's name begins with one of these, in small letters and separated by commas.
fn named(case: &Case, ops: &str) -> bool {
    ops.split(',').any(|op| case.name.to_lowercase().starts_with(op))
}

fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|a| a != name).nth(1)
}
