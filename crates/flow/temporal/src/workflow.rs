//! The workflow: feeds the machine with what activities, timers and signals tell, and does what it commands.
//!
//! Each step has one future, which waits for a command of its own: so commands can come at any time, and their order is the machine's.

use crate::worker::Stations;
use futures::future::{pending, select};
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, UNIX_EPOCH};
use temporalio_common::RetryPolicy;
use temporalio_sdk::workflows::join_all;
use temporalio_sdk::{
    ActivityCancellationType, ActivityOptions, SyncWorkflowContext, TimerOptions, WaitConditionOptions,
    WorkflowCancellationToken, WorkflowContext, WorkflowContextView, WorkflowResult,
};
use wootz_pipeline::machine::{self, CacheUse, Command, State, StepState};
use wootz_schema::errand::{Before, Errand, Order, Reuse, VERSION};
use wootz_schema::event::{Event, Failure, Record, Status};

/// Limit of an activity: the plan's own is kept by the worker.
const FOREVER: Duration = Duration::from_secs(3650 * 86_400);
/// Records that one query answers at most.
const PAGE: usize = 1000;

/// The workflow of a run.
#[temporalio_sdk::workflows::workflow]
pub(crate) struct Pipeline {
    order: Order,
    /// Absent only while an event is applied, and where the plan has no order to run in.
    state: Option<State>,
    /// What happened since the creation, which is in the order.
    records: Vec<Record>,
    todo: BTreeMap<usize, Todo>,
    tokens: BTreeMap<usize, WorkflowCancellationToken>,
    cancelling: bool,
}

/// What the future of a step has to do.
enum Todo {
    Attempt { number: u32, cache: CacheUse },
    Wake { due_ms: u64 },
}

#[temporalio_sdk::workflows::workflow_methods]
impl Pipeline {
    #[init]
    fn new(_: &WorkflowContextView, order: Order) -> Self {
        let (todo, tokens, cancelling) = (BTreeMap::new(), BTreeMap::new(), false);
        let begun = machine::begin(&order.created).ok();
        let mut run = Pipeline { order, state: None, records: Vec::new(), todo, tokens, cancelling };
        if let Some((state, commands)) = begun {
            run.state = Some(state);
            run.obey(commands);
        }
        run
    }

    #[run(name = "wootz.pipeline")]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Status> {
        let steps = ctx.state(|run| run.order.created.plan.steps.len());
        let steps: Vec<_> = (0..steps).map(|step| attend(ctx.clone(), step)).collect();
        // The server's own cancellation counts as the signal does; the run ends when what runs has ended.
        let cancelled = async {
            let _ = ctx.cancelled().await;
            let now_ms = now_ms(ctx);
            ctx.state_mut(|run| run.stop(now_ms));
            pending::<()>().await;
        };
        select(join_all(steps), pin!(cancelled)).await;
        Ok(ctx.state(|run| run.state.as_ref().map_or(Status::Failed, State::status)))
    }

    #[signal(name = "cancel")]
    pub(crate) fn cancel(&mut self, ctx: &mut SyncWorkflowContext<Self>) {
        self.stop(ctx.workflow_time().map_or(0, since_1970));
    }

    /// What happened, from this position in the log on.
    #[query(name = "records")]
    pub(crate) fn records(&self, _: &WorkflowContextView, from: u64) -> Vec<Record> {
        self.records.iter().filter(|record| record.seq >= from).take(PAGE).cloned().collect()
    }

    /// How far the run is.
    #[query(name = "state")]
    pub(crate) fn status(&self, _: &WorkflowContextView) -> Status {
        self.state.as_ref().map_or(Status::Failed, State::status)
    }
}

impl Pipeline {
    fn feed(&mut self, event: Event, at_ms: u64) {
        let Some(state) = self.state.take() else { return };
        let record = Record { seq: self.records.len() as u64 + 1, at_ms, event };
        let (state, commands) = machine::step(state, &record);
        self.records.push(record);
        self.state = Some(state);
        self.obey(commands);
    }

    fn stop(&mut self, now_ms: u64) {
        if !self.cancelling {
            self.cancelling = true;
            self.feed(Event::CancelRequested, now_ms);
            self.tokens.values().for_each(|token| token.cancel());
        }
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Start { step, attempt, cache } | Command::Attach { step, attempt, cache } => {
                    self.tokens.insert(step, WorkflowCancellationToken::new());
                    self.todo.insert(step, Todo::Attempt { number: attempt, cache });
                }
                Command::Wake { step, due_ms } => drop(self.todo.insert(step, Todo::Wake { due_ms })),
                Command::Cancel { step } => {
                    self.tokens.get(&step).into_iter().for_each(|token| token.cancel());
                }
                Command::Finish => {}
            }
        }
    }

    fn is_over(&self) -> bool {
        self.state.as_ref().is_none_or(State::is_over)
    }

    /// Whether this attempt is the one that works.
    fn works(&self, step: usize, number: u32) -> bool {
        let record = self.state.as_ref().map(|state| &state.steps()[step]);
        record.is_some_and(|record| record.attempt == number && record.state == StepState::Running)
    }

    /// The attempt with what it has to know, small enough for a history.
    fn errand(&self, step: usize, attempt: u32, cache: CacheUse) -> Option<Errand> {
        let state = self.state.as_ref()?;
        let before = state.graph().dependencies(step).iter().map(|position| {
            let record = &state.steps()[*position];
            let id = state.graph().id(*position).to_owned();
            Before { id, status: record.status(), key: record.output.clone() }
        });
        Some(Errand {
            version: VERSION,
            run: self.order.run.clone(),
            step,
            attempt,
            reuse: match cache {
                CacheUse::Allowed => Reuse::Allowed,
                CacheUse::Refused => Reuse::Refused,
                CacheUse::Required => Reuse::Required,
            },
            gpus: state.steps()[step].gpus().to_vec(),
            before: before.collect(),
        })
    }

    fn options(&self, step: usize) -> ActivityOptions {
        // Attempts that fail say so in their result: another try of Temporal's is for workers that are lost.
        let again = RetryPolicy::builder().initial_interval(Duration::from_secs(1)).backoff_coefficient(1.0);
        ActivityOptions::with_start_to_close_timeout(FOREVER)
            .heartbeat_timeout(Duration::from_millis(self.order.silence_ms))
            .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
            .cancellation_token(self.tokens.get(&step).cloned().unwrap_or_default())
            .retry_policy(again.build())
            .build()
    }
}

/// Does what the machine commands of one step, until the run is over.
async fn attend(ctx: WorkflowContext<Pipeline>, step: usize) {
    loop {
        // The machine ends a run that is cancelled, not the server.
        let detached =
            WaitConditionOptions::builder().cancellation_token(WorkflowCancellationToken::new()).build();
        let has_todo = |run: &Pipeline| run.is_over() || run.todo.contains_key(&step);
        let waited = ctx.wait_condition_with_options(has_todo, detached).await;
        let todo = ctx.state_mut(|run| run.todo.remove(&step));
        match todo {
            Some(Todo::Attempt { number, cache }) => attempt(&ctx, step, number, cache).await,
            Some(Todo::Wake { due_ms }) => {
                let wait = Duration::from_millis(due_ms.saturating_sub(now_ms(&ctx)));
                let token = ctx.state(|run| run.tokens.get(&step).cloned().unwrap_or_default());
                let timer = TimerOptions::builder(wait).cancellation_token(token).build();
                let _ = ctx.timer(timer).await;
                let id = ctx.state(|run| run.order.created.plan.steps[step].id.clone());
                if ctx.state(|run| !run.cancelling) {
                    feed(&ctx, Event::RetryDue { step: id });
                }
            }
            None => return drop(waited),
        }
    }
}

/// One attempt: a look first, and the work if nothing is there.
async fn attempt(ctx: &WorkflowContext<Pipeline>, step: usize, number: u32, cache: CacheUse) {
    let (errand, options) = ctx.state(|run| (run.errand(step, number, cache), run.options(step)));
    let Some(errand) = errand else { return };
    let looked = ctx.execute_activity(Stations::look, errand.clone(), options).await;
    let event = looked.unwrap_or_else(|error| lost(ctx, step, number, &error.to_string()));
    feed(ctx, event);
    if ctx.state(|run| run.works(step, number)) {
        let options = ctx.state(|run| run.options(step));
        let made = ctx.execute_activity(Stations::attempt, errand, options).await;
        let event = made.unwrap_or_else(|error| lost(ctx, step, number, &error.to_string()));
        let event = match event {
            Event::Failed { step, attempt, .. } if ctx.state(|run| run.cancelling) => {
                Event::Cancelled { step, attempt }
            }
            event => event,
        };
        feed(ctx, event);
    }
}

/// What an activity comes to that has no result.
fn lost(ctx: &WorkflowContext<Pipeline>, step: usize, attempt: u32, why: &str) -> Event {
    let (step, cancelling) = ctx.state(|run| (run.order.created.plan.steps[step].id.clone(), run.cancelling));
    if cancelling {
        return Event::Cancelled { step, attempt };
    }
    let message = format!("run the attempt on a worker: {why}");
    let failure = Failure { message, hint: None, exit: 3, retryable: true, code: None };
    Event::Failed { step, attempt, failure }
}

/// Lets an event count, unless it is of an attempt that is not awaited any more.
fn feed(ctx: &WorkflowContext<Pipeline>, event: Event) {
    let at_ms = now_ms(ctx);
    ctx.state_mut(|run| {
        if !run.is_late(&event) {
            run.feed(event, at_ms);
        }
    });
}

impl Pipeline {
    /// Whether an attempt tells something that the log must not have: the step was cancelled before it began.
    fn is_late(&self, event: &Event) -> bool {
        let (Event::Started { step, .. }
        | Event::Cached { step, .. }
        | Event::Succeeded { step, .. }
        | Event::Held { step, .. }
        | Event::Failed { step, .. }
        | Event::Cancelled { step, .. }) = event
        else {
            return false;
        };
        let Some(state) = &self.state else { return true };
        state.graph().position(step).is_none_or(|position| state.steps()[position].is_over())
    }
}

fn now_ms(ctx: &WorkflowContext<Pipeline>) -> u64 {
    ctx.workflow_time().map_or(0, since_1970)
}

fn since_1970(time: std::time::SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
