//! `wootz run`: a plan from its first step to its last.

mod changed;

use super::Context;
use super::plan::{Params, read};
use super::runs::{exit_of, rendered};
use super::temporal;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use changed::Compared;
use jiff::Timestamp;
use serde_json::json;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use wootz_container::{Kind, Runtime};
use wootz_runner::{Attendants, Options, PlanFile, Runner};
use wootz_schema::ExitCode;
use wootz_schema::event::{Cluster, Event, RunSummary, StepSummary};
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
    /// The plan, YAML; not needed with --resume, which finds the one that the run was started with.
    #[arg(required_unless_present = "resume")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    params: Params,
    /// Take a run up again: its id, or `latest`. Refused where the plan is not the one it was started with any more.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["from", "only"])]
    resume: Option<String>,
    /// With --resume: go on with the plan as it is now. What succeeded and is asked for alike stays; the rest is decided anew.
    #[arg(long, requires = "resume")]
    accept_plan: bool,
    /// Run this step and everything after it, even if cached.
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    from: Option<String>,
    /// Run this step alone, even if cached, on the cached outputs of the others.
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
    #[command(flatten)]
    share: Share,
    /// What runs the processes of steps: this machine, containers on it, or Slurm, whose nodes all see the folder of runs. A run goes on with what it began with.
    #[arg(long, value_name = "WHERE", value_parser = ["local", "podman", "docker", "slurm"], default_value = "local", conflicts_with = "resume")]
    launcher: String,
    /// With --launcher podman or docker: the image.
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    image: Option<String>,
    /// A further word for `wootz container run`, as --container-arg=--network=none; may be given more than once.
    #[arg(long = "container-arg", value_name = "ARG", allow_hyphen_values = true, conflicts_with = "resume")]
    container_args: Vec<String>,
    /// A further word for `sbatch`, as --slurm-arg=--partition=gpu; may be given more than once.
    #[arg(long = "slurm-arg", value_name = "ARG", allow_hyphen_values = true, conflicts_with = "resume")]
    slurm_args: Vec<String>,
    /// Who drives the run: this process, or a Temporal server, for which a `wootz worker` does the steps. A run goes on with what it began with.
    #[arg(long, value_name = "ENGINE", value_parser = ["embedded", "temporal"], default_value = "embedded", conflicts_with = "resume")]
    engine: String,
    #[command(flatten)]
    temporal: temporal::Place,
    /// Folder of runs and cached outputs [default: $WOOTZ_HOME, or .wootz].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// What the steps of a run share.
#[derive(clap::Args)]
pub struct Share {
    /// Steps that may run at once; 0: no limit.
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_parallel: usize,
    /// GPUs that steps may have, separated by commas; empty: none [default: $CUDA_VISIBLE_DEVICES, or all].
    #[arg(long, value_name = "LIST")]
    gpus: Option<String>,
    /// CPU cores that steps may have [default: all].
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let home = environment::home(args.home.as_ref());
    let path = match (&args.resume, &args.plan) {
        (Some(run), _) => return go_on(args, &Runner::open(&home)?, run, context),
        (None, Some(path)) => path,
        (None, None) => return Err(Failure::usage("run a plan: none is named", "wootz run PLAN")),
    };
    let (plan, text) = read(path, &args.params)?;
    let file = PlanFile { plan, text, path: path.display().to_string() };
    let cancel = context.cancel()?;
    let (from, only, cluster) = (args.from.clone(), args.only.clone(), cluster(args)?);
    let options = Options { from, only, cluster, ..options(&args.share, &cancel) };
    // The plan is read first, so that a bad one leaves no home folder behind.
    let runner = Runner::open(&home)?;
    let registry = wootz_stations::registry(&environment::machine());
    let summary = match args.engine.as_str() {
        "temporal" => temporal::run(&args.temporal, &runner, &file, &options, context)?,
        _ => runner.run(&file, &options, &registry, context.observe.as_ref())?,
    };
    ended(&runner, &summary)
}

/// What is to run processes in place of this machine; an error where it cannot.
fn cluster(args: &Args) -> Result<Option<Cluster>, Failure> {
    let is_contained = matches!(args.launcher.as_str(), "podman" | "docker");
    let misplaced = [
        (
            !args.slurm_args.is_empty() && args.launcher != "slurm",
            "words for Slurm",
            "give --launcher slurm, too",
        ),
        (
            (args.image.is_some() || !args.container_args.is_empty()) && !is_contained,
            "an image or words for containers",
            "give --launcher podman, too",
        ),
    ];
    if let Some((_, what, fix)) = misplaced.into_iter().find(|(is_misplaced, ..)| *is_misplaced) {
        return Err(Failure::usage(format!("run with --launcher {} and {what}", args.launcher), fix));
    }
    match (args.launcher.as_str(), &args.image) {
        ("local", _) => Ok(None),
        ("slurm", _) => slurm(&args.slurm_args).map(Some),
        (runtime, None) => Err(Failure::usage(
            format!("run steps in containers of {runtime}: no image is named"),
            "give --image NAME",
        )),
        (runtime, Some(image)) => {
            let kind = if runtime == "docker" { Kind::Docker } else { Kind::Podman };
            Runtime::find(Some(kind), &environment::search_path())?;
            let arguments = args.container_args.clone();
            Ok(Some(Cluster::Container { runtime: runtime.to_owned(), image: image.clone(), arguments }))
        }
    }
}

fn slurm(arguments: &[String]) -> Result<Cluster, Failure> {
    if let Some(program) = wootz_slurm::missing(&environment::search_path()) {
        return Err(Failure {
            message: format!("find {program}: it is not installed"),
            causes: Vec::new(),
            hint: Some("install Slurm's programs (Debian: apt-get install slurm-client), or run with --launcher local".to_owned()),
            exit: ExitCode::Environment,
        });
    }
    Ok(Cluster::Slurm { arguments: arguments.to_vec() })
}

/// `wootz run --resume`.
fn go_on(args: &Args, runner: &Runner, run: &str, context: &Context) -> Result<Outcome, Failure> {
    let is_given = !args.params.by_name().is_empty();
    if is_given && !args.accept_plan {
        let message = "take the run up again: its parameters are those it was started with";
        return Err(Failure::usage(message, "--accept-plan decides anew what they change"));
    }
    let file = args.plan.as_deref();
    if !args.accept_plan {
        return resume(runner, run, file, &args.share, context);
    }
    let compared = Compared::new(runner, run, file)?;
    if compared.is_same() && !is_given {
        return resume(runner, run, file, &args.share, context);
    }
    let plan = compared.accepted(&args.params)?;
    let cancel = context.cancel()?;
    let registry = wootz_stations::registry(&environment::machine());
    let options = options(&args.share, &cancel);
    let summary = runner.replan(run, &plan, &options, &registry, context.observe.as_ref())?;
    ended(runner, &summary)
}

/// Takes a run up again, if its plan is what it was. `plan`: in place of the file that the run was started with.
pub fn resume(
    runner: &Runner,
    run: &str,
    plan: Option<&Path>,
    share: &Share,
    context: &Context,
) -> Result<Outcome, Failure> {
    let compared = Compared::new(runner, run, plan)?;
    if !compared.is_same() {
        return Err(compared.refusal(runner));
    }
    if let Some(driver) = runner.created(run)?.driver {
        let summary = temporal::resume(&driver, runner, &runner.show(run)?.run, context)?;
        return ended(runner, &summary);
    }
    let cancel = context.cancel()?;
    let registry = wootz_stations::registry(&environment::machine());
    let options = options(share, &cancel);
    let summary = runner.resume(run, &options, &registry, context.observe.as_ref())?;
    ended(runner, &summary)
}

fn options<'a>(share: &Share, cancel: &'a AtomicBool) -> Options<'a> {
    let mut capacity = machine::capacity(environment::visible_gpus().as_deref());
    if let Some(list) = &share.gpus {
        capacity.gpus = machine::gpu_names(list);
    }
    capacity.cpus = share.cpus.unwrap_or(capacity.cpus);
    Options {
        max_parallel: share.max_parallel,
        capacity: Some(capacity),
        keeper: super::keep::command(),
        attendants: attendants(),
        ..Options::new(environment::command_line(), cancel)
    }
}

/// The commands that attend to jobs and containers.
pub fn attendants() -> Attendants {
    Attendants { job: super::attend::command(), container: super::container::attendant() }
}

/// What is said and done about a run that came to its end here.
fn ended(runner: &Runner, summary: &RunSummary) -> Result<Outcome, Failure> {
    let mut text = rendered(summary);
    for line in &file_issues(runner, summary)? {
        text.push_str(line);
    }
    Ok(Outcome { text: text.into(), exit: exit_of(summary), json: json!(summary) })
}

/// Files an issue about each step that failed and asks for one; a line for people about each.
fn file_issues(runner: &Runner, summary: &RunSummary) -> Result<Vec<String>, Failure> {
    let events = runner.events(&summary.run)?;
    let created = events.iter().rev().find_map(|record| match &record.event {
        Event::Created(created) | Event::Replanned { created, .. } => Some(created),
        _ => None,
    });
    let Some(created) = created else { return Ok(Vec::new()) };
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
