//! Kill and resume: a run killed with SIGKILL at many moments ends with the bytes of one that was left alone.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Kills of one run.
const KILLS: usize = 20;

const PLAN: &str = r#"
steps:
  - id: corpus
    type: corpus
    corpus: { sources: [src] }
  - id: tokenizer
    type: tokenizer
    tokenizer: { corpus: "${steps.corpus}", vocab_size: 320 }
  - id: dataset
    type: dataset
    dataset: { corpus: "${steps.corpus}", validation_share: 0.4 }
  - id: train
    type: train
    train:
      data: ${steps.dataset}
      tokenizer: ${steps.tokenizer}/tokenizer.json
      depth: 1
      sequence_len: 32
      device_batch_size: 4
      total_batch_size: 128
      steps: 200
      eval_every: 50
      eval_rows: 4
      save_every: 5
      keep_last: 2
"#;

#[test]
fn a_run_killed_at_20_moments_ends_with_the_same_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    write_sources(&folder.path().join("src"));
    fs::write(folder.path().join("plan.yaml"), PLAN).unwrap();
    let finished = wootz(folder.path(), &["run", "plan.yaml", "--home", "calm"]).output().unwrap();
    assert!(finished.status.success(), "{}", String::from_utf8_lossy(&finished.stderr));

    let mut moment = Moments(1);
    let (mut kills, mut runs) = (0, 0);
    // Where a run is over before the last kill, the next one takes the rest of them.
    while kills < KILLS {
        runs += 1;
        let home = format!("killed-{runs}");
        let before = kills;
        while kills < KILLS {
            let mut child = wootz(folder.path(), &start(folder.path(), &home)).spawn().unwrap();
            std::thread::sleep(moment.next());
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
        let last = wootz(folder.path(), &start(folder.path(), &home)).output().unwrap();
        assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
        check(folder.path(), &home, kills - before);
    }
    assert!(runs <= KILLS / 4, "{runs} runs for {KILLS} kills: each is too short to show anything");
}

/// The run's checkpoint is that of the one left alone, and nothing half-written is beside it.
fn check(folder: &Path, home: &str, kills: usize) {
    let [calm, killed] = ["calm", home].map(|home| checkpoint(&folder.join(home)));
    assert_eq!(files(&calm), files(&killed), "after {kills} kills");
    let artifacts: Vec<PathBuf> = fs::read_dir(folder.join(home).join("artifacts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(artifacts.len(), 4, "one artifact for each step and nothing half-written: {artifacts:?}");
}

/// The arguments that begin the run or take it up again.
fn start<'a>(folder: &Path, home: &'a str) -> Vec<&'a str> {
    let list = wootz(folder, &["runs", "list", "--home", home, "--json"]).output().unwrap();
    if list.status.success() && String::from_utf8_lossy(&list.stdout).contains(r#""run":"#) {
        vec!["run", "--resume", "latest", "--home", home]
    } else {
        vec!["run", "plan.yaml", "--home", home]
    }
}

fn wootz(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
    command
        .args(args)
        .current_dir(folder)
        .env_remove("WOOTZ_HOME")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Moments spread over a start, a few steps, and saves; the same in every test run.
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(10 + (self.0 >> 33) % 150)
    }
}

/// The last checkpoint's folder.
fn checkpoint(home: &Path) -> PathBuf {
    let train = fs::read_dir(home.join("artifacts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("train-")));
    train.unwrap().join("checkpoints/step-00000200")
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(
        found.len() >= 4,
        "a checkpoint has a manifest, a state, weights and optimizer states: {found:?}"
    );
    found
}

fn write_sources(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (file, operation) in [("add", "+"), ("subtract", "-"), ("multiply", "*"), ("divide", "/")] {
        let functions: Vec<String> = (2..12)
            .map(|n| format!("/// Number {n}.\npub fn {file}_{n}(value: i64) -> i64 {{\n    value {operation} {n}\n}}\n"))
            .collect();
        fs::write(folder.join(format!("{file}.rs")), functions.join("\n")).unwrap();
    }
}
