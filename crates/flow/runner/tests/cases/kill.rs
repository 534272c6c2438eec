//! Killed at random moments and resumed each time, a run ends as if it had never been disturbed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Instant;
use tempfile::TempDir;
use wootz_runner::Runner;
use wootz_schema::event::{Event, Status};

const KILLS: usize = 24;

fn start(home: &Path, verb: &str) -> Child {
    // The example stands beside the tests: target/<profile>/{deps,examples}.
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/counting_line");
    Command::new(program).arg(home).arg(verb).stdout(Stdio::null()).spawn().unwrap()
}

/// The output of each step: its file's text.
fn outputs(home: &Path) -> BTreeMap<String, String> {
    let runner = Runner::open(home).unwrap();
    let summary = runner.show("latest").unwrap();
    assert_eq!(summary.status, Status::Succeeded, "{summary:?}");
    let lines = |path: String| fs::read_to_string(PathBuf::from(path).join("lines")).unwrap();
    summary.steps.into_iter().map(|s| (s.step, lines(s.output.unwrap()))).collect()
}

/// Checks the log: every step succeeded once, and nothing of it began afterwards.
fn check_once(home: &Path) {
    let runner = Runner::open(home).unwrap();
    let events = runner.events("latest").unwrap();
    let begun = fs::read_to_string(home.join("begun.log")).unwrap();
    for (position, record) in events.iter().enumerate() {
        assert_eq!(record.seq, position as u64, "the log has no gaps");
    }
    for step in ["first", "left", "right", "both", "last"] {
        let succeeded: Vec<(usize, u32)> = events
            .iter()
            .enumerate()
            .filter_map(|(at, r)| match &r.event {
                Event::Succeeded { step: s, attempt, .. } if s == step => Some((at, *attempt)),
                _ => None,
            })
            .collect();
        let started: Vec<(usize, u32)> = events
            .iter()
            .enumerate()
            .filter_map(|(at, r)| match &r.event {
                Event::Started { step: s, attempt, .. } if s == step => Some((at, *attempt)),
                _ => None,
            })
            .collect();
        assert_eq!(succeeded.len(), 1, "{step} succeeds once: {events:?}");
        let (at, last) = succeeded[0];
        assert!(started.iter().all(|(start, attempt)| *start < at && *attempt <= last), "{step}: {events:?}");
        for line in begun.lines().filter(|line| line.split(' ').next() == Some(step)) {
            let attempt: u32 = line.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(started.iter().any(|(_, a)| *a == attempt), "{line} began without being in the log");
        }
        let once = begun.lines().filter(|line| *line == format!("{step} {last}")).count();
        assert!(once <= 1, "{step}: one attempt began twice");
    }
}

#[test]
fn a_killed_run_ends_like_an_undisturbed_one() {
    let folder = TempDir::new().unwrap();
    let undisturbed = folder.path().join("undisturbed");
    let begin = Instant::now();
    assert!(start(&undisturbed, "run").wait().unwrap().success());
    let length = begin.elapsed();
    let expected = outputs(&undisturbed);

    let (mut kills, mut round, mut random) = (0, 0, 0x2545_F491_4F6C_DD1D_u64);
    while kills < KILLS {
        let home = folder.path().join(format!("home-{round}"));
        round += 1;
        let mut child = start(&home, "run");
        loop {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let share = (random >> 11) as f64 / (1u64 << 53) as f64;
            sleep(length.mul_f64(share * 0.8));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            // Killed before the run was in the log, there is nothing to resume yet.
            let known = Runner::open(&home).unwrap().show("latest").ok().map(|run| run.status);
            assert!(matches!(known, None | Some(Status::Interrupted | Status::Succeeded)), "{known:?}");
            child = start(&home, if known.is_some() { "resume" } else { "run" });
        }
        assert!(child.wait().unwrap().success());
        assert_eq!(outputs(&home), expected);
        check_once(&home);
    }
}
