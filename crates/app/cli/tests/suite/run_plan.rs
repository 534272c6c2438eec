//! A plan that changes between a run and its going on: refused, or accepted, also where the engine is killed on the way.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use crate::suite::issue_kills::library;
use crate::suite::run::Folder;
use crate::suite::runs::{WAITING, begun};
use std::fs;
use std::os::unix::process::ExitStatusExt;

#[test]
fn a_run_is_not_taken_up_with_a_plan_that_is_another_by_now() {
    let plan = "steps:\n  - {id: a, type: command, command: echo, args: [one]}\n  - {id: b, type: command, command: test, args: ['-e', go]}\n";
    let folder = Folder::new(plan);
    assert_eq!(folder.command(&["run", "plan.yaml"]).output().unwrap().status.code(), Some(1));
    fs::write(folder.path().join("go"), "").unwrap();
    fs::write(folder.path().join("plan.yaml"), plan.replace("[one]", "[two]")).unwrap();
    let resume = ["run", "--resume", "latest"];
    for command in [&resume[..], &["runs", "retry"], &["run", "--resume", "latest", "plan.yaml"]] {
        let output = folder.command(command).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines.contains(&"+++ plan.yaml") && lines.contains(&"@@ -1,3 +1,3 @@"), "{said}");
        assert!(lines.contains(&"+  - {id: a, type: command, command: echo, args: [two]}"), "{said}");
        assert!(lines.contains(&"   - {id: b, type: command, command: test, args: ['-e', go]}"), "{said}");
    }
    let attempts = |step: usize| folder.json(&["runs", "show"])["steps"][step]["attempts"].clone();
    assert_eq!((attempts(0), attempts(1)), (1.into(), 1.into()), "nothing was begun");
    // The plan as it was is in the run's folder.
    let recorded = folder.of_run().join("plan.yaml");
    folder.run(&[&resume[..], &[recorded.to_str().unwrap()]].concat());
    assert_eq!((attempts(0), attempts(1)), (1.into(), 2.into()));
    // A file that is gone says nothing.
    fs::remove_file(folder.path().join("plan.yaml")).unwrap();
    folder.run(&resume);
}

#[test]
fn a_run_goes_on_with_another_plan_where_that_is_wanted() {
    let plan = "
params: {word: one}
steps:
  - {id: kept, type: command, command: sh, args: ['-c', 'echo kept >> effects']}
  - {id: other, type: command, command: sh, args: ['-c', 'echo ${params.word} >> effects']}
  - {id: after, type: command, depends_on: [other], command: sh, args: ['-c', 'echo after >> effects']}
  - {id: bad, type: command, depends_on: [kept], command: sh, args: ['-c', 'exit 3']}
";
    let folder = Folder::new(plan);
    let effects = || fs::read_to_string(folder.path().join("effects")).unwrap();
    let first = folder.command(&["run", "plan.yaml", "--param", "word=two"]).output().unwrap();
    assert_eq!(first.status.code(), Some(1));
    assert_eq!(effects(), "kept\ntwo\nafter\n");
    // A step before the others, another setting of one, the bad one mended.
    let changed = plan
        .replace(
            "steps:\n",
            "steps:\n  - {id: new, type: command, command: sh, args: ['-c', 'echo new >> effects']}\n",
        )
        .replace("'echo ${params.word} >>", "'echo ${params.word} again >>")
        .replace("exit 3", "echo mended >> effects");
    fs::write(folder.path().join("plan.yaml"), &changed).unwrap();
    assert_eq!(folder.command(&["run", "--resume", "latest"]).output().unwrap().status.code(), Some(2));
    let run = folder.json(&["run", "--resume", "latest", "--accept-plan"]);
    assert_eq!(effects(), "kept\ntwo\nafter\nnew\ntwo again\nafter\nmended\n");
    let told: Vec<String> = run["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{} {} {}", step["step"], step["status"], step["attempts"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        ["new succeeded 1", "kept succeeded 1", "other succeeded 2", "after succeeded 2", "bad succeeded 2"]
    );
    // The log and the file tell of all of it, each attempt under a number of its own.
    assert_eq!(folder.events().iter().filter(|event| event["kind"] == "replanned").count(), 1);
    let tail = folder.run(&["runs", "tail", "--json"]);
    assert_eq!(tail, fs::read_to_string(folder.of_run().join("logs/events.jsonl")).unwrap());
    assert_eq!(fs::read_to_string(folder.of_run().join("plan.yaml")).unwrap(), changed);
    // It is the run's plan from here on.
    folder.run(&["run", "--resume", "latest"]);
    assert_eq!(effects().lines().count(), 7);
}

#[test]
fn another_plan_is_refused_while_processes_of_the_run_go_on() {
    let folder = Folder::new(WAITING);
    let mut engine = begun(&folder);
    engine.kill().unwrap();
    engine.wait().unwrap();
    fs::write(folder.path().join("plan.yaml"), WAITING.replace("[one]", "[two]")).unwrap();
    let accept = ["run", "--resume", "latest", "--accept-plan"];
    let output = folder.command(&accept).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("processes of its steps go on"), "{said}");
    folder.run(&["runs", "cancel", "--wait"]);
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(folder.command(&accept).output().unwrap().status.code(), Some(1), "the last step fails");
    let run = folder.json(&["runs", "show"]);
    assert_eq!((&run["steps"][0]["attempts"], &run["steps"][1]["attempts"]), (&2.into(), &2.into()));
}

#[test]
fn a_kill_while_another_plan_is_accepted_leaves_the_run_with_one_of_both() {
    let plan = "
steps:
  - {id: kept, type: command, command: sh, args: ['-c', 'echo kept >> effects']}
  - {id: bad, type: command, depends_on: [kept], command: sh, args: ['-c', 'exit 3']}
";
    let changed = plan.replace("exit 3", "echo mended >> effects");
    let (mut kills, mut before, mut behind) = (0, 0, 0);
    for call in 1.. {
        let folder = Folder::new(plan);
        folder.command(&["run", "plan.yaml"]).output().unwrap();
        fs::write(folder.path().join("plan.yaml"), &changed).unwrap();
        let mut engine = folder.command(&["run", "--resume", "latest", "--accept-plan"]);
        engine.env("LD_PRELOAD", library()).env("DISK_COMMAND", "run").env("DISK_KILL", call.to_string());
        let ended = engine.output().unwrap();
        if !ended.status.success() {
            assert_eq!(ended.status.signal(), Some(9), "{}", String::from_utf8_lossy(&ended.stderr));
            kills += 1;
            let again = folder.command(&["run", "--resume", "latest"]).output().unwrap();
            if again.status.code() == Some(2) {
                before += 1;
                folder.run(&["run", "--resume", "latest", "--accept-plan"]);
            } else {
                behind += 1;
                assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
            }
        }
        let effects = fs::read_to_string(folder.path().join("effects")).unwrap();
        assert_eq!(effects, "kept\nmended\n", "killed at call {call}");
        let replanned = folder.events().iter().filter(|event| event["kind"] == "replanned").count();
        assert_eq!(replanned, 1, "killed at call {call}");
        if ended.status.success() {
            break;
        }
    }
    assert!(
        kills > 10 && before > 1 && behind > 5,
        "{kills} kills, {before} before it was written, {behind} behind"
    );
}
