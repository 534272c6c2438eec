//! Single attempts for an engine elsewhere: the same look and the same work as on the embedded engine's threads, and the same events.
//!
//! Not covered: kinds that read the whole run (reports) and rely on more than the outputs of the steps they wait for.

use crate::attempt::{Attempt, Input, Made, Output, Prepared};
use crate::cancel::Request;
use crate::engine::Setting;
use crate::error::RunnerError;
use crate::journal::created;
use crate::narrator::Narrator;
use crate::runner::{Options, PlanFile, Runner};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_pipeline::machine::{self, CacheUse};
use wootz_pipeline::{Launcher, NoLauncher, Registry, RunView, StepError};
use wootz_schema::event::{Created, Event, Failure, Record};
use wootz_schema::progress::{Observe, Silent};
use wootz_schema::task::TaskLabel;
use wootz_store::Lookup;

/// How long an attempt waits for another process that makes the same output.
const LOCK_WAIT: Duration = Duration::from_secs(600);

/// An attempt that an engine elsewhere asks for.
pub struct Ask<'a> {
    /// The run.
    pub run: &'a str,
    /// How it was created.
    pub created: &'a Created,
    /// Position of the step.
    pub step: usize,
    /// Number of the attempt.
    pub attempt: u32,
    /// How an output that is there may be used.
    pub cache: CacheUse,
    /// GPUs that the attempt has for itself.
    pub gpus: Vec<String>,
    /// For each step that it waits for: its id, the word of its status, and the key of its output.
    pub before: Vec<(String, &'static str, Option<String>)>,
    /// Set to stop it.
    pub cancel: Arc<AtomicBool>,
}

impl Runner {
    /// Writes a new run into the log, so that an engine elsewhere can drive it. Its id, and its first record.
    pub fn enrol(&self, plan: &PlanFile, options: &Options<'_>) -> Result<(String, Record), RunnerError> {
        let asked = self.asked(plan, options)?;
        self.journal().create(self.clock().now_ms(), &asked)
    }

    /// How a run was created; `run` is an id or `latest`.
    pub fn created(&self, run: &str) -> Result<Created, RunnerError> {
        let run = self.id(run)?;
        created(&run, &self.journal().load(&run)?).cloned()
    }

    /// Whether somebody asked the run to stop since this was asked last.
    pub fn is_asked_to_stop(&self, run: &str) -> bool {
        let mut request = Request::of(self, run);
        let is_asked = request.is_there();
        if is_asked {
            request.forget();
        }
        is_asked
    }

    /// Looks whether the output is there: `Cached`, `Succeeded` or `Held` if it is, `Started` with its key if it has to be made.
    pub fn look(&self, ask: &Ask<'_>, registry: &Registry, observe: &dyn Observe) -> Event {
        self.attend(ask, registry, &NoLauncher, observe, false)
    }

    /// Makes the output, or waits for the process that an earlier worker began to make it.
    pub fn attempt(
        &self,
        ask: &Ask<'_>,
        registry: &Registry,
        launcher: &dyn Launcher,
        observe: &dyn Observe,
    ) -> Event {
        self.attend(ask, registry, launcher, observe, true)
    }

    /// Adds what happened elsewhere to the log of a run, which stands at `records`, and to its `events.jsonl`.
    pub fn mirror(&self, run: &str, news: &[Record], registry: &Registry) -> Result<(), RunnerError> {
        self.journal().begin()?;
        if let Err(error) = news.iter().try_for_each(|record| self.journal().append(run, record)) {
            self.journal().abandon();
            return Err(error);
        }
        self.journal().commit()?;
        let records = self.journal().load(run)?;
        let asked = created(run, &records)?;
        let (never, observe, launcher) = (AtomicBool::new(false), Silent, NoLauncher);
        let options = Options::new("", &never);
        let setting = Setting {
            runner: self,
            registry,
            options: &options,
            observe: &observe,
            launcher: &launcher,
            run,
            created: asked,
        };
        let mut narrator = Narrator::open(&setting, &asked.plan)?;
        let (mut state, _) = machine::begin(asked)?;
        for record in &records[1..] {
            state = machine::step(state, record).0;
            narrator.hear(record, &state);
        }
        narrator.flush();
        Ok(())
    }

    fn attend(
        &self,
        ask: &Ask<'_>,
        registry: &Registry,
        launcher: &dyn Launcher,
        observe: &dyn Observe,
        work: bool,
    ) -> Event {
        let (step, attempt) = (ask.created.plan.steps[ask.step].id.clone(), ask.attempt);
        match self.try_attend(ask, registry, launcher, observe, work) {
            Ok(event) => event,
            Err(error) if error.cancelled => Event::Cancelled { step, attempt },
            Err(error) => Event::Failed { step, attempt, failure: failure(&error) },
        }
    }

    fn try_attend(
        &self,
        ask: &Ask<'_>,
        registry: &Registry,
        launcher: &dyn Launcher,
        observe: &dyn Observe,
        work: bool,
    ) -> Result<Event, StepError> {
        let attempt = self.put_together(ask, registry, launcher)?;
        let (step, number) = (attempt.step.id.clone(), ask.attempt);
        let made = match attempt.prepare(observe)? {
            Prepared::Cached(artifact) => Made::Output { artifact, cached: true },
            Prepared::Recovered(artifact) => Made::Output { artifact, cached: false },
            Prepared::Ready(ready) if work => attempt.work(ready, observe)?,
            Prepared::Ready(ready) => return Ok(Event::Started { step, attempt: number, key: ready.key }),
        };
        let (artifact, cached) = match made {
            Made::Output { artifact, cached } => (artifact, cached),
            Made::Nothing { seconds, summary } => {
                return Ok(Event::Succeeded { step, attempt: number, key: String::new(), seconds, summary });
            }
        };
        self.link(ask.run, &step, &artifact.path);
        let (origin, key) = (artifact.manifest.origin, artifact.manifest.key);
        let (seconds, summary) = (origin.seconds, origin.summary);
        Ok(match (cached, origin.passed) {
            (true, _) => Event::Cached { step, attempt: number, key },
            (false, true) => Event::Succeeded { step, attempt: number, key, seconds, summary },
            (false, false) => Event::Held { step, attempt: number, key, seconds, summary },
        })
    }

    fn put_together<'a>(
        &'a self,
        ask: &Ask<'a>,
        registry: &Registry,
        launcher: &'a dyn Launcher,
    ) -> Result<Attempt<'a>, StepError> {
        let plan = &ask.created.plan;
        let step = &plan.steps[ask.step];
        let Some(kind) = registry.get(&step.kind).cloned() else {
            let message = format!("run a step of type {}: this build has no such type", step.kind);
            return Err(StepError::usage(message));
        };
        if kind.reads_run() {
            let message = format!("run a step of type {}: it reads the whole run", step.kind);
            return Err(StepError::usage(message).with_hint("run the plan with the embedded engine"));
        }
        let input = |key: &String| match self.store().find(key) {
            Lookup::Whole(artifact) => Some(Output::of(&artifact)),
            Lookup::Missing | Lookup::Broken(_) => None,
        };
        let inputs = ask
            .before
            .iter()
            .map(|(id, status, key)| (id.clone(), Input { status, output: key.as_ref().and_then(input) }));
        let inputs: BTreeMap<String, Input> = inputs.collect();
        Ok(Attempt {
            store: self.store(),
            clock: self.clock(),
            run: ask.run,
            step,
            kind,
            number: ask.attempt,
            cache: ask.cache,
            inputs,
            view: RunView {
                run: ask.run.to_owned(),
                plan: plan.name.clone(),
                plan_path: ask.created.plan_path.clone(),
                params: plan.params.clone(),
                command: ask.created.command.clone(),
                ..RunView::default()
            },
            cancel: Arc::clone(&ask.cancel),
            lock_wait: LOCK_WAIT,
            launcher,
            label: TaskLabel {
                workflow_id: plan.name.clone(),
                run_id: ask.run.to_owned(),
                step_id: step.id.clone(),
                step_name: step.name.clone(),
                attempt: ask.attempt,
            },
            logs: self.task_logs(ask.run, plan, &step.id, ask.attempt),
            gpus: ask.gpus.clone(),
        })
    }
}

/// The failure that a log keeps of an error.
pub(crate) fn failure(error: &StepError) -> Failure {
    Failure {
        message: error.message.clone(),
        hint: error.hint.clone(),
        exit: error.exit as u8,
        retryable: error.retryable,
        code: error.code,
    }
}
