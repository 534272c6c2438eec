//! Files and arguments that are not as they should be: what happens is defined, one error says what is wrong and what to do, and a command
//! that failed has not touched the file.

#![allow(clippy::unwrap_used, reason = "a store that cannot be set up has failed")]

use crate::suite::project::{Name, Project, ids, line, line_with};
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::process::{Output, Stdio};

/// A command that fails with this code and says each of these; the file is as it was, and so it is with `--json`.
#[track_caller]
fn refused(project: &Project, name: Name, args: &[&str], code: i32, parts: &[&str]) {
    let before = project.bytes();
    let output = project.run(name, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{args:?}: {stderr}");
    let errors = stderr.lines().filter(|line| line.to_lowercase().starts_with("error")).count();
    assert_eq!(errors, 1, "{args:?}: {stderr}");
    parts.iter().for_each(|part| assert!(stderr.contains(part), "{args:?}: {part} in {stderr}"));
    assert_eq!(project.bytes(), before, "{args:?}");
    if name == Name::Wootz {
        let args: Vec<&str> = args.iter().chain(&["--json"]).copied().collect();
        let output = project.run(name, &args);
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        let told = format!("{} {}", error["error"]["message"], error["error"]["hint"]).replace("\\\"", "\"");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{args:?}: {told}");
        assert!(error["error"]["code"].is_string(), "{error}");
        parts.iter().for_each(|part| assert!(told.contains(part), "{args:?}: {part} in {told}"));
        assert_eq!(project.bytes(), before, "{args:?}");
    }
}

#[test]
fn any_text_survives() {
    let long = "line one\r\nline two \u{1F980}\t".repeat(50_000);
    assert!(long.len() > 1_000_000);
    for name in [Name::Ba, Name::Wootz] {
        for title in [
            "日本語のタイトル",
            "Ünïcödé — “quotes”",
            "\u{202e}rtl \u{1F468}\u{200d}\u{1F469}",
            "a\\\"b\u{7f}",
            "{\"id\":\"x\"}",
        ] {
            let project = Project::new("");
            let made = project.told(name, &["create", title]);
            assert_eq!(project.issues()[0]["title"], title, "{made}");
            let shown = project.json(name, &["list"]);
            assert_eq!(shown[0]["title"], title);
            assert!(project.told(name, &["list"]).contains(title.split('"').next().unwrap()));
        }
    }
    // An argument of this length is more than a system takes; it comes by import.
    let mut issue: Value = serde_json::from_str(&line(1)).unwrap();
    issue["description"] = long.clone().into();
    let project = Project::new("");
    let file = project.path().join("other.jsonl");
    fs::write(&file, format!("{issue}\n")).unwrap();
    project.told(Name::Wootz, &["import", file.to_str().unwrap()]);
    let id = project.issues()[0]["id"].as_str().unwrap().to_owned();
    project.told(Name::Wootz, &["claim", &id, "--session", "s"]);
    project.told(Name::Ba, &["release", &id]);
    assert_eq!(project.issues()[0]["description"], long.as_str());
    assert_eq!(project.json(Name::Ba, &["show", &id])["description"], long.as_str());
}

#[test]
fn line_ends_and_marks_of_other_systems_are_read_and_lines_kept() {
    let (one, two) = (line(1), line(2));
    for (file, kept) in [
        (format!("{one}\r\n{two}\r\n"), format!("{one}\r\n")),
        (format!("\u{feff}{one}\n{two}\n"), format!("{one}\n")),
        (format!("{one}\n{two}"), format!("{one}\n")),
        (format!("\n{one}\n\n\n{two}\n\n"), format!("{one}\n")),
        (format!("{two}\n{one}\n"), format!("{one}\n")),
    ] {
        let project = Project::new(&file);
        for name in [Name::Ba, Name::Wootz] {
            assert_eq!(ids(&project.json(name, &["list"])), ["xx-00001", "xx-00002"], "{file:?}");
        }
        assert_eq!(project.bytes(), file.as_bytes(), "reading writes nothing");
        project.told(Name::Wootz, &["close", "xx-00002"]);
        let text = String::from_utf8(project.bytes()).unwrap();
        assert!(text.trim_start_matches('\u{feff}').starts_with(&kept), "{file:?}: {text:?}");
        assert_eq!(ids(&project.json(Name::Wootz, &["list", "--all"])), ["xx-00001", "xx-00002"]);
    }
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_mended() {
    for (bad, is_kept) in [
        ("{\"id\":\"xx-00003\",\"title\":\"torn", true),
        ("<<<<<<< HEAD", false),
        ("not json at all", true),
        ("{\"title\":\"nobody\"}", true),
        ("[1,2]", true),
    ] {
        let project = Project::new(format!("{}\n{bad}\n{}\n", line(1), line(4)));
        for args in [&["list"][..], &["ready"], &["create", "x"], &["close", "xx-00001"], &["stats"]] {
            refused(&project, Name::Wootz, args, 4, &["line 2", "issues.jsonl:2", "doctor --fix"]);
        }
        refused(&project, Name::Ba, &["list"], 1, &["line 2"]);
        let fixed = project.run(Name::Wootz, &["doctor", "--fix"]);
        assert!(fixed.status.success(), "{bad}: {}", String::from_utf8_lossy(&fixed.stderr));
        assert_eq!(ids(&project.json(Name::Wootz, &["list"])), ["xx-00001", "xx-00004"], "{bad}");
        let rejected = fs::read_to_string(project.path().join(".ba/issues.jsonl.rejected"));
        assert_eq!(rejected.is_ok_and(|text| text.contains(bad)), is_kept, "{bad}");
    }
    // A last line that a crash cut is no other case.
    let torn = format!("{}\n{}", line(1), &line(2)[..40]);
    refused(&Project::new(torn), Name::Wootz, &["list"], 4, &["line 2", "doctor --fix"]);
}

#[test]
fn of_lines_with_one_id_the_last_counts_and_doctor_unites_them() {
    let file = format!("{}\n{}\n{}\n", line(1), line_with(1, "closed", ""), line(2));
    let project = Project::new(&file);
    for name in [Name::Ba, Name::Wootz] {
        assert_eq!(project.json(name, &["show", "xx-00001"])["status"], "closed");
        assert_eq!(ids(&project.json(name, &["ready"])), ["xx-00002"]);
    }
    assert_eq!(project.run(Name::Wootz, &["doctor"]).status.code(), Some(1));
    assert!(project.run(Name::Wootz, &["doctor", "--fix"]).status.success());
    assert_eq!(project.issues().len(), 2);
}

/// Reads the first bytes of a command's output, and goes.
fn cut(project: &Project, name: Name, args: &[&str]) -> Output {
    let mut command = project.command(name, args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_reader_that_goes_early_is_no_error() {
    let lines: String = (0..20_000).map(|number| line(number) + "\n").collect();
    let project = Project::new(lines);
    for name in [Name::Ba, Name::Wootz] {
        for args in [&["list"][..], &["ready"], &["list", "--json"]] {
            let output = cut(&project, name, args);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(!stderr.contains("panic") && stderr.is_empty(), "{args:?}: {stderr}");
        }
    }
}

#[test]
fn what_was_asked_wrongly_is_told_with_what_is_right() {
    let project = Project::new(format!("{}\n{}\n{}\n", line(1), line(2), line(3)));
    project.told(Name::Wootz, &["claim", "xx-00002", "--session", "somebody"]);
    let name = Name::Wootz;
    refused(
        &project,
        name,
        &["show", "xx-00091"],
        1,
        &["Issue not found: xx-00091", "did you mean xx-00001?"],
    );
    refused(&project, name, &["create", "x", "--priority", "9"], 1, &["Priority", "0-4"]);
    refused(&project, name, &["edit", "xx-00001", "--priority", "7"], 1, &["Priority", "0-4"]);
    refused(&project, name, &["create", "x", "--type", "tsak"], 1, &["tsak", "task", "bug", "epic"]);
    refused(&project, name, &["claim", "xx-00002", "--session", "me"], 1, &["somebody", "since", "20"]);
    refused(&project, name, &["finish", "xx-00002", "--session", "me"], 1, &["somebody"]);
    project.told(name, &["block", "xx-00001", "xx-00002"]);
    project.told(name, &["block", "xx-00002", "xx-00003"]);
    let ring = "xx-00003 -> xx-00001 -> xx-00002 -> xx-00003";
    refused(&project, name, &["block", "xx-00003", "xx-00001"], 1, &[ring]);
    refused(&project, Name::Ba, &["show", "xx-00091"], 1, &["Issue not found: xx-00091"]);
    let usage = project.run(name, &["lists"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8(usage.stderr).unwrap().contains("'list'"));
}

#[test]
fn a_lock_that_is_held_is_told_with_its_holder() {
    let project = Project::new(line(1) + "\n");
    let lock = fs::File::create(project.path().join(".ba/issues.lock")).unwrap();
    lock.lock().unwrap();
    let holder = format!("process {}", std::process::id());
    refused_slowly(&project, &holder);
    lock.unlock().unwrap();
    project.told(Name::Wootz, &["list"]);
}

fn refused_slowly(project: &Project, holder: &str) {
    let before = project.bytes();
    let output = project.run(Name::Wootz, &["close", "xx-00001"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(
        stderr.contains(holder) && stderr.contains("issues.lock") && stderr.contains("hint:"),
        "{stderr}"
    );
    assert_eq!(project.bytes(), before);
}
