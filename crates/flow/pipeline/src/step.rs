//! What a kind of step must offer, and the register of kinds.
//!
//! A station implements [`Step`]; an engine calls it and knows nothing else of it. Nothing here does IO: the paths are
//! values, and the engine makes the folders they name.

use crate::launch::{Ended, Launcher};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wootz_schema::event::Status;
use wootz_schema::metrics::Metrics;
use wootz_schema::progress::Observe;
use wootz_schema::task::{self, Resources, Task, TaskLabel, TaskLogs};
use wootz_schema::{Diagnose, ExitCode};

/// How long a process may take to end when it was asked to.
const GRACE: Duration = Duration::from_secs(10);

/// One kind of step.
///
/// Its output must depend on its settings, its sources and the outputs of the steps before it only: the engine uses a
/// finished output again wherever these are the same.
pub trait Step: Send + Sync {
    /// The `type` in a plan, and the key of its settings.
    fn kind(&self) -> &'static str;

    /// Bumped when the same inputs give another output; part of the cache key.
    fn version(&self) -> u32;

    /// Checks the settings without running. `${steps.ID}` stands unreplaced in them.
    fn validate(&self, config: &Value) -> Result<(), StepError>;

    /// Files and folders outside the run that the result depends on; their content is part of the cache key.
    fn sources(&self, config: &Value) -> Result<Vec<PathBuf>, StepError>;

    /// Does the work in `context.work` and leaves its output there.
    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError>;

    /// Whether the result shows the plan's text or other steps' figures ([`StepContext::run`]). Then the plan's text and
    /// parameters are part of the cache key too.
    fn reads_run(&self) -> bool {
        false
    }

    /// Settings that stand beside `type` in the step itself instead of under a key of their own.
    fn inline_keys(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether another run may use the output again. What has effects outside its output, or depends on more than its settings, sources
    /// and inputs, must be done in each run.
    fn is_cacheable(&self, config: &Value) -> bool {
        let _ = config;
        true
    }

    /// Whether an attempt is a process of the launcher's, which can be asked for again when the engine that began it is gone.
    fn is_launched(&self) -> bool {
        false
    }

    /// Limit of an attempt where the plan gives none.
    fn timeout_seconds(&self) -> Option<f64> {
        None
    }
}

/// What an attempt gets to work with.
pub struct StepContext<'a> {
    /// Id of the step.
    pub id: &'a str,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// Folder that the step fills. It survives a kill and is found again by the next attempt with the same inputs; it
    /// becomes the step's output when the step succeeds.
    pub work: &'a Path,
    /// Receives progress.
    pub observe: &'a dyn Observe,
    /// Set when the attempt should stop soon: save what can be resumed and return [`StepError::cancelled`].
    pub cancel: &'a AtomicBool,
    /// The run so far.
    pub run: &'a RunView,
    /// Runs processes.
    pub launcher: &'a dyn Launcher,
    /// Whose attempt this is.
    pub label: &'a TaskLabel,
    /// Where what its process says is kept.
    pub logs: &'a TaskLogs,
    /// What the plan asked for.
    pub resources: &'a Resources,
    /// GPUs that it has for itself, as `CUDA_VISIBLE_DEVICES` names them; empty where the launcher hands them out.
    pub gpus: &'a [String],
}

impl StepContext<'_> {
    /// Runs the process of this attempt, or waits for the one that was begun before the engine died.
    pub fn launch(
        &self,
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        folder: &Path,
    ) -> Result<Ended, StepError> {
        self.launch_task(argv, env, folder, false)
    }

    /// The same for a process that has to do with containers itself, and therefore never runs inside one.
    pub fn launch_outside(
        &self,
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        folder: &Path,
    ) -> Result<Ended, StepError> {
        self.launch_task(argv, env, folder, true)
    }

    fn launch_task(
        &self,
        argv: Vec<String>,
        mut env: BTreeMap<String, String>,
        folder: &Path,
        is_outside: bool,
    ) -> Result<Ended, StepError> {
        if !self.gpus.is_empty() {
            env.entry("CUDA_VISIBLE_DEVICES".to_owned()).or_insert_with(|| self.gpus.join(","));
        }
        let resources = self.resources.clone();
        let folder = folder.to_string_lossy().into_owned();
        let (label, logs) = (self.label.clone(), self.logs.clone());
        let task = Task { version: task::VERSION, label, argv, env, folder, logs, resources, is_outside };
        self.launcher.run(&task, self.cancel, GRACE)
    }

    /// An error if the attempt should stop; for use between pieces of work.
    pub fn check_cancelled(&self) -> Result<(), StepError> {
        if self.cancel.load(Ordering::Relaxed) { Err(StepError::cancelled()) } else { Ok(()) }
    }
}

/// The run as a step that reports on it sees it.
#[derive(Debug, Clone, Default)]
pub struct RunView {
    /// Id of the run.
    pub run: String,
    /// Name of the plan.
    pub plan: String,
    /// The plan as it was written.
    pub plan_text: String,
    /// The file it was read from, as the caller named it.
    pub plan_path: String,
    /// Parameters and their values.
    pub params: BTreeMap<String, Value>,
    /// The command line that started the run.
    pub command: String,
    /// The steps before this one, in the plan's order.
    pub steps: Vec<StepView>,
}

/// One step of a [`RunView`].
#[derive(Debug, Clone)]
pub struct StepView {
    /// Id of the step.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its settings, with the outputs of other steps as paths.
    pub config: Value,
    /// How far it is.
    pub status: Status,
    /// Whether its output comes from an earlier run.
    pub cached: bool,
    /// Seconds the attempt took that made the output, in whichever run it was.
    pub seconds: Option<f64>,
    /// Folder of its output.
    pub output: Option<PathBuf>,
    /// Figures it reported.
    pub metrics: Metrics,
    /// One line for people: what it made, why it was skipped, or the error.
    pub summary: String,
}

/// What a successful attempt reports beside its output.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutcome {
    /// Figures for gates and reports.
    pub metrics: Metrics,
    /// One line for people.
    pub summary: String,
    /// False: a gate held. The output is kept, the step counts as failed.
    pub passed: bool,
}

impl StepOutcome {
    /// An outcome that lets the line go on.
    pub fn passed(summary: impl Into<String>, metrics: Metrics) -> StepOutcome {
        StepOutcome { metrics, summary: summary.into(), passed: true }
    }

    /// An outcome that holds the line.
    pub fn held(summary: impl Into<String>, metrics: Metrics) -> StepOutcome {
        StepOutcome { metrics, summary: summary.into(), passed: false }
    }
}

/// Why a step could not be checked or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// What went wrong and where.
    pub message: String,
    /// The fix, as a sentence.
    pub hint: Option<String>,
    /// Exit code a command ends with.
    pub exit: ExitCode,
    /// Whether another attempt could do better.
    pub retryable: bool,
    /// The setting at fault, its parts separated by dots: `model.depth`.
    pub key: Option<String>,
    /// The attempt stopped because it was asked to.
    pub cancelled: bool,
    /// Exit code of the attempt's process, where it is that which failed.
    pub code: Option<i32>,
}

impl StepError {
    /// The work failed; another attempt would fail alike.
    pub fn failed(message: impl Into<String>) -> StepError {
        StepError::new(message, ExitCode::Failed)
    }

    /// The settings or the input are bad.
    pub fn usage(message: impl Into<String>) -> StepError {
        StepError::new(message, ExitCode::Usage)
    }

    /// The environment does not allow it.
    pub fn environment(message: impl Into<String>) -> StepError {
        StepError::new(message, ExitCode::Environment)
    }

    /// The attempt stopped because [`StepContext::cancel`] was set.
    pub fn cancelled() -> StepError {
        StepError { cancelled: true, ..StepError::failed("stopped on request") }
    }

    /// Any error that knows its exit code and hint, with the causes in its message.
    pub fn from_error(error: &impl Diagnose) -> StepError {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors already repeat their cause at the end of their own message.
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        StepError { hint: error.hint(), ..StepError::new(message, error.exit()) }
    }

    /// The same error with a fix.
    pub fn with_hint(self, hint: impl Into<String>) -> StepError {
        StepError { hint: Some(hint.into()), ..self }
    }

    /// The same error, laid to a setting.
    pub fn at_key(self, key: impl Into<String>) -> StepError {
        StepError { key: Some(key.into()), ..self }
    }

    /// The same error, worth another attempt.
    pub fn retryable(self) -> StepError {
        StepError { retryable: true, ..self }
    }

    fn new(message: impl Into<String>, exit: ExitCode) -> StepError {
        StepError {
            message: message.into(),
            hint: None,
            exit,
            retryable: false,
            key: None,
            cancelled: false,
            code: None,
        }
    }
}

impl Diagnose for StepError {
    fn exit(&self) -> ExitCode {
        self.exit
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// Reads a step's settings into its own type, which must deny unknown fields; the error names the key.
pub fn settings<T: DeserializeOwned>(config: &Value) -> Result<T, StepError> {
    T::deserialize(config).map_err(|error| {
        let message = error.to_string();
        let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
        match (unknown, missing) {
            (Some((key, rest)), _) => {
                let valid: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
                let error = StepError::usage(crate::suggest::unknown_key(key, &valid)).at_key(key);
                match crate::suggest::nearest(key, &valid) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error,
                }
            }
            (None, Some((key, _))) => StepError::usage(format!("the setting `{key}` is missing")),
            (None, None) => StepError::usage(message),
        }
    })
}

/// The kinds of steps there are, in order of name.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<dyn Step>>,
}

impl Registry {
    /// A register without kinds.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds a kind; a kind of the same name is replaced.
    pub fn register(&mut self, step: impl Step + 'static) -> &mut Registry {
        self.kinds.insert(step.kind(), Arc::new(step));
        self
    }

    /// The kind of this name.
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn Step>> {
        self.kinds.get(kind)
    }

    /// All names, sorted.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.kinds.keys().copied()
    }
}
