//! The `wootz` binary: reads the command line, calls one library function, renders what came back.
//!
//! stdout carries the result and nothing else: text for people, or with `--json` exactly one JSON object, also
//! when the command failed (then its only key is `error`); `runs tail` and what follows a run print one in each line. Progress and errors for people go to stderr. The exit
//! code says how it ended: see [`wootz_schema::ExitCode`]. The tracker's commands end as [`commands::issue`] says, and under the
//! name `ba` the binary is nothing but a tracker.

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
use std::ffi::OsString;
use std::panic::{self, UnwindSafe};
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
    Worker(commands::temporal::Worker),
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
    Fetch(commands::fetch::Args),
    #[command(subcommand)]
    Hub(commands::hub::Command),
    #[command(subcommand)]
    Index(commands::index::Command),
    #[command(subcommand)]
    Wheel(commands::wheel::Command),
    #[command(subcommand)]
    Container(commands::container::Command),
    #[command(subcommand)]
    Job(commands::job::Command),
    Babysit(commands::babysit::Args),
    Issue(commands::issue::Args),
    Doctor(commands::doctor::Args),
    #[command(hide = true)]
    Keep(commands::keep::Args),
    #[command(hide = true)]
    Attend(commands::attend::Args),
}

fn dispatch(command: &Command, context: &Context, json: bool) -> ExitCode {
    let ended = match command {
        Command::Run(args) => commands::run::run(args, context),
        Command::Worker(args) => commands::temporal::worker(args, context),
        Command::Plan(command) => commands::plan::run(command, context),
        Command::Runs(command) => return commands::runs::run(command, context, json),
        Command::Corpus(command) => commands::corpus::run(command, context),
        Command::Tokenizer(command) => commands::tokenizer::run(command, context),
        Command::Dataset(command) => commands::dataset::run(command, context),
        Command::Train(command) => commands::train::run(command, context),
        Command::Generate(args) => commands::generate::run(args, context),
        Command::Eval(command) => commands::eval::run(command, context),
        Command::Gate(command) => commands::gate::run(command, context),
        Command::Fetch(args) => commands::fetch::run(args, context),
        Command::Hub(command) => commands::hub::run(command, context),
        Command::Babysit(args) => commands::babysit::run(args, context, json),
        Command::Container(command) => return commands::container::run(command, context, json),
        Command::Job(command) => commands::job::run(command, context, json),
        Command::Wheel(command) => commands::wheel::run(command, context),
        // The tracker's scripts expect other outputs and exit codes than those of the line.
        Command::Issue(args) => return render::reply(&commands::issue::run(args, json)),
        Command::Index(command) => return commands::index::run(command, context, json),
        Command::Attend(args) => return commands::attend::run(args, context, json),
        Command::Doctor(args) => commands::doctor::run(args, context),
        Command::Keep(args) => commands::keep::run(args, context),
    };
    rendered(ended, json)
}

fn main() -> ExitCode {
    panic::set_hook(Box::new(render::panicked));
    // Under other names the binary has command lines that people have scripts for.
    match environment::called().as_deref() {
        Some("ba") => caught(false, commands::issue::ba::main),
        Some("cpp-chunker") => match commands::cpp_chunker::Args::try_parse() {
            Ok(args) => {
                caught(false, || rendered(commands::cpp_chunker::run(&args, &Context::new(false)), false))
            }
            Err(error) => render::usage(&error, false),
        },
        _ => wootz(),
    }
}

fn wootz() -> ExitCode {
    let json = std::env::args_os().any(|arg| arg == "--json");
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if json && error.use_stderr() && is_issue(std::env::args_os().skip(1)) => {
            return render::reply(&commands::issue::usage(&error));
        }
        Err(error) => return render::usage(&error, json),
    };
    let json = cli.global.json;
    caught(json, || dispatch(&cli.command, &Context::new(cli.global.quiet), json))
}

/// Whether the command is the tracker's; asked where the arguments could not be parsed.
fn is_issue(args: impl Iterator<Item = OsString>) -> bool {
    let mut words = args.filter(|arg| !arg.as_encoded_bytes().starts_with(b"-"));
    words.next().is_some_and(|word| word == "issue")
}

/// Runs a command; what panicked is a bug that is reported as a failure.
fn caught(json: bool, run: impl FnOnce() -> ExitCode + UnwindSafe) -> ExitCode {
    panic::catch_unwind(run).unwrap_or_else(|_| render::failure(&Failure::bug(), json))
}

/// Prints what came of a command.
fn rendered(ended: Result<Outcome, Failure>, json: bool) -> ExitCode {
    match ended {
        Ok(outcome) => render::outcome(&outcome, json),
        Err(failure) => render::failure(&failure, json),
    }
}
