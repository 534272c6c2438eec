//! Processes at the same time: one winner, nothing lost, nothing seen half done.

#![allow(clippy::unwrap_used, reason = "a process that cannot be started has failed")]

use crate::suite::project::{Name, Project, ids, line, line_with, make_store};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Claims of one issue, and processes that try each.
const ROUNDS: usize = 1_000;
const RACERS: usize = 20;

#[test]
fn of_20_processes_that_claim_an_issue_one_gets_it_in_each_of_1000_rounds() {
    let project = Project::new("");
    let round = AtomicUsize::new(0);
    let wins: Vec<Vec<usize>> = thread::scope(|scope| {
        let run = || {
            let mut wins = vec![0; RACERS];
            loop {
                let number = round.fetch_add(1, Ordering::Relaxed);
                if number >= ROUNDS {
                    return wins;
                }
                wins[race(&project, number)] += 1;
            }
        };
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let wins: Vec<usize> = (0..RACERS).map(|racer| wins.iter().map(|of| of[racer]).sum()).collect();
    assert_eq!(wins.iter().sum::<usize>(), ROUNDS);
    // A race that always the same process wins is none.
    assert!(wins.iter().filter(|wins| **wins > 0).count() > RACERS / 2, "{wins:?}");
}

/// One race in a store of its own, half of the processes under each name; the winner comes back.
fn race(project: &Project, number: usize) -> usize {
    let folder = project.path().join(format!("round-{number}"));
    make_store(&folder, line(number) + "\n");
    let id = format!("xx-{number:05}");
    // The lock is let go when all processes have been started, so that none wins because it was the first to be.
    let lock = File::create(folder.join(".ba/issues.lock")).unwrap();
    lock.lock().unwrap();
    let racers: Vec<Child> = (0..RACERS)
        .map(|racer| {
            let name = if racer % 2 == 0 { Name::Wootz } else { Name::Ba };
            let args = ["claim", &id, "--session", &format!("S{racer}")];
            let mut command = project.command(name, &args);
            command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    drop(lock);
    let outputs: Vec<Output> = racers.into_iter().map(|racer| racer.wait_with_output().unwrap()).collect();
    let winners: Vec<usize> = (0..RACERS).filter(|racer| outputs[*racer].status.success()).collect();
    assert_eq!(winners.len(), 1, "round {number}: {winners:?}");
    let winner = winners[0];
    for (racer, output) in outputs.iter().enumerate() {
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        if racer == winner {
            let told = format!("Claimed {id} for session S{winner}\n");
            assert_eq!((stdout, stderr), (told.as_str(), ""), "round {number}");
            continue;
        }
        let told = format!(": Issue {id} is already claimed by session S{winner}\n");
        assert_eq!((output.status.code(), stdout), (Some(1), ""), "round {number}");
        // The names say `error` and `Error`.
        assert_eq!(&stderr["error".len()..][..told.len()], told, "round {number}");
        assert_eq!(stderr.contains("hint: claimed since 2"), racer % 2 == 0, "round {number}: {stderr}");
    }
    let stored = fs::read_to_string(folder.join(".ba/issues.jsonl")).unwrap();
    let stored: Value = serde_json::from_str(stored.strip_suffix('\n').unwrap()).unwrap();
    assert_eq!(stored["session_id"], format!("S{winner}"), "round {number}");
    assert_eq!(stored["status"], "in_progress");
    let history = fs::read_to_string(folder.join(".ba/events.jsonl")).unwrap();
    assert_eq!(history.lines().count(), 1, "round {number}: only the winner changed something");
    assert_eq!(files(&folder.join(".ba")), ["config.json", "events.jsonl", "issues.jsonl", "issues.lock"]);
    fs::remove_dir_all(&folder).unwrap();
    winner
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn eight_workers_drain_500_issues_that_wait_for_each_other() {
    const COUNT: usize = 500;
    // Every issue of the second half waits for one of the first.
    let waits = |number: usize| {
        let blocker = format!("[\"xx-{:05}\"]", number - COUNT / 2);
        line_with(number, "open", "").replace("\"blocked_by\":[]", &format!("\"blocked_by\":{blocker}"))
    };
    let lines = (0..COUNT).map(|number| if number < COUNT / 2 { line(number) } else { waits(number) });
    let project = Project::new(lines.collect::<Vec<_>>().join("\n") + "\n");
    let taken: Vec<Vec<String>> = thread::scope(|scope| {
        let project = &project;
        let workers: Vec<_> =
            (0..8).map(|worker| scope.spawn(move || drain(project, &format!("W{worker}")))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let all: Vec<&String> = taken.iter().flatten().collect();
    assert_eq!(all.len(), COUNT, "none is lost");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), COUNT, "none is taken twice");
    assert!(taken.iter().filter(|taken| taken.len() > 1).count() > 1, "several worked");
    assert!(project.issues().iter().all(|issue| issue["status"] == "closed"));
    let events = project.json(Name::Wootz, &["history"]);
    let mut claims: BTreeMap<String, usize> = BTreeMap::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    for event in events.as_array().unwrap() {
        let id = event["issues"][0].as_str().unwrap().to_owned();
        if event["command"] == "claim" {
            let number: usize = id[3..].parse().unwrap();
            let blocker = format!("xx-{:05}", number.saturating_sub(COUNT / 2));
            assert!(
                number < COUNT / 2 || done.contains(&blocker),
                "{id} was claimed before {blocker} was done"
            );
            *claims.entry(id).or_default() += 1;
        } else {
            done.insert(id);
        }
    }
    assert!(claims.len() == COUNT && claims.values().all(|count| *count == 1) && done.len() == COUNT);
}

/// Takes what is ready and finishes it, until nothing is.
fn drain(project: &Project, session: &str) -> Vec<String> {
    let mut taken = Vec::new();
    loop {
        let output = project.run(Name::Wootz, &["ready", "--claim", "--session", session, "--json"]);
        if !output.status.success() {
            let error: Value = serde_json::from_slice(&output.stderr).unwrap();
            assert_eq!(error["error"]["message"], "no issues ready to work on");
            return taken;
        }
        let issue: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(issue["session_id"], session);
        let id = issue["id"].as_str().unwrap().to_owned();
        project.told(Name::Wootz, &["finish", &id, "--session", session]);
        taken.push(id);
    }
}

#[test]
fn readers_see_every_change_whole_or_not_at_all() {
    let project = Project::new((0..400).map(|number| line(number) + "\n").collect::<String>());
    let (one, other) = ("xx-00003", "xx-00390");
    let (ends, reads) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 3]);
    let seen = [const { AtomicBool::new(false) }; 2];
    thread::scope(|scope| {
        for reader in 0..reads.len() {
            let (project, ends, reads, seen) = (&project, &ends, &reads, &seen);
            scope.spawn(move || {
                // Also a reader that fails ends the writer's waiting.
                let _end = Ends(ends);
                while !ends.load(Ordering::Relaxed) {
                    let is_blocked = is_blocked(project, reader, one, other);
                    seen[usize::from(is_blocked)].store(true, Ordering::Relaxed);
                    reads[reader].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _end = Ends(&ends);
        let is_enough = || {
            reads.iter().all(|reads| reads.load(Ordering::Relaxed) >= 20)
                && seen.iter().all(|seen| seen.load(Ordering::Relaxed))
        };
        let mut change = 0;
        while change < 40 || !is_enough() && !ends.load(Ordering::Relaxed) {
            let command = if change % 2 == 0 { "block" } else { "unblock" };
            project.told(if change % 4 < 2 { Name::Wootz } else { Name::Ba }, &[command, one, other]);
            project.told(Name::Wootz, &["create", &"long ".repeat(1 + change % 40 * 50)]);
            change += 1;
        }
    });
}

/// Says that it is over when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether one issue waits for another, which both of them must say; read by a program, by the command, and by `ba`.
fn is_blocked(project: &Project, reader: usize, one: &str, other: &str) -> bool {
    let list: Vec<Value> = match reader {
        0 => {
            let bytes = project.bytes();
            assert_eq!(bytes.last(), Some(&b'\n'), "the file is torn");
            project.issues()
        }
        1 => project.json(Name::Wootz, &["list"]).as_array().unwrap().clone(),
        _ => project.json(Name::Ba, &["list"]).as_array().unwrap().clone(),
    };
    assert!(list.len() >= 400);
    let of = |id: &str, key: &str| {
        let issue = list.iter().find(|issue| issue["id"] == id).unwrap();
        issue[key].as_array().unwrap().clone()
    };
    let (waits, holds) = (of(one, "blocked_by"), of(other, "blocks"));
    assert_eq!(waits.contains(&Value::from(other)), holds.contains(&Value::from(one)), "half a change");
    !waits.is_empty()
}

#[test]
fn all_creators_at_once_land_in_small_stores_and_in_large_ones() {
    // A file of more than 4 MB gets a new line in another way than one that is read whole.
    for before in [0, 16_000] {
        let project = Project::new((0..before).map(|number| line(number) + "\n").collect::<String>());
        let creators: Vec<Child> = (0..16)
            .map(|creator| {
                let name = if creator % 2 == 0 { Name::Wootz } else { Name::Ba };
                let mut command = project.command(name, &["create", "the same title", "--json"]);
                command.stdout(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let made: BTreeSet<String> = creators
            .into_iter()
            .map(|creator| {
                let output = creator.wait_with_output().unwrap();
                assert!(output.status.success());
                let issue: Value = serde_json::from_slice(&output.stdout).unwrap();
                issue["id"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(made.len(), 16, "each got an ID of its own");
        let issues = project.issues();
        assert_eq!(issues.len(), before + 16);
        let stored = ids(&Value::from(issues));
        assert!(made.iter().all(|id| stored.contains(id)) && stored.is_sorted());
        assert_eq!(project.json(Name::Wootz, &["history"]).as_array().unwrap().len(), 16);
    }
}
