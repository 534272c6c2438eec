//! Plans of commands, as processes: what they say and where it is kept, what is left of them, what a run costs.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use rustix::process::Pid;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with a plan.
pub struct Folder(TempDir);

impl Folder {
    pub fn new(plan: &str) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plan.yaml"), plan).unwrap();
        Folder(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A program in the folder.
    pub fn script(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        command.args(args).current_dir(self.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What a command prints that succeeds.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[args, &["--json"]].concat())).unwrap()
    }

    /// The folder of the only run.
    pub fn of_run(&self) -> PathBuf {
        let mut runs = fs::read_dir(self.path().join(".wootz/runs")).unwrap();
        runs.next().unwrap().unwrap().path()
    }

    /// The lines of a file among the logs of the only run.
    pub fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.of_run().join("logs").join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The log of the latest run.
    pub fn events(&self) -> Vec<Value> {
        let runner = wootz_runner::Runner::open(&self.path().join(".wootz")).unwrap();
        runner
            .events("latest")
            .unwrap()
            .iter()
            .map(|record| serde_json::to_value(&record.event).unwrap())
            .collect()
    }

    /// Processes that keep this folder's runs.
    pub fn keepers(&self) -> Vec<Pid> {
        let is_keeper = |pid: &Pid| {
            let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            let folder = self.path().to_str().unwrap().as_bytes();
            words.get(1) == Some(&&b"keep"[..]) && words.get(2).is_some_and(|path| path.starts_with(folder))
        };
        processes().filter(is_keeper).collect()
    }
}

/// A test that failed leaves no process behind either.
impl Drop for Folder {
    fn drop(&mut self) {
        let is_here = |pid: &Pid| {
            fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()))
                .is_ok_and(|cwd| cwd.starts_with(self.path()))
        };
        for pid in self.keepers().into_iter().chain(processes().filter(is_here)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    entries.filter_map(|name| Pid::from_raw(name.to_str()?.parse().ok()?))
}

/// How many processes of attempts of this folder's only run there are.
pub fn processes_marked(folder: &Folder) -> usize {
    let run = folder.of_run();
    let mark = format!("WOOTZ_TASK={}/", run.file_name().unwrap().to_str().unwrap()).into_bytes();
    let is_marked = |pid: &Pid| {
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(&mark))
    };
    processes().filter(is_marked).count()
}

#[test]
fn what_processes_say_is_kept_by_attempt_and_line_by_line() {
    let plan = r#"
name: a line
log_dir: logs
steps:
  - id: flaky
    name: Flaky one
    type: command
    command: bash
    args: ["-c", 'printf "out %s\r\n\"quoted\" ü\nlast" $WOOTZ_ATTEMPT; echo err >&2; exit $((WOOTZ_ATTEMPT < 2 ? 75 : 0))']
    retries: {max_attempts: 2, initial_seconds: 0.01, on_exit_codes: [75]}
  - {id: final, type: command, command: sh, args: ["-c", "echo no >&2; exit 4"], retries: {max_attempts: 2, on_exit_codes: [75]}}
"#;
    let folder = Folder::new(plan);
    let output = folder.command(&["run", "plan.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("exit code 4: no") && told.contains("flaky  succeeded") && told.contains("  last\n"),
        "{told}"
    );
    let logs = folder.path().join("logs");
    let run = folder.of_run().file_name().unwrap().to_str().unwrap().to_owned();
    for (attempt, name) in [(1, format!("a_line_{run}_flaky")), (2, format!("a_line_{run}_flaky.2"))] {
        let stdout = fs::read_to_string(logs.join(format!("{name}_stdout.log"))).unwrap();
        assert_eq!(stdout, format!("out {attempt}\r\n\"quoted\" ü\nlast"));
        assert_eq!(fs::read_to_string(logs.join(format!("{name}_stderr.log"))).unwrap(), "err\n");
        let text = fs::read_to_string(logs.join(format!("{name}_structured.jsonl"))).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |stream: &str| {
            let lines = lines.iter().filter(|line| line["stream"] == stream);
            lines.map(|line| (line["message"].as_str().unwrap(), line["partial"] == true)).collect::<Vec<_>>()
        };
        let first = format!("out {attempt}");
        assert_eq!(of("stdout"), [(first.as_str(), false), ("\"quoted\" ü", false), ("last", true)]);
        assert_eq!(of("stderr"), [("err", false)]);
        assert_eq!(lines[0]["workflowId"], "a line");
        assert_eq!((&lines[0]["stepName"], &lines[0]["attempt"]), (&"Flaky one".into(), &attempt.into()));
    }
    let events = fs::read_to_string(logs.join("events.jsonl")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<String> = events
        .iter()
        .map(|event| {
            format!("{} {} {} {}", event["stepId"], event["attempt"], event["status"], event["exitCode"])
                .replace('"', "")
        })
        .collect();
    let expected = [
        "flaky 1 step_started 0",
        "flaky 1 step_finished 75",
        "final 1 step_started 0",
        "final 1 step_finished 4",
        "flaky 2 step_started 0",
        "flaky 2 step_finished 0",
    ];
    assert_eq!(told, expected);
    assert!(events.iter().all(|event| Path::new(event["stdoutPath"].as_str().unwrap()).is_file()));
}

#[test]
fn a_limit_and_a_request_to_stop_end_the_whole_group() {
    let plan = r#"
steps:
  - {id: slow, type: command, command: bash, args: ["-c", "trap '' TERM; sleep 60 & setsid sleep 60 & wait"], timeout_seconds: 1}
"#;
    let folder = Folder::new(&plan.replace("trap '' TERM; ", ""));
    let begin = Instant::now();
    let output = folder.command(&["run", "plan.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("timed out after 1.0s"));
    assert!(begin.elapsed() < Duration::from_secs(30), "a process that is asked to end ends");
    assert_eq!(processes_marked(&folder), 0);

    let folder = Folder::new(&plan.replace(", timeout_seconds: 1", ""));
    let engine = folder.command(&["run", "plan.yaml"]).spawn().unwrap();
    let begin = Instant::now();
    while !folder.path().join(".wootz/runs").exists() || processes_marked(&folder) < 3 {
        assert!(begin.elapsed() < Duration::from_secs(30), "the processes were not begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = Pid::from_raw(engine.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = engine.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("cancelled"));
    assert_eq!(processes_marked(&folder), 0);
    assert!(folder.keepers().is_empty());
}

#[test]
fn a_step_starts_when_its_own_dependencies_are_over() {
    let plan = r#"
steps:
  - {id: a, type: command, command: sh, args: ["-c", "while [ ! -e d ]; do sleep 0.01; done"]}
  - {id: b, type: command, command: "true"}
  - {id: c, type: command, depends_on: [a], command: "true"}
  - {id: d, type: command, depends_on: [b], command: touch, args: [d]}
"#;
    // Behind a barrier `a` would wait for `d` and `d` for `a`.
    Folder::new(plan).run(&["run", "plan.yaml", "--max-parallel", "2"]);
}

#[test]
fn outputs_inputs_and_what_may_be_used_again() {
    let plan = r#"
steps:
  - {id: made, type: command, command: sh, args: ["-c", "cp in $WOOTZ_OUTPUT/out; echo made >> effects"], inputs: [in], outputs: [out]}
  - {id: used, type: command, command: sh, args: ["-c", "cat $0 >> effects", "${steps.made}/out"]}
"#;
    let folder = Folder::new(plan);
    fs::write(folder.path().join("in"), "one\n").unwrap();
    let effects = || fs::read_to_string(folder.path().join("effects")).unwrap();
    folder.run(&["run", "plan.yaml"]);
    assert_eq!(effects(), "made\none\n");
    folder.run(&["run", "plan.yaml"]);
    assert_eq!(effects(), "made\none\none\n");
    fs::write(folder.path().join("in"), "two\n").unwrap();
    folder.run(&["run", "plan.yaml"]);
    assert_eq!(effects(), "made\none\none\nmade\ntwo\n");
    fs::write(folder.path().join("plan.yaml"), plan.replace("outputs: [out]", "outputs: [other]")).unwrap();
    let output = folder.command(&["run", "plan.yaml"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("left no other"), "{output:?}");
}

#[test]
fn steps_share_gpus_and_pools_and_read_what_steps_before_them_said() {
    let plan = r#"
pools: {disk: 1}
steps:
  - id: gpu
    type: command
    matrix: {n: [1, 2, 1, 1]}
    resources: {gpus: "${matrix.n}", pools: {disk: 1}}
    command: sh
    args: [-c, 'echo "{\"gpus\": \"$CUDA_VISIBLE_DEVICES\", \"n\": ${matrix.n}}"; date +%s%N >> times; sleep 0.1; date +%s%N >> times']
  - {id: none, type: command, command: sh, args: [-c, 'echo "${CUDA_VISIBLE_DEVICES-unset}"']}
  - id: tell
    type: command
    command: echo
    args: ["${steps.gpu-2.stdout.gpus} and ${steps.gpu-1.stdout.n}", "${steps.none.stdout}"]
"#;
    let folder = Folder::new(plan);
    let mut run = folder.command(&["run", "plan.yaml", "--max-parallel", "0", "--gpus", "7,GPU-a"]);
    let output = run.env_remove("CUDA_VISIBLE_DEVICES").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = folder.json(&["runs", "show", "latest"]);
    let tell = shown["steps"].as_array().unwrap().iter().find(|step| step["step"] == "tell").unwrap();
    assert_eq!(tell["summary"], "7,GPU-a and 1 unset");
    let times = fs::read_to_string(folder.path().join("times")).unwrap();
    let times: Vec<u64> = times.lines().map(|line| line.parse().unwrap()).collect();
    assert!(times.len() == 8 && times.is_sorted(), "one of the pool at a time: {times:?}");

    let refused = folder.command(&["run", "plan.yaml", "--gpus", "0"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("step gpu-2 wants 2 GPUs: this run has 1"), "{said}");
}

#[test]
fn a_step_that_a_failure_runs_runs_and_the_run_has_failed() {
    let plan = r#"
steps:
  - {id: bad, type: command, command: sh, args: [-c, 'echo no; exit 3'], on_failure: run mend}
  - {id: good, type: command, command: "true", on_failure: run idle}
  - {id: mend, type: command, command: touch, args: [mended]}
  - {id: idle, type: command, command: touch, args: [wrong]}
"#;
    let folder = Folder::new(plan);
    let output = folder.command(&["run", "plan.yaml", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let states: Vec<&str> =
        summary["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["failed", "succeeded", "succeeded", "skipped"]);
    assert!(folder.path().join("mended").exists() && !folder.path().join("wrong").exists());
}

/// The most memory that a process has had, MiB.
fn peak_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn a_gigabyte_of_output_takes_no_memory() {
    let plan = r#"
steps:
  - id: talks
    type: command
    command: sh
    args: ["-c", 'yes "$(printf "x%.0s" $(seq 999))" | head -c 1000000000; touch said; n=0; while [ ! -e go ] && [ $n -lt 6000 ]; do n=$((n+1)); sleep 0.02; done']
"#;
    let folder = Folder::new(plan);
    let mut engine = folder.command(&["run", "plan.yaml"]).spawn().unwrap();
    while !folder.path().join("said").exists() {
        assert!(engine.try_wait().unwrap().is_none(), "the run has ended before its time");
        std::thread::sleep(Duration::from_millis(50));
    }
    // All but what is in the pipe was read by now.
    let keeper = folder.keepers()[0].as_raw_nonzero().get();
    let (of_engine, of_keeper) = (peak_mib(engine.id()), peak_mib(keeper as u32));
    fs::write(folder.path().join("go"), "").unwrap();
    assert!(engine.wait().unwrap().success());
    assert!(of_engine <= 64 && of_keeper <= 64, "{of_engine} MiB of the engine, {of_keeper} of the keeper");
    let bytes = |end: &str| {
        let log = fs::read_dir(folder.of_run().join("logs")).unwrap().map(|entry| entry.unwrap());
        let mut log = log.filter(|log| log.file_name().to_str().unwrap().ends_with(end));
        log.next().unwrap().metadata().unwrap().len()
    };
    assert_eq!(bytes("_stdout.log"), 1_000_000_000);
    assert!(bytes("_structured.jsonl") > 1_000_000_000);
}

#[test]
fn a_full_disk_or_a_lost_folder_stops_the_run_and_says_what_is_safe() {
    let mut plan = "name: p\nsteps:\n".to_owned();
    for n in 0..12 {
        plan += &format!(
            "- {{id: s{n}, type: command, command: sh, args: [\"-c\", \"echo s{n} >> effects; while [ ! -e go ] && [ {n} = 6 ]; do sleep 0.05; done\"]}}\n"
        );
    }
    let folder = Folder::new(&plan);
    let effects = || fs::read_to_string(folder.path().join("effects")).unwrap_or_default();
    let home = folder.path().join(".wootz");
    // The shell lets no file grow beyond so many blocks, which stands in for a full disk: the log is the largest.
    let line = "trap '' XFSZ; ulimit -f 48; exec \"$0\" run plan.yaml -q";
    let mut full = Command::new("bash");
    full.args(["-c", line, env!("CARGO_BIN_EXE_wootz")]).current_dir(folder.path()).stdout(Stdio::null());
    fs::write(folder.path().join("go"), "").unwrap();
    let output = full.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("what ended before is written and safe") && told.contains("wootz run --resume"),
        "{told}"
    );
    folder.run(&["run", "--resume", "latest"]);
    let mut done: Vec<String> = effects().lines().map(str::to_owned).collect();
    done.sort();
    done.dedup();
    assert_eq!((done.len(), effects().lines().count() <= 13), (12, true), "{}", effects());

    fs::remove_file(folder.path().join("go")).unwrap();
    let run = folder.command(&["run", "plan.yaml"]).spawn().unwrap();
    let begun = Instant::now();
    while effects().matches("s6\n").count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", effects());
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::rename(&home, folder.path().join("away")).unwrap();
    fs::write(folder.path().join("go"), "").unwrap();
    let output = run.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("is not there any more") && told.contains("put it back as it was"), "{told}");
    let _ = fs::remove_dir_all(&home);
    fs::rename(folder.path().join("away"), &home).unwrap();
    folder.run(&["run", "--resume", "latest"]);
    assert!(effects().ends_with("s11\n"), "{}", effects());
}
