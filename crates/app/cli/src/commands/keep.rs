//! `wootz keep`: the keeper of a run's processes. Nobody types it; `wootz run` starts it.

use super::Context;
use crate::outcome::{Failure, Outcome};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Keep the processes of a run, which outlive it; orders come on stdin.
#[derive(clap::Args)]
pub struct Args {
    /// The keeper's journal, a new file.
    journal: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let failed = |error| Failure::io("keep processes by", &args.journal, &error);
    let orders = std::io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(failed)?;
    wootz_keeper::keep(&args.journal, orders, std::io::stdout()).map_err(failed)?;
    Ok(Outcome::ok("", Value::Null))
}

/// The command that starts a keeper when a journal is added.
pub fn command() -> Vec<OsString> {
    // Where the program cannot be told, steps that are processes say that nothing starts them.
    std::env::current_exe().map_or_else(|_| Vec::new(), |program| vec![program.into(), "keep".into()])
}
