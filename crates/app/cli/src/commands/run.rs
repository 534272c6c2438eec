//! `wootz run`: a plan from its first step to its last.

use super::Context;
use super::plan::{Params, read};
use super::runs::{exit_of, render};
use crate::environment;
use crate::outcome::{Failure, Outcome};
use serde_json::json;
use std::path::PathBuf;
use wootz_runner::{Options, PlanFile, Runner};

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
    /// Folder of runs and cached outputs [default: $WOOTZ_HOME, or .wootz].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let registry = wootz_stations::registry(&environment::machine());
    let cancel = context.cancel()?;
    let options = Options {
        max_parallel: args.max_parallel,
        from: args.from.clone(),
        only: args.only.clone(),
        ..Options::new(environment::command_line(), &cancel)
    };
    let home = environment::home(args.home.as_ref());
    let observe = context.observe.as_ref();
    let summary = match (&args.resume, &args.plan) {
        (Some(run), _) => Runner::open(&home)?.resume(run, &options, &registry, observe)?,
        (None, Some(path)) => {
            let (plan, text) = read(path, &args.params)?;
            let file = PlanFile { plan, text, path: path.display().to_string() };
            // The plan is read first, so that a bad one leaves no home folder behind.
            Runner::open(&home)?.run(&file, &options, &registry, observe)?
        }
        (None, None) => return Err(Failure::usage("run a plan: none is named", "wootz run PLAN")),
    };
    Ok(Outcome { text: render(&summary).into(), exit: exit_of(&summary), json: json!(summary) })
}
