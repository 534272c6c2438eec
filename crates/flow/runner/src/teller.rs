//! What `events.jsonl` says of a run, as a function of its log.

use crate::clock;
use crate::runner::Runner;
use serde_json::Value;
use std::collections::BTreeMap;
use wootz_pipeline::Registry;
use wootz_pipeline::machine::{State, StepState};
use wootz_schema::event::{Event, Record, StepLine};
use wootz_schema::plan::{Plan, PlanStep};
use wootz_schema::task::TaskLogs;

/// Turns the events of one run into lines.
pub(crate) struct Teller<'a> {
    runner: &'a Runner,
    registry: &'a Registry,
    run: String,
    plan: Plan,
    /// When the attempts were begun, by step.
    begun_ms: BTreeMap<usize, u64>,
}

/// What a line says beside whose it is.
struct Said<'a> {
    status: &'a str,
    exit_code: i32,
    message: &'a str,
}

impl<'a> Teller<'a> {
    pub fn new(runner: &'a Runner, registry: &'a Registry, run: &str, plan: &Plan) -> Teller<'a> {
        Teller { runner, registry, run: run.to_owned(), plan: plan.clone(), begun_ms: BTreeMap::new() }
    }

    /// The lines of an event and the state that it led to.
    pub fn hear(&mut self, record: &Record, state: &State) -> Vec<StepLine> {
        if let Event::Replanned { created, .. } = &record.event {
            self.plan = created.plan.clone();
            self.begun_ms.clear();
        }
        let mut lines = self.own_line(record, state).into_iter().collect::<Vec<_>>();
        for position in state.touched() {
            let step = &state.steps()[*position];
            let (attempt, said) = match &step.state {
                StepState::Skipped(why) => (0, Said { status: "step_skipped", exit_code: 0, message: why }),
                StepState::Cancelled => {
                    (step.attempt, Said { status: "step_cancelled", exit_code: -1, message: "" })
                }
                _ => continue,
            };
            lines.push(self.line(record.at_ms, *position, attempt, &said));
        }
        lines
    }

    /// The line of the step that the event is about.
    fn own_line(&mut self, record: &Record, state: &State) -> Option<StepLine> {
        let at_ms = record.at_ms;
        let finished = |exit_code, message| Said { status: "step_finished", exit_code, message };
        let (step, attempt, said) = match &record.event {
            Event::Started { step, attempt, .. } => {
                let position = state.graph().position(step)?;
                self.begun_ms.insert(position, at_ms);
                let message = said(&self.plan.steps[position]);
                let said = Said { status: "step_started", exit_code: 0, message: &message };
                return Some(self.line(at_ms, position, *attempt, &said));
            }
            Event::Succeeded { step, attempt, .. } => (step, attempt, finished(0, "")),
            Event::Held { step, attempt, summary, .. } => (step, attempt, finished(1, summary)),
            Event::Failed { step, attempt, failure } => {
                (step, attempt, finished(failure.code.unwrap_or(-1), &failure.message))
            }
            Event::Cached { step, attempt, .. } => {
                (step, attempt, Said { status: "step_cached", exit_code: 0, message: "" })
            }
            Event::Created(_)
            | Event::Resumed { .. }
            | Event::Cancelled { .. }
            | Event::RetryDue { .. }
            | Event::CancelRequested
            | Event::Replanned { .. } => return None,
        };
        Some(self.line(at_ms, state.graph().position(step)?, *attempt, &said))
    }

    fn line(&self, at_ms: u64, position: usize, attempt: u32, said: &Said<'_>) -> StepLine {
        let step = &self.plan.steps[position];
        let is_launched = self.registry.get(&step.kind).is_some_and(|kind| kind.is_launched());
        let logs = (is_launched && attempt > 0)
            .then(|| self.runner.task_logs(&self.run, &self.plan, &step.id, attempt));
        let nothing = || TaskLogs { stdout: String::new(), stderr: String::new(), structured: String::new() };
        let TaskLogs { stdout, stderr, structured } = logs.unwrap_or_else(nothing);
        let begun_ms = self.begun_ms.get(&position).filter(|_| said.status == "step_finished");
        StepLine {
            timestamp: clock::rfc3339(at_ms),
            workflow_id: self.plan.name.clone(),
            run_id: self.run.clone(),
            step_id: step.id.clone(),
            step_name: step.name.clone(),
            attempt,
            status: said.status.to_owned(),
            exit_code: said.exit_code,
            duration_sec: begun_ms.map_or(0, |begun_ms| at_ms.saturating_sub(*begun_ms) / 1000),
            stdout_path: stdout,
            stderr_path: stderr,
            structured_path: structured,
            message: said.message.to_owned(),
        }
    }
}

/// What a step runs, for people.
fn said(step: &PlanStep) -> String {
    let command = step.config.get("command").and_then(Value::as_str);
    let arguments = step.config.get("args").and_then(Value::as_array).into_iter().flatten();
    let words: Vec<&str> = command.into_iter().chain(arguments.filter_map(Value::as_str)).collect();
    if words.is_empty() { step.kind.clone() } else { words.join(" ") }
}
