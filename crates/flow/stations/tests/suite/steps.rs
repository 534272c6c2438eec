//! Every kind of step: mistyped settings are named, and what a step leaves can be read by the next.

use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use wootz_pipeline::{NoLauncher, RunView, StepContext, StepError, StepOutcome, StepView};
use wootz_schema::ExitCode;
use wootz_schema::event::Status;
use wootz_schema::metrics::Metrics;
use wootz_schema::progress::Silent;
use wootz_schema::task::{Resources, TaskLabel, TaskLogs};
use wootz_stations::device::Machine;
use wootz_stations::registry;

/// Runs one step in a folder.
pub fn run(kind: &str, work: &Path, view: &RunView, config: &Value) -> Result<StepOutcome, StepError> {
    run_on(&Machine::default(), kind, work, view, config)
}

/// The same on a machine of one's own.
pub fn run_on(
    machine: &Machine,
    kind: &str,
    work: &Path,
    view: &RunView,
    config: &Value,
) -> Result<StepOutcome, StepError> {
    let registry = registry(machine);
    let step = registry.get(kind).expect("because the kind is registered");
    step.validate(config)?;
    std::fs::create_dir_all(work).expect("because the temporary folder is ours");
    let cancel = AtomicBool::new(false);
    let (workflow_id, run_id, step_id) = ("plan".to_owned(), "run".to_owned(), kind.to_owned());
    let label = TaskLabel { workflow_id, run_id, step_name: step_id.clone(), step_id, attempt: 1 };
    let file = |name: &str| work.with_extension(name).to_string_lossy().into_owned();
    let logs = TaskLogs { stdout: file("out"), stderr: file("err"), structured: file("jsonl") };
    let context = StepContext {
        id: kind,
        attempt: 1,
        work,
        observe: &Silent,
        cancel: &cancel,
        run: view,
        launcher: &NoLauncher,
        label: &label,
        logs: &logs,
        resources: &Resources::default(),
        gpus: &[],
    };
    step.run(&context, config)
}

/// A finished step as the steps after it see it.
pub fn finished(kind: &str, output: &Path, outcome: &StepOutcome) -> StepView {
    StepView {
        id: kind.to_owned(),
        kind: kind.to_owned(),
        config: json!({}),
        status: if outcome.passed { Status::Succeeded } else { Status::Failed },
        cached: false,
        seconds: Some(1.5),
        output: Some(output.to_path_buf()),
        metrics: outcome.metrics.clone(),
        summary: outcome.summary.clone(),
    }
}

#[test]
fn an_unknown_setting_is_named_by_every_kind() {
    let registry = registry(&Machine::default());
    for kind in registry.kinds() {
        let step = registry.get(kind).expect("because the name was just listed");
        let error = step.validate(&json!({ "no_such_setting": 1 })).expect_err(kind);
        assert!(error.message.contains("no_such_setting"), "{kind}: {}", error.message);
        assert_eq!(error.exit, ExitCode::Usage, "{kind}");
    }
}

#[test]
fn a_gate_leaves_its_verdict_and_holds_on_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().join("eval");
    std::fs::create_dir(&evidence).unwrap();
    std::fs::write(evidence.join("metrics.json"), r#"{"bpb": 2.5}"#).unwrap();
    let gate = |metrics: Value| json!({ "evidence": [&evidence], "stage": "pretrain", "metrics": metrics });
    let view = RunView::default();

    let work = folder.path().join("promoted");
    let outcome = run("gate", &work, &view, &gate(json!({ "bpb": { "at_most": 3.0 } }))).unwrap();
    assert!(outcome.passed, "{}", outcome.summary);
    assert!(std::fs::read_to_string(work.join("verdict.json")).unwrap().contains(r#""verdict": "promote""#));

    let work = folder.path().join("held");
    let outcome = run("gate", &work, &view, &gate(json!({ "accuracy": { "at_least": 0.5 } }))).unwrap();
    assert!(!outcome.passed);
    assert!(outcome.summary.contains("accuracy: was not reported"), "{}", outcome.summary);
    assert!(work.join("verdict.json").is_file(), "a gate that holds leaves its evidence");
}

#[test]
fn a_gate_without_evidence_or_with_a_bad_threshold_is_refused_before_the_run() {
    let registry = registry(&Machine::default());
    let gate = registry.get("gate").expect("because the kind is registered");
    let check = |config: Value, wanted: &str| {
        let error = gate.validate(&config).expect_err(wanted);
        assert!(error.message.contains(wanted), "{}", error.message);
    };
    let metrics = json!({ "bpb": { "at_most": 3.0 } });
    check(json!({ "evidence": [], "stage": "s", "metrics": metrics }), "no evidence");
    check(json!({ "evidence": ["e"], "stage": "s", "metrics": {} }), "no metrics");
    check(json!({ "evidence": ["e"], "stage": "s", "metrics": { "bpb": { "atmost": 3.0 } } }), "atmost");
    check(json!({ "stage": "s", "metrics": metrics }), "`evidence` is missing");
}

#[test]
fn a_report_shows_the_steps_before_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("metrics.json"), r#"{"bpb": 2.5}"#).unwrap();
    let gate = folder.path().join("gate");
    let settings =
        json!({ "evidence": [folder.path()], "stage": "pretrain", "metrics": { "bpb": { "at_most": 3.0 } } });
    let outcome = run("gate", &gate, &RunView::default(), &settings).unwrap();
    let view = RunView {
        run: "r1".into(),
        plan: "tiny".into(),
        plan_path: "recipes/tiny.yaml".into(),
        params: [("source".to_owned(), json!("/a b"))].into(),
        steps: vec![finished("gate", &gate, &outcome), skipped("train")],
        ..RunView::default()
    };
    let work = folder.path().join("report");
    run("report", &work, &view, &json!({})).unwrap();
    let html = std::fs::read_to_string(work.join("report.html")).unwrap();
    for text in
        ["promoted", "2.5 is at most 3", "wootz run recipes/tiny.yaml --param 'source=/a b'", "skipped"]
    {
        assert!(html.contains(text), "{text} is missing");
    }
    assert!(work.join("report.json").is_file());
}

fn skipped(kind: &str) -> StepView {
    let outcome = StepOutcome::passed("dependency did not succeed", Metrics::new());
    StepView {
        status: Status::Skipped,
        output: None,
        seconds: None,
        ..finished(kind, Path::new("none"), &outcome)
    }
}
