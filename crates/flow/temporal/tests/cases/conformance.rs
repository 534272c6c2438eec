//! What a run comes to does not depend on the engine: the same plans end in the same states, with the same events for each step.

use super::server::DevServer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use wootz_pipeline::{Registry, Source, Step, StepContext, StepError, StepOutcome, load};
use wootz_runner::{Attendants, Options, PlanFile, Runner};
use wootz_schema::event::{Event, RunSummary, Status};
use wootz_schema::metrics::Metrics;
use wootz_schema::progress::Silent;
use wootz_temporal::{Server, Worker};

/// Does what its settings say.
struct Told;

impl Step for Told {
    fn kind(&self) -> &'static str {
        "told"
    }
    fn version(&self) -> u32 {
        1
    }
    fn validate(&self, _: &Value) -> Result<(), StepError> {
        Ok(())
    }
    fn sources(&self, _: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(Vec::new())
    }
    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        if let Some(begun) = config["begun"].as_str() {
            fs::write(begun, "").unwrap();
        }
        while config["forever"].as_bool() == Some(true) {
            context.check_cancelled()?;
            std::thread::sleep(Duration::from_millis(2));
        }
        if u64::from(context.attempt) <= config["fail"].as_u64().unwrap_or_default() {
            return Err(StepError::environment("told to fail").retryable());
        }
        let before = config["after"].as_str().map(|after| fs::read_to_string(Path::new(after).join("text")));
        let text = format!("{} {}", before.transpose().unwrap().unwrap_or_default(), context.id);
        fs::write(context.work.join("text"), text).unwrap();
        match config["hold"].as_bool() {
            Some(true) => Ok(StepOutcome::held("told to hold", Metrics::new())),
            _ => Ok(StepOutcome::passed("made a text", Metrics::new())),
        }
    }
}

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.register(Told);
    registry
}

/// Runs plans in a home folder.
trait Engine {
    fn run(&self, home: &Path, plan: &PlanFile, options: &Options<'_>) -> RunSummary;
}

struct Embedded;

impl Engine for Embedded {
    fn run(&self, home: &Path, plan: &PlanFile, options: &Options<'_>) -> RunSummary {
        Runner::open(home).unwrap().run(plan, options, &registry(), &Silent).unwrap()
    }
}

struct Temporal {
    server: DevServer,
}

impl Engine for Temporal {
    fn run(&self, home: &Path, plan: &PlanFile, options: &Options<'_>) -> RunSummary {
        let runner = Runner::open(home).unwrap();
        let server = Server {
            address: self.server.address.clone(),
            namespace: "default".to_owned(),
            task_queue: home.to_string_lossy().into_owned(),
            silence: Duration::from_secs(5),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let worker = Worker {
            runner: Runner::open(home).unwrap(),
            registry: registry(),
            keeper: Vec::new(),
            attendants: Attendants::default(),
        };
        runtime.block_on(async {
            let registry = registry();
            let client = async {
                let run = server.start(&runner, plan, options, &registry).await.unwrap();
                let summary = server.follow(&runner, &registry, &run, options.cancel, &Silent).await.unwrap();
                let history = server.history(&run).await.unwrap();
                wootz_temporal::replay(&history).await.unwrap();
                summary
            };
            tokio::select! {
                ended = worker.serve(&server, &Silent) => panic!("the worker ended: {ended:?}"),
                summary = client => summary,
            }
        })
    }
}

/// What a plan came to: how the run and its steps ended, and what happened to each step, without times.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: Status,
    steps: Vec<(String, Status, u32, String)>,
    events: BTreeMap<String, Vec<Value>>,
}

fn outcome(home: &Path, summary: &RunSummary) -> Outcome {
    let mut events: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in Runner::open(home).unwrap().events(&summary.run).unwrap().iter().skip(1) {
        assert!(!matches!(record.event, Event::Created(_)));
        let mut event = json!(record.event);
        if let Some(seconds) = event.get_mut("seconds") {
            *seconds = json!(0);
        }
        let step = event["step"].as_str().unwrap_or("run").to_owned();
        events.entry(step).or_default().push(event);
    }
    let steps = summary.steps.iter().map(|s| (s.step.clone(), s.status, s.attempts, s.summary.clone()));
    Outcome { status: summary.status, steps: steps.collect(), events }
}

/// Runs a plan twice in a home folder of its own (the second time what can be is cached), on both engines.
fn check(text: &str, expected: Status, max_parallel: usize, cancel_on: Option<&str>) -> Outcome {
    let folder = TempDir::new().unwrap();
    let engines: [Box<dyn Engine>; 2] =
        [Box::new(Embedded), Box::new(Temporal { server: DevServer::start(folder.path()) })];
    let [embedded, temporal] = engines.map(|engine| {
        let home = TempDir::new().unwrap();
        let home = home.path();
        let text = text.replace("BEGUN", &folder.path().join("begun").to_string_lossy());
        let begun = cancel_on.map(|file| folder.path().join(file));
        let none = BTreeMap::new();
        let registry = registry();
        let plan =
            load(Source { text: &text, file: "p.yaml", params: &none, env: &none }, &registry).unwrap();
        let plan = PlanFile { plan, text, path: "p.yaml".to_owned() };
        let runs = [1, 2].map(|_| {
            let _ = begun.as_ref().map(fs::remove_file);
            let (cancel, over) = (AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|scope| {
                if let Some(begun) = &begun {
                    scope.spawn(|| {
                        while !begun.exists() && !over.load(Ordering::Relaxed) {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        cancel.store(true, Ordering::Relaxed);
                    });
                }
                let summary =
                    engine.run(home, &plan, &Options { max_parallel, ..Options::new("test", &cancel) });
                over.store(true, Ordering::Relaxed);
                outcome(home, &summary)
            })
        });
        assert_eq!(runs[0].status, expected, "{runs:?}");
        runs
    });
    assert_eq!(embedded, temporal);
    let [first, _] = temporal;
    first
}

#[test]
fn a_diamond() {
    let outcome = check(
        r#"{name: diamond, steps: [{id: a, type: told}, {id: b, type: told, told: {after: "${steps.a}"}},
        {id: c, type: told, told: {after: "${steps.a}", hold: false}}, {id: d, type: told, depends_on: [b], told: {after: "${steps.c}"}}]}"#,
        Status::Succeeded,
        0,
        None,
    );
    assert_eq!(outcome.events["d"].len(), 2, "started and succeeded: {outcome:?}");
}

#[test]
fn a_flaky_step_is_tried_again() {
    let outcome = check(
        "{name: flaky, steps: [{id: a, type: told, retries: {max_attempts: 3, initial_seconds: 0.01}, told: {fail: 2}}]}",
        Status::Succeeded,
        1,
        None,
    );
    assert_eq!(outcome.steps[0].2, 3);
}

#[test]
fn failures_and_gates_decide_what_runs() {
    check(
        "{name: when, steps: [{id: a, type: told, told: {fail: 9}}, {id: b, type: told, depends_on: [a]},
        {id: c, type: told, when: {step: a, status: failure}}, {id: d, type: told, when: {step: c, status: success}},
        {id: e, type: told, when: {step: c, status: failure}}, {id: g, type: told, told: {hold: true}}, {id: h, type: told, depends_on: [g]}]}",
        Status::Failed,
        0,
        None,
    );
}

#[test]
fn a_step_that_takes_too_long_fails() {
    let outcome = check(
        "{name: slow, steps: [{id: a, type: told, timeout_seconds: 0.3, told: {forever: true}}]}",
        Status::Failed,
        1,
        None,
    );
    assert!(outcome.steps[0].3.starts_with("timed out"), "{outcome:?}");
}

#[test]
fn a_run_that_is_cancelled_ends() {
    check(
        "{name: stop, steps: [{id: a, type: told, told: {forever: true, begun: BEGUN}}, {id: b, type: told, depends_on: [a]}]}",
        Status::Cancelled,
        1,
        Some("begun"),
    );
}

#[test]
fn a_matrix_fans_out_and_comes_together() {
    let outcome = check(
        r#"{name: matrix, steps: [{id: m, type: told, matrix: {size: [1, 2], kind: [x, y]}, told: {n: "${matrix.size}${matrix.kind}"}},
        {id: all, type: told, depends_on: [m]}]}"#,
        Status::Succeeded,
        2,
        None,
    );
    assert_eq!(outcome.steps.len(), 5, "{outcome:?}");
}

#[test]
fn a_failure_runs_its_handler() {
    let outcome = check(
        "{name: handler, steps: [{id: a, type: told, on_failure: run tidy, told: {fail: 9}}, {id: tidy, type: told},
        {id: b, type: told, on_failure: run never}, {id: never, type: told}]}",
        Status::Failed,
        0,
        None,
    );
    let of = |step: &str| outcome.steps.iter().find(|(id, ..)| id == step).unwrap().1;
    assert_eq!((of("tidy"), of("never")), (Status::Succeeded, Status::Skipped), "{outcome:?}");
}

#[test]
fn shares_are_handed_out_alike() {
    check(
        "{name: shares, pools: {disk: 1}, steps: [{id: a, type: told, resources: {pools: {disk: 1}}}, {id: b, type: told, resources: {pools: {disk: 1}}},
        {id: c, type: told, depends_on: [a, b]}]}",
        Status::Succeeded,
        0,
        None,
    );
}

#[test]
fn a_thousand_steps_at_once_and_one_after_them() {
    let steps: Vec<String> =
        (0..1000).map(|n| format!("{{id: s{n}, type: told, told: {{n: {n}}}}}")).collect();
    let ids: Vec<String> = (0..1000).map(|n| format!("s{n}")).collect();
    let text = format!(
        "{{name: wide, steps: [{}, {{id: last, type: told, depends_on: [{}]}}]}}",
        steps.join(", "),
        ids.join(", ")
    );
    let outcome = check(&text, Status::Succeeded, 0, None);
    assert_eq!(outcome.steps.len(), 1001);
}
