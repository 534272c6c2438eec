//! `wootz job`: commands that outlive the one who started them. Command lines, files and status lines are those that scripts know.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, table};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use wootz_jobs::{Folder, HEARTBEAT_SECONDS, JobError, Report, Request, Run, last_lines};
use wootz_schema::ExitCode;

/// How often a file that is followed is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Run commands that outlive this terminal, and look at them.
#[derive(clap::Subcommand)]
pub enum Command {
    Run(RunArgs),
    Status(Which),
    Tail(TailArgs),
    Stop(StopArgs),
    Health(Which),
    List(ListArgs),
    #[command(hide = true)]
    Keep(KeepArgs),
}

/// Start a command as a job, and come back at once. Its standard input is empty.
#[derive(clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    which: Which,
    /// Seconds between two lines that say that it runs; 0: none.
    #[arg(long, value_name = "SECS", default_value_t = HEARTBEAT_SECONDS)]
    heartbeat: u64,
    /// Start it although an earlier run of the job has not ended.
    #[arg(long)]
    again: bool,
    /// The command and its arguments, behind `--`; no shell reads them.
    #[arg(last = true, value_name = "CMD")]
    argv: Vec<OsString>,
}

/// Print the job's status line: START, PROGRESS, DONE, FAILED or STOPPED.
#[derive(clap::Args)]
pub struct Which {
    #[command(flatten)]
    project: Project,
    /// Name of the job.
    #[arg(long, alias = "job-name", value_name = "NAME")]
    job: String,
}

#[derive(clap::Args)]
struct Project {
    /// Name of the project, a folder under the root.
    #[arg(long, value_name = "ID")]
    project_id: String,
    /// Folder of all projects' jobs [default: $WOOTZ_JOB_ROOT, or .wootz/jobs].
    #[arg(long, alias = "project-root", value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Print the last events of the newest run, or the last lines that it said.
#[derive(clap::Args)]
pub struct TailArgs {
    #[command(flatten)]
    which: Which,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 80)]
    lines: usize,
    /// Go on until the run has ended.
    #[arg(long)]
    follow: bool,
    /// What the command said, in place of the events.
    #[arg(long)]
    raw: bool,
}

/// Stop the newest run that has not ended, with all that it started.
#[derive(clap::Args)]
pub struct StopArgs {
    #[command(flatten)]
    which: Which,
    /// Seconds in which it may end by itself, before it is killed.
    #[arg(long, value_name = "SECS", default_value_t = 10)]
    grace: u64,
}

/// List the runs of a project's jobs, oldest first.
#[derive(clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    project: Project,
}

/// Keep one run. Nobody types it; `wootz job run` starts it.
#[derive(clap::Args)]
pub struct KeepArgs {
    folder: PathBuf,
    job: String,
    stamp: String,
    heartbeat: u64,
    #[arg(last = true)]
    argv: Vec<OsString>,
}

impl Project {
    fn open(&self) -> Result<Folder, Failure> {
        let root = self.root.clone().or_else(|| environment::JOB_ROOT.get().map(PathBuf::from));
        Ok(Folder::new(&root.unwrap_or_else(|| PathBuf::from(".wootz/jobs")), &self.project_id)?)
    }
}

impl Which {
    fn newest(&self) -> Result<Report, Failure> {
        let folder = self.project.open()?;
        let missing = || JobError::Missing { job: self.job.clone(), folder: folder.path().to_owned() };
        Ok(folder.report(&self.job)?.ok_or_else(missing)?)
    }
}

/// Runs the command.
pub fn run(command: &Command, _: &Context, json: bool) -> Result<Outcome, Failure> {
    match command {
        Command::Run(args) => start(args),
        Command::Status(args) => status(args),
        Command::Tail(args) => tail(args, json),
        Command::Stop(args) => stop(args),
        Command::Health(args) => health(args),
        Command::List(args) => list(args),
        Command::Keep(args) => {
            let folder = Folder::at(&args.folder);
            wootz_jobs::keep(&folder, &args.job, &args.stamp, args.heartbeat, &args.argv)?;
            Ok(Outcome::ok("", Value::Null))
        }
    }
}

fn start(args: &RunArgs) -> Result<Outcome, Failure> {
    let folder = args.which.project.open()?;
    let program = std::env::current_exe().map_err(|error| Failure {
        message: format!("find the program itself: {error}"),
        causes: Vec::new(),
        hint: None,
        exit: ExitCode::Environment,
    })?;
    let started = folder.start(&Request {
        job: args.which.job.clone(),
        argv: args.argv.clone(),
        heartbeat_seconds: args.heartbeat,
        again: args.again,
        keeper: vec![program.into(), "job".into(), "keep".into()],
    })?;
    let status = folder.status_path(&args.which.job);
    let text = format!(
        "Started job: {}\nProject ID: {}\nPID: {}\nJSONL: {}\nRaw log: {}\nStatus file: {}\n",
        args.which.job,
        args.which.project.project_id,
        started.pid,
        started.run.events().display(),
        started.run.log().display(),
        status.display(),
    );
    let mut json = files(&started.run);
    json["pid"] = json!(started.pid);
    json["status_file"] = json!(status);
    Ok(Outcome::ok(text, json))
}

fn files(run: &Run) -> Value {
    json!({ "job": run.job, "run": run.stamp, "events": run.events(), "log": run.log() })
}

fn described(report: &Report) -> Value {
    let mut json = files(&report.run);
    let state = report.status.as_ref().map(|status| status.state);
    json["status"] = json!(report.status.as_ref().map(ToString::to_string));
    json["state"] = json!(state.map(|state| state.word()));
    json["rc"] = json!(state.and_then(|state| state.rc()));
    json["health"] = json!(report.health.word());
    json["pid"] = json!(report.health.pid());
    json["is_alive"] = json!(report.is_alive);
    json
}

/// The status line, or the word for none.
fn line(report: &Report) -> String {
    report.status.as_ref().map_or_else(|| "status=missing".to_owned(), ToString::to_string)
}

fn status(args: &Which) -> Result<Outcome, Failure> {
    let report = args.newest()?;
    Ok(Outcome::ok(format!("{}\n", line(&report)), described(&report)))
}

/// Asked of a job that never was, it says so and that is no failure: scripts ask before they start one.
fn health(args: &Which) -> Result<Outcome, Failure> {
    match args.project.open()?.report(&args.job)? {
        Some(report) => {
            Ok(Outcome::ok(format!("{}\n{}\n", report.health, line(&report)), described(&report)))
        }
        None => Ok(Outcome::ok(
            "pid=unknown\nstatus=missing\n",
            json!({ "job": args.job, "status": null, "health": "unknown", "pid": null }),
        )),
    }
}

fn stop(args: &StopArgs) -> Result<Outcome, Failure> {
    let folder = args.which.project.open()?;
    let (run, pid) = folder.stop(&args.which.job, Duration::from_secs(args.grace))?;
    let mut json = files(&run);
    json["pid"] = json!(pid);
    Ok(Outcome::ok(format!("Stopped PID {pid}\n"), json))
}

fn list(args: &ListArgs) -> Result<Outcome, Failure> {
    let folder = args.project.open()?;
    let mut reports = Vec::new();
    for job in folder.all()? {
        reports.extend(folder.reports(&job)?);
    }
    let header = [
        ("job", Align::Left),
        ("run", Align::Left),
        ("health", Align::Left),
        ("pid", Align::Right),
        ("status", Align::Left),
    ];
    let rows: Vec<Vec<String>> = reports
        .iter()
        .map(|report| {
            let pid = report.health.pid().map(|pid| pid.to_string()).unwrap_or_default();
            let state = report.status.as_ref().map(|status| status.state);
            let rc = state.and_then(|state| state.rc()).map(|rc| format!(" rc={rc}")).unwrap_or_default();
            let word = state.map_or("missing", |state| state.word());
            let (job, stamp) = (report.run.job.clone(), report.run.stamp.clone());
            vec![job, stamp, report.health.word().to_owned(), pid, format!("{word}{rc}")]
        })
        .collect();
    let runs: Vec<Value> = reports.iter().map(described).collect();
    Ok(Outcome::ok(table(&header, &rows), json!({ "runs": runs })))
}

fn tail(args: &TailArgs, json: bool) -> Result<Outcome, Failure> {
    if json && args.follow {
        let message = "follow a job as one JSON object: it would not end";
        return Err(Failure::usage(
            message,
            "leave out --json: every event is a line of JSON, or leave out --follow",
        ));
    }
    let report = args.which.newest()?;
    let path = if args.raw { report.run.log() } else { report.run.events() };
    let failed = |error| Failure::io("read", &path, &error);
    let (bytes, mut tail) = last_lines(&path, args.lines).map_err(failed)?;
    if !args.follow {
        let lines: Vec<String> = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        let mut json = files(&report.run);
        json["lines"] = json!(lines);
        return Ok(Outcome::ok(bytes, json));
    }
    let mut news = bytes;
    loop {
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(&news).and_then(|()| stdout.flush()).is_err() {
            // Nobody reads on.
            break;
        }
        // In this order: what was said before the end is read after it was seen.
        report.run.settle()?;
        let is_over = report.run.is_over()?;
        news = tail.news().map_err(failed)?;
        match news.is_empty() {
            true if is_over => break,
            true => std::thread::sleep(LOOK),
            false => {}
        }
    }
    Ok(Outcome::ok("", Value::Null))
}
