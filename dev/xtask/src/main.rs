//! The house's own chores, run as `cargo xtask <chore>`: `tidy` holds the rules of the code, `kernels`
//! compiles those of GPUs, `bench` measures it beside what a user would pick instead.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a tool for the terminal, not a part of the line

mod bench;
mod house;
mod kernels;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the wootz repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the rules of the house; prints `file:line: what` and the fix for each breach.
    Tidy {
        /// The repository to check.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))]
        root: PathBuf,
    },
    /// Compile every GPU kernel for every architecture, without a GPU; fails on an error, and on a spill in a hot one.
    Kernels(kernels::Arguments),
    /// Measure ours beside a peer in one run on one machine.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Tidy { root } => tidy::run(&root),
        Chore::Kernels(arguments) => kernels::run(&arguments),
        Chore::Bench(bench) => bench::run(&bench),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(bench::exit_code(&error))
        }
    }
}
