//! Runs that a Temporal server drives: where it is, its worker, and the way there of `wootz run`.
//!
//! Only builds with the feature `temporal` can do it; others say so.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use std::path::PathBuf;
use wootz_runner::{Options, PlanFile, Runner};
use wootz_schema::event::{Driver, RunSummary};

/// Where the server is.
#[derive(clap::Args)]
pub struct Place {
    /// Host and port of the Temporal server [default: $TEMPORAL_ADDRESS, or 127.0.0.1:7233].
    #[arg(long = "temporal-address", value_name = "HOST:PORT")]
    address: Option<String>,
    /// Its namespace [default: $TEMPORAL_NAMESPACE, or default].
    #[arg(long = "temporal-namespace", value_name = "NAME")]
    namespace: Option<String>,
    /// Where workers wait for work [default: $TEMPORAL_TASK_QUEUE, or wootz].
    #[arg(long = "temporal-queue", value_name = "NAME")]
    task_queue: Option<String>,
}

impl Place {
    fn driver(&self) -> Driver {
        let or = |flag: &Option<String>, variable: &environment::Variable, default: &str| {
            let set = || variable.get().and_then(|value| value.into_string().ok());
            flag.clone().or_else(set).unwrap_or_else(|| default.to_owned())
        };
        Driver::Temporal {
            address: or(&self.address, &environment::TEMPORAL_ADDRESS, "127.0.0.1:7233"),
            namespace: or(&self.namespace, &environment::TEMPORAL_NAMESPACE, "default"),
            task_queue: or(&self.task_queue, &environment::TEMPORAL_TASK_QUEUE, "wootz"),
        }
    }
}

/// Do the steps of runs that a Temporal server drives, until SIGINT or SIGTERM.
///
/// Runs are begun with `wootz run --engine temporal`. A worker needs their home folder; one worker serves it. Processes of steps outlive the
/// worker: the next one waits for them instead of starting them again.
#[derive(clap::Args)]
pub struct Worker {
    #[command(flatten)]
    place: Place,
    /// Folder of runs and cached outputs [default: $WOOTZ_HOME, or .wootz].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// Runs `wootz worker`.
pub fn worker(args: &Worker, context: &Context) -> Result<Outcome, Failure> {
    let home = environment::home(args.home.as_ref());
    engine::work(&args.place.driver(), &home, context)
}

/// Runs a plan there, and follows it.
pub fn run(
    place: &Place,
    runner: &Runner,
    plan: &PlanFile,
    options: &Options<'_>,
    context: &Context,
) -> Result<RunSummary, Failure> {
    engine::run(&place.driver(), runner, plan, options, context)
}

/// Follows a run again.
pub fn resume(driver: &Driver, runner: &Runner, run: &str, context: &Context) -> Result<RunSummary, Failure> {
    engine::resume(driver, runner, run, context)
}

#[cfg(feature = "temporal")]
mod engine {
    use super::{Context, Driver, Failure, Options, Outcome, PlanFile, RunSummary, Runner, environment};
    use serde_json::json;
    use std::path::Path;
    use std::time::Duration;
    use wootz_schema::progress::Progress;
    use wootz_temporal::{Server, Worker};

    /// How long a worker may be silent until its steps are given to another.
    const SILENCE: Duration = Duration::from_secs(30);

    fn server(driver: &Driver) -> Server {
        let Driver::Temporal { address, namespace, task_queue } = driver.clone();
        Server { address, namespace, task_queue, silence: SILENCE }
    }

    pub fn work(driver: &Driver, home: &Path, context: &Context) -> Result<Outcome, Failure> {
        let server = server(driver);
        let registry = wootz_stations::registry(&environment::machine());
        let (keeper, attendants) = (crate::commands::keep::command(), crate::commands::run::attendants());
        let worker = Worker { runner: Runner::open(home)?, registry, keeper, attendants };
        let stop = context.cancel()?;
        let waits = format!("works for {} on the queue {}", server.address, server.task_queue);
        context.observe.observe(Progress::Message(&waits));
        wootz_temporal::work(worker, &server, &stop, context.observe.as_ref())?;
        Ok(Outcome::ok("", json!({ "address": server.address, "queue": server.task_queue })))
    }

    pub fn run(
        driver: &Driver,
        runner: &Runner,
        plan: &PlanFile,
        options: &Options<'_>,
        context: &Context,
    ) -> Result<RunSummary, Failure> {
        let registry = wootz_stations::registry(&environment::machine());
        let observe = context.observe.as_ref();
        Ok(wootz_temporal::run(&server(driver), runner, plan, options, &registry, observe)?)
    }

    pub fn resume(
        driver: &Driver,
        runner: &Runner,
        run: &str,
        context: &Context,
    ) -> Result<RunSummary, Failure> {
        let registry = wootz_stations::registry(&environment::machine());
        let cancel = context.cancel()?;
        let observe = context.observe.as_ref();
        Ok(wootz_temporal::resume(&server(driver), runner, run, &registry, &cancel, observe)?)
    }
}

#[cfg(not(feature = "temporal"))]
mod engine {
    use super::{Context, Driver, Failure, Options, Outcome, PlanFile, RunSummary, Runner};
    use std::path::Path;
    use wootz_schema::ExitCode;

    fn absent() -> Failure {
        Failure {
            message: "use a Temporal server: this build cannot".to_owned(),
            causes: Vec::new(),
            hint: Some(
                "build it with: cargo build --release --package wootz-cli --features temporal".to_owned(),
            ),
            exit: ExitCode::Environment,
        }
    }

    pub fn work(_: &Driver, _: &Path, _: &Context) -> Result<Outcome, Failure> {
        Err(absent())
    }

    pub fn run(
        _: &Driver,
        _: &Runner,
        _: &PlanFile,
        _: &Options<'_>,
        _: &Context,
    ) -> Result<RunSummary, Failure> {
        Err(absent())
    }

    pub fn resume(_: &Driver, _: &Runner, _: &str, _: &Context) -> Result<RunSummary, Failure> {
        Err(absent())
    }
}
