//! Looking at runs, also while another process works on them, and in folders of logs that another program wrote.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use crate::suite::run::{Folder, processes_marked};
use serde_json::Value;
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

/// Two runs as a predecessor's programs write them, with a line that is no JSON.
const EVENTS: &str = r#"{"timestamp": "2026-01-01T00:00:00Z", "workflowId": "w1", "runId": "r1", "stepId": "a", "stepName": "A", "status": "step_started", "stdoutPath": "/l/x_stdout.log", "stderrPath": "/l/x_stderr.log", "structuredPath": "/l/x_structured.jsonl", "message": "echo"}
{"timestamp": "2026-01-01T00:00:01Z", "workflowId": "w1", "runId": "r1", "stepId": "a", "stepName": "A", "status": "step_finished", "exitCode": 0, "durationSec": 1, "stdoutPath": "/l/x_stdout.log", "stderrPath": "/l/x_stderr.log", "structuredPath": "/l/x_structured.jsonl"}
this is no JSON
{"timestamp": "2026-01-02T00:00:00Z", "workflowId": "w2", "runId": "r2", "stepId": "b", "stepName": "B", "status": "step_started"}
{"timestamp": "2026-01-03T00:00:00Z", "stepId": "nobody's", "status": "step_started"}
"#;

fn of_a_predecessor() -> Folder {
    let folder = Folder::new("");
    fs::create_dir(folder.path().join("logs")).unwrap();
    fs::write(folder.path().join("logs/events.jsonl"), EVENTS).unwrap();
    folder
}

#[test]
fn a_folder_of_logs_is_told_in_the_columns_that_scripts_know() {
    let folder = of_a_predecessor();
    let tsv = |args: &[&str]| folder.run(&[args, &["--log-dir", "logs", "--format", "tsv"]].concat());
    assert_eq!(tsv(&["runs", "list"]), "w2\tr2\t2026-01-02T00:00:00Z\nw1\tr1\t2026-01-01T00:00:01Z\n");
    let of_a = "a\tfinished\t0\t1\t/l/x_stdout.log\t/l/x_stderr.log\t/l/x_structured.jsonl\n";
    for (run, columns) in [("r1", of_a), ("w1", of_a), ("r2", "b\tstarted\tNone\tNone\t\t\t\n")] {
        assert_eq!(tsv(&["runs", "show", run]), columns);
    }
    // Events are told as they stand.
    let lines: Vec<&str> = EVENTS.lines().collect();
    let json = folder.run(&["runs", "tail", "w1", "--log-dir", "logs", "--json"]);
    assert_eq!(json, format!("{}\n{}\n", lines[0], lines[1]));
    assert_eq!(tsv(&["runs", "tail", "r1", "--lines", "1"]), "2026-01-01T00:00:01Z\ta\tfinished\t0\t1\t\n");
    let runs = folder.json(&["runs", "list", "--log-dir", "logs", "--status", "succeeded"]);
    assert_eq!((&runs["runs"][0]["runId"], &runs["runs"][0]["progress"]), (&"r1".into(), &"1/1".into()));
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    // A folder without events has no runs.
    assert_eq!(folder.run(&["runs", "list", "--log-dir", ".", "--format", "tsv"]), "");
    let output = folder.command(&["runs", "show", "r3", "--log-dir", "logs"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn our_own_runs_have_the_same_columns_and_filters() {
    let plan = "
name: p q
steps:
  - {id: a, type: command, command: sh, args: ['-c', 'exit 3'], allow_failure: true}
  - {id: b, type: command, depends_on: [a], command: 'true'}
";
    let folder = Folder::new(plan);
    folder.run(&["run", "plan.yaml"]);
    let run = folder.of_run().file_name().unwrap().to_str().unwrap().to_owned();
    let list = folder.run(&["runs", "list", "--format", "tsv"]);
    assert!(list.starts_with(&format!("p q\t{run}\t20")) && list.ends_with("Z\n"), "{list}");
    let logs = folder.of_run().join("logs");
    let log = |end: &str| logs.join(format!("p_q_{run}_a_{end}")).to_str().unwrap().to_owned();
    let (out, err, lines) = (log("stdout.log"), log("stderr.log"), log("structured.jsonl"));
    let seconds = &folder.lines("events.jsonl")[1]["durationSec"];
    let columns = format!("a\tfinished\t3\t{seconds}\t{out}\t{err}\t{lines}\nb\tskipped\tNone\tNone\t\t\t\n");
    assert_eq!(folder.run(&["runs", "show", "--format", "tsv"]), columns);
    // The file says the same as the log of the home folder.
    let logs = logs.to_str().unwrap();
    assert_eq!(folder.run(&["runs", "show", &run, "--format", "tsv", "--log-dir", logs]), columns);
    let tail = folder.run(&["runs", "tail", "--json"]);
    assert_eq!(tail, folder.run(&["runs", "tail", "--format", "json", "--log-dir", logs]));
    assert_eq!(tail, fs::read_to_string(folder.of_run().join("logs/events.jsonl")).unwrap());
    let of_b = folder.run(&["runs", "tail", "--step", "b"]);
    assert!(of_b.ends_with("b  skipped: dependency a did not succeed\n") && of_b.lines().count() == 1);
    folder.run(&["run", "plan.yaml"]);
    let count =
        |args: &[&str]| folder.json(&[&["runs", "list"], args].concat())["runs"].as_array().unwrap().len();
    assert_eq!((count(&[]), count(&["--limit", "1"]), count(&["--plan", "p q"])), (2, 1, 2));
    assert_eq!(
        (count(&["--status", "failed"]), count(&["--status", "succeeded", "--plan", "other"])),
        (0, 0)
    );
}

/// A run whose last step ends when the file `go` is there, or after some seconds.
pub const WAITING: &str = "
steps:
  - {id: first, type: command, command: echo, args: [one]}
  - id: waits
    type: command
    depends_on: [first]
    command: sh
    args: ['-c', 'echo begun; n=0; while [ ! -e go ] && [ $n -lt 1500 ]; do n=$((n+1)); sleep 0.02; done; echo ended; exit 3']
";

/// Starts the plan and waits until its last step says something.
pub fn begun(folder: &Folder) -> Child {
    let engine = folder.command(&["run", "plan.yaml"]).spawn().unwrap();
    until(|| {
        let output = folder.command(&["runs", "logs", "--step", "waits"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("begun")
    });
    engine
}

pub fn until(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it has not come to that");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_run_of_another_process_is_followed_to_its_end() {
    let folder = Folder::new(WAITING);
    let mut engine = begun(&folder);
    let follower = folder.command(&["runs", "follow"]).spawn().unwrap();
    let programs = folder.command(&["runs", "follow", "--json"]).spawn().unwrap();
    let listener = folder.command(&["runs", "logs", "--follow", "--step", "waits"]).spawn().unwrap();
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(engine.wait().unwrap().code(), Some(1));

    let output = follower.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "the run's code");
    let text = String::from_utf8(output.stdout).unwrap();
    let told: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("Z  ")).map(|(_, line)| line).collect();
    assert_eq!((told.len(), told[0]), (4, "first  started: echo one"), "{text}");
    assert!(told[3].starts_with("waits  failed with 3 in "), "{text}");
    assert!(text.lines().last().unwrap().ends_with(": failed"), "{text}");
    let output = programs.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, folder.lines("events.jsonl"));
    let output = listener.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("== waits attempt 1 stdout\nbegun\n") && text.contains("ended\n"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_run_without_its_engine_is_not_followed_for_ever() {
    let folder = Folder::new(WAITING);
    let mut engine = begun(&folder);
    engine.kill().unwrap();
    engine.wait().unwrap();
    let output = folder.command(&["runs", "follow"]).output().unwrap();
    fs::write(folder.path().join("go"), "").unwrap();
    until(|| folder.keepers().is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(": interrupted\ngo on with: wootz run --resume "), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_run_is_stopped_from_outside_and_goes_on_when_it_is_taken_up() {
    for is_engine_killed in [false, true] {
        let folder = Folder::new(WAITING);
        let mut engine = begun(&folder);
        if is_engine_killed {
            engine.kill().unwrap();
            engine.wait().unwrap();
            assert!(processes_marked(&folder) > 0, "its process outlives it");
        }
        let said = folder.run(&["runs", "cancel", "--wait"]);
        assert!(said.ends_with(" is over: cancelled\n"), "{said}");
        assert_eq!(processes_marked(&folder), 0);
        let code = engine.wait().unwrap().code();
        assert_eq!(code, (!is_engine_killed).then_some(1));
        assert!(!folder.of_run().join("cancel").exists());
        assert!(folder.run(&["runs", "cancel"]).ends_with(" was over already: cancelled\n"));
        assert_eq!(folder.json(&["runs", "cancel"])["status"], "cancelled");

        // A wish of former days does not stop who goes on.
        fs::write(folder.of_run().join("cancel"), "").unwrap();
        fs::write(folder.path().join("go"), "").unwrap();
        let output = folder.command(&["runs", "retry"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("exit code 3") && text.contains(": failed\n"), "{text}");
        assert_eq!(output.status.code(), Some(1));
        let starts = folder.events().iter().filter(|event| event["kind"] == "started").count();
        assert_eq!(starts, 3, "the first step is not run again");
    }
}

#[test]
fn a_request_is_heard_before_the_run_has_ended() {
    let folder = Folder::new(&WAITING.replace("sh\n", "bash\n").replace("'echo", "'trap \"\" TERM; echo"));
    let mut engine = begun(&folder);
    let said = folder.run(&["runs", "cancel"]);
    assert!(said.ends_with(" is asked to stop\n"), "{said}");
    assert!(folder.run(&["runs", "cancel"]).ends_with(" is asked to stop\n"), "once more does no harm");
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(engine.wait().unwrap().code(), Some(1));
    assert_eq!(folder.json(&["runs", "show"])["status"], "cancelled");
}
