//! The loop that owns a run: it records what happens, asks the state machine, and does what that commands.
//!
//! Attempts run on threads and send news; only this loop writes the log and changes the state. An attempt looks for its
//! output first, then waits until its start is on the disk, then works. News that come together are committed together:
//! a disk that takes a millisecond for a commit does not hold up a thousand cached steps one by one.

use crate::attempt::{Attempt, Input, Made, Output, Prepared};
use crate::cancel::Request;
use crate::error::RunnerError;
use crate::journal::first;
use crate::narrator::Narrator;
use crate::runner::{Options, Runner};
use crate::tee::{Stage, Tee};
use crate::view;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::Scope;
use std::time::{Duration, Instant};
use wootz_pipeline::machine::{self, CacheUse, Command, State, StepState};
use wootz_pipeline::{Launcher, Registry, StepError};
use wootz_schema::event::{Created, Event, Failure, Record, Status};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::task::TaskLabel;
use wootz_stdx::human;
use wootz_store::{Artifact, Lookup};

/// How often the loop looks at the clock and at the request to stop when there is no news.
const TICK: Duration = Duration::from_millis(20);

/// What a run is driven with.
pub(crate) struct Setting<'a> {
    pub runner: &'a Runner,
    pub registry: &'a Registry,
    pub options: &'a Options<'a>,
    pub observe: &'a dyn Observe,
    pub launcher: &'a dyn Launcher,
    pub run: &'a str,
    pub created: &'a Created,
}

/// A run being driven.
struct Engine<'a> {
    setting: &'a Setting<'a>,
    /// Absent only while an event is applied.
    state: Option<State>,
    next_seq: u64,
    /// Outputs by position.
    artifacts: Vec<Option<Artifact>>,
    /// Statuses as last announced, by position.
    announced: Vec<Status>,
    live: BTreeMap<usize, Live>,
    wakes: BTreeSet<(u64, usize)>,
    /// Attempts that may work as soon as their start is on the disk.
    released: Vec<Sender<()>>,
    cancelling: bool,
    /// The wish of another process that the run stops.
    request: Request,
    stage: &'a Stage,
    sender: Sender<News>,
    narrator: Narrator<'a>,
    /// When the attempts began that an engine before this one began, by step.
    started: BTreeMap<String, u64>,
}

/// An attempt on its thread.
struct Live {
    number: u32,
    cancel: Arc<AtomicBool>,
    deadline: Option<Instant>,
    timed_out: bool,
}

/// What an attempt tells the loop.
struct News {
    position: usize,
    number: u32,
    what: What,
}

enum What {
    /// The output has to be made; the attempt waits for a word on `go`.
    Ready { key: String, go: Sender<()> },
    /// The attempt is over.
    Over(Result<Made, StepError>),
}

/// Drives a run from its log until nothing is left to do. A log with more than the creation is of a run that is taken up again.
pub(crate) fn drive(setting: &Setting<'_>, records: &[Record]) -> Result<(), RunnerError> {
    let first = first(setting.run, records)?;
    let (mut state, commands) = machine::begin(first)?;
    let mut narrator = Narrator::open(setting, &first.plan)?;
    let mut started = BTreeMap::new();
    for record in &records[1..] {
        state = machine::step(state, record).0;
        narrator.hear(record, &state);
        if let Event::Started { step, .. } = &record.event {
            started.insert(step.clone(), record.at_ms);
        }
    }
    narrator.flush();
    let (sender, receiver) = mpsc::channel();
    let stage = Mutex::new(None);
    let artifacts = state.steps().iter().map(|step| {
        step.output.as_ref().and_then(|key| match setting.runner.store().find(key) {
            Lookup::Whole(artifact) => Some(*artifact),
            Lookup::Missing | Lookup::Broken(_) => None,
        })
    });
    let mut engine = Engine {
        setting,
        artifacts: artifacts.collect(),
        announced: state.steps().iter().map(|s| s.status()).collect(),
        state: Some(state),
        next_seq: records.len() as u64,
        live: BTreeMap::new(),
        wakes: BTreeSet::new(),
        released: Vec::new(),
        cancelling: false,
        request: Request::of(setting.runner, setting.run),
        stage: &stage,
        sender,
        narrator,
        started,
    };
    std::thread::scope(|scope| {
        let driven = match engine.resumed(records.len() > 1) {
            Some(event) => engine.commit(|engine| engine.record(event, scope)),
            None => engine.obey(commands, scope),
        };
        let driven = driven.and_then(|()| engine.turn(&receiver, scope));
        // After an error the threads must come to an end; what they still do is found again by the next attempt.
        engine.live.values().for_each(|live| live.cancel.store(true, Ordering::Relaxed));
        drop(receiver);
        driven.map_err(|error| match error {
            RunnerError::Store(source) => RunnerError::Unwritten { run: setting.run.to_owned(), source },
            other => other,
        })
    })
}

impl<'a> Engine<'a> {
    /// That the run was taken up again, and which attempts go on.
    fn resumed(&self, is_resumed: bool) -> Option<Event> {
        let goes_on = |position: &usize| {
            let (step, plan) =
                (&self.state().steps()[*position], &self.setting.created.plan.steps[*position]);
            let is_launched = self.setting.registry.get(&plan.kind).is_some_and(|kind| kind.is_launched());
            let task = format!("{}.{}", plan.id, step.attempt);
            step.state == StepState::Running && is_launched && self.setting.launcher.survives(&task)
        };
        let steps = 0..self.state().steps().len();
        is_resumed.then(|| Event::Resumed {
            max_parallel: self.setting.options.max_parallel,
            // A cluster counts for itself.
            capacity: self
                .setting
                .options
                .capacity
                .clone()
                .filter(|_| !self.setting.created.counts_elsewhere()),
            kept: steps.filter(goes_on).map(|position| self.id(position)).collect(),
        })
    }

    fn turn<'s>(&mut self, receiver: &Receiver<News>, scope: &'s Scope<'s, '_>) -> Result<(), RunnerError>
    where
        'a: 's,
    {
        while !self.state().is_over() || !self.live.is_empty() {
            let is_wanted = |engine: &mut Self| {
                engine.setting.options.cancel.load(Ordering::Relaxed) || engine.request.is_there()
            };
            if !self.cancelling && is_wanted(self) {
                self.cancelling = true;
                self.wakes.clear();
                self.live.values().for_each(|live| live.cancel.store(true, Ordering::Relaxed));
                self.commit(|engine| engine.record(Event::CancelRequested, scope))?;
                self.request.forget();
                continue;
            }
            let now_ms = self.setting.runner.clock().now_ms();
            if let Some((due_ms, position)) =
                self.wakes.first().copied().filter(|(due_ms, _)| *due_ms <= now_ms)
            {
                self.wakes.remove(&(due_ms, position));
                let step = self.id(position);
                self.commit(|engine| engine.record(Event::RetryDue { step }, scope))?;
                continue;
            }
            for live in self.live.values_mut().filter(|l| l.deadline.is_some_and(|at| at <= Instant::now())) {
                live.timed_out = true;
                live.cancel.store(true, Ordering::Relaxed);
            }
            match receiver.recv_timeout(TICK) {
                Ok(news) => {
                    let mut all = std::iter::once(news).chain(receiver.try_iter());
                    self.commit(|engine| all.try_for_each(|news| engine.hear(news, scope)))?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Cannot happen while the engine holds a sender; nothing more would come.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Does what records events, puts them on the disk, and then lets the attempts work that wait for that.
    fn commit(&mut self, work: impl FnOnce(&mut Self) -> Result<(), RunnerError>) -> Result<(), RunnerError> {
        self.setting.runner.journal().begin()?;
        // In a folder that went away even the failures of steps are its own: they are not kept, so that a resumed run does those again.
        let worked = work(self).and_then(|()| match self.setting.runner.journal().gone() {
            Some(path) => Err(RunnerError::Gone { run: self.setting.run.to_owned(), path: path.to_owned() }),
            None => Ok(()),
        });
        if let Err(error) = worked {
            self.setting.runner.journal().abandon();
            return Err(error);
        }
        self.setting.runner.journal().commit()?;
        self.narrator.flush();
        for go in self.released.drain(..) {
            // An attempt that no longer waits says so itself.
            let _ = go.send(());
        }
        Ok(())
    }

    /// Adds an event to the log and lets it count.
    fn record<'s>(&mut self, event: Event, scope: &'s Scope<'s, '_>) -> Result<(), RunnerError>
    where
        'a: 's,
    {
        let record = Record { seq: self.next_seq, at_ms: self.setting.runner.clock().now_ms(), event };
        self.setting.runner.journal().append(self.setting.run, &record)?;
        self.next_seq += 1;
        let state = self.state.take().expect("a state, because it is put back below");
        let (state, commands) = machine::step(state, &record);
        self.narrator.hear(&record, &state);
        self.state = Some(state);
        self.announce();
        self.obey(commands, scope)
    }

    fn obey<'s>(&mut self, commands: Vec<Command>, scope: &'s Scope<'s, '_>) -> Result<(), RunnerError>
    where
        'a: 's,
    {
        for command in commands {
            match command {
                Command::Start { step, attempt, cache } => self.start(step, attempt, cache, false, scope)?,
                Command::Attach { step, attempt, cache } => self.start(step, attempt, cache, true, scope)?,
                Command::Wake { step, due_ms } => drop(self.wakes.insert((due_ms, step))),
                Command::Cancel { step } => {
                    self.live
                        .get(&step)
                        .into_iter()
                        .for_each(|live| live.cancel.store(true, Ordering::Relaxed));
                }
                Command::Finish => {}
            }
        }
        Ok(())
    }

    fn start<'s>(
        &mut self,
        position: usize,
        number: u32,
        cache: CacheUse,
        goes_on: bool,
        scope: &'s Scope<'s, '_>,
    ) -> Result<(), RunnerError>
    where
        'a: 's,
    {
        let created: &'a Created = self.setting.created;
        let step = &created.plan.steps[position];
        let Some(kind) = self.setting.registry.get(&step.kind).cloned() else {
            let message = format!("run a step of type {}: this build has no such type", step.kind);
            return self.fail(position, number, &StepError::usage(message), scope);
        };
        let cancel = Arc::new(AtomicBool::new(false));
        let attempt = Attempt {
            store: self.setting.runner.store(),
            clock: self.setting.runner.clock(),
            run: self.setting.run,
            step,
            number,
            cache,
            inputs: self.inputs(position, kind.reads_run()),
            view: view::run_view(
                self.setting.run,
                created,
                self.state(),
                &self.artifacts,
                position,
                kind.reads_run(),
            ),
            kind,
            cancel: Arc::clone(&cancel),
            lock_wait: self.setting.options.lock_wait,
            launcher: self.setting.launcher,
            label: TaskLabel {
                workflow_id: created.plan.name.clone(),
                run_id: self.setting.run.to_owned(),
                step_id: step.id.clone(),
                step_name: step.name.clone(),
                attempt: number,
            },
            gpus: self.state().steps()[position].gpus().to_vec(),
            logs: self.setting.runner.task_logs(self.setting.run, &created.plan, &step.id, number),
        };
        let ran_ms = self.started.get(&step.id).filter(|_| goes_on);
        let ran_ms = ran_ms.map(|at| self.setting.runner.clock().now_ms().saturating_sub(*at));
        let deadline = ran_ms.and_then(|ran_ms| self.deadline(position, ran_ms));
        self.live.insert(position, Live { number, cancel, deadline, timed_out: false });
        let mut tee = Tee {
            position,
            step: &step.id,
            log: None,
            stage: self.stage,
            clock: self.setting.runner.clock(),
            observe: self.setting.observe,
        };
        let log_path = self.setting.runner.log_path(self.setting.run, &step.id, number);
        let sender = self.sender.clone();
        scope.spawn(move || {
            let result = attend(&attempt, &mut tee, log_path, position, goes_on, &sender);
            tee.leave_stage();
            // The loop may be gone after an error of its own; then nobody is left to hear.
            let _ = sender.send(News { position, number, what: What::Over(result) });
        });
        Ok(())
    }

    /// When an attempt has to be over that has run for a while already.
    fn deadline(&self, position: usize, ran_ms: u64) -> Option<Instant> {
        let limit = Duration::from_secs_f64(self.limit(position)?);
        Some(Instant::now() + limit.saturating_sub(Duration::from_millis(ran_ms)))
    }

    /// Seconds that an attempt may take.
    fn limit(&self, position: usize) -> Option<f64> {
        let step = &self.setting.created.plan.steps[position];
        let of_kind = || self.setting.registry.get(&step.kind).and_then(|kind| kind.timeout_seconds());
        step.timeout_seconds.or_else(of_kind)
    }

    /// How the steps ended that this one waits for; with `all`, those before them too.
    fn inputs(&self, position: usize, all: bool) -> BTreeMap<String, Input> {
        let state = self.state();
        let before: BTreeSet<usize> = match all {
            true => state.graph().with_ancestors(position),
            false => state.graph().dependencies(position).iter().copied().collect(),
        };
        let input = |before: usize| Input {
            status: match state.steps()[before].state {
                StepState::Succeeded { .. } => "succeeded",
                _ => state.steps()[before].status().word(),
            },
            output: self.artifacts[before].as_ref().map(Output::of),
        };
        before.into_iter().filter(|b| *b != position).map(|b| (self.id(b), input(b))).collect()
    }

    fn hear<'s>(&mut self, news: News, scope: &'s Scope<'s, '_>) -> Result<(), RunnerError>
    where
        'a: 's,
    {
        let News { position, number, what } = news;
        let step = self.id(position);
        let record = &self.state().steps()[position];
        let current =
            record.attempt == number && matches!(record.state, StepState::Starting | StepState::Running);
        match what {
            What::Ready { key, go } if current => {
                self.record(Event::Started { step, attempt: number, key }, scope)?;
                let deadline = self.deadline(position, 0);
                if let Some(live) = self.live.get_mut(&position) {
                    live.deadline = deadline;
                }
                self.released.push(go);
                Ok(())
            }
            // Dropping `go` tells the attempt that it is not wanted any more.
            What::Ready { .. } => Ok(()),
            What::Over(result) => {
                let live = self.live.remove(&position);
                if !current {
                    return Ok(());
                }
                let timed_out = live.is_some_and(|live| live.timed_out && live.number == number);
                match result {
                    Ok(Made::Output { artifact, cached }) => {
                        self.over(position, number, *artifact, cached, scope)
                    }
                    Ok(Made::Nothing { seconds, summary }) => {
                        let key = String::new();
                        self.record(Event::Succeeded { step, attempt: number, key, seconds, summary }, scope)
                    }
                    Err(_) if self.cancelling => {
                        self.record(Event::Cancelled { step, attempt: number }, scope)
                    }
                    Err(_) if timed_out => {
                        let limit = self.limit(position).unwrap_or_default();
                        let message = format!("timed out after {}", human::seconds(limit));
                        let error = StepError::failed(message).retryable().with_hint("raise timeout_seconds");
                        self.fail(position, number, &error, scope)
                    }
                    Err(error) => self.fail(position, number, &error, scope),
                }
            }
        }
    }

    /// The step's output is there.
    fn over<'s>(
        &mut self,
        position: usize,
        attempt: u32,
        artifact: Artifact,
        cached: bool,
        scope: &'s Scope<'s, '_>,
    ) -> Result<(), RunnerError>
    where
        'a: 's,
    {
        let step = self.id(position);
        let (origin, key) = (artifact.manifest.origin.clone(), artifact.manifest.key.clone());
        self.setting.runner.link(self.setting.run, &step, &artifact.path);
        self.artifacts[position] = Some(artifact);
        let (seconds, summary) = (origin.seconds, origin.summary);
        self.record(
            match (cached, origin.passed) {
                (true, _) => Event::Cached { step, attempt, key },
                (false, true) => Event::Succeeded { step, attempt, key, seconds, summary },
                (false, false) => Event::Held { step, attempt, key, seconds, summary },
            },
            scope,
        )
    }

    fn fail<'s>(
        &mut self,
        position: usize,
        attempt: u32,
        error: &StepError,
        scope: &'s Scope<'s, '_>,
    ) -> Result<(), RunnerError>
    where
        'a: 's,
    {
        let failure = Failure {
            message: error.message.clone(),
            hint: error.hint.clone(),
            exit: error.exit as u8,
            retryable: error.retryable,
            code: error.code,
        };
        self.record(Event::Failed { step: self.id(position), attempt, failure }, scope)
    }

    /// Tells the watcher what changed.
    fn announce(&mut self) {
        let state = self.state.as_ref().expect("a state, because it is only taken while an event is applied");
        for position in state.touched().iter().copied() {
            let step = &state.steps()[position];
            let (id, status) = (state.graph().id(position), step.status());
            if let StepState::Backoff { due_ms } = step.state {
                let wait =
                    human::seconds(due_ms.saturating_sub(self.setting.runner.clock().now_ms()) as f64 / 1e3);
                let message =
                    format!("{id}: attempt {} failed: {}; next in {wait}", step.attempt, step.summary);
                self.setting.observe.observe(Progress::Message(&message));
            }
            if self.announced[position] == status {
                continue;
            }
            self.announced[position] = status;
            let origin = self.artifacts[position].as_ref().map(|a| &a.manifest.origin);
            let told = (step.seconds.unwrap_or_default(), step.summary.as_str());
            let (seconds, summary) = origin.map_or(told, |o| (o.seconds, o.summary.as_str()));
            let took = human::seconds(seconds);
            let message = match status {
                Status::Succeeded => format!("{id}: done in {took}: {summary}"),
                Status::Cached => format!("{id}: cached ({took} when it ran): {summary}"),
                Status::Running => format!("{id}: started"),
                status => format!("{id}: {}: {}", status.word(), step.summary),
            };
            self.setting.observe.observe(Progress::Message(message.trim_end_matches(": ")));
        }
    }

    fn id(&self, position: usize) -> String {
        self.setting.created.plan.steps[position].id.clone()
    }

    fn state(&self) -> &State {
        self.state.as_ref().expect("a state, because it is only taken while an event is applied")
    }
}

/// An attempt on its thread, from the look-up to the published output. One that goes on has had its start recorded by an engine before this.
fn attend(
    attempt: &Attempt<'_>,
    tee: &mut Tee<'_>,
    log_path: PathBuf,
    position: usize,
    goes_on: bool,
    sender: &Sender<News>,
) -> Result<Made, StepError> {
    let ready = match attempt.prepare(tee)? {
        Prepared::Cached(artifact) => return Ok(Made::Output { artifact, cached: true }),
        Prepared::Recovered(artifact) => return Ok(Made::Output { artifact, cached: false }),
        Prepared::Ready(ready) => ready,
    };
    let (go, wait) = mpsc::channel();
    let what = What::Ready { key: ready.key.clone(), go };
    let is_told =
        || sender.send(News { position, number: attempt.number, what }).is_ok() && wait.recv().is_ok();
    if !goes_on && !is_told() {
        return Err(StepError::cancelled());
    }
    // What a process says has files of its own.
    if !attempt.kind.is_launched() {
        let opened = log_path.parent().map_or(Ok(()), fs::create_dir_all);
        let opened = opened.and_then(|()| File::options().append(true).create(true).open(&log_path));
        let failed = |error| StepError::environment(format!("write the log {}: {error}", log_path.display()));
        tee.log = Some(opened.map_err(failed)?);
    }
    tee.write(&format!("attempt {} of step {}, output {}", attempt.number, attempt.step.id, ready.key));
    let result = attempt.work(ready, tee);
    match &result {
        Ok(Made::Output { artifact, .. }) => {
            tee.write(&format!("done: {}", artifact.manifest.origin.summary))
        }
        Ok(Made::Nothing { summary, .. }) => tee.write(&format!("done: {summary}")),
        Err(error) => tee.write(&format!("failed: {error}")),
    }
    result
}
