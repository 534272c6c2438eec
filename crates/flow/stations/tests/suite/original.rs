//! Plans as a predecessor's validator is tested: what it accepts is accepted, and what it refuses is refused in its words.
//!
//! Rows are named as the predecessor's cases are. A row that begins with "ours" is one where we differ, on purpose.

use std::collections::BTreeMap;
use wootz_pipeline::{Source, load};
use wootz_schema::plan::Plan;
use wootz_stations::device::Machine;
use wootz_stations::registry;

/// The kinds of the predecessor's steps, each with settings that are enough.
const KINDS: [(&str, &str); 8] = [
    ("command", "command: echo"),
    ("download", "download: {url: 'https://example.com/a', output: a}"),
    ("docker_build", "docker_build: {image: a}"),
    ("docker_push", "docker_push: {image: a}"),
    ("package_build", "package_build: {command: make}"),
    ("container_job", "container_job: {command: make}"),
    ("hf_download_dataset", "hf_download_dataset: {dataset_id: a}"),
    ("hf_download_model", "hf_download_model: {model_id: a}"),
];

/// Name of the case, the steps, and what the refusal says; empty: it is accepted.
const CASES: [(&str, &str, &str); 18] = [
    ("empty plan", "[]", "plan must have at least one step"),
    ("missing id", "[{type: command, command: a}]", "step 0 is missing id"),
    (
        "missing id, of the second",
        "[{id: a, type: command, command: a}, {type: command, command: a}]",
        "step 1 is missing id",
    ),
    (
        "duplicate id",
        "[{id: a, type: command, command: a}, {id: a, type: command, command: b}]",
        "duplicate step id: a",
    ),
    ("missing type", "[{id: a, command: a}]", "step a is missing type"),
    ("unsupported type", "[{id: a, type: nope}]", "step a has unsupported type nope"),
    (
        "dependencies: valid",
        "[{id: a, type: command, command: a}, {id: b, type: command, command: b, depends_on: [a]}]",
        "",
    ),
    (
        "dependencies: unknown",
        "[{id: a, type: command, command: a, depends_on: [nope]}]",
        "step a depends on unknown step nope",
    ),
    ("when: success", WHEN_SUCCESS, ""),
    ("when: failure", WHEN_FAILURE, ""),
    (
        "when: invalid status",
        "[{id: a, type: command, command: a}, {id: b, type: command, command: b, depends_on: [a], when: {step: a, status: pending}}]",
        "step b has invalid when condition",
    ),
    (
        "when: unknown step",
        "[{id: a, type: command, command: a, when: {step: nope, status: success}}]",
        "step a when references unknown step nope",
    ),
    (
        "when: missing step",
        "[{id: a, type: command, command: a, when: {status: success}}]",
        "step a has invalid when condition",
    ),
    (
        "ours: ids whose files would collide",
        "[{id: a/b, type: command, command: a}, {id: a_b, type: command, command: a}]",
        "step id `a/b` has characters other than letters, digits, `-` and `_`",
    ),
    (
        "ours: a cycle is seen before the run",
        "[{id: a, type: command, command: a, depends_on: [b]}, {id: b, type: command, command: b, depends_on: [a]}]",
        "dependency cycle: a -> b -> a",
    ),
    (
        "ours: a step that waits for itself",
        "[{id: a, type: command, command: a, depends_on: [a]}]",
        "step a depends on itself",
    ),
    ("ours: unknown keys", "[{id: a, type: command, command: a, depend_on: [b]}]", "unknown key `depend_on`"),
    (
        "ours: a limit below zero",
        "[{id: a, type: command, command: a, timeout_seconds: -1}]",
        "timeout_seconds",
    ),
];

const WHEN_SUCCESS: &str = "[{id: a, type: command, command: a}, {id: b, type: command, command: b, depends_on: [a], when: {step: a, status: success}}]";
const WHEN_FAILURE: &str = "[{id: a, type: command, command: a}, {id: b, type: command, command: b, depends_on: [a], when: {step: a, status: failure}}]";

/// Name of the case, the kind, its settings, and what the refusal says.
const REQUIRED: [(&str, &str, &str, &str); 10] = [
    ("command: empty", "command", "command: ''", "step a command is required"),
    ("download: no block", "download", "", "download requires url and output"),
    ("download: no url", "download", "download: {output: a}", "download requires url and output"),
    ("download: no output", "download", "download: {url: 'https://a'}", "download requires url and output"),
    ("docker_build: no block", "docker_build", "", "docker_build requires image"),
    ("docker_push: no block", "docker_push", "", "docker_push requires image"),
    ("package_build: no block", "package_build", "", "package_build requires command"),
    ("container_job: no block", "container_job", "", "container_job requires command"),
    ("hf_download_dataset: no block", "hf_download_dataset", "", "hf_download_dataset requires dataset_id"),
    ("hf_download_model: no block", "hf_download_model", "", "hf_download_model requires model_id"),
];

fn read(steps: &str, env: &[(&str, &str)]) -> Result<Plan, String> {
    let text = format!("params: {{address: '${{env.ADDRESS:-localhost:7233}}'}}\nsteps: {steps}\n");
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let source = Source { text: &text, file: "plan.yaml", params: &BTreeMap::new(), env: &env };
    load(source, &registry(&Machine::default())).map_err(|error| error.to_string())
}

fn check(name: &str, steps: &str, expected: &str) {
    match read(steps, &[]) {
        Ok(_) => assert!(expected.is_empty(), "{name}: it is accepted"),
        Err(error) => {
            assert!(error.starts_with("plan validation failed:"), "{name}: {error}");
            assert!(!expected.is_empty() && error.contains(expected), "{name}: {error}");
        }
    }
}

#[test]
fn plans_are_refused_in_the_words_that_scripts_know() {
    for (name, steps, expected) in CASES {
        check(name, steps, expected);
    }
}

#[test]
fn the_kinds_and_what_each_requires() {
    let step = |kind: &str, settings: &str| {
        let comma = if settings.is_empty() { "" } else { ", " };
        format!("[{{id: a, type: {kind}{comma}{settings}}}]")
    };
    for (kind, settings) in KINDS {
        check(kind, &step(kind, settings), "");
    }
    for (name, kind, settings, expected) in REQUIRED {
        check(name, &step(kind, settings), expected);
    }
}

#[test]
fn what_a_plan_leaves_out() {
    let plan = read("[{id: a, type: command, command: a}]", &[]).expect("because nothing is missing");
    let step = &plan.steps[0];
    assert_eq!(step.name, "a", "the name is the id");
    assert_eq!(
        step.retries.max_attempts, 1,
        "ours: a step is tried once, where the predecessor tries thrice"
    );
    assert!(!step.allow_failure);
    // The environment, or what holds without it; a variable that is empty is none.
    for (env, expected) in [
        (&[][..], "localhost:7233"),
        (&[("ADDRESS", "")], "localhost:7233"),
        (&[("ADDRESS", "host:1")], "host:1"),
    ] {
        let plan = read("[{id: a, type: command, command: a}]", env).expect("because nothing is missing");
        assert_eq!(plan.params["address"], expected);
    }
}
