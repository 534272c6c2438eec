//! Whether other languages' own tools can read a text: syntax only, since names need a project's whole build.
//!
//! Rust through `rustfmt`, which parses before it formats; Python through its own compiler, many texts to a process;
//! TypeScript and JavaScript through `tsc`, of whose errors only those of the grammar count (1000 to 1999); Go
//! through `gofmt -e`. Nothing of the text is run.

use super::compiler::{Verdict, limits, version};
use super::sample::Group;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_schema::audit::Failure;
use wootz_stdx::process::{Finished, run};

/// A text to judge.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub text: &'a str,
    /// Of the file it is or was made from, without the dot.
    pub extension: &'a str,
}

/// Where and how long tools may work.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub scratch: &'a Path,
    pub time: Duration,
    pub cancel: &'a AtomicBool,
}

/// A group's tool and how it is asked for its version; `None` for the languages that a compiler judges.
pub(super) fn tool(group: Group) -> Option<(&'static str, &'static [&'static str])> {
    Some(match group {
        Group::CCpp => return None,
        Group::Go => ("gofmt", &["gofmt", "-d"]),
        Group::Python => ("python3", &["python3", "--version"]),
        Group::Rust => ("rustfmt", &["rustfmt", "--version"]),
        Group::TypeScript => ("tsc", &["tsc", "--version"]),
    })
}

/// What the tool says of its version; `None` where the machine has none.
pub(super) fn tool_version(group: Group, cancel: &AtomicBool) -> Option<(String, String)> {
    let (name, words) = tool(group)?;
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    version(&words, cancel).map(|version| (name.to_owned(), version))
}

/// Texts that one process judges; a process that has to be killed is repeated text by text.
const BATCH: usize = 50;

/// A verdict for each text.
pub(super) fn judge(group: Group, texts: &[Text<'_>], place: Place<'_>) -> Vec<Verdict> {
    let batch = if group == Group::Rust { 1 } else { BATCH };
    let judge_all = |(number, texts): (usize, &[Text<'_>])| {
        judge_batch(group, texts, number, place).unwrap_or_else(|| one_by_one(group, texts, number, place))
    };
    let batches: Vec<Vec<Verdict>> =
        texts.par_chunks(batch).with_max_len(1).enumerate().map(judge_all).collect();
    batches.into_iter().flatten().collect()
}

fn one_by_one(group: Group, texts: &[Text<'_>], number: usize, place: Place<'_>) -> Vec<Verdict> {
    let one = |text: &Text<'_>| {
        let verdicts = judge_batch(group, std::slice::from_ref(text), number, place);
        let late = || Some((Failure::Timeout, format!("not done after {} s", place.time.as_secs_f64())));
        verdicts.and_then(|verdicts| verdicts.into_iter().next()).unwrap_or_else(late)
    };
    texts.iter().map(one).collect()
}

/// `None` where the process had to be killed, or broke down.
fn judge_batch(group: Group, texts: &[Text<'_>], number: usize, place: Place<'_>) -> Option<Vec<Verdict>> {
    match group {
        Group::CCpp => None,
        Group::Rust => rustfmt(texts, place),
        Group::Python => python(texts, place),
        Group::Go => on_files(texts, number, place, &["gofmt", "-e", "-l"], go_complaint),
        Group::TypeScript => on_files(texts, number, place, &TSC, tsc_complaint),
    }
}

fn run_tool(words: &[&str], files: &[String], input: &[u8], place: Place<'_>) -> Option<Finished> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(files);
    command.current_dir(place.scratch).env("TMPDIR", place.scratch).env("LC_ALL", "C");
    run(&mut command, input, limits(place.time), place.cancel)
        .ok()
        .filter(|finished| finished.killed.is_none())
}

fn rustfmt(texts: &[Text<'_>], place: Place<'_>) -> Option<Vec<Verdict>> {
    let verdict = |text: &Text<'_>| {
        let words = ["rustfmt", "--edition", "2021", "--check", "--color", "never"];
        let finished = run_tool(&words, &[], text.text.as_bytes(), place)?;
        let said = String::from_utf8_lossy(&finished.stderr);
        // A text that is only formatted otherwise is reported on the other output; long lines as `error[internal]`.
        let error = said.lines().find_map(|line| line.strip_prefix("error: "));
        Some(error.map(|message| (Failure::Syntax, message.to_owned())))
    };
    texts.iter().map(verdict).collect()
}

/// Reads a JSON list of texts, writes a line for each: empty, or what is wrong.
const PYTHON: &str = r#"
import json, sys, warnings
warnings.simplefilter("ignore")
for text in json.load(sys.stdin):
    try:
        compile(text, "document", "exec", dont_inherit=True)
        print()
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        print(type(error).__name__ + ": " + str(error).replace("\n", " "))
"#;

fn python(texts: &[Text<'_>], place: Place<'_>) -> Option<Vec<Verdict>> {
    let input: Vec<&str> = texts.iter().map(|text| text.text).collect();
    let input = serde_json::to_vec(&input).ok()?;
    let finished = run_tool(&["python3", "-I", "-c", PYTHON], &[], &input, place)?;
    let said = String::from_utf8_lossy(&finished.stdout);
    let verdict = |line: &str| (!line.is_empty()).then(|| (Failure::Syntax, line.to_owned()));
    let verdicts: Vec<Verdict> = said.lines().map(verdict).collect();
    (verdicts.len() == texts.len()).then_some(verdicts)
}

const TSC: [&str; 13] = [
    "tsc",
    "--noEmit",
    "--noResolve",
    "--noLib",
    "--allowJs",
    "--jsx",
    "preserve",
    "--target",
    "esnext",
    "--module",
    "esnext",
    "--pretty",
    "false",
];

/// `0.ts(1,2): error TS1005: ';' expected.`
fn tsc_complaint(line: &str) -> Option<(&str, &str)> {
    let (place, rest) = line.split_once(": error TS")?;
    let (code, message) = rest.split_once(": ")?;
    let (file, _) = place.rsplit_once('(')?;
    (code.len() == 4 && code.starts_with('1')).then_some((file, message))
}

/// `0.go:1:2: expected 'package', found x`
fn go_complaint(line: &str) -> Option<(&str, &str)> {
    let (file, rest) = line.split_once(".go:")?;
    let message = rest.splitn(3, ':').nth(2)?;
    Some((&line[..file.len() + 3], message.trim()))
}

/// Judges files by the lines in which a tool names them.
fn on_files(
    texts: &[Text<'_>],
    number: usize,
    place: Place<'_>,
    words: &[&str],
    complaint: fn(&str) -> Option<(&str, &str)>,
) -> Option<Vec<Verdict>> {
    let names = write_files(texts, number, place.scratch).ok()?;
    let finished = run_tool(words, &names, b"", place);
    names.iter().for_each(|name| {
        // The folder goes in the end in any case.
        let _ = fs::remove_file(place.scratch.join(name));
    });
    let finished = finished?;
    let said = [finished.stdout, finished.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut complaints = BTreeMap::new();
    for (file, message) in said.iter().flat_map(|text| text.lines()).filter_map(complaint) {
        complaints.entry(file).or_insert(message);
    }
    let verdict =
        |name: &String| complaints.get(name.as_str()).map(|message| (Failure::Syntax, (*message).to_owned()));
    Some(names.iter().map(verdict).collect())
}

fn write_files(texts: &[Text<'_>], number: usize, scratch: &Path) -> io::Result<Vec<String>> {
    let write = |(index, text): (usize, &Text<'_>)| {
        let name = format!("{number}-{index}.{}", text.extension);
        fs::write(scratch.join(&name), text.text).map(|()| name)
    };
    texts.iter().enumerate().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_their_file() {
        assert_eq!(
            tsc_complaint("0-1.ts(3,2): error TS1005: ';' expected."),
            Some(("0-1.ts", "';' expected."))
        );
        assert_eq!(tsc_complaint("0-1.ts(3,2): error TS2304: Cannot find name 'x'."), None);
        assert_eq!(tsc_complaint("0-1.ts(3,2): error TS17004: x"), None);
        assert_eq!(
            go_complaint("0-7.go:1:1: expected 'package', found x: y"),
            Some(("0-7.go", "expected 'package', found x: y"))
        );
    }

    /// A group, its extension, and texts with whether they are the language.
    type Case = (Group, &'static str, &'static [(&'static str, bool)]);

    const CASES: [Case; 4] = [
        (
            Group::Rust,
            "rs",
            &[
                ("mod absent;\nfn  a( ) { undeclared() }\n", true),
                ("fn a( { }\n", false),
                ("fn a() {}", true),
            ],
        ),
        (
            Group::Python,
            "py",
            &[
                ("x = undeclared\n", true),
                ("def f(:\n", false),
                ("return 1\n", false),
                ("print('\u{e4}')\n", true),
            ],
        ),
        (Group::Go, "go", &[("package a\nfunc f() { g() }\n", true), ("package a\nfunc f( {\n", false)]),
        (Group::TypeScript, "ts", &[("let x: Undeclared = y;\n", true), ("let x: = ;\n", false)]),
    ];

    #[test]
    fn the_languages_tools_judge_syntax_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let cancel = AtomicBool::new(false);
        let place = Place { scratch: scratch.path(), time: Duration::from_secs(60), cancel: &cancel };
        let mut judged = 0;
        for (group, extension, cases) in
            CASES.iter().filter(|(group, ..)| tool_version(*group, &cancel).is_some())
        {
            let texts: Vec<Text<'_>> = cases.iter().map(|(text, _)| Text { text, extension }).collect();
            let verdicts = judge(*group, &texts, place);
            let hold: Vec<bool> = verdicts.iter().map(Option::is_none).collect();
            let expected: Vec<bool> = cases.iter().map(|(_, hold)| *hold).collect();
            assert_eq!(hold, expected, "{extension}: {verdicts:?}");
            judged += 1;
        }
        // The tests' own toolchain has a formatter and Python runs the set-up: at least these were there.
        assert!(judged >= 2);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_text_that_takes_too_long_spoils_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let cancel = AtomicBool::new(false);
        let place = Place { scratch: scratch.path(), time: Duration::ZERO, cancel: &cancel };
        let texts = [Text { text: "fn a() {}", extension: "rs" }; 2];
        let verdicts = judge(Group::Rust, &texts, place);
        assert!(
            verdicts.iter().all(|verdict| matches!(verdict, Some((Failure::Timeout, _)))),
            "{verdicts:?}"
        );
    }
}
