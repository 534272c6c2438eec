//! `wootz issue`: exit codes and errors for programs, and what it does beyond the role `ba`.

#![allow(clippy::unwrap_used, reason = "a store that cannot be set up has failed")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

struct Desk(TempDir);

impl Desk {
    fn new() -> Desk {
        let desk = Desk(tempfile::tempdir().unwrap());
        desk.json(&["init"]);
        desk
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join(".ba/issues.jsonl")
    }

    fn run(&self, args: &[&str]) -> Output {
        run(self.0.path(), args)
    }

    /// The result of a command that succeeds.
    fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = ["--json"].iter().chain(args).copied().collect();
        let output = self.run(&args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {stderr}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The exit code and the error of one that fails, without having touched the store.
    fn refused(&self, args: &[&str]) -> (i32, Value) {
        let before = std::fs::read(self.file()).ok();
        let args: Vec<&str> = args.iter().chain(&["--json"]).copied().collect();
        let output = self.run(&args);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{args:?}");
        assert_eq!(std::fs::read(self.file()).ok(), before, "{args:?}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(error["error"]["message"].is_string(), "{error}");
        (output.status.code().unwrap(), error["error"].clone())
    }

    fn create(&self, args: &[&str]) -> String {
        let args: Vec<&str> = ["create"].iter().chain(args).copied().collect();
        self.json(&args)["id"].as_str().unwrap().to_owned()
    }

    fn ready(&self, args: &[&str]) -> Vec<String> {
        let args: Vec<&str> = ["ready"].iter().chain(args).copied().collect();
        ids(&self.json(&args))
    }
}

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wootz")).arg("issue").args(args).current_dir(folder).output().unwrap()
}

fn ids(issues: &Value) -> Vec<String> {
    issues.as_array().unwrap().iter().map(|issue| issue["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn errors_are_objects_on_stderr_with_their_exit_codes() {
    let desk = Desk::new();
    let a = desk.create(&["A"]);
    desk.json(&["claim", &a, "--session", "S"]);
    for (args, exit, code) in [
        (&["show", "nothing"][..], 1, "not_found"),
        (&["claim", &a, "--session", "T"], 1, "claimed"),
        (&["release", &a, "--session", "T"], 1, "claimed"),
        (&["finish", &a], 1, "claimed"),
        (&["close", &a], 1, "claimed"),
        (&["create", "t", "--type", "nonsense"], 1, "invalid"),
        (&["create", "t", "-p", "7"], 1, "invalid"),
        (&["edit", &a, "--due", "soon"], 1, "invalid"),
        (&["delete", &a], 1, "invalid"),
        (&["init"], 1, "exists"),
        (&["list", "--dir", "elsewhere"], 1, "no_store"),
        (&["nonsense"], 2, "usage"),
        (&["claim", &a], 2, "usage"),
        (&["ready", "--rules", "none"], 2, "usage"),
    ] {
        let (got, error) = desk.refused(args);
        assert_eq!((got, error["code"].as_str().unwrap()), (exit, code), "{args:?}: {error}");
    }
    std::fs::write(desk.file(), "<<<<<<< ours\n").unwrap();
    for args in [&["ready"][..], &["create", "t", "--label", "l"], &["show", "x"]] {
        let (exit, error) = desk.refused(args);
        assert_eq!((exit, error["code"].as_str().unwrap()), (4, "corrupt"));
        assert!(error["hint"].as_str().unwrap().contains("doctor --fix"));
    }
}

#[test]
fn a_session_works_through_what_is_ready() {
    let desk = Desk::new();
    let late = desk.create(&["late", "-p", "3"]);
    let soon = desk.create(&["soon", "-p", "1", "--label", "x"]);
    let waits = desk.create(&["waits", "-p", "0", "--assignee", "me"]);
    let put_off = desk.create(&["put off", "--defer", "2999-01-01"]);
    desk.json(&["block", &waits, &soon]);
    assert_eq!(desk.ready(&[]), [&soon, &late].map(String::clone));
    assert_eq!(desk.ready(&["--rules", "ba"]), [&soon, &put_off, &late].map(String::clone));
    assert_eq!(desk.ready(&["--limit", "1", "--priority", "3"]), std::slice::from_ref(&late));
    assert_eq!(desk.ready(&["--sort", "oldest"]), [&late, &soon].map(String::clone));
    let blocked = desk.json(&["blocked"]);
    assert_eq!(ids(&blocked), [&waits, &put_off].map(String::clone));
    assert_eq!(blocked[0]["reasons"][0], format!("waits for {soon} (blocks), which is open"));
    assert_eq!(desk.json(&["ready", "--explain"]), blocked);
    let mut order = Vec::new();
    for _ in 0..3 {
        let claimed = desk.json(&["ready", "--claim", "--session", "S"]);
        let id = claimed["id"].as_str().unwrap().to_owned();
        assert_eq!(
            (claimed["status"].as_str(), claimed["session_id"].as_str()),
            (Some("in_progress"), Some("S"))
        );
        desk.json(&["finish", &id, "--session", "S", "--reason", "done"]);
        order.push(id);
    }
    assert_eq!(order, [soon, waits, late]);
    assert_eq!(desk.refused(&["ready", "--claim", "--session", "S"]).0, 1);
    let again = desk.json(&["reopen", &order[0]]);
    assert_eq!((again["status"].as_str(), again.get("close_reason")), (Some("open"), None));
    desk.json(&["close", &order[0], "--reason", "twice"]);
    let stats = desk.json(&["stats"]);
    assert_eq!((&stats["by_status"]["closed"], &stats["issues"]), (&Value::from(3), &Value::from(4)));
}

#[test]
fn dependencies_have_types_and_close_no_rings() {
    let desk = Desk::new();
    let [a, b, c] = ["a", "b", "c"].map(|title| desk.create(&[title]));
    desk.json(&["dep", "add", &a, &b]);
    desk.json(&["dep", "add", &b, &c, "--type", "parent-child"]);
    let (exit, error) = desk.refused(&["dep", "add", &c, &a, "--type", "waits-for"]);
    assert_eq!((exit, error["code"].as_str().unwrap()), (1, "cycle"));
    let ring = format!("{c} -> {a} -> {b} -> {c}");
    assert!(error["message"].as_str().unwrap().ends_with(&ring), "{error}");
    desk.json(&["dep", "add", &c, &a, "--type", "related"]);
    assert_eq!(desk.json(&["cycles"]), Value::from(Vec::<Value>::new()));
    let listed = desk.json(&["dep", "list", &c]);
    assert_eq!(listed["depends_on"][0]["type"], "related");
    assert_eq!(
        (listed["dependents"][0]["id"].as_str(), listed["dependents"][0]["type"].as_str()),
        (Some(b.as_str()), Some("parent-child"))
    );
    assert_eq!(desk.json(&["tree", &a])["blocked_by"][0]["blocked_by"][0]["id"], c);
    assert_eq!(desk.json(&["tree", &c, "--reverse"])["blocks"][0]["blocks"][0]["id"], a);
    desk.json(&["dep", "remove", &b, &c]);
    desk.json(&["unblock", &a, &b]);
    assert_eq!(desk.refused(&["dep", "remove", &a, &b]).1["code"], "invalid");
    desk.json(&["dep", "add", &c, &a, "--type", "waits-for"]);
}

#[test]
fn issues_are_edited_found_and_deleted() {
    let desk = Desk::new();
    let a = desk.create(&["Größe", "-d", "of a \"cache\"", "--type", "bug"]);
    let other = desk.create(&["other"]);
    let part = &a[3..];
    let edited = desk.json(&[
        "edit",
        part,
        "--title",
        "Größer",
        "--add-label",
        "x",
        "--assignee",
        "me",
        "-p",
        "0",
        "--due",
        "2027-01-02",
    ]);
    assert_eq!(
        (edited["due_at"].as_str(), edited["labels"][0].as_str()),
        (Some("2027-01-02T00:00:00Z"), Some("x"))
    );
    assert_eq!(ids(&desk.json(&["search", "GRÖSSER"])), Vec::<String>::new());
    for words in [&["GRÖßER"][..], &["\"cache\"", "größer"]] {
        let args: Vec<&str> = ["search"].iter().chain(words).copied().collect();
        assert_eq!(ids(&desk.json(&args)), std::slice::from_ref(&a));
    }
    assert_eq!(ids(&desk.json(&["list", "--label", "x", "--assignee", "me"])), std::slice::from_ref(&a));
    desk.json(&["comment", part, "said", "--author", "me"]);
    desk.json(&["label", part, "remove", "x"]);
    assert_eq!(desk.json(&["edit", &a, "--assignee", ""]).get("assignee"), None);
    desk.json(&["block", &other, &a]);
    desk.json(&["delete", &a, "--force"]);
    assert_eq!(desk.json(&["show", &other])["blocked_by"], Value::from(Vec::<Value>::new()));
    let text = String::from_utf8(desk.run(&["list"]).stdout).unwrap();
    assert_eq!(text.lines().next().unwrap(), "id       p  type  status  session  title");
}

/// Sets a key of an issue behind the tracker's back, as time or another program would.
fn rewrite(desk: &Desk, id: &str, key: &str, value: &str) {
    let file = std::fs::read_to_string(desk.file()).unwrap();
    let lines = file.lines().map(|line| {
        let mut issue: Value = serde_json::from_str(line).unwrap();
        if issue["id"] == id {
            issue[key] = Value::from(value);
        }
        format!("{issue}\n")
    });
    std::fs::write(desk.file(), lines.collect::<String>()).unwrap();
}

#[test]
fn a_lease_keeps_others_away_until_it_is_over() {
    let desk = Desk::new();
    let (a, b) = (desk.create(&["A"]), desk.create(&["B"]));
    desk.json(&["claim", &a, "--session", "S", "--lease", "1h"]);
    desk.json(&["claim", &b, "--session", "S"]);
    for id in [&a, &b] {
        let (exit, error) = desk.refused(&["steal", id, "--session", "T"]);
        assert_eq!((exit, error["code"].as_str().unwrap()), (1, "claimed"));
        assert!(error["message"].as_str().unwrap().contains("session S"), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("claimed since 20"), "{error}");
    }
    assert_eq!(desk.refused(&["renew", &a, "--session", "T", "--lease", "1h"]).0, 1);
    assert!(ids(&desk.json(&["stale"])).is_empty());
    assert!(desk.ready(&["--expired"]).is_empty());

    rewrite(&desk, &a, "lease_until", "2020-01-01T00:00:00Z");
    assert_eq!(ids(&desk.json(&["stale"])), [a.as_str()]);
    assert_eq!(desk.ready(&["--expired"]), [a.as_str()]);
    assert!(desk.ready(&[]).is_empty(), "an issue is its owner's until somebody takes it");
    // The owner may still come back before the thief does.
    let renewed = desk.json(&["renew", &a, "--session", "S", "--lease", "2d"]);
    assert!(renewed["lease_until"].as_str().unwrap() > "2026");
    rewrite(&desk, &a, "lease_until", "2020-01-01T00:00:00Z");
    let stolen = desk.json(&["ready", "--claim", "--expired", "--session", "T"]);
    assert_eq!((stolen["id"].as_str(), stolen["session_id"].as_str()), (Some(a.as_str()), Some("T")));
    assert!(stolen.get("lease_until").is_none(), "the new owner asked for none: {stolen}");
    assert_eq!(desk.refused(&["finish", &a, "--session", "S"]).1["code"], "claimed");
    // By force also what has no end.
    let taken = desk.json(&["steal", &b, "--session", "T", "--force"]);
    assert_eq!(taken["session_id"], "T");
    let finished = desk.json(&["finish", &b, "--session", "T"]);
    assert!(finished.get("claimed_at").is_none() && finished.get("session_id").is_none(), "{finished}");
    for lease in ["0h", "-1h", "soon", ""] {
        assert_eq!(desk.refused(&["claim", &b, "--session", "S", "--lease", lease]).0, 2, "{lease}");
    }
}

#[test]
fn issues_are_put_off_and_due() {
    let desk = Desk::new();
    let (a, b) = (desk.create(&["A"]), desk.create(&["B"]));
    desk.json(&["defer", &a, "2d"]);
    assert_eq!(desk.ready(&[]), [b.as_str()]);
    assert_eq!(ids(&desk.json(&["list", "--deferred"])), [a.as_str()]);
    desk.json(&["defer", &a]);
    assert_eq!(desk.ready(&[]).len(), 2);
    desk.json(&["due", &a, "2020-01-01"]);
    desk.json(&["due", &b, "+1w"]);
    assert_eq!(ids(&desk.json(&["list", "--overdue"])), [a.as_str()]);
    assert_eq!(desk.refused(&["due", &a, "eventually"]).1["code"], "invalid");
}

#[test]
fn parts_labels_and_titles_make_groups() {
    let desk = Desk::new();
    let epic = desk.create(&["Tables", "--type", "epic"]);
    let one = desk.create(&["Read tables", "--parent", &epic, "--label", "io"]);
    let two = desk.create(&["read tables!", "--parent", &epic, "--dep", &format!("related:{one}")]);
    assert_eq!(desk.json(&["duplicates"]), serde_json::json!([[one, two]]));
    assert_eq!(desk.json(&["labels"]), serde_json::json!({ "io": 1 }));
    assert_eq!(desk.ready(&["--parent", &epic]), [one.as_str(), two.as_str()]);
    assert_eq!(desk.ready(&["--parent", &epic, "--without-label", "io"]), [two.as_str()]);
    assert_eq!(desk.ready(&["--any-label", "io", "--any-label", "none"]), [one.as_str()]);
    let told = desk.json(&["epics"]);
    assert_eq!((&told[0]["done"], &told[0]["parts"]), (&0.into(), &2.into()));
    desk.json(&["close", &one]);
    assert_eq!(desk.json(&["epics", "--close"]), serde_json::json!([]));
    desk.json(&["close", &two]);
    assert_eq!(ids(&desk.json(&["epics", "--close"])), [epic.as_str()]);
    assert_eq!(desk.json(&["show", &epic])["close_reason"], "all parts are done");
    assert_eq!(desk.refused(&["create", "x", "--dep", "nonsense:y"]).1["code"], "invalid");
    assert_eq!(desk.refused(&["create", "x", "--parent", "zz-none"]).1["code"], "not_found");
}

#[test]
fn pictures_hold_any_title() {
    let desk = Desk::new();
    let first = desk.create(&["a \"quoted\" \\ title; [x](y) {z} <b>\nnext"]);
    let second = desk.create(&["日本", "--dep", &first, "--dep", &format!("discovered-from:{first}")]);
    desk.create(&["alone"]);
    let text = |args: &[&str]| String::from_utf8(desk.run(args).stdout).unwrap();
    let dot = text(&["graph"]);
    assert!(dot.contains(&format!("\"{first}\" -> \"{second}\"\n")), "{dot}");
    assert!(dot.contains("a \\\"quoted\\\" \\\\ title; [x](y) {z} <b> next"), "{dot}");
    assert!(!dot.contains("alone"), "{dot}");
    let mermaid = text(&["graph", &second, "--format", "mermaid"]);
    assert!(mermaid.starts_with("graph LR\n"), "{mermaid}");
    let nodes = mermaid
        .lines()
        .filter(|line| line.contains("[\""))
        .map(|line| &line[line.find("[\"").unwrap() + 2..line.len() - 2]);
    for node in nodes {
        assert!(!node.replace("<br/>", "").contains(['"', '<', '>', '[', ']', '{', '}']), "{node}");
    }
    assert_eq!(mermaid.matches("-->").count() + mermaid.matches("-.->").count(), 2, "{mermaid}");
}
