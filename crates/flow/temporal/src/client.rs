//! The client: starts the workflow of a run, and mirrors what happens in it into the run's log.

use crate::workflow::Pipeline;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, WorkflowQueryOptions, WorkflowSignalOptions,
    WorkflowStartOptions, errors::WorkflowQueryError, tonic::Code,
};
use url::Url;
use wootz_pipeline::Registry;
use wootz_runner::{Options, PlanFile, Runner, RunnerError};
use wootz_schema::errand::{Order, VERSION};
use wootz_schema::event::{Driver, Event, Record, RunSummary, Status};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::human;

/// Most that a workflow is started with; the server refuses twice as much.
const MOST_BYTES: usize = 1 << 20;
/// How often the client asks what happened.
const POLL: Duration = Duration::from_millis(200);

/// How long a server may be away until whoever needs it gives up: one that is busy or was restarted answers again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the server or the worker could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TemporalError {
    /// The home folder or the plan failed.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// Nobody answers.
    #[error("connect to the Temporal server at {address}: {reason}")]
    Connect {
        /// Where it was looked for.
        address: String,
        /// What the connection said.
        reason: String,
    },
    /// The plan is too large for a history.
    #[error("start the workflow: the plan is {bytes} bytes, more than {MOST_BYTES}")]
    Size {
        /// With its text and parameters.
        bytes: usize,
    },
    /// A step needs more than the outputs before it.
    #[error("run step {step} on a Temporal server: steps of type {kind} read the whole run")]
    ReadsRun {
        /// The step.
        step: String,
        /// Its type.
        kind: String,
    },
    /// The server refused a request.
    #[error("{action} run {run}: {reason}")]
    Request {
        /// What was asked for.
        action: &'static str,
        /// The run.
        run: String,
        /// What the server said.
        reason: String,
    },
    /// A history does not fit.
    #[error("replay the history: {0}")]
    Replay(String),
    /// The worker ended.
    #[error("work for the Temporal server: {0}")]
    Worker(String),
}

impl Diagnose for TemporalError {
    fn exit(&self) -> ExitCode {
        match self {
            TemporalError::Runner(error) => error.exit(),
            TemporalError::Size { .. } | TemporalError::ReadsRun { .. } => ExitCode::Usage,
            _ => ExitCode::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            TemporalError::Runner(error) => error.hint(),
            TemporalError::Connect { .. } => Some(
                "start one with `temporal server start-dev`, or say where it is: TEMPORAL_ADDRESS".to_owned(),
            ),
            TemporalError::ReadsRun { .. } => Some("run the plan with the embedded engine".to_owned()),
            TemporalError::Size { .. } => Some("run it with the embedded engine, or split it".to_owned()),
            _ => None,
        }
    }
}

/// Where the server is.
#[derive(Debug, Clone)]
pub struct Server {
    /// Host and port.
    pub address: String,
    /// Its namespace.
    pub namespace: String,
    /// Where workers wait for work.
    pub task_queue: String,
    /// How long a worker may be silent until its attempts are given to another.
    pub silence: Duration,
}

impl Server {
    fn url(&self) -> Result<Url, TemporalError> {
        Url::parse(&format!("http://{}", self.address)).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> TemporalError {
        TemporalError::Connect { address: self.address.clone(), reason: error.to_string() }
    }

    pub(crate) async fn connect(&self) -> Result<Client, TemporalError> {
        let connection = Connection::connect(ConnectionOptions::new(self.url()?).build()).await;
        let connection = connection.map_err(|error| self.failed(&error))?;
        let options = ClientOptions::new(&self.namespace).build();
        Client::new(connection, options).map_err(|error| self.failed(&error))
    }

    /// Connects as soon as the server is there: it may be starting just now.
    pub(crate) async fn connect_in_time(&self, observe: &dyn Observe) -> Result<Client, TemporalError> {
        self.url()?;
        let begun = Instant::now();
        let mut told = false;
        loop {
            match self.connect().await {
                Err(_) if begun.elapsed() < PATIENCE => {}
                done => return done,
            }
            if !told {
                let line = format!("waiting: no server at {} yet", self.address);
                observe.observe(Progress::Message(&line));
            }
            told = true;
            tokio::time::sleep(POLL).await;
        }
    }

    /// Starts the workflow of a plan; the run's id.
    pub async fn start(
        &self,
        runner: &Runner,
        plan: &PlanFile,
        options: &Options<'_>,
        registry: &Registry,
    ) -> Result<String, TemporalError> {
        let reads_run = |kind: &str| registry.get(kind).is_some_and(|kind| kind.reads_run());
        if let Some(step) = plan.plan.steps.iter().find(|step| reads_run(&step.kind)) {
            return Err(TemporalError::ReadsRun { step: step.id.clone(), kind: step.kind.clone() });
        }
        let client = self.connect().await?;
        // A plan that is too large must not leave a run behind.
        let bytes = serde_json::to_vec(&plan.plan).map_or(0, |plan| plan.len()) + plan.text.len();
        if bytes > MOST_BYTES {
            return Err(TemporalError::Size { bytes });
        }
        let driver = Driver::Temporal {
            address: self.address.clone(),
            namespace: self.namespace.clone(),
            task_queue: self.task_queue.clone(),
        };
        let (run, _) = runner.enrol(plan, &Options { driver: Some(driver), ..options.clone() })?;
        let created = Box::new(runner.created(&run)?);
        let silence_ms = self.silence.as_millis() as u64;
        let order = Order { version: VERSION, run: run.clone(), created, silence_ms };
        let how = WorkflowStartOptions::new(&self.task_queue, &run).build();
        let started = client.start_workflow(Pipeline::run, order, how).await;
        started.map_err(|error| request("start", &run, &error))?;
        Ok(run)
    }

    /// Follows a run to its end, and writes what happens into its log. When `cancel` is set it is asked to stop.
    pub async fn follow(
        &self,
        runner: &Runner,
        registry: &Registry,
        run: &str,
        cancel: &AtomicBool,
        observe: &dyn Observe,
    ) -> Result<RunSummary, TemporalError> {
        // Two that follow would both write the log.
        let _taken = runner.take(run)?;
        let client = self.connect().await?;
        let handle = client.get_workflow_handle::<Pipeline>(run);
        let mut next = runner.events(run)?.len() as u64;
        let (mut asked, mut is_alone, mut answered) = (false, false, Instant::now());
        loop {
            if !asked && (cancel.load(Ordering::Relaxed) || runner.is_asked_to_stop(run)) {
                let signalled = handle.signal(Pipeline::cancel, (), WorkflowSignalOptions::default()).await;
                signalled.map_err(|error| request("cancel", run, &error))?;
                asked = true;
            }
            let options = WorkflowQueryOptions::default();
            match handle.query(Pipeline::records, next, options).await {
                Ok(news) if !news.is_empty() => {
                    next += news.len() as u64;
                    runner.mirror(run, &news, registry)?;
                    news.iter().filter_map(told).for_each(|line| observe.observe(Progress::Message(&line)));
                }
                Ok(_) if matches!(runner.show(run)?.status, Status::Running | Status::Interrupted) => {
                    tokio::time::sleep(POLL).await;
                }
                Ok(_) => return Ok(runner.show(run)?),
                Err(error) if lacks_worker(&error) => {
                    if !is_alone {
                        let queue = &self.task_queue;
                        let line =
                            format!("waiting: no worker of task queue {queue}; start one: wootz worker");
                        observe.observe(Progress::Message(&line));
                    }
                    is_alone = true;
                    tokio::time::sleep(POLL).await;
                    answered = Instant::now();
                    continue;
                }
                Err(error) if answered.elapsed() > PATIENCE => return Err(request("follow", run, &error)),
                Err(_) => {
                    tokio::time::sleep(POLL).await;
                    continue;
                }
            }
            (is_alone, answered) = (false, Instant::now());
        }
    }
}

/// Whether the server has the run, and only lacks somebody to ask.
fn lacks_worker(error: &WorkflowQueryError) -> bool {
    matches!(error, WorkflowQueryError::Rpc(status) if status.code() == Code::FailedPrecondition)
}

/// What people are told of an event.
fn told(record: &Record) -> Option<String> {
    match &record.event {
        Event::Started { step, .. } => Some(format!("{step}: started")),
        Event::Cached { step, .. } => Some(format!("{step}: cached")),
        Event::Succeeded { step, seconds, summary, .. } => {
            Some(format!("{step}: done in {}: {summary}", human::seconds(*seconds)))
        }
        Event::Held { step, summary, .. } => Some(format!("{step}: held: {summary}")),
        Event::Failed { step, attempt, failure } => {
            Some(format!("{step}: attempt {attempt} failed: {}", failure.message))
        }
        Event::Cancelled { step, .. } => Some(format!("{step}: cancelled")),
        _ => None,
    }
}

fn request(action: &'static str, run: &str, error: &dyn std::fmt::Display) -> TemporalError {
    TemporalError::Request { action, run: run.to_owned(), reason: error.to_string() }
}
