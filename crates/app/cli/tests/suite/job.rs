//! Jobs: the status grammar and exit codes that scripts know, argv as it was given, ends that leave nothing behind, keepers that are killed,
//! many who start the same job, and status files that are read while they are written.

#![allow(clippy::unwrap_used, reason = "a job that cannot be set up has failed")]

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wootz_schema::job::{JobEvent, JobStatus};

/// Far beyond what anything here takes; who waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A root with one project, whose jobs end with it.
struct Jobs {
    folder: TempDir,
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for run in self.json(&["list", "--project-id", "p"])["runs"].as_array().into_iter().flatten() {
            if run["rc"].is_null() {
                let job = run["job"].as_str().unwrap_or_default();
                self.output(&["stop", "--project-id", "p", "--job", job, "--grace", "0"]);
            }
        }
    }
}

impl Jobs {
    fn new() -> Jobs {
        Jobs { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        command.arg("job").args(args).current_dir(self.folder.path());
        command.env_remove("WOOTZ_TASK").env("WOOTZ_JOB_ROOT", self.path("root"));
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.output(&[args, &["--json"]].concat()).stdout).unwrap()
    }

    /// What a command about job `j` prints, and its exit code.
    fn ask(&self, command: &str, rest: &[&str]) -> (String, i32) {
        let output = self.output(&[&[command, "--project-id", "p", "--job", "j"], rest].concat());
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    }

    fn run(&self, argv: &[&str]) {
        let (text, code) = self.ask("run", &[&["--"], argv].concat());
        assert_eq!(code, 0, "{text}");
        let labels: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
        assert_eq!(labels, ["Started job", "Project ID", "PID", "JSONL", "Raw log", "Status file"]);
    }

    fn shell(&self, script: &str) {
        self.run(&["sh", "-c", script]);
    }

    fn status_file(&self) -> PathBuf {
        self.path("root/p/bazel_cache/zephyr_jobs/j.status")
    }

    /// Waits for a status line that begins with a word that ends, as scripts do.
    fn end(&self) -> String {
        wait_for(|| {
            let (line, code) = self.ask("status", &[]);
            assert_eq!(code, 0, "{line}");
            let is_over = ["DONE ", "FAILED ", "STOPPED "].iter().any(|word| line.starts_with(word));
            is_over.then_some(line)
        })
    }

    fn newest(&self) -> Value {
        self.json(&["list", "--project-id", "p"])["runs"].as_array().unwrap().last().unwrap().clone()
    }

    /// The process whose child is the newest run's command.
    fn keeper(&self) -> Pid {
        let pid = self.newest()["pid"].as_u64().unwrap();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let parent = stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap();
        Pid::from_raw(parent.parse().unwrap()).unwrap()
    }
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process has not ended.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|behind| !behind.is_empty() && !behind.starts_with(" Z"))
}

/// A line with its time taken out.
fn timeless(line: &str) -> String {
    let status: JobStatus = line.trim_end().parse().expect("a status line");
    line.replace(&status.ts, "T")
}

#[test]
fn ends_are_told_in_the_words_that_scripts_know() {
    let ends = [
        (vec!["true"], "DONE job=j ts=T rc=0\n"),
        (vec!["sh", "-c", "exit 3"], "FAILED job=j ts=T rc=3\n"),
        (vec!["sh", "-c", "kill -9 $$"], "FAILED job=j ts=T rc=137\n"),
        // Its standard input is empty: what reads it to the end ends.
        (vec!["cat"], "DONE job=j ts=T rc=0\n"),
    ];
    for (argv, expected) in ends {
        let jobs = Jobs::new();
        jobs.run(&argv);
        assert_eq!(timeless(&jobs.end()), expected);
        assert_eq!(fs::read_to_string(jobs.status_file()).unwrap(), jobs.ask("status", &[]).0);
        let (events, _) = jobs.ask("tail", &[]);
        let events: Vec<JobEvent> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events[0].event, "start");
        assert_eq!(events[0].argv.as_deref().unwrap(), argv);
        assert_eq!(events.last().unwrap().rc, jobs.newest()["rc"].as_i64().map(|rc| rc as i32));
        let (health, code) = jobs.ask("health", &[]);
        assert!(health.starts_with("stale pid=") && health.ends_with(&jobs.ask("status", &[]).0), "{health}");
        assert_eq!(code, 0);
    }
}

#[test]
fn exit_codes_are_those_of_the_original() {
    let jobs = Jobs::new();
    let code = |args: &[&str]| jobs.output(args).status.code().unwrap();
    for usage in [
        &[][..],
        &["no-such"],
        &["run", "--job", "j", "--", "true"],
        &["run", "--project-id", "p", "--", "true"],
        &["run", "--project-id", "p", "--job", "j"],
        &["run", "--project-id", "..", "--job", "j", "--", "true"],
        &["run", "--project-id", "p", "--job", "a/b", "--", "true"],
        &["status", "--project-id", "p"],
    ] {
        assert_eq!(code(usage), 2, "{usage:?}");
    }
    for command in ["status", "tail", "stop"] {
        assert_eq!(jobs.ask(command, &[]).1, 1, "{command}");
    }
    assert_eq!(jobs.ask("health", &[]), ("pid=unknown\nstatus=missing\n".to_owned(), 0));
    assert_eq!(code(&["run", "-h"]), 0);
    assert_eq!(jobs.ask("run", &["--", "./no-such-program"]).1, 1);
    assert_eq!(timeless(&jobs.end()), "FAILED job=j ts=T rc=127\n");
    jobs.run(&["true"]);
    jobs.end();
    assert_eq!(jobs.ask("stop", &[]).1, 1);
    let root = jobs.path("root");
    let aliases =
        ["status", "--project-id", "p", "--job-name", "j", "--project-root", root.to_str().unwrap()];
    assert_eq!(code(&aliases), 0);
}

#[test]
fn arguments_arrive_as_they_were_given() {
    let jobs = Jobs::new();
    let words = ["a b", "\"q\" 'q'", "line\nline", "$HOME `x` \\", "", "-v", "--", "*"];
    let script = r#"for word do printf '%s\0' "$word"; done > words"#;
    jobs.run(&[&["sh", "-c", script, "sh"][..], &words].concat());
    jobs.end();
    let told = fs::read_to_string(jobs.path("words")).unwrap();
    assert_eq!(told.split_terminator('\0').collect::<Vec<_>>(), words);
}

#[test]
fn nothing_is_left_of_a_job_that_is_stopped() {
    // One grandchild stays in the group, one leaves it; neither hears what asks it to end.
    let script = "trap '' TERM; (trap '' TERM; echo $$ >> pids; sleep 600) & \
        setsid sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 600' & sh -c 'echo $PPID >> pids'; sleep 600";
    for keeper_is_killed in [false, true] {
        let jobs = Jobs::new();
        jobs.shell(script);
        let pids = wait_for(|| {
            let pids = fs::read_to_string(jobs.path("pids")).unwrap_or_default();
            (pids.lines().count() == 3).then_some(pids)
        });
        assert!(jobs.ask("health", &[]).0.starts_with("running pid="));
        if keeper_is_killed {
            kill_process(jobs.keeper(), Signal::KILL).unwrap();
            let (health, _) =
                wait_for(|| Some(jobs.ask("health", &[])).filter(|(text, _)| text.starts_with("stale")));
            assert!(health.contains("START job=j"), "{health}");
            assert!(pids.lines().all(lives));
            assert_eq!(jobs.ask("run", &["--", "true"]).1, 1, "it runs beside what is left");
        }
        let pid = jobs.newest()["pid"].clone();
        assert_eq!(jobs.ask("stop", &["--grace", "0"]), (format!("Stopped PID {pid}\n"), 0));
        assert!(timeless(&jobs.ask("status", &[]).0).starts_with("STOPPED job=j ts=T rc="));
        assert!(!pids.lines().any(lives), "{pids}");
        assert_eq!(jobs.ask("stop", &[]).1, 1);
    }
}

#[test]
fn a_keeper_killed_at_any_time_leaves_a_job_that_ends() {
    for wait_ms in [0, 1, 3, 10, 30, 100] {
        let jobs = Jobs::new();
        let mut starter = jobs.command(&["run", "--project-id", "p", "--job", "j", "--", "sleep", "0.2"]);
        let mut starter = starter.stdout(std::process::Stdio::null()).spawn().unwrap();
        let is_started = |jobs: &Jobs| {
            let logs = fs::read_dir(jobs.path("root/p/logs")).ok()?.flatten();
            let mut pids =
                logs.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "pid"));
            fs::read_to_string(pids.next()?).ok().filter(|text| text.lines().count() == 2)
        };
        wait_for(|| is_started(&jobs));
        std::thread::sleep(Duration::from_millis(wait_ms));
        kill_process(jobs.keeper(), Signal::KILL).unwrap();
        starter.wait().unwrap();
        // Nobody saw the end of the command; who polls for one is told so.
        assert_eq!(timeless(&jobs.end()), "FAILED job=j ts=T rc=255\n");
        jobs.run(&["true"]);
        assert_eq!(timeless(&jobs.end()), "DONE job=j ts=T rc=0\n");
    }
}

#[test]
fn of_many_who_start_a_job_one_does() {
    let jobs = Jobs::new();
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let start = || jobs.ask("run", &["--", "sh", "-c", "echo x >> effects; sleep 600"]).1;
        let starters: Vec<_> = (0..20).map(|_| scope.spawn(start)).collect();
        starters.into_iter().map(|starter| starter.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| *code <= 1), "{codes:?}");
    let refused = jobs.output(&["run", "--project-id", "p", "--job", "j", "--", "true"]);
    let pid = jobs.newest()["pid"].to_string();
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&pid));
    assert_eq!(jobs.ask("run", &["--again", "--", "true"]).1, 0);
    wait_for(|| fs::read_to_string(jobs.path("effects")).ok());
    assert_eq!(fs::read_to_string(jobs.path("effects")).unwrap(), "x\n");
    // The end of the older one leaves the newest one's status alone.
    assert_eq!(timeless(&jobs.end()), "DONE job=j ts=T rc=0\n");
    assert_eq!(jobs.ask("stop", &["--grace", "0"]).1, 0);
    assert_eq!(timeless(&jobs.end()), "DONE job=j ts=T rc=0\n");
    let runs = jobs.json(&["list", "--project-id", "p"]);
    let states: Vec<&str> =
        runs["runs"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["stopped", "done"]);
}

#[test]
fn a_status_that_is_read_while_it_is_written_is_whole() {
    let jobs = Jobs::new();
    jobs.run(&["true"]);
    let is_over = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_over.load(Ordering::Relaxed) {
                let text = fs::read_to_string(jobs.status_file()).unwrap();
                assert_eq!(text.lines().count(), 1, "{text:?}");
                assert!(text.ends_with('\n') && text.trim_end().parse::<JobStatus>().is_ok(), "{text:?}");
                reads += 1;
            }
            reads
        });
        for code in 0..6 {
            jobs.end();
            jobs.shell(&format!("exit {code}"));
        }
        jobs.end();
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 100, "{reads}");
    assert_eq!(jobs.json(&["list", "--project-id", "p"])["runs"].as_array().unwrap().len(), 7);
}

#[test]
fn tails_show_what_was_said_until_the_end() {
    let jobs = Jobs::new();
    let (_, code) = jobs
        .ask("run", &["--heartbeat", "1", "--", "sh", "-c", "seq 200; echo bad >&2; sleep 1.5; echo last"]);
    assert_eq!(code, 0);
    let (followed, code) = jobs.ask("tail", &["--raw", "--follow", "--lines", "1000"]);
    let numbers: String = (1..=200).map(|number| format!("{number}\n")).collect();
    assert_eq!((followed, code), (format!("{numbers}bad\nlast\n"), 0));
    assert_eq!(jobs.ask("tail", &["--raw"]).0.lines().count(), 80);
    assert_eq!(jobs.ask("tail", &["--raw", "--lines", "2"]).0, "bad\nlast\n");
    let (events, _) = jobs.ask("tail", &["--follow"]);
    let words: Vec<String> =
        events.lines().map(|line| serde_json::from_str::<JobEvent>(line).unwrap().event).collect();
    assert_eq!(words, ["start", "progress", "done"]);
    assert_eq!(jobs.ask("tail", &["--follow", "--json"]).1, 2);
}

#[test]
fn a_number_that_went_to_another_process_is_not_the_jobs() {
    let jobs = Jobs::new();
    jobs.run(&["sleep", "600"]);
    kill_process(jobs.keeper(), Signal::KILL).unwrap();
    let log = jobs.newest()["log"].as_str().unwrap().to_owned();
    let pid_file = jobs.path(&log).with_extension("pid");
    let own = jobs.newest()["pid"].to_string();
    // The file names a process that lives, and began at another time.
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    let mut file = fs::File::options().write(true).truncate(true).mode(0o644).open(&pid_file).unwrap();
    std::io::Write::write_all(&mut file, format!("{}\n1\n", stranger.id()).as_bytes()).unwrap();
    assert_eq!(jobs.ask("stop", &["--grace", "0"]).1, 0);
    assert!(lives(&stranger.id().to_string()) && !lives(&own));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
