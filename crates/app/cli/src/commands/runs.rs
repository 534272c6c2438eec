//! `wootz runs`: what was run, how far it is, and what it said.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, table};
use serde_json::json;
use std::path::PathBuf;
use wootz_runner::Runner;
use wootz_schema::ExitCode;
use wootz_schema::event::{RunSummary, Status, StepSummary};
use wootz_stdx::human;

/// Look at runs.
#[derive(clap::Subcommand)]
pub enum Command {
    List(List),
    Show(Show),
    Logs(Logs),
}

/// List the runs of a home folder, newest first.
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    home: Home,
}

/// Show one run: its steps, how they ended, where their outputs are.
#[derive(clap::Args)]
pub struct Show {
    /// Id of the run, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    #[command(flatten)]
    home: Home,
}

/// Print what the steps of a run said.
#[derive(clap::Args)]
pub struct Logs {
    /// Id of the run, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    /// Only this step.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    #[command(flatten)]
    home: Home,
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
pub fn run(command: &Command, _: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::List(args) => list(args),
        Command::Show(args) => show(args),
        Command::Logs(args) => logs(args),
    }
}

fn list(args: &List) -> Result<Outcome, Failure> {
    let runs = args.home.open()?.runs()?;
    let header = [
        ("run", Align::Left),
        ("plan", Align::Left),
        ("status", Align::Left),
        ("steps", Align::Right),
        ("time", Align::Right),
    ];
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let over = run.steps.iter().filter(|step| is_done(step)).count();
            let seconds = run.updated_ms.saturating_sub(run.created_ms) as f64 / 1e3;
            vec![
                run.run.clone(),
                run.plan.clone(),
                run.status.word().to_owned(),
                format!("{over}/{}", run.steps.len()),
                human::seconds(seconds),
            ]
        })
        .collect();
    Ok(Outcome::ok(table(&header, &rows), json!({ "runs": runs })))
}

fn show(args: &Show) -> Result<Outcome, Failure> {
    let summary = args.home.open()?.show(&args.run)?;
    Ok(Outcome::ok(render(&summary), json!(summary)))
}

fn logs(args: &Logs) -> Result<Outcome, Failure> {
    let logs = args.home.open()?.logs(&args.run, args.step.as_deref())?;
    let mut text = Vec::new();
    let mut all = Vec::new();
    for log in &logs {
        let bytes = std::fs::read(&log.path).map_err(|error| Failure::io("read", &log.path, &error))?;
        let stream = if log.stream == "log" { String::new() } else { format!(" {}", log.stream) };
        text.extend(format!("== {} attempt {}{stream}\n", log.step, log.attempt).into_bytes());
        text.extend(&bytes);
        let lines: Vec<String> = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        all.push(json!({ "step": log.step, "attempt": log.attempt, "stream": log.stream, "path": log.path, "lines": lines }));
    }
    Ok(Outcome::ok(text, json!({ "logs": all })))
}

/// A run for people: a line per step, and where to look next.
pub fn render(run: &RunSummary) -> String {
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
