//! Runs of small plans with steps that do as they are told.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wootz_pipeline::{Registry, Source, Step, StepContext, StepError, StepOutcome, load};
use wootz_runner::{Clock, Options, PlanFile, Runner, RunnerError};
use wootz_schema::event::{RunSummary, Status};
use wootz_schema::metrics::{Metric, Metrics};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::{Diagnose, ExitCode};

/// Does what its settings say, and counts how often it ran.
struct Told {
    kind: &'static str,
    ran: Arc<Mutex<Vec<String>>>,
}

impl Step for Told {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn version(&self) -> u32 {
        1
    }
    fn validate(&self, _: &Value) -> Result<(), StepError> {
        Ok(())
    }
    fn reads_run(&self) -> bool {
        self.kind == "report"
    }
    fn sources(&self, config: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(config["source"].as_str().map(PathBuf::from).into_iter().collect())
    }
    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        self.ran.lock().unwrap().push(context.id.to_owned());
        context.observe.observe(Progress::Message("at work"));
        let until = Instant::now() + Duration::from_millis(config["ms"].as_u64().unwrap_or_default());
        while Instant::now() < until {
            context.check_cancelled()?;
            sleep(Duration::from_millis(2));
        }
        if u64::from(context.attempt) <= config["fail"].as_u64().unwrap_or_default() {
            return Err(StepError::environment("told to fail").retryable().with_hint("ask for less"));
        }
        assert!(config["panic"].is_null(), "told to panic");
        let mut text = config["text"].as_str().unwrap_or_default().to_owned();
        if let Some(input) = config["input"].as_str() {
            text += &fs::read_to_string(Path::new(input).join("text"))
                .map_err(|e| StepError::failed(e.to_string()))?;
        }
        for step in &context.run.steps {
            text += &format!("{}={} ", step.id, step.status.word());
        }
        fs::write(context.work.join("text"), text).map_err(|e| StepError::environment(e.to_string()))?;
        let metrics = Metrics::from([("bpb".to_owned(), Metric::Number(1.5))]);
        match config["hold"].is_null() {
            true => Ok(StepOutcome::passed("made a text", metrics)),
            false => Ok(StepOutcome::held("bpb: 1.5 is not at most 1", metrics)),
        }
    }
}

/// Advances by a second whenever it is looked at.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_ms(&self) -> u64 {
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
}

/// Keeps messages.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Observe for Said {
    fn observe(&self, progress: Progress<'_>) {
        if let Progress::Message(message) = progress {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_owned());
        }
    }
}

struct Bench {
    folder: TempDir,
    runner: Runner,
    registry: Registry,
    ran: Arc<Mutex<Vec<String>>>,
    said: Said,
    cancel: AtomicBool,
}

impl Bench {
    fn new() -> Bench {
        let folder = TempDir::new().unwrap();
        // 2026-07-27T12:00:00Z
        let clock = Arc::new(Ticking(AtomicU64::new(1_785_153_600_000)));
        let runner = Runner::with_clock(&folder.path().join("home"), clock).unwrap();
        let ran = Arc::new(Mutex::new(Vec::new()));
        let mut registry = Registry::new();
        for kind in ["told", "report"] {
            registry.register(Told { kind, ran: Arc::clone(&ran) });
        }
        Bench { folder, runner, registry, ran, said: Said::default(), cancel: AtomicBool::new(false) }
    }

    fn plan(&self, text: &str) -> PlanFile {
        let none = BTreeMap::new();
        let text = text.replace("SOURCE", &self.folder.path().join("source").to_string_lossy());
        let plan =
            load(Source { text: &text, file: "p.yaml", params: &none, env: &none }, &self.registry).unwrap();
        PlanFile { plan, text, path: "p.yaml".to_owned() }
    }

    fn options(&self) -> Options<'_> {
        Options {
            max_parallel: 0,
            lock_wait: Duration::from_millis(200),
            ..Options::new("wootz run p.yaml", &self.cancel)
        }
    }

    fn run(&self, text: &str) -> RunSummary {
        self.run_with(text, &self.options()).unwrap()
    }

    fn run_with(&self, text: &str, options: &Options<'_>) -> Result<RunSummary, RunnerError> {
        self.runner.run(&self.plan(text), options, &self.registry, &self.said)
    }

    /// Steps that ran since this was last asked, sorted.
    fn ran(&self) -> String {
        let mut ran = std::mem::take(&mut *self.ran.lock().unwrap());
        ran.sort();
        ran.join(" ")
    }
}

fn statuses(summary: &RunSummary) -> String {
    summary.steps.iter().map(|s| format!("{} {}", s.step, s.status.word())).collect::<Vec<_>>().join(", ")
}

const LINE: &str = "
steps:
  - {id: a, type: told, told: {text: A, source: SOURCE}}
  - {id: b, type: told, told: {text: B, input: '${steps.a}'}}
  - {id: c, type: told, depends_on: [b], told: {text: C}}
  - {id: r, type: report, depends_on: [c], report: {}}
";

#[test]
fn a_second_run_finds_everything_and_a_change_runs_what_depends_on_it() {
    let bench = Bench::new();
    let source = bench.folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("x"), "1").unwrap();
    let first = bench.run(LINE);
    assert_eq!(statuses(&first), "a succeeded, b succeeded, c succeeded, r succeeded");
    assert_eq!(bench.ran(), "a b c r");
    let text = |summary: &RunSummary, step: usize| {
        fs::read_to_string(Path::new(summary.steps[step].output.as_ref().unwrap()).join("text")).unwrap()
    };
    assert_eq!(
        (text(&first, 1).as_str(), text(&first, 3).as_str()),
        ("BA", "a=succeeded b=succeeded c=succeeded ")
    );
    assert!(
        bench.runner.store().home().join("runs").join(&first.run).join("b/text").exists(),
        "a link for people"
    );

    let second = bench.run(LINE);
    assert_eq!(statuses(&second), "a cached, b cached, c cached, r cached");
    assert_eq!(
        (second.steps[0].seconds, &second.steps[0].metrics),
        (first.steps[0].seconds, &first.steps[0].metrics)
    );
    assert_eq!(bench.ran(), "");

    fs::write(source.join("x"), "2").unwrap();
    let third = bench.run(LINE);
    assert_eq!(statuses(&third), "a succeeded, b cached, c cached, r cached", "a made the same text again");
    let other = LINE.replace("text: B", "text: D");
    assert_eq!(statuses(&bench.run(&other)), "a cached, b succeeded, c succeeded, r succeeded");
}

#[test]
fn from_and_only_run_again_what_they_name() {
    let bench = Bench::new();
    fs::create_dir(bench.folder.path().join("source")).unwrap();
    let only = |step: &str| Options { only: Some(step.to_owned()), ..bench.options() };
    let from = |step: &str| Options { from: Some(step.to_owned()), ..bench.options() };
    let early = bench.run_with(LINE, &only("b")).unwrap();
    assert_eq!(statuses(&early), "a failed, b skipped, c skipped, r skipped");
    assert_eq!((early.exit, bench.ran().as_str()), (2, ""));
    bench.run(LINE);
    assert_eq!(bench.ran(), "a b c r");
    assert_eq!(
        statuses(&bench.run_with(LINE, &from("b")).unwrap()),
        "a cached, b succeeded, c succeeded, r succeeded"
    );
    assert_eq!(bench.ran(), "b c r");
    let only = bench.run_with(LINE, &only("c")).unwrap();
    assert_eq!(statuses(&only), "a cached, b cached, c succeeded, r skipped");
    assert_eq!((only.status, bench.ran().as_str()), (Status::Succeeded, "c"));
    let both = Options { from: Some("a".to_owned()), only: Some("a".to_owned()), ..bench.options() };
    assert!(matches!(bench.run_with(LINE, &both), Err(RunnerError::FromAndOnly)));
    assert!(matches!(bench.run_with(LINE, &from("zz")), Err(RunnerError::Graph(_))));
}

#[test]
fn a_damaged_output_is_made_again_and_said() {
    let bench = Bench::new();
    fs::create_dir(bench.folder.path().join("source")).unwrap();
    let first = bench.run(LINE);
    fs::remove_file(Path::new(first.steps[1].output.as_ref().unwrap()).join("text")).unwrap();
    bench.ran();
    assert_eq!(statuses(&bench.run(LINE)), "a cached, b succeeded, c cached, r cached");
    let said = bench.said.0.lock().unwrap();
    assert!(said.iter().any(|m| m.starts_with("b: the finished output is damaged")), "{said:?}");
}

#[test]
fn failures_keep_their_message_and_exit_code_and_the_rest_goes_on() {
    let bench = Bench::new();
    let summary = bench.run(
        "
steps:
  - {id: bad, type: told, told: {fail: 9}}
  - {id: bug, type: told, told: {panic: true}}
  - {id: held, type: told, told: {hold: true}}
  - {id: after, type: told, depends_on: [bad], told: {}}
  - {id: good, type: told, told: {}}
  - {id: report, type: report, depends_on: [held], when: {step: held, status: finished}, report: {input: '${steps.held}'}}
  - {id: slow, type: told, timeout_seconds: 0.05, told: {ms: 60000}}
",
    );
    assert_eq!(
        statuses(&summary),
        "bad failed, bug failed, held failed, after skipped, good succeeded, report succeeded, slow failed"
    );
    assert_eq!((summary.status, summary.exit), (Status::Failed, 3));
    let failure = |step: usize| summary.steps[step].failure.clone().unwrap();
    assert_eq!(
        (failure(0).message.as_str(), failure(0).hint.as_deref()),
        ("told to fail", Some("ask for less"))
    );
    assert_eq!((failure(1).message.as_str(), failure(1).exit), ("a bug: panicked with `told to panic`", 70));
    assert_eq!((failure(2).message.as_str(), failure(2).exit), ("bpb: 1.5 is not at most 1", 1));
    assert_eq!(failure(6).message, "timed out after 50ms");
    assert_eq!(summary.steps[3].summary, "dependency bad did not succeed");
    let report =
        fs::read_to_string(Path::new(summary.steps[5].output.as_ref().unwrap()).join("text")).unwrap();
    assert_eq!(report, "held=failed ", "the verdict is there to be reported");

    bench.ran();
    bench.run("steps: [{id: held, type: told, told: {hold: true}}]");
    assert_eq!(bench.ran(), "held", "a verdict that held is no cached result");
}

#[test]
fn a_failed_attempt_is_repeated_with_a_log_of_its_own() {
    let bench = Bench::new();
    let plan = "steps: [{id: flaky, type: told, retries: {max_attempts: 3}, told: {fail: 2}}]";
    let summary = bench.run(plan);
    assert_eq!((statuses(&summary).as_str(), summary.steps[0].attempts), ("flaky succeeded", 3));
    let logs = bench.runner.logs("latest", Some("flaky")).unwrap();
    assert_eq!(logs.iter().map(|l| l.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    let text = fs::read_to_string(&logs[0].path).unwrap();
    assert!(text.contains(" at work\n") && text.contains(" failed: told to fail\n"), "{text}");
    assert!(bench.runner.logs("latest", Some("none")).is_err());
}

#[test]
fn a_run_that_failed_or_was_stopped_can_be_taken_up() {
    let bench = Bench::new();
    let plan = "steps: [{id: a, type: told, told: {}}, {id: b, type: told, told: {fail: 1}}, \
                {id: c, type: told, depends_on: [b], told: {}}]";
    let failed = bench.run(plan);
    assert_eq!(statuses(&failed), "a succeeded, b failed, c skipped");
    bench.ran();
    let resumed = bench.runner.resume("latest", &bench.options(), &bench.registry, &bench.said).unwrap();
    assert_eq!(statuses(&resumed), "a succeeded, b succeeded, c succeeded");
    assert_eq!((resumed.run, bench.ran().as_str()), (failed.run, "b c"));
    let again = bench.runner.resume("latest", &bench.options(), &bench.registry, &bench.said).unwrap();
    assert_eq!((again.status, bench.ran().as_str()), (Status::Succeeded, ""), "nothing is left to do");

    let plan =
        "steps: [{id: x, type: told, told: {ms: 60000}}, {id: y, type: told, depends_on: [x], told: {}}]";
    let stopped = std::thread::scope(|scope| {
        scope.spawn(|| {
            sleep(Duration::from_millis(60));
            bench.cancel.store(true, Ordering::Relaxed);
        });
        bench.run(plan)
    });
    assert_eq!((statuses(&stopped).as_str(), stopped.exit), ("x cancelled, y cancelled", 1));
}

#[test]
fn steps_wait_for_their_own_dependencies_only_and_for_a_slot() {
    let bench = Bench::new();
    let plan = "steps: [{id: slow, type: told, told: {ms: 300}}, {id: quick, type: told, told: {}}, \
                {id: next, type: told, depends_on: [quick], told: {text: n}}]";
    bench.run(plan);
    let order: Vec<String> =
        bench.said.0.lock().unwrap().iter().filter(|m| m.contains(": done")).cloned().collect();
    assert!(order[2].starts_with("slow: done"), "{order:?}");

    let bench = Bench::new();
    let plan = "steps: [{id: c, type: told, told: {text: c}}, {id: a, type: told, told: {text: a}}, \
                {id: b, type: told, told: {text: b}}]";
    bench.run_with(plan, &Options { max_parallel: 1, ..bench.options() }).unwrap();
    assert_eq!(*bench.ran.lock().unwrap(), ["c", "a", "b"], "the plan's order");
}

#[test]
fn the_same_output_is_made_once_at_a_time() {
    let bench = Bench::new();
    let plan = "steps: [{id: a, type: told, told: {ms: 50}}, {id: b, type: told, told: {ms: 50}}]";
    let summary = bench.run(plan);
    let ran = bench.ran();
    assert!(ran == "a" || ran == "b", "the other found it: {ran}");
    assert_eq!(summary.status, Status::Succeeded);

    let key = |summary: &RunSummary| {
        let output = PathBuf::from(summary.steps[0].output.as_ref().unwrap());
        output.file_name().unwrap().to_string_lossy().into_owned()
    };
    let held = bench.runner.store().work(&key(&summary)).unwrap().unwrap();
    let from = Options { from: Some("a".to_owned()), ..bench.options() };
    let summary = bench.run_with("steps: [{id: a, type: told, told: {ms: 50}}]", &from).unwrap();
    assert_eq!((summary.exit, bench.ran().as_str()), (3, ""));
    drop(held);
}

#[test]
fn a_run_belongs_to_one_process_at_a_time() {
    let bench = Bench::new();
    let run = bench.run("steps: [{id: a, type: told, told: {fail: 1}}]").run;
    let lock = bench.runner.store().home().join("runs").join(&run).join(".lock");
    let held = wootz_store::lock(&lock).unwrap().unwrap();
    let taken = bench.runner.resume("latest", &bench.options(), &bench.registry, &bench.said).unwrap_err();
    assert_eq!((taken.exit(), taken.hint().is_some()), (ExitCode::Environment, true), "{taken}");
    drop(held);
    let summary = bench.runner.resume(&run, &bench.options(), &bench.registry, &bench.said).unwrap();
    assert_eq!(summary.status, Status::Succeeded);
}

#[test]
fn runs_are_listed_newest_first_and_stored_summaries_read_back() {
    let bench = Bench::new();
    assert!(matches!(bench.runner.show("latest"), Err(RunnerError::NoRuns)));
    let plan = "name: tiny\nsteps: [{id: a, type: told, told: {}}]";
    let (one, two) = (bench.run(plan), bench.run(plan));
    let runs = bench.runner.runs().unwrap();
    assert_eq!(runs.iter().map(|r| r.run.as_str()).collect::<Vec<_>>(), [two.run.as_str(), one.run.as_str()]);
    assert!(one.run.starts_with("20260727-1200"), "{}", one.run);
    assert_eq!(runs[0].status, Status::Succeeded);
    assert_eq!(runs[0].plan, "tiny");
    let stored = json!(two).to_string();
    assert_eq!(serde_json::from_str::<RunSummary>(&stored).unwrap(), two);
    assert!(matches!(bench.runner.show("none"), Err(RunnerError::NoSuchRun(_))));
}

#[test]
fn hundreds_of_cached_steps_run_once() {
    let bench = Bench::new();
    let step = |i: usize| {
        let before = i.checked_sub(10).map(|before| format!("s{before}")).unwrap_or_default();
        format!("  - {{id: s{i}, type: told, depends_on: [{before}], told: {{text: t{i}}}}}\n")
    };
    let plan = format!("steps:\n{}", (0..300).map(step).collect::<String>());
    let options = Options { max_parallel: 8, ..bench.options() };
    assert_eq!(bench.run_with(&plan, &options).unwrap().status, Status::Succeeded);
    assert_eq!(bench.run_with(&plan, &options).unwrap().status, Status::Succeeded);
    assert_eq!(bench.ran().split(' ').count(), 300, "nothing ran twice");
}
