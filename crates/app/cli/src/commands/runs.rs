//! `wootz runs`: what was run, how far it is, and what it said; and what becomes of it.

mod cancel;
mod diff;
mod format;
mod gc;
mod list;
mod logs;
mod show;
mod tail;

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render;
use crate::render::table::{Align, table};
use std::path::PathBuf;
use std::process::ExitCode as Code;
use wootz_runner::Runner;
use wootz_schema::ExitCode;
use wootz_schema::event::{RunSummary, Status, StepSummary};
use wootz_stdx::human;

/// Look at runs, compare them, stop them, take them up again, and remove old ones.
#[derive(clap::Subcommand)]
pub enum Command {
    List(list::List),
    Show(show::Show),
    Tail(tail::Tail),
    Follow(tail::Follow),
    Logs(logs::Logs),
    Cancel(cancel::Cancel),
    Retry(cancel::Retry),
    Diff(diff::Diff),
    Gc(gc::Gc),
}

#[derive(clap::Args)]
struct Home {
    /// Folder of runs and cached outputs [default: $WOOTZ_HOME, or .wootz].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

impl Home {
    /// Opens the home folder, which must be there: looking at runs makes none.
    fn open(&self) -> Result<Runner, Failure> {
        let home = environment::home(self.home.as_ref());
        if !home.is_dir() {
            let message = format!("find runs in {}: there is no such folder", home.display());
            return Err(Failure::usage(
                message,
                "name the folder with --home, or start a run with `wootz run PLAN`",
            ));
        }
        Ok(Runner::open(&home)?)
    }
}

/// Runs the command.
pub fn run(command: &Command, context: &Context, json: bool) -> Code {
    let (ended, is_object): (Result<Outcome, Failure>, bool) = match command {
        Command::List(args) => (list::run(args), args.source.is_json(json)),
        Command::Show(args) => (show::run(args), args.source.is_json(json)),
        // What goes on is told line by line, also to programs.
        Command::Tail(args) => (tail::tail(args, json), false),
        Command::Follow(args) => (tail::follow(args, json), false),
        Command::Logs(args) => (logs::run(args, json), json && !args.follow),
        Command::Cancel(args) => (cancel::cancel(args, context), json),
        Command::Retry(args) => (cancel::retry(args, context), json),
        Command::Diff(args) => (diff::run(args), json),
        Command::Gc(args) => (gc::run(args), json),
    };
    match ended {
        Ok(outcome) => render::outcome(&outcome, is_object),
        Err(failure) => render::failure(&failure, json),
    }
}

/// A run for people: a line per step, and where to look next.
pub fn rendered(run: &RunSummary) -> String {
    let header =
        [("step", Align::Left), ("status", Align::Left), ("time", Align::Right), ("result", Align::Left)];
    let rows: Vec<Vec<String>> = run
        .steps
        .iter()
        .map(|step| {
            let time = step.seconds.map(human::seconds).unwrap_or_default();
            vec![step.step.clone(), word(step).to_owned(), time, one_line(step)]
        })
        .collect();
    let mut text = format!("{}\n", table(&header, &rows));
    for step in run.steps.iter().filter(|step| step.kind == "report") {
        if let Some(output) = &step.output {
            text.push_str(&format!("report: {output}/report.html\n"));
        }
    }
    text.push_str(&format!("run {}: {}\n", run.run, run.status.word()));
    let stopped = matches!(run.status, Status::Cancelled | Status::Interrupted);
    if stopped || run.steps.iter().any(|step| step.status == Status::Failed && !is_held(step)) {
        text.push_str(&format!("go on with: wootz run --resume {}\n", run.run));
    }
    text
}

/// The exit code that a run's end stands for.
pub fn exit_of(run: &RunSummary) -> ExitCode {
    if matches!(run.status, Status::Succeeded | Status::Cached) {
        return ExitCode::Ok;
    }
    let first = run.steps.iter().filter_map(|step| step.failure.as_ref()).map(|failure| failure.exit).next();
    match first {
        Some(code) if code == ExitCode::Usage as u8 => ExitCode::Usage,
        Some(code) if code == ExitCode::Environment as u8 => ExitCode::Environment,
        Some(code) if code == ExitCode::Bug as u8 => ExitCode::Bug,
        _ => ExitCode::Failed,
    }
}

fn one_line(step: &StepSummary) -> String {
    let text = step.summary.lines().next().unwrap_or_default().to_owned();
    match step.failure.as_ref().and_then(|failure| failure.hint.as_ref()) {
        Some(hint) => format!("{text} (hint: {hint})"),
        None => text,
    }
}

/// How a step ended; a gate that held is no failure of the work.
fn word(step: &StepSummary) -> &'static str {
    match step.status {
        Status::Failed if is_held(step) => "held",
        status => status.word(),
    }
}

/// A gate that decided leaves its verdict; one that could not decide leaves nothing.
fn is_held(step: &StepSummary) -> bool {
    step.kind == "gate" && step.output.is_some()
}

fn is_done(step: &StepSummary) -> bool {
    matches!(step.status, Status::Succeeded | Status::Cached)
}
