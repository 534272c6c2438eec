//! A run as others see it: steps that report on it, and people who list runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use wootz_pipeline::machine::{State, StepState};
use wootz_pipeline::{Part, RunView, StepView, fill_steps};
use wootz_schema::event::{Created, Failure, Record, RunSummary, Status, StepSummary, VERSION};
use wootz_schema::metrics::Metrics;
use wootz_store::Artifact;

/// What the step at `position` may see of the run: with `steps`, those before it.
pub(crate) fn run_view(
    run: &str,
    created: &Created,
    state: &State,
    artifacts: &[Option<Artifact>],
    position: usize,
    steps: bool,
) -> RunView {
    let before = if steps { state.graph().with_ancestors(position) } else { BTreeSet::new() };
    let before = before.into_iter().filter(|p| *p != position);
    let step = |position: usize| {
        let (plan, record) = (&created.plan.steps[position], &state.steps()[position]);
        let artifact = artifacts[position].as_ref();
        let origin = artifact.map(|a| &a.manifest.origin);
        StepView {
            id: plan.id.clone(),
            kind: plan.kind.clone(),
            config: fill_steps(&plan.config, &mut |id, part| {
                let output = state.graph().position(id).and_then(|p| artifacts[p].as_ref());
                let path = output.map(|a| a.path.to_string_lossy().into_owned());
                Ok::<_, std::convert::Infallible>(
                    path.filter(|_| part == Part::Output).unwrap_or_else(|| format!("${{steps.{id}{part}}}")),
                )
            })
            .unwrap_or_else(|never| match never {}),
            status: record.status(),
            cached: record.state == StepState::Succeeded { cached: true },
            seconds: origin.map(|o| o.seconds),
            output: artifact.map(|a| a.path.clone()),
            metrics: origin.map(|o| o.metrics.clone()).unwrap_or_default(),
            summary: origin.map_or_else(|| record.summary.clone(), |o| o.summary.clone()),
        }
    };
    RunView {
        run: run.to_owned(),
        plan: created.plan.name.clone(),
        // Whoever reads no steps reads no text; plans may be long, and runs wide.
        plan_text: if steps { created.plan_text.clone() } else { String::new() },
        plan_path: created.plan_path.clone(),
        params: created.plan.params.clone(),
        command: created.command.clone(),
        steps: before.map(step).collect(),
    }
}

/// A run for people and machines, from its log and the state it replays to. `artifacts` may lack outputs that are gone.
pub(crate) fn summary(
    run: &str,
    created: &Created,
    records: &[Record],
    state: &State,
    artifacts: &[Option<Artifact>],
) -> RunSummary {
    let steps = created.plan.steps.iter().zip(state.steps()).zip(artifacts);
    let steps: Vec<StepSummary> = steps
        .map(|((plan, record), artifact)| {
            let origin = artifact.as_ref().map(|a| &a.manifest.origin);
            StepSummary {
                step: plan.id.clone(),
                kind: plan.kind.clone(),
                status: record.status(),
                attempts: record.attempt,
                seconds: record.seconds.or(origin.map(|o| o.seconds)),
                summary: match (&record.state, origin) {
                    (StepState::Succeeded { .. }, Some(origin)) => origin.summary.clone(),
                    _ => record.summary.clone(),
                },
                failure: failure(&record.state).cloned(),
                output: artifact.as_ref().map(|a| a.path.to_string_lossy().into_owned()),
                metrics: origin.map_or_else(Metrics::new, |o| o.metrics.clone()),
            }
        })
        .collect();
    let status = state.status();
    let failed = created.plan.steps.iter().zip(state.steps()).filter(|(plan, _)| !plan.allow_failure);
    let exit = match status {
        Status::Succeeded => 0,
        _ => failed.filter_map(|(_, step)| failure(&step.state)).map(|f| f.exit).next().unwrap_or(1),
    };
    RunSummary {
        version: VERSION,
        run: run.to_owned(),
        plan: created.plan.name.clone(),
        plan_path: created.plan_path.clone(),
        command: created.command.clone(),
        status,
        exit,
        created_ms: records.first().map_or(0, |r| r.at_ms),
        updated_ms: records.last().map_or(0, |r| r.at_ms),
        steps,
    }
}

fn failure(state: &StepState) -> Option<&Failure> {
    match state {
        StepState::Failed(failure) => Some(failure),
        _ => None,
    }
}

/// Where a run's files stand below the home folder.
pub(crate) fn folder(home: &std::path::Path, run: &str) -> PathBuf {
    home.join("runs").join(run)
}
