//! Training by several processes: the launcher, its ranks, and what is left when one of them is killed.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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
"#;

/// A folder with a dataset and the configuration of a run on it: 12 micro-batches a step.
fn prepare(steps: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    for (file, operation) in [("add", "+"), ("subtract", "-"), ("multiply", "*"), ("divide", "/")] {
        let function =
            |n| format!("/// Number {n}.\npub fn {file}_{n}(v: i64) -> i64 {{\n    v {operation} {n}\n}}\n");
        let text: Vec<String> = (2..12).map(function).collect();
        fs::write(folder.path().join(format!("src/{file}.rs")), text.join("\n")).unwrap();
    }
    fs::write(folder.path().join("plan.yaml"), PLAN).unwrap();
    let made = wootz(folder.path(), &["run", "plan.yaml", "--home", "home"]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let config = format!(
        "data: {}\ntokenizer: {}/tokenizer.json\ndevice: cpu\ndepth: 1\nsequence_len: 32\ndevice_batch_size: 2\n\
         total_batch_size: 768\nsteps: {steps}\neval_every: 10\neval_rows: 4\nsave_every: 5\nlr_scale: 0.3\nthreads: 1\n",
        artifact(folder.path(), "dataset-").display(),
        artifact(folder.path(), "tokenizer-").display(),
    );
    fs::write(folder.path().join("config.yaml"), config).unwrap();
    folder
}

fn artifact(folder: &Path, prefix: &str) -> PathBuf {
    let mut entries = fs::read_dir(folder.join("home/artifacts")).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix)).unwrap()
}

fn wootz(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
    command.args(arguments).current_dir(folder).env_remove("WOOTZ_HOME");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn train(folder: &Path, out: &str, more: &[&str]) -> Command {
    wootz(folder, &[&["train", "pretrain", "-c", "config.yaml", "--out", out, "--json"], more].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The result or the error that was printed.
fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

/// Losses and evaluations by step.
fn figures(folder: &Path, out: &str) -> Vec<f64> {
    let lines = fs::read_to_string(folder.join(out).join("metrics.jsonl")).unwrap();
    let figure = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record.get("bpb").unwrap_or(&record["loss"]).as_f64().unwrap()
    };
    lines.lines().map(figure).collect()
}

fn check_alike(folder: &Path, one: &str, other: &str) {
    let (a, b) = (figures(folder, one), figures(folder, other));
    assert_eq!(a.len(), b.len(), "{one} and {other}");
    let far = a.iter().zip(&b).find(|(x, y)| (*x - *y).abs() > 2e-3 * x.abs());
    assert_eq!(far, None, "{one} and {other}");
}

/// The processes that a process started.
fn children(of: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    listed.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Waits until a run has a checkpoint and its ranks are there.
fn until_saved(folder: &Path, out: &str, launcher: &Child, ranks: usize) -> Vec<u32> {
    let began = Instant::now();
    loop {
        let found = children(launcher.id());
        let saved = fs::read_dir(folder.join(out).join("checkpoints"))
            .is_ok_and(|all| all.flatten().any(|e| e.file_name().to_string_lossy().starts_with("step-")));
        if saved && found.len() == ranks {
            return found;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{} ranks of {ranks}, saved: {saved}",
            found.len()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill(pid: u32, signal: &str) {
    let killed = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(killed.success());
}

/// Whether a process runs; one that has ended and waits to be counted does not.
fn runs(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
}

#[test]
fn a_rank_that_is_killed_ends_the_job_and_another_number_of_ranks_goes_on() {
    let folder = prepare(40);
    let calm = train(folder.path(), "calm", &[]).output().unwrap();
    assert!(calm.status.success(), "{}", text(&calm.stderr));

    let job = train(folder.path(), "job", &["--ranks", "3"]).spawn().unwrap();
    let ranks = until_saved(folder.path(), "job", &job, 3);
    kill(ranks[1], "-KILL");
    let killed = job.wait_with_output().unwrap();
    assert_eq!(killed.status.code(), Some(1));
    assert_eq!(json(&killed)["error"]["message"], "failed to go on: rank 1 was killed by signal 9 (SIGKILL)");
    assert!(ranks.iter().all(|rank| !runs(*rank)), "no rank is left");

    for number in ["2", "4"] {
        let next = train(folder.path(), "job", &["--ranks", number]).output().unwrap();
        assert!(next.status.success(), "{}", text(&next.stderr));
        let resumed = text(&next.stderr);
        assert!(resumed.contains("resumed from"), "{resumed}");
    }
    check_alike(folder.path(), "calm", "job");
    let left = fs::read_dir(folder.path().join("job/checkpoints")).unwrap().count();
    assert_eq!(left, 2, "two checkpoints are kept, and nothing half-written is beside them");
}

#[test]
fn ranks_end_with_their_launcher() {
    let folder = prepare(4000);
    let mut job = train(folder.path(), "job", &["--ranks", "2"]).spawn().unwrap();
    let ranks = until_saved(folder.path(), "job", &job, 2);
    job.kill().unwrap();
    job.wait().unwrap();
    let began = Instant::now();
    while ranks.iter().any(|rank| runs(*rank)) {
        assert!(began.elapsed() < Duration::from_secs(10), "ranks go on without their launcher");
        std::thread::sleep(Duration::from_millis(10));
    }

    let job = train(folder.path(), "other", &["--ranks", "2"]).spawn().unwrap();
    until_saved(folder.path(), "other", &job, 2);
    kill(job.id(), "-INT");
    let stopped = job.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(1));
    let message = json(&stopped)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("failed to finish: the run was stopped after step"), "{message}");
}

/// Starts each rank as a launcher of distributed jobs does.
fn by_variables(folder: &Path, out: &str, sizes: &[usize], more: &[&[&str]]) -> Vec<Output> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = |(rank, size): (usize, &usize)| {
        let variables =
            [("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", *size), ("MASTER_PORT", port.into())];
        let mut command = train(folder, out, more.get(rank).copied().unwrap_or_default());
        command
            .envs(variables.map(|(name, value)| (name, value.to_string())))
            .env("MASTER_ADDR", "127.0.0.1");
        command.env("WOOTZ_RENDEZVOUS_SECONDS", "2").spawn().unwrap()
    };
    let ranks: Vec<Child> = sizes.iter().enumerate().map(start).collect();
    ranks.into_iter().map(|rank| rank.wait_with_output().unwrap()).collect()
}

#[test]
fn ranks_that_another_launcher_starts_find_one_another_or_say_which_does_not_fit() {
    let folder = prepare(10);
    for output in by_variables(folder.path(), "out", &[2, 2], &[]) {
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(json(&output)["summary"]["steps"], 10, "every rank knows what the run came to");
    }
    let refused = |outputs: Vec<Output>, expected: &str| {
        for output in outputs {
            let error = json(&output)["error"].clone();
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(expected), "{message}");
            assert_eq!(output.status.code(), Some(3), "{message}");
            assert!(error["hint"].is_string());
        }
    };
    let sizes = by_variables(folder.path(), "other", &[2, 3], &[]);
    refused(sizes, "rank 1 has another number of ranks than the others: 3, not 2");
    let seeds = by_variables(folder.path(), "other", &[2, 2], &[&[], &["--set", "seed=8"]]);
    refused(seeds, "rank 1 has another configuration or data than the others");
    refused(by_variables(folder.path(), "other", &[2], &[]), "rank 1 did not come to 127.0.0.1:");
    assert!(!folder.path().join("other/checkpoints").exists(), "nothing was begun");
}
