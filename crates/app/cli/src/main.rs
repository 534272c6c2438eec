//! The `wootz` binary: reads the command line, calls one library function, renders what came back.
//!
//! stdout carries the result and nothing else: text for people, or with `--json` exactly one JSON object, also
//! when the command failed (then its only key is `error`). Progress and errors for people go to stderr. The exit
//! code says how it ended: see [`wootz_schema::ExitCode`].

mod commands;
mod environment;
mod interrupt;
mod launch;
mod outcome;
mod rank;
mod render;

use clap::{Parser, Subcommand};
use commands::Context;
use outcome::{Failure, Outcome};
use std::panic;
use std::process::ExitCode;

/// From source code to a gated code model.
///
/// `wootz run PLAN` takes a plan from sources to a trained, evaluated and gated checkpoint with a report; every
/// other command is one part of that line, or looks at what a run left.
#[derive(Parser)]
#[command(name = "wootz", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_long_help = environment::manual(), after_help = "`wootz --help` also lists exit codes and environment variables.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Global {
    /// Print the result as one JSON object on stdout; a failure is an object with the key `error`.
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// No progress on stderr, only errors.
    #[arg(long, short, global = true, help_heading = "Output")]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    Run(commands::run::Args),
    #[command(subcommand)]
    Plan(commands::plan::Command),
    #[command(subcommand)]
    Runs(commands::runs::Command),
    #[command(subcommand)]
    Corpus(commands::corpus::Command),
    #[command(subcommand)]
    Tokenizer(commands::tokenizer::Command),
    #[command(subcommand)]
    Dataset(commands::dataset::Command),
    #[command(subcommand)]
    Train(commands::train::Command),
    Generate(commands::generate::Args),
    #[command(subcommand)]
    Eval(commands::eval::Command),
    #[command(subcommand)]
    Gate(commands::gate::Command),
    Doctor(commands::doctor::Args),
}

fn dispatch(command: &Command, context: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::Run(args) => commands::run::run(args, context),
        Command::Plan(command) => commands::plan::run(command, context),
        Command::Runs(command) => commands::runs::run(command, context),
        Command::Corpus(command) => commands::corpus::run(command, context),
        Command::Tokenizer(command) => commands::tokenizer::run(command, context),
        Command::Dataset(command) => commands::dataset::run(command, context),
        Command::Train(command) => commands::train::run(command, context),
        Command::Generate(args) => commands::generate::run(args, context),
        Command::Eval(command) => commands::eval::run(command, context),
        Command::Gate(command) => commands::gate::run(command, context),
        Command::Doctor(args) => commands::doctor::run(args, context),
    }
}

fn main() -> ExitCode {
    if invoked_as("ba") {
        panic::set_hook(Box::new(render::panicked));
        return commands::issue::ba::main(std::env::args_os());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return render::usage(&error, std::env::args_os().any(|arg| arg == "--json")),
    };
    let json = cli.global.json;
    panic::set_hook(Box::new(render::panicked));
    let ended = panic::catch_unwind(|| {
        let context = Context::new(cli.global.quiet);
        dispatch(&cli.command, &context)
    });
    match ended {
        Ok(Ok(outcome)) => render::outcome(&outcome, json),
        Ok(Err(failure)) => render::failure(&failure, json),
        Err(_) => render::failure(&Failure::bug(), json),
    }
}

/// Whether this is the name the binary was invoked under: command lines that people have keep working.
fn invoked_as(name: &str) -> bool {
    let invoked = std::env::args_os().next();
    invoked.is_some_and(|path| std::path::Path::new(&path).file_name().is_some_and(|file| file == name))
}
