//! The engine of a run killed at each of its calls that can change the disk, and taken up again: the run ends as one that was left alone, and
//! what its processes did outside they did once. The same for the keeper of its processes.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use crate::suite::issue_kills::library;
use crate::suite::run::{Folder, processes_marked};
use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

/// Twelve steps: a fan, a join, one that fails at first, one that fails and its handlers, two that outlast the engine. Each writes down when
/// it begins and when it ends.
const PLAN: &str = r#"
steps:
  - {id: first, type: command, command: ./effect, args: [first]}
  - {id: fan-1, type: command, depends_on: [first], command: ./effect, args: [fan-1]}
  - {id: fan-2, type: command, depends_on: [first], command: ./effect, args: [fan-2, "0.1"]}
  - {id: fan-3, type: command, depends_on: [first], command: ./effect, args: [fan-3]}
  - id: flaky
    type: command
    depends_on: [fan-1]
    command: ./effect
    args: [flaky, "0", "$WOOTZ_ATTEMPT"]
    retries: {max_attempts: 3, initial_seconds: 0.01}
  - {id: join, type: command, depends_on: [fan-1, fan-2, fan-3], command: ./effect, args: [join]}
  - {id: bad, type: command, depends_on: [fan-3], command: ./effect, args: [bad, "0", "9"], allow_failure: true}
  - {id: handler, type: command, when: {step: bad, status: failure}, command: ./effect, args: [handler]}
  - {id: never, type: command, when: {step: bad, status: success}, command: ./effect, args: [never]}
  - {id: kept, type: command, depends_on: [join], command: ./effect, args: [kept], outputs: [made]}
  - {id: user, type: command, depends_on: [flaky], command: ./effect, args: [user, "0", "0", "${steps.kept}/made"]}
  - {id: last, type: command, depends_on: [user, handler], command: ./effect, args: [last, "0.1"]}
"#;

/// `effect NAME [SECONDS] [CODE] [FILE]`: a code of `$WOOTZ_ATTEMPT` is 1 in the first attempt and 0 after it.
const EFFECT: &str = r#"#!/bin/sh
echo "begin $1 $WOOTZ_ATTEMPT" >> effects
sleep "${2:-0}"
[ -z "$4" ] || cat "$4" >> effects || exit 8
echo "made by $1" > "$WOOTZ_OUTPUT/made"
code=${3:-0}
[ "$code" != '$WOOTZ_ATTEMPT' ] || code=$((WOOTZ_ATTEMPT < 2))
echo "end $1 $WOOTZ_ATTEMPT" >> effects
exit $code
"#;

/// What is the same however often a run was cut short: the steps' ends, and what was done outside, sorted.
fn outcome(folder: &Folder) -> (Vec<(String, String, u64)>, Vec<String>) {
    let run = folder.json(&["runs", "show"]);
    let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    let steps = run["steps"].as_array().unwrap().iter();
    let steps =
        steps.map(|step| (text(step, "step"), text(step, "status"), step["attempts"].as_u64().unwrap()));
    let effects = fs::read_to_string(folder.path().join("effects")).unwrap();
    let mut effects: Vec<String> = effects.lines().map(str::to_owned).collect();
    effects.sort();
    (steps.collect(), effects)
}

fn prepared() -> Folder {
    let folder = Folder::new(PLAN);
    folder.script("effect", EFFECT);
    folder
}

#[test]
fn an_engine_killed_anywhere_loses_nothing_and_does_nothing_twice() {
    let calm = prepared();
    calm.run(&["run", "plan.yaml", "--max-parallel", "3"]);
    let expected = outcome(&calm);
    assert_eq!(expected.1.iter().filter(|line| line.starts_with("end")).count(), 12, "{expected:?}");
    let log = calm.lines("events.jsonl");
    let (mut kills, mut went_on) = (0, 0);
    for call in 1.. {
        let folder = prepared();
        let mut engine = folder.command(&["run", "plan.yaml", "--max-parallel", "3"]);
        engine.env("LD_PRELOAD", library()).env("DISK_COMMAND", "run").env("DISK_KILL", call.to_string());
        let ended = engine.output().unwrap();
        if ended.status.success() {
            break;
        }
        assert_eq!(ended.status.signal(), Some(9), "{}", String::from_utf8_lossy(&ended.stderr));
        kills += 1;
        let is_there = folder.command(&["runs", "show"]).output().unwrap().status.success();
        let again: &[&str] = if is_there { &["run", "--resume", "latest"] } else { &["run", "plan.yaml"] };
        folder.run(&[again, &["--max-parallel", "3"]].concat());
        assert_eq!(outcome(&folder), expected, "killed at call {call}");
        went_on += usize::from(folder.events().iter().any(|event| event["kept"].is_array()));
        // Programs outside are told the same, whatever was lost on the way.
        let told = folder.lines("events.jsonl");
        assert_eq!(told.len(), log.len(), "killed at call {call}: {told:?}");
    }
    assert!(kills > 60 && went_on > 10, "{kills} kills, {went_on} with processes that went on");
}

#[test]
fn without_its_keeper_a_process_does_not_live_on_and_is_run_again() {
    let plan = "steps:\n  - {id: a, type: command, command: ./effect, args: [a, \"0.6\"], retries: {max_attempts: 3, initial_seconds: 0.01}}\n";
    for is_engine_killed in [false, true] {
        let folder = Folder::new(plan);
        folder.script("effect", EFFECT);
        let mut engine = folder.command(&["run", "plan.yaml"]).spawn().unwrap();
        let begin = Instant::now();
        while folder.keepers().is_empty() || !folder.path().join("effects").exists() {
            assert!(begin.elapsed() < Duration::from_secs(30), "the process was not begun");
            std::thread::sleep(Duration::from_millis(5));
        }
        let keeper = folder.keepers()[0];
        if is_engine_killed {
            engine.kill().unwrap();
        }
        rustix::process::kill_process(keeper, rustix::process::Signal::KILL).unwrap();
        let status = engine.wait().unwrap();
        if is_engine_killed {
            folder.run(&["run", "--resume", "latest"]);
        } else {
            assert!(status.success());
        }
        let effects = fs::read_to_string(folder.path().join("effects")).unwrap();
        assert_eq!(effects, "begin a 1\nbegin a 2\nend a 2\n");
        assert_eq!(processes_marked(&folder), 0);
    }
}
