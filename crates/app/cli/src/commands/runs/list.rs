//! `wootz runs list`.

use super::format::{self, Format, Source};
use super::is_done;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, table};
use serde_json::json;
use wootz_runner::{FileRun, rfc3339};
use wootz_schema::event::RunSummary;
use wootz_stdx::human;

/// List the runs of a home folder, newest first.
#[derive(clap::Args)]
pub struct List {
    /// Only runs that are this: running, succeeded, failed, cancelled or interrupted.
    #[arg(long, value_parser = ["running", "succeeded", "failed", "cancelled", "interrupted"], hide_possible_values = true)]
    status: Option<String>,
    /// Only runs of the plan of this name.
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// At most so many, the newest.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    pub source: Source,
}

/// Runs the command.
pub fn run(args: &List) -> Result<Outcome, Failure> {
    if let Some(folder) = &args.source.log_dir {
        let mut runs = format::read(folder)?.runs();
        runs.retain(|run| args.is_wanted(run.status, &run.workflow));
        runs.truncate(args.limit.unwrap_or(usize::MAX));
        return Ok(of_file(&runs, args.source.format));
    }
    let mut runs = args.source.open()?.runs()?;
    runs.retain(|run| args.is_wanted(run.status.word(), &run.plan));
    runs.truncate(args.limit.unwrap_or(usize::MAX));
    let text = match args.source.format {
        Format::Tsv => runs.iter().map(|run| format::run_columns(&as_in_file(run))).collect(),
        Format::Table | Format::Json => summaries(&runs),
    };
    Ok(Outcome::ok(text, json!({ "runs": runs })))
}

impl List {
    fn is_wanted(&self, status: &str, plan: &str) -> bool {
        self.status.as_ref().is_none_or(|wanted| wanted == status)
            && self.plan.as_ref().is_none_or(|wanted| wanted == plan)
    }
}

fn summaries(runs: &[RunSummary]) -> String {
    let header = [
        ("run", Align::Left),
        ("plan", Align::Left),
        ("status", Align::Left),
        ("steps", Align::Right),
        ("time", Align::Right),
    ];
    let row = |run: &RunSummary| {
        let over = run.steps.iter().filter(|step| is_done(step)).count();
        let seconds = run.updated_ms.saturating_sub(run.created_ms) as f64 / 1e3;
        let (status, steps) = (run.status.word().to_owned(), format!("{over}/{}", run.steps.len()));
        [run.run.clone(), run.plan.clone(), status, steps, human::seconds(seconds)]
    };
    table(&header, &runs.iter().map(row).collect::<Vec<_>>())
}

/// The runs of a folder of logs.
fn of_file(runs: &[FileRun], format: Format) -> Outcome {
    let header = [
        ("run", Align::Left),
        ("plan", Align::Left),
        ("status", Align::Left),
        ("steps", Align::Right),
        ("last", Align::Left),
    ];
    let row = |run: &FileRun| {
        let steps = format!("{}/{}", run.done, run.steps);
        [run.run.clone(), run.workflow.clone(), run.status.to_owned(), steps, run.last.clone()]
    };
    let text = match format {
        Format::Tsv => runs.iter().map(format::run_columns).collect(),
        Format::Table | Format::Json => table(&header, &runs.iter().map(row).collect::<Vec<_>>()),
    };
    let object = |run: &FileRun| {
        json!({
            "workflowId": run.workflow, "runId": run.run, "last": run.last, "status": run.status,
            "progress": format!("{}/{}", run.done, run.steps),
        })
    };
    Outcome::ok(text, json!({ "runs": runs.iter().map(object).collect::<Vec<_>>() }))
}

fn as_in_file(run: &RunSummary) -> FileRun {
    FileRun {
        workflow: run.plan.clone(),
        run: run.run.clone(),
        last: rfc3339(run.updated_ms),
        done: 0,
        steps: 0,
        status: "",
    }
}
