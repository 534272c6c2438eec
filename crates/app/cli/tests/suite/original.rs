//! A predecessor's cases about what a step's process leaves: exit codes, files of what it said, lines, events, limits. Its cases of plans are
//! tests of the steps' kinds, those of order and of skipping are tests of the pipeline; how lines are cut is tested at every cut by the keeper.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use crate::suite::run::Folder;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A step of each case; the comment names it.
const PLAN: &str = r#"
name: 'a/b c\d'
log_dir: logs
steps:
  - {id: "true", type: command, command: "true", allow_failure: true}
  - {id: echo, name: Say it, type: command, command: echo, args: [hello]}
  - {id: exit-42, type: command, command: sh, args: ["-c", "exit 42"], allow_failure: true}
  - {id: stderr, type: command, command: sh, args: ["-c", "echo wrong >&2"]}
  - {id: env, type: command, command: sh, args: ["-c", "echo $GREETING"], env: {GREETING: hi}}
  - {id: long, type: command, command: sh, args: ["-c", "printf 'ä%.0s' $(seq 1000)"]}
  - {id: limit, type: command, command: sleep, args: ["60"], timeout_seconds: 1, allow_failure: true}
  - {id: folder, type: command, command: pwd, working_dir: /}
  - {id: missing, type: command, command: /no/such/program, allow_failure: true}
  - {id: lines, type: command, command: sh, args: ["-c", 'printf "one\r\ntwo\nrest"; echo both >&2']}
"#;

/// Name of the case, the step, how it ended, its exit code, what it wrote to stdout and to stderr.
const CASES: [(&str, &str, &str, i64, &str, &str); 9] = [
    ("exit code of an end without error", "true", "succeeded", 0, "", ""),
    ("echo", "echo", "succeeded", 0, "hello\n", ""),
    ("exit 42 is a result, and no error", "exit-42", "failed", 42, "", ""),
    ("stderr", "stderr", "succeeded", 0, "", "wrong\n"),
    ("env is added to the environment", "env", "succeeded", 0, "hi\n", ""),
    ("a limit of a second", "limit", "failed", -1, "", ""),
    ("working directory", "folder", "succeeded", 0, "/\n", ""),
    ("a program that is not there", "missing", "failed", -1, "", ""),
    ("lines and a rest", "lines", "succeeded", 0, "one\r\ntwo\nrest", "both\n"),
];

#[test]
fn what_a_process_leaves() {
    let folder = Folder::new(PLAN);
    folder.run(&["run", "plan.yaml"]);
    let run = folder.json(&["runs", "show"]);
    let id = run["run"].as_str().unwrap();
    let step = |wanted: &str| {
        let steps = run["steps"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == wanted).unwrap().clone()
    };
    let logs = folder.path().join("logs");
    let text = |step: &str, end: &str| {
        // Prefix rules: the plan's name with what files cannot be called replaced, the run, the step.
        fs::read_to_string(logs.join(format!("a_b_c_d_{id}_{step}_{end}"))).unwrap()
    };
    let events = fs::read_to_string(logs.join("events.jsonl")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (name, wanted, status, code, stdout, stderr) in CASES {
        assert_eq!(step(wanted)["status"], status, "{name}");
        assert_eq!(text(wanted, "stdout.log"), stdout, "{name}");
        assert_eq!(text(wanted, "stderr.log"), stderr, "{name}");
        let its: Vec<&Value> = events.iter().filter(|event| event["stepId"] == wanted).collect();
        let told: Vec<&str> = its.iter().map(|event| event["status"].as_str().unwrap()).collect();
        assert_eq!(told, ["step_started", "step_finished"], "{name}");
        assert_eq!(its[1]["exitCode"], code, "{name}");
        assert!(its.iter().all(|event| event["timestamp"].as_str().unwrap().ends_with('Z')), "{name}");
    }
    assert!(step("limit")["summary"].as_str().unwrap().starts_with("timed out after 1.0s"));
    assert!(step("missing")["failure"]["hint"].as_str().unwrap().starts_with("install `/no/such/program`"));
    // What is quoted of an output is short and whole characters; the file has all of it.
    assert_eq!(text("long", "stdout.log").chars().count(), 1000);
    let quoted = step("long")["summary"].as_str().unwrap().to_owned();
    assert!(
        quoted.chars().count() < 250 && quoted.trim_end_matches('.').chars().all(|c| c == 'ä'),
        "{quoted}"
    );

    // Each line knows whose it is; what has no end is partial, and of CR and LF nothing is left.
    let lines: Vec<Value> =
        text("lines", "structured.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |stream: &str| {
        let lines = lines.iter().filter(|line| line["stream"] == stream);
        lines.map(|line| (line["message"].as_str().unwrap(), line["partial"] == true)).collect::<Vec<_>>()
    };
    assert_eq!(of("stdout"), [("one", false), ("two", false), ("rest", true)]);
    assert_eq!(of("stderr"), [("both", false)]);
    for line in &lines {
        let whose = ["workflowId", "runId", "stepId", "stepName"].map(|key| line[key].as_str().unwrap());
        assert_eq!(whose, [r"a/b c\d", id, "lines", "lines"]);
    }
    let name = text("echo", "structured.jsonl");
    assert!(name.contains(r#""stepName":"Say it""#), "{name}");

    // Another run adds to the events of the first.
    folder.run(&["run", "plan.yaml", "--only", "echo"]);
    let text = fs::read_to_string(logs.join("events.jsonl")).unwrap();
    assert!(text.lines().count() > events.len() && text.lines().nth(1).unwrap().contains(id));
}

#[test]
fn folders_of_logs() {
    let plan = "log_dir: DIR\nsteps: [{id: a, type: command, command: echo, args: [x]}]\n";
    // Empty: below the run's folder.
    let folder = Folder::new(&plan.replace("DIR", "''"));
    folder.run(&["run", "plan.yaml"]);
    assert_eq!(folder.lines("events.jsonl").len(), 2);
    // Ours: where the folder cannot be made the run does not begin; the predecessor writes somewhere else.
    let folder = Folder::new(&plan.replace("DIR", "plan.yaml/logs"));
    let output = folder.command(&["run", "plan.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("plan.yaml/logs"));
}

/// A plan that a predecessor's users have, written anew from what it is about.
fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn example_plans() {
    let folder = Folder::new(&example("e2e_test.yaml"));
    folder.run(&["run", "plan.yaml"]);
    let told = folder.run(&["runs", "show", "--format", "tsv"]);
    let steps: Vec<String> =
        told.lines().map(|line| line.split('\t').take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(steps, ["step-one finished 0", "step-two finished 0", "step-three finished 0"]);
    let said = folder.run(&["runs", "logs", "--step", "step-two"]);
    assert_eq!(said, "== step-two attempt 1 stdout\ntwo\n== step-two attempt 1 stderr\ntwo, to stderr\n");

    let folder = Folder::new(&example("qwen_demo.yaml"));
    let plan = folder.json(&["plan", "validate", "plan.yaml"])["plan"].clone();
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 8);
    for pair in steps.windows(2) {
        assert_eq!(pair[1]["depends_on"], serde_json::json!([pair[0]["id"]]), "a chain");
    }

    // Without docker the image fails, which it may: what tells of that runs, and the run has succeeded.
    let plan = example("pipeline.yaml").replace("https://example.com", "file:///etc/hostname");
    let folder = Folder::new(&plan);
    let bash = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("bash"))
        .find(|bash| bash.exists());
    fs::create_dir(folder.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(bash.unwrap(), folder.path().join("bin/bash")).unwrap();
    let output = folder
        .command(&["run", "plan.yaml", "--json"])
        .env("PATH", folder.path().join("bin"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let states: Vec<String> = summary["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{} {}", step["step"].as_str().unwrap(), step["status"].as_str().unwrap()))
        .collect();
    let expected = [
        "download-data succeeded",
        "build-image failed",
        "build-packages succeeded",
        "push-image skipped",
        "notify-image-failure succeeded",
    ];
    assert_eq!(
        (states.as_slice(), &summary["status"]),
        (&expected.map(str::to_owned)[..], &"succeeded".into())
    );
    let said = |step: usize| summary["steps"][step]["summary"].as_str().unwrap();
    assert_eq!(
        (said(0), said(3)),
        ("downloaded ./data/data.txt", "when condition not met: build-image is success")
    );
    assert!(said(1).contains("docker or podman") || said(1).contains("podman or docker"), "{}", said(1));
    assert!(folder.path().join("data/data.txt").exists());
}
