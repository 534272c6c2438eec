//! `wootz issue jira` against a fake Jira: what a person sees, what is left behind, and that the token is nowhere.

#![allow(clippy::unwrap_used, reason = "a store that cannot be set up has failed")]

use crate::suite::project::{Name, Project, line};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;
use wootz_testkit::jira::{CREDENTIALS, Fault, Jira, status};

const TOKEN: &str = CREDENTIALS.1;

struct Place {
    project: Project,
    jira: Jira,
    version: &'static str,
}

impl Place {
    fn new(version: &'static str) -> Place {
        let issues: String = (1..4).map(|number| line(number) + "\n").collect();
        Place { project: Project::new(issues), jira: Jira::start(), version }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(Name::Wootz, &["jira"]);
        command.args(args).envs([
            ("JIRA_URL", self.jira.url.as_str()),
            ("JIRA_PROJECT", "AB"),
            ("JIRA_USERNAME", CREDENTIALS.0),
            ("JIRA_API_TOKEN", TOKEN),
            ("JIRA_API_VERSION", self.version),
        ]);
        command
    }

    /// Runs a command; nothing that it says or leaves may hold the token.
    fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        for text in [&output.stdout, &output.stderr].into_iter().chain(self.files().values()) {
            assert!(!String::from_utf8_lossy(text).contains(TOKEN), "{args:?} tells the token");
        }
        output
    }

    fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().chain(&["--json"]).copied().collect();
        let output = self.run(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""), "{args:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The files of the store, but for locks.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.project.path().join(".ba")).unwrap().map(Result::unwrap);
        let is_kept = |name: &String| name.ends_with(".json") || name.ends_with(".jsonl");
        let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
        named.filter(|(name, _)| is_kept(name)).map(|(name, path)| (name, fs::read(path).unwrap())).collect()
    }

    fn summaries(&self) -> Vec<String> {
        let keys: Vec<String> = self.jira.world().issues.iter().map(|issue| issue.key.clone()).collect();
        let world = self.jira.world();
        let mut all: Vec<String> =
            keys.iter().map(|key| world.field(key, "summary").as_str().unwrap().to_owned()).collect();
        all.sort();
        all
    }
}

#[test]
fn both_sides_have_all_and_a_second_run_has_nothing_to_do() {
    for version in ["2", "3"] {
        let place = Place::new(version);
        place.jira.world().add("AB", json!({"summary": "theirs", "status": status("In Progress")}));
        let report = place.json(&["sync"]);
        assert_eq!(report["stats"]["created"], 4, "{report}");
        assert_eq!(report["success"], true);
        let expected = ["Task number 1", "Task number 2", "Task number 3", "theirs"];
        assert_eq!(place.summaries(), expected);
        let mut titles: Vec<String> =
            place.project.issues().iter().map(|issue| issue["title"].as_str().unwrap().to_owned()).collect();
        titles.sort();
        assert_eq!(titles, expected);
        let (files, writes) = (place.files(), place.jira.world().writes);
        let again = place.json(&["sync"]);
        assert_eq!([&again["stats"]["pulled"], &again["stats"]["pushed"]], [0, 0], "{again}");
        assert_eq!(place.jira.world().writes, writes);
        let changed = |files: &BTreeMap<String, Vec<u8>>| files["issues.jsonl"].clone();
        assert_eq!(changed(&place.files()), changed(&files));
        let status = place.json(&["status"]);
        assert_eq!((&status["issues"], &status["linked"]), (&json!(4), &json!(4)), "{status}");
        assert_eq!(status["changed"], json!([]));
    }
}

#[test]
fn directions_and_issues_can_be_chosen() {
    let place = Place::new("3");
    let theirs = place.jira.world().add("AB", json!({"summary": "theirs"}));
    place.json(&["push", "xx-00002"]);
    assert_eq!(place.summaries(), ["Task number 2", "theirs"]);
    assert_eq!(place.project.issues().len(), 3);
    place.json(&["pull", &theirs]);
    assert_eq!((place.project.issues().len(), place.summaries().len()), (4, 2));
    place.json(&["sync", "--push"]);
    assert_eq!(place.summaries().len(), 4);
    let unknown = place.run(&["push", "xx-9"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("Issue not found: xx-9"));
}

#[test]
fn an_id_of_ours_goes_before_a_key_that_looks_the_same() {
    let place = Place::new("3");
    fs::write(place.project.file(), line(1).replace("xx-00001", "AB-1") + "\n").unwrap();
    place.jira.world().add("AB", json!({"summary": "theirs"}));
    place.json(&["push", "AB-1"]);
    assert_eq!(place.summaries(), ["Task number 1", "theirs"]);
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let place = Place::new("3");
    place.jira.world().add("AB", json!({"summary": "theirs"}));
    let files = place.files();
    let output = place.run(&["sync", "--dry-run"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, "It would be: 1 pulled, 3 pushed, 4 created, 0 updated, 0 unchanged\n");
    assert_eq!((place.files(), place.jira.world().writes), (files, 0));
    assert!(!place.project.path().join(".ba/jira.json").exists());
}

#[test]
fn a_conflict_is_told_and_decided() {
    for (flag, stands) in [("--prefer-local", "ours"), ("--prefer-jira", "theirs")] {
        let place = Place::new("3");
        place.json(&["sync"]);
        place.project.told(Name::Wootz, &["edit", "xx-00001", "--title", "ours"]);
        let key = place.jira.world().issues[0].key.clone();
        assert_eq!(place.jira.world().field(&key, "summary"), "Task number 1");
        place.jira.world().edit(&key, json!({"summary": "theirs"}));
        let output = place.run(&["sync", flag]);
        let warned = String::from_utf8(output.stderr).unwrap();
        assert!(
            warned.starts_with("warning: The summary of xx-00001 and of AB-1 were both changed"),
            "{warned}"
        );
        assert!(String::from_utf8(output.stdout).unwrap().contains("1 changed on both sides"));
        assert_eq!(place.jira.world().field(&key, "summary"), stands);
        assert_eq!(place.project.issues()[0]["title"], stands);
    }
}

#[test]
fn one_issue_that_fails_stops_no_other() {
    let place = Place::new("3");
    place.jira.world().faults.push_back(Fault::Refused);
    let output = place.run(&["sync", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["success"]), (Some(1), &json!(false)), "{report}");
    assert_eq!((&report["stats"]["errors"], &report["stats"]["created"]), (&json!(1), &json!(2)), "{report}");
    assert!(report["warnings"][0].as_str().unwrap().contains("xx-00001"), "{report}");
    assert_eq!(place.summaries(), ["Task number 2", "Task number 3"]);
}

#[test]
fn a_busy_jira_is_waited_for() {
    let place = Place::new("2");
    place.jira.world().faults.extend([Fault::TooMany(0), Fault::TooMany(1), Fault::Broken]);
    assert_eq!(place.json(&["sync"])["stats"]["created"], 3);
}

#[test]
fn what_a_killed_run_made_is_not_made_again() {
    let place = Place::new("3");
    place.jira.world().faults.push_back(Fault::MadeThenSilent);
    let mut command = place.command(&["sync"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The issue is made, and the answer does not come.
    while place.jira.world().issues.is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it had made anything");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    place.jira.world().calm();
    assert_eq!(place.json(&["sync"])["success"], true);
    assert_eq!(place.summaries(), ["Task number 1", "Task number 2", "Task number 3"]);
}

#[test]
fn what_is_missing_is_named_with_the_fix() {
    let place = Place::new("3");
    for (variable, value, code, part) in [
        ("JIRA_URL", "", 1, "JIRA_URL"),
        ("JIRA_PROJECT", "", 1, "JIRA_PROJECT"),
        ("JIRA_API_TOKEN", "", 1, "JIRA_API_TOKEN"),
        ("JIRA_API_TOKEN", "wrong", 1, "401"),
        ("JIRA_API_VERSION", "4", 1, "2 or 3"),
        ("JIRA_URL", "http://127.0.0.1:1", 1, "127.0.0.1:1"),
    ] {
        let files = place.files();
        let mut command = place.command(&["sync"]);
        if variable == "JIRA_URL" && !value.is_empty() {
            // Nobody is there, and it is not waited for long.
            command.args(["--dry-run"]);
        }
        let output = command.env(variable, value).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{variable}={value}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(part), "{variable}={value}: {stderr}");
        assert_eq!(place.files(), files);
    }
}
