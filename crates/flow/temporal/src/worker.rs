//! The worker: does the errands of runs whose home folder it has.
//!
//! Processes belong to a keeper that outlives the worker. The worker says every moment that it lives; when it no longer does, the
//! server gives the errand to the next one, which finds the process in the keeper's journal and waits for it.

use crate::client::{Server, TemporalError};
use crate::workflow::Pipeline;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};
use temporalio_sdk::{Runtime, WorkerOptions};
use wootz_pipeline::machine::CacheUse;
use wootz_pipeline::{Launcher, Registry};
use wootz_runner::{Ask, Attendants, Runner, RunnerError};
use wootz_schema::errand::{Errand, Reuse, VERSION};
use wootz_schema::event::{Created, Event, Failure, Status};
use wootz_schema::progress::{Observe, Silent};
use wootz_stdx::human;

/// How often an errand says that its worker lives, and looks whether it is to stop.
const BEAT: Duration = Duration::from_millis(100);

/// A worker of a home folder.
pub struct Worker {
    /// The home folder.
    pub runner: Runner,
    /// The kinds of steps that it can do.
    pub registry: Registry,
    /// The command that starts a keeper of processes, as the embedded engine has it.
    pub keeper: Vec<OsString>,
    /// The commands of attendants, likewise.
    pub attendants: Attendants,
}

impl Worker {
    /// Does errands until the server or the process ends.
    pub async fn serve(self, server: &Server, observe: &dyn Observe) -> Result<(), TemporalError> {
        let failed = |error: &dyn std::fmt::Display| TemporalError::Worker(error.to_string());
        let runtime = Runtime::from_current_tokio(Default::default()).map_err(|error| failed(&error))?;
        let Worker { runner, registry, keeper, attendants } = self;
        let stations = Stations { runner, registry, keeper, attendants, runs: Mutex::default() };
        let options = WorkerOptions::new(&server.task_queue)
            .register_workflow::<Pipeline>()
            .map_err(|error| failed(&error))?
            .register_activities(stations)
            .build();
        let client = server.connect_in_time(observe).await?;
        let worker = temporalio_sdk::Worker::new(&runtime, client, options);
        worker.map_err(|error| failed(&error))?.run().await.map_err(|error| failed(&error))
    }
}

/// The activities.
pub(crate) struct Stations {
    runner: Runner,
    registry: Registry,
    keeper: Vec<OsString>,
    attendants: Attendants,
    runs: Mutex<BTreeMap<String, Arc<Run>>>,
}

/// A run that this worker has done errands of.
struct Run {
    created: Created,
    launcher: Box<dyn Launcher>,
}

#[activities]
impl Stations {
    #[activity(name = "wootz.look")]
    pub(crate) async fn look(
        self: Arc<Self>,
        ctx: ActivityContext,
        errand: Errand,
    ) -> Result<Event, ActivityError> {
        self.attend(ctx, errand, false).await
    }

    #[activity(name = "wootz.attempt")]
    pub(crate) async fn attempt(
        self: Arc<Self>,
        ctx: ActivityContext,
        errand: Errand,
    ) -> Result<Event, ActivityError> {
        self.attend(ctx, errand, true).await
    }
}

impl Stations {
    /// Does the errand on a thread of its own, and meanwhile says that it goes on.
    async fn attend(
        self: Arc<Self>,
        ctx: ActivityContext,
        errand: Errand,
        work: bool,
    ) -> Result<Event, ActivityError> {
        if errand.version != VERSION {
            let why = format!("this worker reads version {VERSION} of errands, not {}", errand.version);
            return Err(refused(why));
        }
        let run = self.run(&errand.run).map_err(|error| refused(error.to_string()))?;
        let plan = &run.created.plan.steps[errand.step];
        let (id, number) = (plan.id.clone(), errand.attempt);
        let kind = self.registry.get(&plan.kind);
        let limit = plan.timeout_seconds.or_else(|| kind.and_then(|kind| kind.timeout_seconds()));
        let cancel = Arc::new(AtomicBool::new(false));
        let (stations, flag) = (Arc::clone(&self), Arc::clone(&cancel));
        let mut done = tokio::task::spawn_blocking(move || stations.go(&run, &errand, flag, work));
        let (task, mut timed_out) = (format!("{id}.{number}"), false);
        let begun = ctx.info().scheduled_time.unwrap_or_else(SystemTime::now);
        loop {
            tokio::select! {
                event = &mut done => {
                    let event = event.map_err(|error| refused(error.to_string()))?;
                    return Ok(if timed_out { late(event, limit) } else { event });
                }
                () = tokio::time::sleep(BEAT) => {}
            }
            // The server cannot be told, so it will ask another worker: nothing else is to be done here.
            let _ = ctx.record_heartbeat(task.clone()).await;
            let ran = begun.elapsed().unwrap_or_default().as_secs_f64();
            timed_out |= work && !ctx.is_cancelled() && limit.is_some_and(|limit| ran >= limit);
            if timed_out || ctx.is_cancelled() {
                cancel.store(true, Ordering::Relaxed);
            }
        }
    }

    fn go(&self, run: &Run, errand: &Errand, cancel: Arc<AtomicBool>, work: bool) -> Event {
        let before = errand.before.iter().map(|before| {
            let status = match before.status {
                Status::Cached => Status::Succeeded,
                status => status,
            };
            (before.id.clone(), status.word(), before.key.clone())
        });
        let ask = Ask {
            run: &errand.run,
            created: &run.created,
            step: errand.step,
            attempt: errand.attempt,
            cache: match errand.reuse {
                Reuse::Allowed => CacheUse::Allowed,
                Reuse::Refused => CacheUse::Refused,
                Reuse::Required => CacheUse::Required,
            },
            gpus: errand.gpus.clone(),
            before: before.collect(),
            cancel,
        };
        match work {
            true => self.runner.attempt(&ask, &self.registry, run.launcher.as_ref(), &Silent),
            false => self.runner.look(&ask, &self.registry, &Silent),
        }
    }

    fn run(&self, id: &str) -> Result<Arc<Run>, RunnerError> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = runs.get(id) {
            return Ok(Arc::clone(run));
        }
        let created = self.runner.created(id)?;
        let launcher = self.runner.launcher(id, &created, &self.keeper, &self.attendants)?;
        let run = Arc::new(Run { created, launcher });
        runs.insert(id.to_owned(), Arc::clone(&run));
        Ok(run)
    }
}

/// What an attempt comes to that was stopped because its time was over.
fn late(event: Event, limit: Option<f64>) -> Event {
    match event {
        Event::Failed { step, attempt, .. } | Event::Cancelled { step, attempt } => {
            let message = format!("timed out after {}", human::seconds(limit.unwrap_or_default()));
            let hint = Some("raise timeout_seconds".to_owned());
            let failure = Failure { message, hint, exit: 1, retryable: true, code: None };
            Event::Failed { step, attempt, failure }
        }
        event => event,
    }
}

fn refused(why: String) -> ActivityError {
    ActivityError::from(temporalio_sdk::ApplicationFailure::new(why))
}
