//! The binary under the name `ba`: its texts, its exit codes, and random sessions beside a model that was written from the description.

#![allow(clippy::unwrap_used, reason = "a session that cannot be set up has failed")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use tempfile::TempDir;

/// A folder with a project, and the binary under its other name beside it.
struct Desk {
    folder: TempDir,
    ba: PathBuf,
}

impl Desk {
    fn new() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let ba = folder.path().join("ba");
        symlink(env!("CARGO_BIN_EXE_wootz"), &ba).unwrap();
        std::fs::create_dir(folder.path().join("project")).unwrap();
        Desk { folder, ba }
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_in(&self.project(), args)
    }

    fn run_in(&self, folder: &Path, args: &[&str]) -> Output {
        Command::new(&self.ba).args(args).current_dir(folder).output().unwrap()
    }

    /// Exit code and everything that was printed, with IDs as letters and times as `<m>` and `<t>`.
    fn told(&self, args: &[&str], names: &[(&str, &str)]) -> String {
        let output = self.run(args);
        let mut text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        for (id, name) in names {
            text = text.replace(id, name);
        }
        format!("{} {}", output.status.code().unwrap(), without_times(&text))
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.project().join(".ba/issues.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn create(&self, args: &[&str]) -> String {
        let args: Vec<&str> = ["create"].iter().chain(args).copied().collect();
        let output = self.run(&args);
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().strip_prefix("Created ").unwrap().to_owned()
    }
}

/// The text with `<t>` for times as they are stored and `<m>` for those that people read.
fn without_times(text: &str) -> String {
    let fits = |text: &str, pattern: &str| {
        let letters = text.bytes().zip(pattern.bytes());
        text.len() >= pattern.len()
            && letters.into_iter().all(|(letter, wanted)| match wanted {
                b'0' => letter.is_ascii_digit(),
                _ => letter == wanted,
            })
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if fits(rest, "0000-00-00T00:00:00") {
            out.push_str("<t>");
            rest = &rest[rest.find('Z').unwrap() + 1..];
        } else if fits(rest, "0000-00-00 00:00") {
            out.push_str("<m>");
            rest = &rest[16..];
        } else {
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    out
}

#[test]
fn sessions_go_as_the_model_says() {
    let sessions: Vec<Value> = include_str!("../tracker/sessions.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(sessions.len() >= 500);
    let next = Mutex::new(sessions.iter().enumerate());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((number, session)) = { next.lock().unwrap().next() } {
                    replay(number, session);
                }
            });
        }
    });
}

/// One session of `tests/tracker/model.py`: each step has arguments, exit code, stdout and, unless it is the parser's, stderr.
fn replay(number: usize, session: &Value) {
    let desk = Desk::new();
    let output = desk.run(&["init"]);
    let prefix = wootz_tracker::id::prefix(&desk.project().canonicalize().unwrap().to_string_lossy());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("Initialized .ba with prefix '{prefix}'\n"));
    let mut ids: Vec<String> = Vec::new();
    for step in session.as_array().unwrap() {
        let named = |text: &str| {
            let names = ids.iter().enumerate();
            names.fold(text.to_owned(), |text, (at, id)| text.replace(&format!("<{at}>"), id))
        };
        let args: Vec<String> =
            step[0].as_array().unwrap().iter().map(|arg| named(arg.as_str().unwrap())).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = desk.run(&args);
        for line in desk.lines() {
            let id = line["id"].as_str().unwrap();
            if !ids.iter().any(|known| known == id) {
                let (title, time) = (line["title"].as_str().unwrap(), line["created_at"].as_str().unwrap());
                let suffix = wootz_tracker::id::suffix(title, time, |_| false);
                assert_eq!(id, format!("{prefix}-{suffix}"), "session {number}");
                ids.push(id.to_owned());
            }
        }
        let names = ids.iter().enumerate();
        let told = |bytes: Vec<u8>| {
            let text = without_times(&String::from_utf8(bytes).unwrap());
            names.clone().fold(text, |text, (at, id)| text.replace(id, &format!("<{at}>")))
        };
        let (stdout, stderr) = (told(output.stdout), told(output.stderr));
        assert_eq!(stdout, step[2].as_str().unwrap(), "session {number}, stdout of {step}: {stderr}");
        match step[3].as_str() {
            Some(expected) => assert_eq!(stderr, expected, "session {number}, stderr of {step}"),
            None => assert!(stderr.starts_with("error: "), "session {number}, {step}: {stderr}"),
        }
        assert_eq!(
            output.status.code().map(i64::from),
            step[1].as_i64(),
            "session {number}, exit code of {step}"
        );
    }
    let ids = desk.lines();
    let ids: Vec<&str> = ids.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted(), "session {number}: {ids:?}");
}

#[test]
fn a_store_is_found_above_and_made_once() {
    let desk = Desk::new();
    let inside = desk.project().join("a/b");
    std::fs::create_dir_all(&inside).unwrap();
    let code = |output: &Output| output.status.code().unwrap();
    let stderr = |output: &Output| String::from_utf8(output.stderr.clone()).unwrap();
    let missing =
        "Error: Failed to open lock file '.ba/issues.lock': No such file or directory (os error 2)\n";
    for args in [
        &["list"][..],
        &["ready", "--json"],
        &["create", "t"],
        &["create", "t", "-t", "bug"],
        &["delete"],
        &["show", "x"],
        &["cycles"],
        &["label", "x", "add", "y"],
    ] {
        let output = desk.run_in(&inside, args);
        assert_eq!((code(&output), stderr(&output).as_str()), (1, missing), "{args:?}");
    }
    let output = desk.run_in(&inside, &["list", "--dir", "elsewhere"]);
    assert!(stderr(&output).contains("'elsewhere/issues.lock'"));
    desk.run(&["init"]);
    let exists = format!("Error: {}/.ba already exists\n", desk.project().canonicalize().unwrap().display());
    for folder in [desk.project(), inside.clone()] {
        let output = desk.run_in(&folder, &["init", "--json"]);
        assert_eq!((code(&output), stderr(&output)), (1, exists.clone()));
    }
    desk.create(&["above"]);
    assert_eq!(desk.run_in(&inside, &["--json", "list"]).stdout, desk.run(&["list", "--json"]).stdout);
    // A folder that is named is used as it is.
    let output = desk.run_in(&inside, &["--dir", "own", "init"]);
    assert!(output.status.success());
    assert_eq!(desk.run_in(&inside, &["--dir", "own", "list"]).stdout, b"No issues found.\n");
    assert_eq!(std::fs::read(inside.join("own/issues.jsonl")).unwrap(), b"");
    let config = std::fs::read_to_string(inside.join("own/config.json")).unwrap();
    assert!(config.starts_with("{\n  \"version\": 1,\n  \"prefix\": \"") && config.ends_with("\"\n}"));
}

#[test]
fn texts_are_those_that_scripts_read() {
    let desk = Desk::new();
    desk.run(&["init"]);
    let a = desk.create(&["First", "-p", "1", "-d", "Text"]);
    let b = desk.create(&[
        "日本語のとても長い題名が四十文字を超えるまで続いていくことを確かめるための課題である",
        "-t",
        "epic",
    ]);
    let names = [(a.as_str(), "xx-aaaa"), (b.as_str(), "xx-bbbb")];
    let told = |args: &[&str]| desk.told(args, &names);
    let mut text = String::new();
    for args in [
        &["block", &a, &b][..],
        &["label", &a, "add", "l"],
        &["comment", &a, "hello", "--author", "me"],
        &["show", &a],
        &["show", &b],
        &["tree", &a],
        &["list"],
        &["ready"],
        &["claim", &b, "--session", "S"],
        &["mine", "--session", "S"],
        &["tree", &a, "--json"],
        &["delete", "--label-prefix", "l"],
        &["finish", &b],
        &["block", &b, &a],
        &["cycles"],
    ] {
        text.push_str(&format!("$ {}\n{}", args[0], told(args)));
    }
    let smaller = a.as_str().min(b.as_str());
    let turned = text.replace("xx-bbbb -> xx-aaaa -> xx-bbbb", "xx-aaaa -> xx-bbbb -> xx-aaaa");
    assert!(smaller == a || turned != text, "a ring begins with its smallest ID");
    expect_test::expect_file!["../tracker/texts.txt"].assert_eq(&turned);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    desk.run(&["init"]);
    let lines: BTreeSet<String> = (0..4000)
        .map(|at| {
            format!(
                r#"{{"id":"x-{at:04}","title":"{}","status":"open","issue_type":"task","created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}}"#,
                "t".repeat(30)
            )
        })
        .collect();
    let lines: Vec<String> = lines.into_iter().collect();
    std::fs::write(desk.project().join(".ba/issues.jsonl"), lines.join("\n") + "\n").unwrap();
    let script = format!("{{ '{}' list; echo \"ended $?\" >&2; }} | head -n 1", desk.ba.display());
    let output = Command::new("sh").args(["-c", &script]).current_dir(desk.project()).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "ended 0\n");
}

#[test]
fn an_import_reports_what_it_refused_and_ends_well() {
    let desk = Desk::new();
    desk.run(&["init"]);
    let line = |id: &str, status: &str, kind: &str| {
        format!(
            "{{\"id\":\"{id}\",\"title\":\"A\",\"status\":\"{status}\",\"priority\":1,\"issue_type\":\"{kind}\",\
             \"created_at\":\"2025-01-01T00:00:00Z\",\"updated_at\":\"2025-01-01T00:00:00Z\"}}\n"
        )
    };
    let lines =
        line("x-1", "open", "task") + &line("x-2", "closed", "bug") + &line("x-3", "deferred", "task");
    std::fs::write(desk.project().join("beads.jsonl"), lines).unwrap();
    expect_test::expect![[r#"
        0 Imported 2 issues (0 skipped, 2 errors)

        Errors:
          Line 2: Issue 'x-2' - issue_type: Unknown type 'bug' mapped to 'task'
          Line 3: Issue 'x-3' - status: Unknown status 'deferred', expected open/in_progress/closed
    "#]]
    .assert_eq(&desk.told(&["import", "beads.jsonl", "--keep-ids"], &[]));
    assert_eq!(
        desk.told(&["--json", "import", "beads.jsonl", "--keep-ids"], &[]),
        "0 {\"imported\":0,\"skipped\":2,\"errors\":1}\n"
    );
    assert!(desk.told(&["import", "none.jsonl"], &[]).starts_with("1 Error: "));
}
