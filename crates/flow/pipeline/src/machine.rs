//! The state machine of a run: one event in, the new state and the commands it causes out.
//!
//! ```text
//! step is    on                    becomes     because / and
//! pending    (dependencies over)   starting    they succeeded, or `when` matches, and a slot is free: Start
//!                                  skipped     they did not
//! starting   Started               running
//!            Cached                succeeded
//! starting,  Succeeded             succeeded
//! running    Held                  failed      a gate is not tried again
//!            Failed                backoff     retryable, attempts left, not cancelled: Wake
//!                                  failed      otherwise
//!            Cancelled             cancelled
//! backoff    RetryDue              pending     its dependencies are over: it starts when a slot is free
//! running    CancelRequested       running     Cancel
//! others     CancelRequested       cancelled   starting, pending, backoff
//! running    Resumed, kept         running     its process outlived the engine: Attach
//! starting,  Resumed, run open     pending     its process is gone; the next attempt has the next number
//! running
//! failed,    Resumed, run over     pending     unless its failure was allowed, or `--only` left it out
//! cancelled,
//! skipped
//! any          Replanned               pending     of another plan, unless it is named as one that stays
//! ```
//!
//! Every other pair leaves the state as it is: an event of an attempt that is no longer the current one is late news.
//! A run is over when no step is pending, starting, running or in backoff; then Finish is commanded, once.
//! Work is conserved: a step starts as soon as its own dependencies are over, a slot is free and what it wants to have for
//! itself (cores, memory, GPUs, of pools) is, in the plan's order. One that has to wait for much does not hold up those
//! after it that need less.

use crate::graph::{Graph, GraphError};
use crate::tokens::Tokens;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wootz_schema::ExitCode;
use wootz_schema::event::{Created, Event, Failure, Record, Status};
use wootz_schema::plan::{Retries, WhenStatus};

/// What the engine has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begin an attempt, or take the step's output from the cache.
    Start {
        /// Position of the step.
        step: usize,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Whether the cache may, must, or must not be used.
        cache: CacheUse,
    },
    /// Go on with an attempt that outlived the engine before this one.
    Attach {
        /// Position of the step.
        step: usize,
        /// Number of the attempt.
        attempt: u32,
        /// As it was when the attempt was begun.
        cache: CacheUse,
    },
    /// Report `RetryDue` at this time.
    Wake {
        /// Position of the step.
        step: usize,
        /// Milliseconds since 1970 UTC.
        due_ms: u64,
    },
    /// Ask the running attempt to stop.
    Cancel {
        /// Position of the step.
        step: usize,
    },
    /// Nothing is left to do.
    Finish,
}

/// How a step may use an output that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheUse {
    /// Use it if it is there.
    Allowed,
    /// Run again; an output that this very run published counts all the same.
    Refused,
    /// Use it, or fail: the step was not asked for.
    Required,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// Waits for dependencies or a free slot.
    Pending,
    /// Its start is commanded.
    Starting,
    /// An attempt goes on.
    Running,
    /// Waits for its next attempt.
    Backoff {
        /// Milliseconds since 1970 UTC.
        due_ms: u64,
    },
    /// Its output is there; `cached`: from before this run.
    Succeeded {
        /// Whether nothing had to run.
        cached: bool,
    },
    /// No attempt succeeded.
    Failed(Failure),
    /// It was never begun, and why.
    Skipped(String),
    /// It was stopped, or the run was before it could begin.
    Cancelled,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    /// How far it is.
    pub state: StepState,
    /// Attempts begun, those that a crash ended included.
    pub attempt: u32,
    /// Attempts that failed since the run was last taken up.
    pub failures: u32,
    /// Cache key of its output, once there is one.
    pub output: Option<String>,
    /// How long the attempt took that succeeded in this run.
    pub seconds: Option<f64>,
    /// One line for people.
    pub summary: String,
    /// Dependencies that are not over.
    waiting: usize,
    cache: CacheUse,
    selected: bool,
    /// GPUs that its attempt has for itself.
    gpus: Vec<String>,
}

impl StepRecord {
    /// GPUs that its attempt has for itself, as `CUDA_VISIBLE_DEVICES` names them.
    pub fn gpus(&self) -> &[String] {
        &self.gpus
    }

    /// Whether nothing will happen to it any more.
    pub fn is_over(&self) -> bool {
        use StepState::*;
        matches!(self.state, Succeeded { .. } | Failed(_) | Skipped(_) | Cancelled)
    }

    /// The state as people and files name it.
    pub fn status(&self) -> Status {
        match self.state {
            StepState::Pending => Status::Pending,
            StepState::Starting | StepState::Running | StepState::Backoff { .. } => Status::Running,
            StepState::Succeeded { cached: true } => Status::Cached,
            StepState::Succeeded { cached: false } => Status::Succeeded,
            StepState::Failed(_) => Status::Failed,
            StepState::Skipped(_) => Status::Skipped,
            StepState::Cancelled => Status::Cancelled,
        }
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    graph: Arc<Graph>,
    steps: Vec<StepRecord>,
    /// Steps that could start, if there were a slot.
    ready: BTreeSet<usize>,
    /// Steps that are starting or running.
    active: usize,
    /// Steps that are not over.
    open: usize,
    max_parallel: usize,
    tokens: Tokens,
    cancelled: bool,
    /// Steps whose state the last event changed, in the order of the changes.
    touched: Vec<usize>,
    /// Attempts that steps of former plans have had, by id: a number is never given twice.
    attempts: BTreeMap<String, u32>,
}

/// The state of a run that was just created, and its first commands.
pub fn begin(created: &Created) -> Result<(State, Vec<Command>), GraphError> {
    let mut state = fresh(created)?;
    state.decide_all();
    let mut commands = Vec::new();
    state.dispatch(&mut commands);
    if state.is_over() {
        commands.push(Command::Finish);
    }
    Ok((state, commands))
}

/// A run of which nothing is decided.
fn fresh(created: &Created) -> Result<State, GraphError> {
    let graph = Graph::new(&created.plan)?;
    let find = |id: &Option<String>| match id {
        Some(id) => graph.position(id).map(Some).ok_or_else(|| GraphError::UnknownStep(id.clone())),
        None => Ok(None),
    };
    let (from, only) = (find(&created.from)?, find(&created.only)?);
    let again = from.map(|position| graph.with_descendants(position)).unwrap_or_default();
    let needed = only.map(|position| graph.with_ancestors(position));
    let steps = (0..graph.len()).map(|position| StepRecord {
        state: StepState::Pending,
        attempt: 0,
        failures: 0,
        output: None,
        seconds: None,
        summary: String::new(),
        waiting: graph.dependencies(position).len(),
        cache: match only {
            Some(only) if only != position => CacheUse::Required,
            Some(_) => CacheUse::Refused,
            None if again.contains(&position) => CacheUse::Refused,
            None => CacheUse::Allowed,
        },
        selected: needed.as_ref().is_none_or(|needed| needed.contains(&position)),
        gpus: Vec::new(),
    });
    let steps: Vec<StepRecord> = steps.collect();
    let tokens = Tokens::new(created.capacity.clone(), &created.plan.pools);
    let lacking = |(position, rule)| Some((position, tokens.lacks(rule)?));
    if let Some((position, wanted)) = graph.rules.iter().enumerate().find_map(lacking) {
        return Err(GraphError::Wants { step: graph.id(position).to_owned(), wanted });
    }
    let open = steps.len();
    let max_parallel = created.max_parallel;
    Ok(State {
        steps,
        ready: BTreeSet::new(),
        active: 0,
        open,
        max_parallel,
        tokens,
        cancelled: false,
        touched: Vec::new(),
        attempts: BTreeMap::new(),
        graph: Arc::new(graph),
    })
}

/// Applies one event.
pub fn step(mut state: State, record: &Record) -> (State, Vec<Command>) {
    let was_over = state.is_over();
    let mut commands = Vec::new();
    state.touched.clear();
    state.apply(record, &mut commands);
    state.dispatch(&mut commands);
    let resumed = matches!(record.event, Event::Resumed { .. });
    if state.is_over() && (!was_over || resumed) {
        commands.push(Command::Finish);
    }
    (state, commands)
}

impl State {
    /// The plan's graph; positions in commands are its.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The steps in the plan's order.
    pub fn steps(&self) -> &[StepRecord] {
        &self.steps
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.open == 0
    }

    /// Steps whose state the last event changed, in the order of the changes.
    pub fn touched(&self) -> &[usize] {
        &self.touched
    }

    /// How far the run is. Allowed failures do not fail it.
    pub fn status(&self) -> Status {
        let failed = |(position, step): (usize, &StepRecord)| {
            matches!(step.state, StepState::Failed(_)) && !self.graph.rules[position].allow_failure
        };
        match () {
            () if !self.is_over() => Status::Running,
            () if self.steps.iter().any(|s| s.state == StepState::Cancelled) => Status::Cancelled,
            () if self.steps.iter().enumerate().any(failed) => Status::Failed,
            () => Status::Succeeded,
        }
    }

    fn apply(&mut self, record: &Record, commands: &mut Vec<Command>) {
        match &record.event {
            Event::Created(_) => {}
            Event::Resumed { max_parallel, capacity, kept } => {
                self.max_parallel = *max_parallel;
                self.tokens = self.tokens.renewed(capacity.clone());
                self.resume(kept, commands);
            }
            Event::CancelRequested => self.cancel(commands),
            Event::Replanned { created, kept } => self.replan(created, kept),
            Event::Started { step, attempt, .. } => {
                if let Some(position) = self.current(step, *attempt) {
                    self.steps[position].state = StepState::Running;
                    self.touched.push(position);
                }
            }
            Event::Cached { step, attempt, key } => self.succeed(step, *attempt, key, None, ""),
            Event::Succeeded { step, attempt, key, summary, seconds } => {
                self.succeed(step, *attempt, key, Some(*seconds), summary)
            }
            Event::Held { step, attempt, key, summary, seconds } => {
                if let Some(position) = self.current(step, *attempt) {
                    let (message, hint, code) = (summary.clone(), None, None);
                    let failure = Failure { message, hint, exit: 1, retryable: false, code };
                    self.steps[position].output = Some(key.clone());
                    self.steps[position].seconds = Some(*seconds);
                    self.end(position, StepState::Failed(failure));
                }
            }
            Event::Failed { step, attempt, failure } => {
                if let Some(position) = self.current(step, *attempt) {
                    self.fail(position, failure, record.at_ms, commands);
                }
            }
            Event::Cancelled { step, attempt } => {
                if let Some(position) = self.current(step, *attempt) {
                    self.end(position, StepState::Cancelled);
                }
            }
            Event::RetryDue { step } => {
                if let Some(position) = self.graph.position(step)
                    && matches!(self.steps[position].state, StepState::Backoff { .. })
                {
                    self.steps[position].state = StepState::Pending;
                    self.ready.insert(position);
                    self.touched.push(position);
                }
            }
        }
    }

    /// Position of a step if this is its current attempt and the attempt is going on.
    fn current(&self, id: &str, attempt: u32) -> Option<usize> {
        let position = self.graph.position(id)?;
        let step = &self.steps[position];
        let active = matches!(step.state, StepState::Starting | StepState::Running);
        (active && step.attempt == attempt).then_some(position)
    }

    fn succeed(&mut self, id: &str, attempt: u32, key: &str, seconds: Option<f64>, summary: &str) {
        if let Some(position) = self.current(id, attempt) {
            let step = &mut self.steps[position];
            step.output = Some(key.to_owned()).filter(|key| !key.is_empty());
            step.seconds = seconds;
            step.summary = summary.to_owned();
            self.end(position, StepState::Succeeded { cached: seconds.is_none() });
        }
    }

    fn fail(&mut self, position: usize, failure: &Failure, at_ms: u64, commands: &mut Vec<Command>) {
        let graph = Arc::clone(&self.graph);
        let retries = &graph.rules[position].retries;
        let step = &mut self.steps[position];
        step.failures += 1;
        let codes = &retries.on_exit_codes;
        let is_retried = codes.is_empty() || failure.code.is_none_or(|code| codes.contains(&code));
        if failure.retryable && is_retried && step.failures < retries.max_attempts && !self.cancelled {
            let due_ms = at_ms + backoff_ms(retries, step.failures, at_ms ^ position as u64);
            self.touched.push(position);
            step.state = StepState::Backoff { due_ms };
            step.summary = failure.message.clone();
            self.give_back(position);
            commands.push(Command::Wake { step: position, due_ms });
        } else {
            self.end(position, StepState::Failed(failure.clone()));
        }
    }

    fn cancel(&mut self, commands: &mut Vec<Command>) {
        self.cancelled = true;
        self.ready.clear();
        for position in 0..self.steps.len() {
            match self.steps[position].state {
                StepState::Running => commands.push(Command::Cancel { step: position }),
                StepState::Pending | StepState::Starting | StepState::Backoff { .. } => {
                    if self.steps[position].state == StepState::Starting {
                        self.give_back(position);
                    }
                    self.steps[position].state = StepState::Cancelled;
                    self.touched.push(position);
                    self.open -= 1;
                }
                _ => {}
            }
        }
    }

    fn resume(&mut self, kept: &[String], commands: &mut Vec<Command>) {
        let (over, succeeded) = (self.is_over(), self.status() == Status::Succeeded);
        self.cancelled = false;
        self.active = 0;
        for position in 0..self.steps.len() {
            let is_kept = kept.iter().any(|id| id == self.graph.id(position));
            let rule = &self.graph.rules[position];
            let allowed = rule.allow_failure;
            let step = &mut self.steps[position];
            let again = match &step.state {
                StepState::Starting => {
                    // The attempt was commanded but never recorded as started, so its number is free.
                    step.attempt -= 1;
                    true
                }
                StepState::Running if is_kept => {
                    self.active += 1;
                    self.tokens.keep(rule, &step.gpus);
                    let (attempt, cache) = (step.attempt, step.cache);
                    commands.push(Command::Attach { step: position, attempt, cache });
                    false
                }
                StepState::Running | StepState::Cancelled => true,
                StepState::Backoff { due_ms } => {
                    commands.push(Command::Wake { step: position, due_ms: *due_ms });
                    false
                }
                StepState::Failed(_) => over && !succeeded && !allowed,
                StepState::Skipped(_) => over && !succeeded && step.selected,
                StepState::Pending | StepState::Succeeded { .. } => false,
            };
            if again {
                step.state = StepState::Pending;
                step.gpus.clear();
                step.failures = if over { 0 } else { step.failures };
                self.touched.push(position);
            }
        }
        self.decide_all();
    }

    /// Goes over to another plan. What stays has its output; the rest is as if the run had just begun.
    fn replan(&mut self, created: &Created, kept: &[String]) {
        // A plan that cannot run is refused before the event is recorded.
        let Ok(mut fresh) = fresh(created) else { return };
        fresh.attempts = std::mem::take(&mut self.attempts);
        for (position, step) in self.steps.iter().enumerate() {
            let begun = step.attempt - u32::from(step.state == StepState::Starting);
            fresh.attempts.insert(self.graph.id(position).to_owned(), begun);
        }
        for position in 0..fresh.steps.len() {
            let id = fresh.graph.id(position);
            let step = &mut fresh.steps[position];
            step.attempt = fresh.attempts.get(id).copied().unwrap_or(0);
            let before = self.graph.position(id).filter(|_| kept.iter().any(|kept| kept == id));
            let before = before.map(|before| &self.steps[before]);
            if let Some(before) = before.filter(|before| matches!(before.state, StepState::Succeeded { .. }))
            {
                step.state = before.state.clone();
                step.output = before.output.clone();
                step.seconds = before.seconds;
                step.summary = before.summary.clone();
            }
        }
        fresh.decide_all();
        *self = fresh;
    }

    /// Counts anew what every step waits for, and decides about those that wait for nothing.
    fn decide_all(&mut self) {
        self.ready.clear();
        self.open = self.steps.iter().filter(|s| !s.is_over()).count();
        for position in 0..self.steps.len() {
            let open = |d: &&usize| !self.steps[**d].is_over();
            self.steps[position].waiting = self.graph.dependencies(position).iter().filter(open).count();
        }
        for position in 0..self.steps.len() {
            if self.steps[position].state == StepState::Pending && self.steps[position].waiting == 0 {
                self.decide(position);
            }
        }
    }

    /// Ends a step, and decides about every step that waited for it last.
    fn end(&mut self, position: usize, state: StepState) {
        let mut ended = vec![(position, state)];
        let graph = Arc::clone(&self.graph);
        while let Some((position, state)) = ended.pop() {
            if matches!(self.steps[position].state, StepState::Starting | StepState::Running) {
                self.give_back(position);
            }
            let step = &mut self.steps[position];
            match &state {
                StepState::Failed(failure) => step.summary = failure.message.clone(),
                StepState::Skipped(reason) => step.summary = reason.clone(),
                _ => {}
            }
            step.state = state;
            self.touched.push(position);
            self.open -= 1;
            for dependent in &graph.dependents[position] {
                let step = &mut self.steps[*dependent];
                step.waiting -= 1;
                if step.waiting == 0 && step.state == StepState::Pending {
                    match self.skip_reason(*dependent) {
                        Some(reason) => ended.push((*dependent, StepState::Skipped(reason))),
                        None => drop(self.ready.insert(*dependent)),
                    }
                }
            }
        }
    }

    fn decide(&mut self, position: usize) {
        match self.skip_reason(position) {
            Some(reason) => self.end(position, StepState::Skipped(reason)),
            None => drop(self.ready.insert(position)),
        }
    }

    fn skip_reason(&self, position: usize) -> Option<String> {
        if !self.steps[position].selected {
            return Some("not selected by --only".to_owned());
        }
        let handles = &self.graph.rules[position].handles;
        if !handles.is_empty() {
            let failed = |handled: &usize| matches!(self.steps[*handled].state, StepState::Failed(_));
            let ids: Vec<&str> = handles.iter().map(|handled| self.graph.id(*handled)).collect();
            let is_met = handles.iter().any(failed);
            return (!is_met).then(|| format!("when condition not met: {} is failure", ids.join(" or ")));
        }
        match self.graph.rules[position].when {
            Some((target, wanted)) => {
                let state = &self.steps[target].state;
                let met = match wanted {
                    WhenStatus::Success => matches!(state, StepState::Succeeded { .. }),
                    WhenStatus::Failure => matches!(state, StepState::Failed(_)),
                    WhenStatus::Finished => {
                        matches!(state, StepState::Succeeded { .. } | StepState::Failed(_))
                    }
                };
                let id = self.graph.id(target);
                (!met).then(|| format!("when condition not met: {id} is {}", wanted.word()))
            }
            None => {
                let failed = |d: &&usize| !matches!(self.steps[**d].state, StepState::Succeeded { .. });
                let dependency = self.graph.dependencies(position).iter().find(failed)?;
                Some(format!("dependency {} did not succeed", self.graph.id(*dependency)))
            }
        }
    }

    /// Starts what is ready while there are slots.
    fn dispatch(&mut self, commands: &mut Vec<Command>) {
        let graph = Arc::clone(&self.graph);
        // Nothing is given back meanwhile, so what did not fit once need not be looked at again.
        let mut from = 0;
        while !self.cancelled && (self.max_parallel == 0 || self.active < self.max_parallel) {
            let Some(position) = self.ready.range(from..).next().copied() else { return };
            from = position + 1;
            let rule = &graph.rules[position];
            if let Some(wanted) = self.tokens.lacks(rule) {
                // A resumed run may have less than the one before.
                self.ready.remove(&position);
                let (message, hint) = (format!("it wants {wanted}"), None);
                let exit = ExitCode::Environment as u8;
                let failure = Failure { message, hint, exit, retryable: false, code: None };
                self.end(position, StepState::Failed(failure));
                // Handlers of it may stand before it.
                from = 0;
                continue;
            }
            let Some(gpus) = self.tokens.take(rule) else { continue };
            self.ready.remove(&position);
            let step = &mut self.steps[position];
            step.gpus = gpus;
            step.state = StepState::Starting;
            self.touched.push(position);
            step.attempt += 1;
            self.active += 1;
            commands.push(Command::Start { step: position, attempt: step.attempt, cache: step.cache });
        }
    }

    /// The slot of an attempt and what it had for itself are free again.
    fn give_back(&mut self, position: usize) {
        self.active -= 1;
        let gpus = std::mem::take(&mut self.steps[position].gpus);
        self.tokens.give_back(&self.graph.rules[position], &gpus);
    }
}

/// Wait before the attempt after this many failures. `seed` decides about the jitter.
fn backoff_ms(retries: &Retries, failures: u32, seed: u64) -> u64 {
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = (retries.initial_seconds * retries.factor.powi(exponent)).min(retries.max_seconds);
    // A share from -1 to 1, by the finaliser of SplitMix64.
    let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let share = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
    (seconds.max(0.0) * (1.0 + retries.jitter * share) * 1e3).round() as u64
}
