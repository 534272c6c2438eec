//! `wootz run`: a plan from its first step to its last.

use super::Context;
use super::plan::{Params, read};
use super::runs::{exit_of, render};
use crate::environment;
use crate::outcome::{Failure, Outcome};
use jiff::Timestamp;
use serde_json::json;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use wootz_runner::{Options, PlanFile, Runner};
use wootz_schema::event::{Event, RunSummary, StepSummary};
use wootz_stations::{failures, machine};
use wootz_tracker::Store;

/// How much of a log is looked at for lines to quote.
const QUOTED_BYTES: u64 = 64 << 10;

/// Run a plan.
///
/// Steps whose output is there already, made from the same settings, sources and inputs, are not run again. A run that was
/// killed, stopped, or failed goes on where it was with --resume. The first SIGINT or SIGTERM stops at a point from which
/// the run can go on; the second ends at once.
///
/// Exits with 0 when every step succeeded, with 1 when a step failed or a gate held, and with the code of the failure
/// where that is bad input (2) or the environment (3).
#[derive(clap::Args)]
pub struct Args {
    /// The plan, YAML; not needed with --resume.
    #[arg(required_unless_present = "resume")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    params: Params,
    /// Take a run up again: its id, or `latest`. The plan is the one it was started with.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["plan", "params", "from", "only"])]
    resume: Option<String>,
    /// Run this step and everything after it, even if cached.
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    from: Option<String>,
    /// Run this step alone, even if cached, on the cached outputs of the others.
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
    /// Steps that may run at once; 0: no limit.
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_parallel: usize,
    /// GPUs that steps may have, separated by commas; empty: none [default: $CUDA_VISIBLE_DEVICES, or all].
    #[arg(long, value_name = "LIST")]
    gpus: Option<String>,
    /// CPU cores that steps may have [default: all].
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,
    /// Folder of runs and cached outputs [default: $WOOTZ_HOME, or .wootz].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let registry = wootz_stations::registry(&environment::machine());
    let cancel = context.cancel()?;
    let mut capacity = machine::capacity(environment::visible_gpus().as_deref());
    if let Some(list) = &args.gpus {
        capacity.gpus = machine::gpu_names(list);
    }
    capacity.cpus = args.cpus.unwrap_or(capacity.cpus);
    let options = Options {
        max_parallel: args.max_parallel,
        capacity: Some(capacity),
        from: args.from.clone(),
        only: args.only.clone(),
        keeper: super::keep::command(),
        ..Options::new(environment::command_line(), &cancel)
    };
    let home = environment::home(args.home.as_ref());
    let observe = context.observe.as_ref();
    let (runner, summary) = match (&args.resume, &args.plan) {
        (Some(run), _) => {
            let runner = Runner::open(&home)?;
            let summary = runner.resume(run, &options, &registry, observe)?;
            (runner, summary)
        }
        (None, Some(path)) => {
            let (plan, text) = read(path, &args.params)?;
            let file = PlanFile { plan, text, path: path.display().to_string() };
            // The plan is read first, so that a bad one leaves no home folder behind.
            let runner = Runner::open(&home)?;
            let summary = runner.run(&file, &options, &registry, observe)?;
            (runner, summary)
        }
        (None, None) => return Err(Failure::usage("run a plan: none is named", "wootz run PLAN")),
    };
    let issues = file_issues(&runner, &summary)?;
    let mut text = render(&summary);
    for line in &issues {
        text.push_str(line);
    }
    Ok(Outcome { text: text.into(), exit: exit_of(&summary), json: json!(summary) })
}

/// Files an issue about each step that failed and asks for one; a line for people about each.
fn file_issues(runner: &Runner, summary: &RunSummary) -> Result<Vec<String>, Failure> {
    let events = runner.events(&summary.run)?;
    let Some(Event::Created(created)) = events.first().map(|record| &record.event) else {
        return Ok(Vec::new());
    };
    let failed = failures::failed(&created.plan, summary);
    if failed.is_empty() {
        return Ok(Vec::new());
    }
    let here = std::env::current_dir().map_err(|error| Failure::io("find", Path::new("."), &error))?;
    let Some(store) = Store::find(&here) else {
        return Ok(vec![
            "no issue was filed: there is no task tracker here; `wootz issue init` makes one\n".to_owned(),
        ]);
    };
    let file = |step: &StepSummary| {
        let logs = runner.logs(&summary.run, Some(&step.step))?;
        // What it said last, and of a process rather its complaints.
        let log = logs.into_iter().rfind(|log| std::fs::metadata(&log.path).is_ok_and(|log| log.len() > 0));
        let log = log.map(|log| end_of(&log.path).unwrap_or_default()).unwrap_or_default();
        let filed = failures::file(&store, summary, step, &String::from_utf8_lossy(&log), Timestamp::now())?;
        let what = if filed.is_new { "filed" } else { "told of" };
        Ok(format!("{}: {what} issue {}\n", filed.step, filed.issue))
    };
    failed.into_iter().map(file).collect()
}

/// The last bytes of a log, of which an issue quotes the last lines.
fn end_of(log: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(QUOTED_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
