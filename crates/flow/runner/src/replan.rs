//! Going on with another plan: what succeeded and is asked for alike stays, everything else is decided anew.
//!
//! A step is asked for alike if its kind, its settings and its dependencies are the same, and those stay as well. What is decided anew may
//! still be found in the cache.

use crate::cancel::Request;
use crate::error::RunnerError;
use crate::journal::{created, replay};
use crate::runner::{Options, PlanFile, Runner};
use std::collections::BTreeSet;
use wootz_pipeline::Registry;
use wootz_pipeline::machine::{self, State, StepState};
use wootz_schema::event::{Created, Event, Record, RunSummary};
use wootz_schema::plan::{Plan, PlanStep};
use wootz_schema::progress::{Observe, Progress};
use wootz_store::StoreError;

impl Runner {
    /// Takes a run up again with another plan; refused while processes of the run go on. `run` is an id or `latest`. Of `options` what the
    /// steps share counts, and the request to stop; what is selected is what was.
    pub fn replan(
        &self,
        run: &str,
        plan: &PlanFile,
        options: &Options<'_>,
        registry: &Registry,
        observe: &dyn Observe,
    ) -> Result<RunSummary, RunnerError> {
        let run = self.id(run)?;
        let _taken = self.take(&run)?;
        let mut records = self.journal().load(&run)?;
        let before = created(&run, &records)?;
        if let Some(driver) = before.driver.clone() {
            return Err(RunnerError::Driven { run, driver });
        }
        let keepers = self.folder(&run).join("keepers");
        let is_alive = wootz_keeper::is_alive(&keepers);
        if is_alive.map_err(|source| StoreError::Io { action: "read", path: keepers, source })? {
            return Err(RunnerError::GoesOn(run));
        }
        let asked = Created {
            plan: plan.plan.clone(),
            plan_text: plan.text.clone(),
            plan_path: plan.path.clone(),
            command: options.command.clone(),
            max_parallel: options.max_parallel,
            capacity: options.capacity.clone().filter(|_| !before.counts_elsewhere()),
            ..before.clone()
        };
        // A plan that cannot run leaves the run as it was.
        machine::begin(&asked)?;
        let kept = kept(&before.plan, &replay(&run, &records)?, &asked.plan);
        observe.observe(Progress::Message(&format!(
            "run {run}: goes on with another plan, {} of {} steps stay",
            kept.len(),
            asked.plan.steps.len()
        )));
        let event = Event::Replanned { created: Box::new(asked.clone()), kept };
        let record = Record { seq: records.len() as u64, at_ms: self.clock().now_ms(), event };
        self.journal().append(&run, &record)?;
        records.push(record);
        Request::of(self, &run).forget();
        self.show_plan(&run, &asked)?;
        self.drive(&run, &asked, &records, options, registry, observe)
    }
}

/// Steps that succeeded, are asked for alike, and wait for such steps only; in the order of the new plan.
fn kept(before: &Plan, state: &State, after: &Plan) -> Vec<String> {
    let has_succeeded =
        |position: usize| matches!(state.steps()[position].state, StepState::Succeeded { .. });
    let is_alike = |step: &&PlanStep| {
        let position = state.graph().position(&step.id).filter(|position| has_succeeded(*position));
        position.is_some_and(|position| asks_alike(&before.steps[position], step))
    };
    let mut alike: Vec<&PlanStep> = after.steps.iter().filter(is_alike).collect();
    loop {
        let ids: BTreeSet<&str> = alike.iter().map(|step| step.id.as_str()).collect();
        let length = alike.len();
        alike.retain(|step| step.depends_on.iter().all(|id| ids.contains(id.as_str())));
        if alike.len() == length {
            return alike.iter().map(|step| step.id.clone()).collect();
        }
    }
}

fn asks_alike(before: &PlanStep, after: &PlanStep) -> bool {
    before.kind == after.kind
        && before.config == after.config
        && before.depends_on == after.depends_on
        && before.captures == after.captures
}
