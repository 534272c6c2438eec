//! A predecessor's cases about when a step begins and why it is skipped, in its words. Rows are named as its cases are; one that begins with
//! "ours" is one where we differ, on purpose.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use wootz_pipeline::machine::{Command, State, StepState, begin, step};
use wootz_pipeline::{Registry, Source, Step, StepContext, StepError, StepOutcome, load};
use wootz_schema::event::{Created, Event, Failure, Record, RunSummary, Status, StepLine, VERSION};
use wootz_schema::plan::Plan;

/// A kind without settings.
struct Bare;

impl Step for Bare {
    fn kind(&self) -> &'static str {
        "x"
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
    fn run(&self, _: &StepContext<'_>, _: &Value) -> Result<StepOutcome, StepError> {
        Err(StepError::failed("this kind is for plans only"))
    }
}

fn plan(steps: &str) -> Plan {
    let mut registry = Registry::new();
    registry.register(Bare);
    let none = BTreeMap::new();
    let text = format!("steps: {steps}");
    load(Source { text: &text, file: "p.yaml", params: &none, env: &none }, &registry).unwrap()
}

/// A run of the plan in which these steps have ended, `+a` well and `-a` badly.
fn state(plan: Plan, ended: &[&str]) -> State {
    let (plan_text, plan_path, command) = Default::default();
    let (version, max_parallel, capacity, cluster, driver, from, only) =
        (VERSION, 0, None, None, None, None, None);
    let created = Created {
        version,
        plan,
        plan_text,
        plan_path,
        command,
        max_parallel,
        capacity,
        cluster,
        driver,
        from,
        only,
    };
    let mut state = begin(&created).unwrap().0;
    for (seq, end) in (1..).zip(ended) {
        let (how, id) = end.split_at(1);
        let id = id.to_owned();
        let event = match how {
            "+" => Event::Cached { step: id, attempt: 1, key: "k".to_owned() },
            _ => {
                let (message, hint) = ("no".to_owned(), None);
                let failure = Failure { message, hint, exit: 1, retryable: false, code: Some(1) };
                Event::Failed { step: id, attempt: 1, failure }
            }
        };
        state = step(state, &Record { seq, at_ms: seq, event }).0;
    }
    state
}

/// What is said of the last step: `begins`, `waits`, or why it is skipped.
fn verdict(state: &State) -> String {
    match &state.steps().last().unwrap().state {
        StepState::Starting => "begins".to_owned(),
        StepState::Pending => "waits".to_owned(),
        StepState::Skipped(why) => why.clone(),
        other => format!("{other:?}"),
    }
}

const ONE: &str = "[{id: a, type: x}, {id: b, type: x, depends_on: [a]}]";
const TWO: &str = "[{id: a, type: x}, {id: b, type: x}, {id: c, type: x, depends_on: [a, b]}]";
const CHAIN: &str =
    "[{id: a, type: x}, {id: b, type: x, depends_on: [a]}, {id: c, type: x, depends_on: [b]}]";
const ON_SUCCESS: &str =
    "[{id: a, type: x}, {id: b, type: x, depends_on: [a], when: {step: a, status: success}}]";
const ON_FAILURE: &str =
    "[{id: a, type: x}, {id: b, type: x, depends_on: [a], when: {step: a, status: failure}}]";
const SKIPPED_THEN: &str = "[{id: a, type: x}, {id: b, type: x, depends_on: [a]}, {id: c, type: x, depends_on: [b], when: {step: b, status: failure}}]";
const BESIDE: &str = "[{id: a, type: x}, {id: z, type: x}, {id: b, type: x, depends_on: [z], when: {step: a, status: success}}]";

/// Name of the case, the steps, what has ended, and what is said of the last step.
const CASES: [(&str, &str, &[&str], &str); 14] = [
    ("depsCompleted: no dependencies", "[{id: a, type: x}]", &[], "begins"),
    ("depsCompleted: all are over", TWO, &["+a", "+b"], "begins"),
    ("depsCompleted: none is over", ONE, &[], "waits"),
    ("depsCompleted: some are over", TWO, &["+a"], "waits"),
    ("shouldSkip: no dependencies, no when", "[{id: a, type: x}]", &[], "begins"),
    ("shouldSkip: dependency succeeded", ONE, &["+a"], "begins"),
    ("shouldSkip: dependency failed", ONE, &["-a"], "dependency a did not succeed"),
    ("shouldSkip: dependency skipped", CHAIN, &["-a"], "dependency b did not succeed"),
    ("shouldSkip: when success, succeeded", ON_SUCCESS, &["+a"], "begins"),
    ("shouldSkip: when success, failed", ON_SUCCESS, &["-a"], "when condition not met: a is success"),
    ("shouldSkip: when failure, failed", ON_FAILURE, &["-a"], "begins"),
    ("shouldSkip: when failure, succeeded", ON_FAILURE, &["+a"], "when condition not met: a is failure"),
    ("shouldSkip: when failure, skipped", SKIPPED_THEN, &["-a"], "when condition not met: b is failure"),
    ("ours: a step with a condition waits for what the condition looks at", BESIDE, &["+z"], "waits"),
];

#[test]
fn steps_begin_and_are_skipped_as_scripts_expect() {
    for (name, steps, ended, expected) in CASES {
        assert_eq!(verdict(&state(plan(steps), ended)), expected, "{name}");
    }
    // A condition that holds is enough: another dependency may have failed.
    assert_eq!(verdict(&state(plan(BESIDE), &["-z", "+a"])), "begins");
}

#[test]
fn steps_are_told_in_the_plans_order_whatever_their_own() {
    let plan = plan("[{id: c, type: x}, {id: a, type: x, name: The a}, {id: b, type: x}]");
    let names: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["c", "The a", "b"], "stepName: a step without a name is called by its id");
    let state = state(plan.clone(), &["+b", "+nobody", "+c", "+a"]);
    let ids: Vec<&str> = (0..state.steps().len()).map(|position| state.graph().id(position)).collect();
    assert_eq!(ids, ["c", "a", "b"], "ordered: also where they end otherwise");
    assert_eq!(state.status(), Status::Succeeded, "ours: news of a step that is in no plan is no news");
    let empty = Plan { steps: Vec::new(), ..plan };
    let (plan_text, plan_path, command) = Default::default();
    let (version, max_parallel, capacity, cluster, driver, from, only) =
        (VERSION, 0, None, None, None, None, None);
    let created = Created {
        version,
        plan: empty,
        plan_text,
        plan_path,
        command,
        max_parallel,
        capacity,
        cluster,
        driver,
        from,
        only,
    };
    let (state, commands) = begin(&created).unwrap();
    assert!(state.is_over() && commands == [Command::Finish], "ordered: a plan without steps");
}

#[test]
fn results_have_the_fields_that_programs_read() {
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let has = |value: &Value, wanted: &[&str]| {
        let keys = keys(value);
        wanted.iter().for_each(|key| assert!(keys.iter().any(|other| other == key), "{key}: {keys:?}"));
    };
    let text = r#"{"version":1,"run":"r","plan":"p","plan_path":"","command":"","status":"failed","exit":1,"created_ms":0,"updated_ms":1,
        "steps":[{"step":"a","type":"x","status":"failed","attempts":1,"seconds":null,"summary":"no","failure":null,"output":null,"metrics":{}}]}"#;
    let run: RunSummary = serde_json::from_str(text).unwrap();
    let run = serde_json::to_value(run).unwrap();
    // PipelineResult, and StepOutcome with its result.
    has(&run, &["status", "exit", "steps"]);
    has(&run["steps"][0], &["step", "status", "seconds", "summary", "failure", "attempts"]);
    // The event of a step, whose keys are all there whatever happened.
    let text = r#"{"timestamp":"","workflowId":"","runId":"","stepId":"","stepName":"","attempt":0,"status":"","exitCode":0,"durationSec":0,
        "stdoutPath":"","stderrPath":"","structuredPath":"","message":""}"#;
    let line: StepLine = serde_json::from_str(text).unwrap();
    let wanted = [
        "timestamp",
        "workflowId",
        "runId",
        "stepId",
        "stepName",
        "status",
        "exitCode",
        "durationSec",
        "stdoutPath",
        "stderrPath",
        "structuredPath",
        "message",
    ];
    has(&serde_json::to_value(line).unwrap(), &wanted);
}
