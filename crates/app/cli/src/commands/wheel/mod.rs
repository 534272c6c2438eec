//! `wootz wheel`: wheels of GPU packages.

mod inspect;
mod relabel;

use super::Context;
use crate::outcome::{Failure, Outcome};

/// Look into wheels of GPU packages, and label them.
#[derive(clap::Subcommand)]
pub enum Command {
    Inspect(inspect::Inspect),
    Relabel(relabel::Relabel),
}

/// Runs the command.
pub fn run(command: &Command, _: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::Inspect(args) => inspect::run(args),
        Command::Relabel(args) => relabel::run(args),
    }
}
