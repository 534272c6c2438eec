//! Runs the manual pages: `tests/pages/*.md` hold commands with the output they must have.
//!
//! A fence marked `file NAME` writes a file. A fence marked `console` holds commands, each after `$ `, run by `sh`
//! in the page's own empty folder with `wootz` on the path; the lines under a command are its stdout and stderr.
//! `[..]` matches any text within a line, a line `[...]` any number of lines, and `[exit N]` as the last line says
//! that the command ends with N instead of 0.

#![allow(clippy::unwrap_used, reason = "a page that cannot be set up has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn pages_tell_the_truth() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages");
    let mut pages: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert!(!pages.is_empty(), "{} holds no page", folder.display());
    let wrong: Vec<String> = pages.iter().flat_map(|page| check(page)).collect();
    assert!(
        wrong.is_empty(),
        "{} of the pages' commands do something else:\n\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

/// Runs one page and tells what differs.
fn check(page: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(page).unwrap();
    let name = page.file_name().unwrap().to_string_lossy();
    let mut wrong = Vec::new();
    for (line, info, body) in fences(&text) {
        if let Some(file) = info.strip_prefix("file ") {
            let path = folder.path().join(file.trim());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, body).unwrap();
        } else if info == "console" {
            for (command, expected) in commands(&body) {
                let actual = run(&command, folder.path());
                let actual: Vec<&str> = actual.lines().collect();
                let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
                if !matches(&expected, &actual) {
                    wrong.push(format!(
                        "{name}:{line}: $ {command}\n--- wanted\n{}\n--- got\n{}",
                        expected.join("\n"),
                        actual.join("\n")
                    ));
                }
            }
        } else {
            assert!(
                info.is_empty() || info == "text" || info == "yaml",
                "{name}:{line}: a fence marked {info:?}"
            );
        }
    }
    wrong
}

/// Fenced blocks as (line, info, body).
fn fences(text: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((number + 1, info.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, _, body))) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    found
}

/// Commands with their expected lines.
fn commands(body: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in body.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            found.push((command.to_owned(), Vec::new()));
        } else {
            let (_, expected) = found.last_mut().expect("because output follows a command");
            expected.push(line.to_owned());
        }
    }
    found
}

/// stdout and stderr in the order written, and the exit code where it is not 0.
fn run(command: &str, folder: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_wootz"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("exec 2>&1\n{command}"))
        .current_dir(folder)
        .env_clear()
        .envs([("PATH", path.as_str()), ("HOME", folder.to_str().unwrap()), ("NO_COLOR", "1")])
        .output()
        .unwrap();
    let mut text = String::from_utf8(output.stdout).expect("because wootz prints UTF-8");
    if !output.status.success() {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!(
            "[exit {}]",
            output.status.code().map_or("by signal".to_owned(), |code| code.to_string())
        ));
    }
    text
}

/// Whether lines match a pattern of lines.
fn matches(pattern: &[&str], lines: &[&str]) -> bool {
    match (pattern.first(), lines.first()) {
        (None, None) => true,
        (Some(&"[...]"), _) => {
            matches(&pattern[1..], lines) || (!lines.is_empty() && matches(pattern, &lines[1..]))
        }
        (Some(wanted), Some(line)) => line_matches(wanted, line) && matches(&pattern[1..], &lines[1..]),
        _ => false,
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("[..]");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn patterns() {
    let check = |pattern: &[&str], lines: &[&str], wanted: bool| {
        assert_eq!(matches(pattern, lines), wanted, "{pattern:?} on {lines:?}");
    };
    check(&["a[..]c"], &["abc"], true);
    check(&["a[..]c"], &["ab"], false);
    check(&["ab"], &["abc"], false);
    check(&["[..]b[..]b[..]"], &["abab"], true);
    check(&["a", "[...]", "z"], &["a", "b", "c", "z"], true);
    check(&["a", "[...]", "z"], &["a", "z"], true);
    check(&["a", "[...]"], &["b"], false);
    check(&["a"], &["a", "b"], false);
}
