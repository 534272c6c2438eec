//! Runs compared, and old ones removed: what goes, what stays, and that a kill on the way loses nothing that stays.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use crate::suite::issue_kills::library;
use crate::suite::run::Folder;
use crate::suite::runs::{WAITING, begun};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

const PLAN: &str = r#"
log_dir: said
params: {word: one}
steps:
  - {id: made, type: command, command: sh, args: ["-c", "echo ${params.word} | tee $WOOTZ_OUTPUT/out"], outputs: [out], cache: true}
  - {id: used, type: command, command: cat, args: ["${steps.made}/out"]}
"#;

fn ids(folder: &Folder) -> Vec<String> {
    let runs = folder.json(&["runs", "list"])["runs"].as_array().unwrap().clone();
    runs.iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
}

fn artifacts(folder: &Folder) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path().join(".wootz/artifacts")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Makes every output two days older.
fn age(folder: &Folder) {
    for artifact in artifacts(folder) {
        let path = artifact.join(".artifact.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        manifest["origin"]["at_ms"] = json!(manifest["origin"]["at_ms"].as_u64().unwrap() - 2 * 86_400_000);
        fs::write(path, manifest.to_string()).unwrap();
    }
}

/// Files of what processes of a run said.
fn said(folder: &Folder, run: &str) -> usize {
    let names = fs::read_dir(folder.path().join("said")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().contains(run)).count()
}

/// Three runs; the first and the last share an output.
fn three() -> Folder {
    let folder = Folder::new(PLAN);
    folder.run(&["run", "plan.yaml"]);
    folder.run(&["run", "plan.yaml", "--param", "word=two"]);
    folder.run(&["run", "plan.yaml"]);
    folder
}

#[test]
fn runs_are_compared_step_by_step() {
    let folder = three();
    let ids = ids(&folder);
    let diff = folder.json(&["runs", "diff", &ids[2], &ids[1]]);
    let made = &diff["steps"][0];
    assert_eq!(made["same_output"], false);
    let changed = &made["settings"]["command.args"];
    assert_eq!(
        changed,
        &json!([["-c", "echo one | tee $WOOTZ_OUTPUT/out"], ["-c", "echo two | tee $WOOTZ_OUTPUT/out"]])
    );
    assert_eq!(diff["steps"][1]["settings"], json!({}), "what it is given changed, not what it asks for");
    let diff = folder.json(&["runs", "diff", &ids[2], &ids[0]]);
    assert_eq!((&diff["steps"][0]["same_output"], &diff["steps"][0]["settings"]), (&json!(true), &json!({})));
    assert_eq!(diff["steps"][0]["after"]["status"], "cached");
    fs::write(folder.path().join("plan.yaml"), PLAN.replace("id: used", "id: other")).unwrap();
    folder.run(&["run", "plan.yaml"]);
    let text = folder.run(&["runs", "diff", &ids[1], "latest"]);
    let lines: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(lines[1].starts_with("made succeeded -> cached ") && lines[1].ends_with(" another"), "{text}");
    assert!(lines[2].starts_with("used succeeded -> - ") && lines[2].ends_with(" gone"), "{text}");
    assert!(lines[3].starts_with("other - -> succeeded ") && lines[3].ends_with(" new"), "{text}");
    assert!(lines[4].starts_with("made: command.args: [\"-c\",\"echo two"), "{text}");
}

#[test]
fn what_is_old_goes_and_what_is_named_stays() {
    let folder = three();
    age(&folder);
    let before = ids(&folder);
    assert_eq!(folder.json(&["runs", "gc", "--older-than", "1d"])["runs"], json!([]));
    let planned = folder.json(&["runs", "gc", "--keep", "1", "--artifacts", "--dry-run"]);
    assert_eq!(ids(&folder), before, "nothing goes");
    let gone = folder.json(&["runs", "gc", "--keep", "1", "--artifacts"]);
    assert_eq!((&planned["runs"], &planned["artifacts"]), (&gone["runs"], &gone["artifacts"]));
    let gone_ids: Vec<&str> =
        gone["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect();
    assert_eq!(gone_ids, before[1..]);
    assert!(gone["bytes"].as_u64().unwrap() > 0 && gone["artifacts"].as_array().unwrap().len() == 1);
    assert_eq!(ids(&folder), before[..1]);
    for run in gone_ids {
        assert!(!folder.path().join(".wootz/runs").join(run).exists() && said(&folder, run) == 0);
    }
    assert_eq!(said(&folder, &before[0]), 3, "the latest run took the other step from the cache");
    // The output of the run that stays is there, and is used.
    assert_eq!(artifacts(&folder).len(), 1);
    let again = folder.json(&["run", "plan.yaml"]);
    assert_eq!(again["steps"][0]["status"], "cached");
    // Young outputs stay, whoever names them.
    folder.run(&["run", "plan.yaml", "--param", "word=three"]);
    folder.run(&["runs", "gc", "--keep", "0", "--artifacts"]);
    assert_eq!((ids(&folder).len(), artifacts(&folder).len()), (0, 1));
    let output = folder.command(&["runs", "gc"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "one has to say what may go");
}

#[test]
fn what_goes_on_is_not_touched() {
    let folder = Folder::new(WAITING);
    let mut engine = begun(&folder);
    let all: [&str; 5] = ["runs", "gc", "--keep", "0", "--artifacts"];
    let id = ids(&folder).remove(0);
    let told = folder.json(&all);
    assert_eq!((&told["busy"], &told["artifacts_wait"]), (&json!([id]), &json!(true)));
    engine.kill().unwrap();
    engine.wait().unwrap();
    assert_eq!(folder.json(&all)["busy"], json!([id]), "its processes go on without their engine");
    folder.run(&["runs", "cancel", "--wait"]);
    assert_eq!(folder.json(&all)["runs"].as_array().unwrap().len(), 1);
    assert!(ids(&folder).is_empty());
}

#[test]
fn a_kill_anywhere_leaves_whole_runs_and_the_rest_for_the_next_time() {
    let (mut kills, mut partly) = (0, 0);
    for call in 1.. {
        let folder = three();
        age(&folder);
        let mut gc = folder.command(&["runs", "gc", "--keep", "1", "--artifacts"]);
        gc.env("LD_PRELOAD", library()).env("DISK_COMMAND", "runs").env("DISK_KILL", call.to_string());
        let ended = gc.output().unwrap();
        if ended.status.success() {
            break;
        }
        assert_eq!(ended.status.signal(), Some(9), "{}", String::from_utf8_lossy(&ended.stderr));
        kills += 1;
        let left = ids(&folder);
        partly += usize::from(left.len() == 2);
        for run in &left {
            folder.run(&["runs", "show", run]);
            folder.run(&["runs", "logs", run]);
        }
        folder.run(&["runs", "gc", "--keep", "1", "--artifacts"]);
        assert_eq!((ids(&folder).len(), artifacts(&folder).len()), (1, 1), "killed at call {call}");
        let runs = fs::read_dir(folder.path().join(".wootz/runs")).unwrap().count();
        let aside = fs::read_dir(folder.path().join(".wootz/work")).unwrap();
        let aside =
            aside.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".gone"));
        assert_eq!((runs, aside.count()), (1, 0), "killed at call {call}");
        assert_eq!(folder.json(&["run", "plan.yaml"])["steps"][0]["status"], "cached");
    }
    assert!(kills > 10 && partly > 2, "{kills} kills, {partly} between two runs");
}
