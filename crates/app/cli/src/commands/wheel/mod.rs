//! `wootz wheel`: wheels of GPU packages.

mod build;
mod inspect;
mod matrix;
mod relabel;

use super::Context;
use crate::outcome::{Failure, Outcome};

/// Say which wheels of GPU packages are to be built, build and try them, look into wheels, and label them.
#[derive(clap::Subcommand)]
pub enum Command {
    Matrix(matrix::MatrixArgs),
    Coverage(matrix::Coverage),
    Build(build::Build),
    Smoke(build::Smoke),
    Inspect(inspect::Inspect),
    Relabel(relabel::Relabel),
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::Matrix(args) => matrix::matrix(args),
        Command::Coverage(args) => matrix::coverage(args),
        Command::Build(args) => build::run(args, context),
        Command::Smoke(args) => build::smoke(args, context),
        Command::Inspect(args) => inspect::run(args),
        Command::Relabel(args) => relabel::run(args),
    }
}
