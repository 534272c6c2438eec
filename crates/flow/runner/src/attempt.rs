//! One attempt at a step: find out what it would make, see whether that is there already, else make it.

use crate::clock::Clock;
use crate::key::{KeyParts, key};
use serde_json::{Value, json};
use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wootz_pipeline::machine::CacheUse;
use wootz_pipeline::{Launcher, Part, RunView, Step, StepContext, StepError, fill_steps};
use wootz_schema::ExitCode;
use wootz_schema::artifact::{ArtifactManifest, Origin};
use wootz_schema::metrics::{Metric, Metrics};
use wootz_schema::plan::PlanStep;
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::task::{TaskLabel, TaskLogs};
use wootz_store::{Artifact, Lookup, Store, Work};

/// How often a waiting attempt looks again whether a lock is free.
const LOCK_POLL: Duration = Duration::from_millis(50);
/// Name, in a step's output, of what its process said, where another step reads that.
const SAID: &str = "stdout";
/// Most that a process may say that another step reads: it becomes an argument or a setting.
const SAID_BYTES: u64 = 64 << 10;

/// What an attempt needs to know.
pub(crate) struct Attempt<'a> {
    pub store: &'a Store,
    pub clock: &'a dyn Clock,
    pub run: &'a str,
    pub step: &'a PlanStep,
    pub kind: Arc<dyn Step>,
    pub number: u32,
    pub cache: CacheUse,
    /// How each step before this one ended, by id.
    pub inputs: BTreeMap<String, Input>,
    /// The run so far; its steps are left out for kinds that do not read them.
    pub view: RunView,
    pub cancel: Arc<AtomicBool>,
    /// How long to wait for another process that makes the same output.
    pub lock_wait: Duration,
    pub launcher: &'a dyn Launcher,
    pub label: TaskLabel,
    pub logs: TaskLogs,
    /// GPUs that it has for itself.
    pub gpus: Vec<String>,
}

/// What an attempt made.
pub(crate) enum Made {
    /// An output; `cached`: by an earlier run.
    Output { artifact: Box<Artifact>, cached: bool },
    /// Nothing that others could use.
    Nothing { seconds: f64, summary: String },
}

/// How a step ended that another waits for.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub status: &'static str,
    /// Its output.
    pub output: Option<Output>,
}

/// What a step before this one has left.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub folder: PathBuf,
    pub digest: String,
    pub metrics: Metrics,
}

impl Output {
    pub fn of(artifact: &Artifact) -> Output {
        let ArtifactManifest { digest, origin, .. } = &artifact.manifest;
        Output { folder: artifact.path.clone(), digest: digest.clone(), metrics: origin.metrics.clone() }
    }

    /// The part of it that a setting names; the folder itself as `folder` says.
    fn part(&self, id: &str, part: Part<'_>, folder: &str) -> Result<String, StepError> {
        let failed = |why: String| StepError::failed(format!("use what step {id} made: {why}"));
        match part {
            Part::Output => Ok(folder.to_owned()),
            Part::Stdout => self.said().map_err(failed),
            Part::Key(key) => {
                let said = self.said().map_err(failed)?;
                let value: Result<Value, _> = serde_json::from_str(&said);
                match value.as_ref().ok().and_then(Value::as_object).map(|object| object.get(key)) {
                    Some(Some(Value::String(text))) => Ok(text.clone()),
                    Some(Some(value)) => Ok(value.to_string()),
                    Some(None) => Err(failed(format!("the JSON object that it printed has no `{key}`"))),
                    None => Err(failed("it printed no JSON object, or more than that".to_owned())),
                }
            }
            Part::Metric(name) => match self.metrics.get(name) {
                Some(Metric::Bool(truth)) => Ok(truth.to_string()),
                Some(Metric::Number(x)) => Ok(x.to_string()),
                None => {
                    let names: Vec<&str> = self.metrics.keys().map(String::as_str).collect();
                    Err(failed(format!("it reported no figure `{name}`; it reported: {}", names.join(", "))))
                }
            },
        }
    }

    /// What its process said, without the end of the last line.
    fn said(&self) -> Result<String, String> {
        let path = self.folder.join(SAID);
        let bytes = fs::read(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
        let text = String::from_utf8(bytes).map_err(|_| "what it printed is no UTF-8".to_owned())?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }
}

/// What came of looking before working.
pub(crate) enum Prepared {
    /// An earlier run made it.
    Cached(Box<Artifact>),
    /// This run made it, and died before it could say so.
    Recovered(Box<Artifact>),
    /// It has to be made.
    Ready(Ready),
}

/// Everything is there for the work to begin.
pub(crate) struct Ready {
    pub key: String,
    config: Value,
    work: Work,
}

impl Attempt<'_> {
    /// Finds the key, and the output or the right to make it.
    pub fn prepare(&self, observe: &dyn Observe) -> Result<Prepared, StepError> {
        let config = self.fill(|output| output.folder.to_string_lossy().into_owned())?;
        let key = self.key(&config, observe)?;
        if let Some(found) = self.find(&key, observe)? {
            return Ok(found);
        }
        if !self.kind.is_cacheable(&config) {
            let work = self.store.own_work(&key).map_err(|error| StepError::from_error(&error))?;
            return Ok(Prepared::Ready(Ready { key, config, work }));
        }
        let (work, waited) = self.lock(&key, observe)?;
        if waited && let Some(found) = self.find(&key, observe)? {
            return Ok(found);
        }
        // What an interrupted run left is of use, unless the work is to be done anew.
        if self.cache == CacheUse::Refused && self.number == 1 {
            work.clear().map_err(|error| StepError::from_error(&error))?;
        }
        Ok(Prepared::Ready(Ready { key, config, work }))
    }

    /// Does the work and publishes what it made.
    pub fn work(&self, ready: Ready, observe: &dyn Observe) -> Result<Made, StepError> {
        let Ready { key: _, config, work } = ready;
        let context = StepContext {
            id: &self.step.id,
            attempt: self.number,
            work: work.path(),
            observe,
            cancel: &self.cancel,
            run: &self.view,
            launcher: self.launcher,
            label: &self.label,
            logs: &self.logs,
            resources: &self.step.resources,
            gpus: &self.gpus,
        };
        let start = Instant::now();
        // A bug in one step must not take the others and the log with it.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.kind.run(&context, &config)));
        let outcome = outcome.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))?;
        let seconds = start.elapsed().as_secs_f64();
        if self.step.captures {
            self.capture(work.path())?;
        }
        if outcome.passed && !self.kind.is_cacheable(&config) && work.drop_empty() {
            return Ok(Made::Nothing { seconds, summary: outcome.summary });
        }
        let origin = Origin {
            run: self.run.to_owned(),
            step: self.step.id.clone(),
            kind: self.step.kind.clone(),
            attempt: self.number,
            at_ms: self.clock.now_ms(),
            seconds,
            passed: outcome.passed,
            summary: outcome.summary,
            metrics: outcome.metrics,
        };
        let artifact = work.publish(origin).map_err(|error| StepError::from_error(&error))?;
        Ok(Made::Output { artifact: Box::new(artifact), cached: false })
    }

    /// Makes what the process said a part of the output.
    fn capture(&self, work: &Path) -> Result<(), StepError> {
        let said = Path::new(&self.logs.stdout);
        let io = |action, path: &Path, error| {
            StepError::environment(format!("{action} {}: {error}", path.display()))
        };
        let bytes = fs::metadata(said).map_err(|error| io("look at", said, error))?.len();
        if bytes > SAID_BYTES {
            let message =
                format!("keep what it printed for other steps: {bytes} bytes, more than {SAID_BYTES}");
            return Err(StepError::failed(message).with_hint("write it to a file below $WOOTZ_OUTPUT"));
        }
        let target = work.join(SAID);
        fs::copy(said, &target).map(drop).map_err(|error| io("write", &target, error))
    }

    /// The settings with every `${steps.ID}` replaced; by what `folder` makes of the output where that itself is meant.
    fn fill(&self, folder: impl Fn(&Output) -> String) -> Result<Value, StepError> {
        fill_steps(&self.step.config, &mut |id, part| match self
            .inputs
            .get(id)
            .and_then(|input| input.output.as_ref())
        {
            Some(output) => output.part(id, part, &folder(output)),
            None => Err(StepError::failed(format!("use the output of step {id}: it left none"))),
        })
    }

    fn key(&self, config: &Value, observe: &dyn Observe) -> Result<String, StepError> {
        let artifacts = self.store.home().join("artifacts");
        let mut sources = self.kind.sources(config)?;
        // Outputs of other steps count by their digest already.
        sources.retain(|source| !source.starts_with(&artifacts));
        let sources = match sources.is_empty() {
            true => String::new(),
            false => {
                let taken = self.store.fingerprints().take(&sources, observe);
                taken.map_err(|error| StepError::from_error(&error))?.digest
            }
        };
        let direct = self.step.depends_on.iter().filter_map(|id| self.inputs.get(id));
        let needs = |inputs: &mut dyn Iterator<Item = &Input>| -> Vec<(&'static str, Option<String>)> {
            inputs.map(|i| (i.status, i.output.as_ref().map(|output| output.digest.clone()))).collect()
        };
        let run = match self.kind.reads_run() {
            // Nobody else may use it, so nobody else may have its key.
            _ if !self.kind.is_cacheable(config) => json!({ "run": self.run, "step": self.step.id }),
            true => json!({
                "text": self.view.plan_text, "params": self.view.params, "steps": needs(&mut self.inputs.values()),
            }),
            false => Value::Null,
        };
        Ok(key(KeyParts {
            kind: self.kind.kind(),
            version: self.kind.version(),
            config: &self.fill(|output| format!("artifact:{}", output.digest))?,
            captures: self.step.captures,
            needs: needs(&mut direct.into_iter()),
            sources: &sources,
            run,
        }))
    }

    /// The output, if it is there and may be used.
    fn find(&self, key: &str, observe: &dyn Observe) -> Result<Option<Prepared>, StepError> {
        let found = match self.store.find(key) {
            Lookup::Whole(artifact) => {
                let own = artifact.manifest.origin.run == self.run;
                match self.cache {
                    // A forced step is done once it was done in this run.
                    CacheUse::Allowed | CacheUse::Refused if own => Some(Prepared::Recovered(artifact)),
                    CacheUse::Allowed | CacheUse::Required if artifact.manifest.origin.passed => {
                        Some(Prepared::Cached(artifact))
                    }
                    _ => None,
                }
            }
            Lookup::Broken(why) => {
                observe.observe(Progress::Message(&format!(
                    "the finished output is damaged, making it again: {why}"
                )));
                None
            }
            Lookup::Missing => None,
        };
        match (found, self.cache) {
            (None, CacheUse::Required) => {
                Err(StepError::usage("use the finished output: there is none of these inputs")
                    .with_hint("run the plan without --only first"))
            }
            (found, _) => Ok(found),
        }
    }

    /// The right to make this output, and whether another process had it meanwhile.
    fn lock(&self, key: &str, observe: &dyn Observe) -> Result<(Work, bool), StepError> {
        let start = Instant::now();
        let mut waited = false;
        loop {
            let holder = match self.store.work(key).map_err(|error| StepError::from_error(&error))? {
                Ok(work) => return Ok((work, waited)),
                Err(holder) => holder,
            };
            if !waited {
                observe.observe(Progress::Message(&format!("waiting: {holder} makes the same output")));
                waited = true;
            }
            if self.cancel.load(Ordering::Relaxed) {
                return Err(StepError::cancelled());
            }
            if start.elapsed() >= self.lock_wait {
                let message = format!("take the output {key}: {holder} still makes it");
                return Err(
                    StepError::environment(message).with_hint("wait for that process to end, or stop it")
                );
            }
            std::thread::sleep(LOCK_POLL);
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> StepError {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text =
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned());
    StepError { exit: ExitCode::Bug, ..StepError::failed(format!("a bug: panicked with `{text}`")) }
}
