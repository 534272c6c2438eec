//! The same for callers that are not asynchronous.

use crate::client::{Server, TemporalError};
use crate::worker::Worker;
use std::sync::atomic::AtomicBool;
use wootz_pipeline::Registry;
use wootz_runner::{Options, PlanFile, Runner};
use wootz_schema::event::RunSummary;
use wootz_schema::progress::{Observe, Progress};

fn wait<T>(what: impl Future<Output = Result<T, TemporalError>>) -> Result<T, TemporalError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| TemporalError::Worker(error.to_string()))?.block_on(what)
}

/// Does errands until `stop` is set or the server refuses; what goes on is finished by the next worker.
pub fn work(
    worker: Worker,
    server: &Server,
    stop: &AtomicBool,
    observe: &dyn Observe,
) -> Result<(), TemporalError> {
    wait(async {
        let stopped = async {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            ended = worker.serve(server, observe) => ended,
            () = stopped => Ok(()),
        }
    })
}

/// Starts the workflow of a plan, and follows it to its end.
pub fn run(
    server: &Server,
    runner: &Runner,
    plan: &PlanFile,
    options: &Options<'_>,
    registry: &Registry,
    observe: &dyn Observe,
) -> Result<RunSummary, TemporalError> {
    wait(async {
        let run = server.start(runner, plan, options, registry).await?;
        observe.observe(Progress::Message(&format!(
            "run {run}: {} steps, workflow {run}",
            plan.plan.steps.len()
        )));
        server.follow(runner, registry, &run, options.cancel, observe).await
    })
}

/// Follows a run again.
pub fn resume(
    server: &Server,
    runner: &Runner,
    run: &str,
    registry: &Registry,
    cancel: &AtomicBool,
    observe: &dyn Observe,
) -> Result<RunSummary, TemporalError> {
    wait(server.follow(runner, registry, run, cancel, observe))
}
