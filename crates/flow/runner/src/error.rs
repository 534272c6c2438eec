//! Why a run could not begin or go on. A step that fails is no error of the runner: the run's summary says it.

use std::path::PathBuf;
use wootz_pipeline::GraphError;
use wootz_schema::event::Driver;
use wootz_schema::{Diagnose, ExitCode};
use wootz_store::StoreError;

/// Why a run could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The home folder failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan has no order to run in, or a step asked for is not in it.
    #[error("plan the run: {0}")]
    Graph(#[from] GraphError),
    /// Two selections that exclude each other.
    #[error("select steps: --from and --only cannot be given together")]
    FromAndOnly,
    /// There is no run of this name.
    #[error("find run `{0}`")]
    NoSuchRun(String),
    /// There is no run at all.
    #[error("find the latest run: there is none yet")]
    NoRuns,
    /// There is no step of this name in the run.
    #[error("find step `{step}` in run {run}")]
    NoSuchStep {
        /// The run.
        run: String,
        /// The step asked for.
        step: String,
    },
    /// Another process works on the run.
    #[error("take run {run}: {holder} works on it")]
    Taken {
        /// The run.
        run: String,
        /// Who.
        holder: String,
    },
    /// Processes of the run go on, which its plan began.
    #[error("give run {0} another plan: processes of its steps go on")]
    GoesOn(String),
    /// An engine elsewhere drives the run.
    #[error("take up run {run}: a Temporal server drives it, at {}", address(driver))]
    Driven {
        /// The run.
        run: String,
        /// Who drives it.
        driver: Driver,
    },
    /// What happens in a run can be written down no more.
    #[error("go on with run {run}: {source}")]
    Unwritten {
        /// The run.
        run: String,
        /// Why not.
        source: StoreError,
    },
    /// Somebody took the home folder away.
    #[error("go on with run {run}: {} is not there any more", path.display())]
    Gone {
        /// The run.
        run: String,
        /// Its log.
        path: PathBuf,
    },
    /// The log of a run cannot be read back.
    #[error("read the log of run {run}: {reason}")]
    Log {
        /// The run.
        run: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn address(driver: &Driver) -> &str {
    let Driver::Temporal { address, .. } = driver;
    address
}

impl Diagnose for RunnerError {
    fn exit(&self) -> ExitCode {
        match self {
            RunnerError::Store(error) => error.exit(),
            RunnerError::Unwritten { source, .. } => source.exit(),
            RunnerError::Gone { .. } | RunnerError::Taken { .. } => ExitCode::Environment,
            RunnerError::Log { .. } => ExitCode::Environment,
            _ => ExitCode::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            RunnerError::Store(error) => return error.hint(),
            RunnerError::Unwritten { run, source } => {
                let mend = source.hint().unwrap_or_else(|| "mend that".to_owned());
                let mend = mend.strip_suffix(" and run the same command again").unwrap_or(&mend);
                return Some(format!(
                    "what ended before is written and safe, what ran was stopped and begins again: {mend}, then `wootz run --resume {run}`"
                ));
            }
            RunnerError::Gone { run, .. } => {
                return Some(format!(
                    "put it back as it was, then `wootz run --resume {run}`; what steps did since it went away is written nowhere"
                ));
            }
            RunnerError::Graph(GraphError::UnknownStep(_)) => "`wootz plan validate` lists the plan's steps",
            RunnerError::Graph(GraphError::Cycle(_)) => return None,
            RunnerError::Graph(GraphError::Wants { .. }) => {
                "ask for less under resources, or say what there is with --gpus and --cpus"
            }
            RunnerError::FromAndOnly => "--from runs a step and all after it, --only a step alone",
            RunnerError::NoSuchRun(_) => "`wootz runs list` lists the runs of this home folder",
            RunnerError::NoRuns => "start one with `wootz run PLAN`",
            RunnerError::NoSuchStep { .. } => "`wootz runs show` lists the steps of a run",
            RunnerError::Taken { .. } => {
                "wait for that process to end, or ask it to stop with `wootz runs cancel`"
            }
            RunnerError::Driven { .. } => {
                "follow it there: `wootz run --resume RUN` of a build with Temporal"
            }
            RunnerError::GoesOn(_) => {
                "end them with `wootz runs cancel --wait`, or go on with the plan as it was"
            }
            RunnerError::Log { .. } => "run the plan anew: finished steps are found in the cache",
        };
        Some(hint.to_owned())
    }
}
