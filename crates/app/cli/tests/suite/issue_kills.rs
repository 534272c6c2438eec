//! Commands that end at any of their writes, killed or for want of space: the file of issues is the old one or the new one, and who comes next
//! can work.
//!
//! `tests/tracker/disk.c` is loaded before the binary. It numbers the calls that can change the disk and lets one of them fail, so that every
//! boundary is met, one run each; a clock that stands makes the new file the same in all runs. That the number of calls is not one too small
//! is seen from what the calls of a run left alone are: they must tell of all that the run changed.

#![allow(clippy::unwrap_used, reason = "a store that cannot be set up has failed")]

use crate::suite::project::{Name, Project, line, line_with};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;
use wootz_tracker::events::{self, Event};
use wootz_tracker::{Store, doctor};

/// When everything happens, in seconds after 1970.
const CLOCK: &str = "1780000000";

/// The library, built once.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tracker/disk.c");
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"]).arg(&path).arg(source);
        assert!(cc.arg("-ldl").status().expect("dev/setup.sh installs a C compiler").success());
        (folder, path)
    });
    path
}

/// A command on a store.
struct Case {
    name: Name,
    args: &'static [&'static str],
    /// The file of issues that it finds.
    issues: String,
    /// What is done before.
    before: &'static [&'static [&'static str]],
    /// Whether the command mends a store that others cannot read.
    is_doctor: bool,
}

impl Case {
    fn new(name: Name, args: &'static [&'static str]) -> Case {
        let issues = (0..4).map(|number| line(number) + "\n").collect();
        Case { name, args, issues, before: &[], is_doctor: false }
    }
}

/// Files of a store, but for its lock, with their bytes.
type Files = BTreeMap<String, Vec<u8>>;

/// A case that has been run once and left alone.
struct Run {
    project: Project,
    case: Case,
    old: Files,
    new: Files,
    calls: Vec<String>,
    /// How many events there were before.
    events: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Tear,
    Full,
}

impl Run {
    fn new(case: Case) -> Run {
        let project = Project::new(&case.issues);
        fs::write(project.path().join("beads.jsonl"), BEADS).unwrap();
        for args in case.before {
            run(&project, Name::Wootz, args, &[]);
        }
        let events = history(&project).len();
        let old = files(&project);
        let log = project.path().join("calls");
        let output = run(&project, case.name, case.args, &[("DISK_LOG", log.to_str().unwrap())]);
        assert!(output.status.success(), "{:?}: {}", case.args, String::from_utf8_lossy(&output.stderr));
        let calls: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
        let new = files(&project);
        let run = Run { project, case, old, new, calls, events };
        run.check_calls();
        run
    }

    /// The calls tell of every file that has changed, and the file of issues comes by a rename of something that was synced.
    fn check_calls(&self) {
        let calls = self.calls.join("\n");
        for (name, bytes) in &self.new {
            let is_told = calls.contains(&format!("/{name}")) || calls.contains(&format!("rename {name}"));
            assert!(self.old.get(name) == Some(bytes) || is_told, "{name} changed unseen:\n{calls}");
        }
        let at = |what: &str| self.calls.iter().position(|call| call.starts_with(what));
        let (create, rename) = (at("create"), self.rename());
        let sync =
            self.calls.iter().position(|call| call.starts_with("fsync") && call.contains("issues.jsonl.tmp"));
        assert!(create < sync && sync < Some(rename) && rename + 1 < self.calls.len(), "{calls}");
        assert!(
            self.calls[rename + 1].starts_with("fsync") && self.calls[rename + 1].ends_with("/.ba"),
            "{calls}"
        );
    }

    /// The call that puts the new file in its place.
    fn rename(&self) -> usize {
        let is_it = |call: &String| call.starts_with("rename ") && call.ends_with("/issues.jsonl");
        let renames: Vec<usize> = (0..self.calls.len()).filter(|at| is_it(&self.calls[*at])).collect();
        assert_eq!(renames.len(), 1, "{:?}", self.calls);
        renames[0]
    }

    /// Lets every call fail in turn; how many runs that were comes back.
    fn fail_everywhere(&self) -> usize {
        let mut runs = 0;
        for at in 0..self.calls.len() {
            let is_write = self.calls[at].starts_with("write");
            for fault in [Fault::Kill, Fault::Tear, Fault::Full] {
                if fault != Fault::Tear || is_write {
                    self.fail(fault, at);
                    runs += 1;
                }
            }
        }
        // The count is that of all: behind the last call nothing is killed.
        restore(&self.project, &self.old);
        let behind = (self.calls.len() + 1).to_string();
        let output = run(&self.project, self.case.name, self.case.args, &[("DISK_KILL", &behind)]);
        assert!(output.status.success() && files(&self.project) == self.new);
        runs
    }

    /// Lets one call fail, and looks at what is there then.
    fn fail(&self, fault: Fault, at: usize) {
        let what = format!("{fault:?} at {at} of {:?}: {}", self.case.args, self.calls.join("\n"));
        restore(&self.project, &self.old);
        let number = (at + 1).to_string();
        let setting = match fault {
            Fault::Kill => "DISK_KILL",
            Fault::Tear => "DISK_TEAR",
            Fault::Full => "DISK_FULL",
        };
        let output = run(&self.project, self.case.name, self.case.args, &[(setting, &number)]);
        if fault == Fault::Full {
            self.check_full(&output, at, &what);
        } else {
            assert_eq!(output.status.signal(), Some(9), "{what}");
        }
        let is_made = at > self.rename() || output.status.success();
        let expected = if is_made { &self.new } else { &self.old };
        let bytes = self.project.bytes();
        assert!(bytes == expected["issues.jsonl"], "{what}\n{}", String::from_utf8_lossy(&bytes));
        let left = files(&self.project);
        assert_eq!(left["config.json"], self.old["config.json"], "{what}");
        let events = self.events
            + usize::from(is_made && self.new.get("events.jsonl") != self.old.get("events.jsonl"));
        assert_eq!(history(&self.project).len(), events, "{what}");
        self.doctor(events, expected, &what);
        restore(&self.project, &left);
        self.go_on(is_made, events, &what);
    }

    /// On a full disk a command says so once and changes nothing, unless only the last sync was refused.
    fn check_full(&self, output: &Output, at: usize, what: &str) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let adds = |call: &String| {
            ["create", "write", "fsync", "rename", "mkdir"].iter().any(|name| call.starts_with(name))
        };
        if !self.calls[at..].iter().any(adds) {
            assert!(output.status.success(), "{what}\n{stderr}");
            return;
        }
        assert_eq!(output.status.code(), Some(1), "{what}\n{stderr}");
        let errors = stderr.lines().filter(|line| !line.starts_with("hint: ")).count();
        assert!(errors == 1 && stderr.contains("No space left on device"), "{what}\n{stderr}");
        assert!(stderr.contains("it has the change") || at <= self.rename(), "{what}\n{stderr}");
        let is_temporary = |name: &&String| name.contains(".tmp") || name.contains(".open");
        assert_eq!(files(&self.project).keys().find(is_temporary), None, "{what}");
    }

    /// The doctor says what is wrong, repairs it, and changes no issue.
    fn doctor(&self, events: usize, expected: &Files, what: &str) {
        let has_rest =
            files(&self.project).keys().any(|name| name.contains(".tmp") || name.contains(".open"));
        let output = run(&self.project, Name::Wootz, &["doctor"], &[]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), !has_rest && !is_ill(expected), "{what}\n{told}");
        let output = run(&self.project, Name::Wootz, &["doctor", "--fix"], &[]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.ends_with("nothing is wrong\n"), "{what}\n{told}");
        let after = files(&self.project);
        assert_eq!(after.keys().find(|name| name.contains(".tmp") || name.contains(".open")), None, "{what}");
        if self.case.is_doctor {
            assert_eq!(after, self.new, "{what}");
        } else {
            assert_eq!(after["issues.jsonl"], expected["issues.jsonl"], "{what}");
            assert_eq!(history(&self.project).len(), events, "{what}");
        }
    }

    /// Who comes next is not stopped, and history goes on.
    fn go_on(&self, is_made: bool, events: usize, what: &str) {
        if self.case.is_doctor && !is_made {
            return;
        }
        let output = run(&self.project, Name::Ba, &["create", "The next"], &[]);
        assert!(output.status.success(), "{what}\n{}", String::from_utf8_lossy(&output.stderr));
        let told = history(&self.project);
        assert_eq!(told.len(), events + 1, "{what}");
        let last = &told[events].changes[0];
        assert_eq!(last.after.as_ref().unwrap().text("title").as_deref(), Some("The next"), "{what}");
        assert!(!files(&self.project).contains_key("events.open"), "{what}");
        let output = run(&self.project, Name::Wootz, &["undo"], &[]);
        assert!(output.status.success(), "{what}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Whether doctor has something to say of a file of issues.
fn is_ill(files: &Files) -> bool {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "issues.jsonl"] {
        fs::write(folder.path().join(name), &files[name]).unwrap();
    }
    !doctor::examine(&Store::at(folder.path().to_owned()), jiff::Timestamp::UNIX_EPOCH).unwrap().is_empty()
}

/// Runs a command with the library in place.
fn run(project: &Project, name: Name, args: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = project.command(name, args);
    command.env("LD_PRELOAD", library()).env("DISK_CLOCK", CLOCK).envs(settings.iter().copied());
    command.output().unwrap()
}

fn history(project: &Project) -> Vec<Event> {
    events::events(&Store::at(project.path().join(".ba")), None).unwrap()
}

fn files(project: &Project) -> Files {
    let entries = fs::read_dir(project.path().join(".ba")).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    named
        .filter(|(name, _)| name != "issues.lock")
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect()
}

fn restore(project: &Project, files: &Files) {
    let folder = project.path().join(".ba");
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    // It was there when the calls were counted.
    fs::write(folder.join("issues.lock"), "").unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Issues that wait for each other, and a record that is none.
const BEADS: &str = concat!(
    r#"{"id":"bd-1","title":"one","status":"open","priority":1,"issue_type":"bug","created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}"#,
    "\n",
    r#"{"_type":"memory","key":"k","value":"v"}"#,
    "\n",
    r#"{"id":"bd-2","title":"two","status":"deferred","priority":1,"issue_type":"task","created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z","dependencies":[{"issue_id":"bd-2","depends_on_id":"bd-1","type":"blocks"}]}"#,
    "\n",
);

#[test]
fn what_makes_and_edits_issues_is_done_or_not() {
    let mut runs = 0;
    for case in [
        Case::new(Name::Wootz, &["create", "New", "-d", "text"]),
        Case::new(Name::Ba, &["create", "New"]),
        Case::new(Name::Wootz, &["create", "New", "--label", "l", "--dep", "xx-00001"]),
        Case::new(Name::Wootz, &["edit", "xx-00001", "--title", "Other"]),
        Case::new(Name::Wootz, &["delete", "xx-00001", "--force"]),
        Case::new(Name::Ba, &["block", "xx-00001", "xx-00002"]),
    ] {
        runs += Run::new(case).fail_everywhere();
    }
    assert!(runs > 100, "{runs}");
}

#[test]
fn what_moves_issues_and_takes_back_is_done_or_not() {
    let claimed: &[&[&str]] = &[&["claim", "xx-00001", "--session", "S"]];
    let mut runs = 0;
    for case in [
        Case::new(Name::Wootz, &["claim", "xx-00001", "--session", "S"]),
        Case::new(Name::Ba, &["claim", "xx-00001", "--session", "S"]),
        Case::new(Name::Wootz, &["ready", "--claim", "--session", "S"]),
        Case { before: claimed, ..Case::new(Name::Wootz, &["finish", "xx-00001", "--session", "S"]) },
        Case { before: claimed, ..Case::new(Name::Ba, &["finish", "xx-00001"]) },
        Case { before: claimed, ..Case::new(Name::Wootz, &["undo"]) },
    ] {
        runs += Run::new(case).fail_everywhere();
    }
    assert!(runs > 100, "{runs}");
}

#[test]
fn an_import_is_done_or_not() {
    let mut runs = 0;
    for case in [
        Case::new(Name::Wootz, &["import", "beads.jsonl"]),
        Case::new(Name::Ba, &["import", "beads.jsonl", "--keep-ids"]),
    ] {
        let args = case.args;
        let run = Run::new(case);
        runs += run.fail_everywhere();
        // What was cut short is completed by the same command.
        for at in 0..run.calls.len() {
            restore(&run.project, &run.old);
            self::run(&run.project, run.case.name, args, &[("DISK_KILL", &(at + 1).to_string())]);
            assert!(self::run(&run.project, run.case.name, args, &[]).status.success());
            let (files, what) = (files(&run.project), &run.calls[at]);
            assert_eq!(files["issues.jsonl"], run.new["issues.jsonl"], "{what}");
            assert_eq!(files.get("records.jsonl"), run.new.get("records.jsonl"), "{what}");
        }
    }
    assert!(runs > 40, "{runs}");
}

#[test]
fn a_repair_is_made_or_not_and_loses_no_line() {
    let mut issues: String = [1, 0, 2, 2].map(|number| line(number) + "\n").concat();
    issues += &(line_with(3, "open", r#","session_id":"S""#)
        + "\n{\"_type\":\"memory\",\"key\":\"k\"}\ngarbage\n{\"id\":\"xx-00009\",\"ti");
    let case = Case { issues, is_doctor: true, ..Case::new(Name::Wootz, &["doctor", "--fix"]) };
    let run = Run::new(case);
    assert!(run.fail_everywhere() > 30);
    let rejected = String::from_utf8(run.new["issues.jsonl.rejected"].clone()).unwrap();
    assert_eq!(rejected, "garbage\n{\"id\":\"xx-00009\",\"ti\n");
}

#[test]
fn a_line_in_a_large_file_is_there_or_not() {
    let issues: String = (0..16_000).map(|number| line(number) + "\n").collect();
    let run = Run::new(Case { issues, ..Case::new(Name::Wootz, &["create", "New"]) });
    assert!(run.calls.iter().filter(|call| call.starts_with("write")).count() > 4);
    run.fail_everywhere();
}

#[test]
fn a_store_that_was_half_made_stops_nobody() {
    let project = Project::new("");
    let folder = project.path().join(".ba");
    let mut kills = 0;
    loop {
        fs::remove_dir_all(&folder).unwrap();
        kills += 1;
        let output = run(&project, Name::Wootz, &["init"], &[("DISK_KILL", &kills.to_string())]);
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.signal(), Some(9));
        let again = run(&project, Name::Ba, &["init"], &[]);
        let is_there = String::from_utf8_lossy(&again.stderr).ends_with("already exists\n");
        assert!(again.status.success() || is_there, "{}", String::from_utf8_lossy(&again.stderr));
        project.told(Name::Ba, &["create", "The next"]);
        assert_eq!(project.json(Name::Wootz, &["list"]).as_array().map(Vec::len), Some(1));
        project.told(Name::Wootz, &["doctor", "--fix"]);
        let names: Vec<String> = files(&project).into_keys().collect();
        assert_eq!(names, ["config.json", "events.jsonl", "issues.jsonl"]);
        if !folder.is_dir() {
            fs::create_dir(&folder).unwrap();
        }
    }
    assert!(kills > 4, "{kills}");
}

/// The system's own limit instead of the library: a write is cut where the limit is.
#[test]
fn a_limit_on_the_size_of_files_is_an_error_that_changes_nothing() {
    let issues: String = (0..40).map(|number| line(number) + "\n").collect();
    let project = Project::new(&issues);
    let binary = env!("CARGO_BIN_EXE_wootz");
    let mut refused = 0;
    for blocks in 0.. {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec '{binary}' issue --json create New");
        let output = Command::new("bash").args(["-c", &script]).current_dir(project.path()).output().unwrap();
        if output.status.success() {
            break;
        }
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((output.status.code(), error["error"]["code"].as_str()), (Some(1), Some("io")));
        assert!(error["error"]["message"].as_str().unwrap().contains("File too large"), "{error}");
        assert!(project.bytes() == issues.as_bytes() && history(&project).is_empty());
        refused += 1;
    }
    assert_eq!(refused, issues.len() / 1024 + 1, "a block has 1,024 bytes");
    assert_eq!(project.issues().len(), 41);
    project.told(Name::Wootz, &["doctor"]);
}
