//! The binary under the name `cpp-chunker`: its modes, its output, and inputs and places that are not as they should be.

#![allow(clippy::unwrap_used, reason = "a run that cannot be set up has failed")]

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use wootz_tokenizer::Tokenizer;

fn chunker(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
    command.arg0("/usr/local/bin/cpp-chunker").args(args).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs with an output, and gives its texts and what was said.
fn texts(folder: &Path, args: &[&str]) -> (Vec<String>, String) {
    let args = [args, &["--output", "out.jsonl"]].concat();
    let output = chunker(folder, &args);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "everything but the documents goes to stderr");
    let text_of = |line: &str| {
        let read: Value = serde_json::from_str(line).unwrap();
        assert_eq!(read.as_object().unwrap().len(), 1, "{line}");
        read["text"].as_str().unwrap().to_owned()
    };
    (fs::read_to_string(folder.join("out.jsonl")).unwrap().lines().map(text_of).collect(), said)
}

fn lines(folder: &Path, name: &str, records: &[Value]) {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    fs::write(folder.join(name), lines.join("\n")).unwrap();
}

fn put(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A file of many functions, of which each calls the one before.
fn long(name: &str) -> String {
    let mut text = format!("#include <vector>\n\nstruct {name}_state {{\n  std::vector<int> seen;\n}};\n\n");
    for function in 0..60 {
        let callee =
            if function == 0 { "0".to_owned() } else { format!("{name}_{}(state, x)", function - 1) };
        text += &format!(
            "static int {name}_{function}({name}_state& state, int x) {{\n  state.seen.push_back(x);\n  return {callee} + {function};\n}}\n\n"
        );
    }
    text
}

const SHORT: &str = "#include <cstdio>\n\nint main() {\n  std::puts(\"a text of a few words\");\n}\n";
const SCALE_H: &str = "#pragma once\n\nstruct scale { int factor; };\n\nint scaled(struct scale s, int x);\n";
const SCALE_C: &str = "#include \"scale.h\"\n\nint scaled(struct scale s, int x) { return s.factor * x; }\n";
const USE_C: &str =
    "#include \"scale.h\"\n\nint twice(int x) {\n  struct scale s = { 2 };\n  return scaled(s, x);\n}\n";

/// Projects with a header, a test, and files that draw on each other.
fn write_projects(folder: &Path) {
    for (path, text) in [("include/scale.h", SCALE_H), ("src/scale.c", SCALE_C), ("src/use.c", USE_C)] {
        put(folder, &format!("projects/alpha/{path}"), text);
    }
    put(
        folder,
        "projects/alpha/tests/use_test.c",
        "int test_of_twice(void) { return 4 - 2 - 2 + 0 * 1; }\n/* so */\n",
    );
    put(folder, "projects/beta/main.cpp", &long("beta"));
    put(folder, "projects/beta/tool.py", "def tool():\n    return 'a text that is long enough to be one'\n");
}

fn change(path: &str, from: &str, to: &str) -> Value {
    let text = |factor: &str| SCALE_C.replace("s.factor", factor);
    json!({
        "old_content": text(from), "new_content": text(to), "diff": "@@ -1 +1 @@\n-a\n+b\n", "subject": "scaled: another factor",
        "body": "The one before was wrong.", "filepath": path, "repo": "alpha",
    })
}

#[test]
fn long_files_become_functions_with_what_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let long = long("one");
    lines(
        folder,
        "in.jsonl",
        &[json!({"text": long, "stars": 7}), json!({"text": SHORT}), json!({"text": "int a;\n"})],
    );
    for extra in [[].as_slice(), &["--dep-aware"]] {
        let args = [&["--inputs", "in.jsonl", "--max-tokens", "400"], extra].concat();
        let (texts, said) = texts(folder, &args);
        let tokens = |text: &String| Tokenizer::built_in().encode_ordinary(text.as_bytes()).len();
        assert!(texts.len() > 10 && texts.iter().all(|text| tokens(text) <= 400), "{}", texts.len());
        assert!(texts.iter().any(|text| text == SHORT));
        let total: usize = texts.iter().map(tokens).sum();
        assert!(
            said.contains(&format!("  {}, ", texts.len())) && said.contains(&format!(", {total} tokens\n")),
            "{said}"
        );
        assert!(said.contains("1 documents") && said.contains("too short"), "{said}");
        let of_third = texts.iter().find(|text| text.contains("static int one_3(")).unwrap();
        let places: Vec<_> = ["#include <vector>", "struct one_state {", "int one_2(", "int one_3("]
            .map(|part| of_third.find(part))
            .into();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{of_third}");
        assert!(!of_third.contains("int one_9("), "{of_third}");
    }
    // A wall that it fits behind.
    let (texts, _) = texts(folder, &["--inputs", "in.jsonl", "--max-tokens", "100000"]);
    assert!(texts.len() == 2 && texts.contains(&long), "{}", texts.len());
}

#[test]
fn files_draw_on_other_lines_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let record = |path: &str, text: &str| json!({"repo": "alpha", "path": path, "text": text});
    let only_includes = "#include <stdio.h>\n#include \"use.c\"\n\n/* It has nothing of its own. */\n";
    let all = [record("use.c", USE_C), record("scale.h", SCALE_H), record("all.c", only_includes)];
    lines(folder, "a.jsonl", &all);
    lines(folder, "b.jsonl", &[record("scale.c", SCALE_C)]);
    let of_twice = |args: &[&str]| {
        let args = [&["--inputs", "a.jsonl", "b.jsonl"], args].concat();
        texts(folder, &args).0.into_iter().find(|text| text.contains("int twice(")).unwrap()
    };
    assert_eq!(of_twice(&[]), USE_C);
    let crossed = of_twice(&["--cross-file"]);
    assert!(fs::read_to_string(folder.join("out.jsonl")).unwrap().contains("nothing of its own"));
    assert!(
        crossed.contains("struct scale { int factor; };") && crossed.contains("s.factor * x"),
        "{crossed}"
    );
    assert!(crossed.find("s.factor * x") < crossed.find("int twice("), "{crossed}");
}

#[test]
fn projects_give_documents_of_sources() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_projects(folder);
    let (crossed, said) = texts(folder, &["--project-dirs", "projects", "--max-tokens", "500"]);
    assert!(said.contains("RESULTS (projects)") && said.contains("tests 1"), "{said}");
    assert!(
        crossed.iter().any(|text| text.contains("int twice(") && text.contains("s.factor * x")),
        "{crossed:?}"
    );
    let (compiling, _) =
        texts(folder, &["--project-dirs", "projects", "--compilable", "--max-tokens", "500"]);
    assert!(compiling.iter().any(|text| text == USE_C), "{compiling:?}");
    for found in [&crossed, &compiling] {
        assert!(
            !found
                .iter()
                .any(|text| text == SCALE_H || text.contains("def tool") || text.contains("test_of"))
        );
        assert!(found.iter().filter(|text| text.contains("beta_state")).count() > 10);
    }
}

#[test]
fn changes_are_chains_and_diffs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lines(folder, "in.jsonl", &[change("src/scale.c", "s.factor", "2 * s.factor"), json!({"text": SHORT})]);
    let run = |format: &[&str]| texts(folder, &[&["--commit-mode", "--inputs", "in.jsonl"], format].concat());
    let (both, said) = run(&[]);
    assert!(said.contains("lines that are no records 1"), "{said}");
    let (chain, diff) = (run(&["--commit-format", "chain"]).0, run(&["--commit-format", "diff"]).0);
    assert_eq!(
        (both.as_slice(), chain.len(), diff.len()),
        ([chain.clone(), diff.clone()].concat().as_slice(), 1, 1)
    );
    for text in &both {
        assert!(text.starts_with(
            "// scaled: another factor\n//\n// The one before was wrong.\n//\n// Repository: alpha\n"
        ));
        assert!(text.contains("// File: src/scale.c\n\n#include \"scale.h\"\n"), "{text}");
    }
    assert!(chain[0].contains("{ return s.factor * x; }\n\n// After:\n"), "{}", chain[0]);
    assert!(
        diff[0].contains("\n-int scaled(struct scale s, int x) { return s.factor * x; }\n+int scaled("),
        "{}",
        diff[0]
    );
}

#[test]
fn of_several_modes_the_first_counts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_projects(folder);
    lines(folder, "in.jsonl", &[change("src/scale.c", "s.factor", "2 * s.factor"), json!({"text": SHORT})]);
    let mode = |args: &[&str]| {
        let (_, said) = texts(folder, args);
        let line = said.lines().find(|line| line.starts_with("RESULTS")).unwrap();
        (line.to_owned(), said.contains("--inputs are not read"))
    };
    let all = ["--cross-file", "--project-dirs", "projects", "--commit-mode", "--inputs", "in.jsonl"];
    assert_eq!(mode(&all), ("RESULTS (changes)".to_owned(), false));
    assert_eq!(
        mode(&["--cross-file", "--project-dirs", "projects"]),
        ("RESULTS (projects)".to_owned(), false)
    );
    let both = ["--cross-file", "--project-dirs", "projects", "--inputs", "in.jsonl"];
    assert_eq!(mode(&both), ("RESULTS (projects)".to_owned(), true));
    assert_eq!(mode(&["--inputs", "in.jsonl", "--cross-file"]), ("RESULTS (cross-file)".to_owned(), false));
    assert_eq!(mode(&["--inputs", "in.jsonl"]), ("RESULTS (each file by itself)".to_owned(), false));
    let output = chunker(folder, &["--commit-mode", "--project-dirs", "projects", "--output", "out.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("there are no --inputs"), "{}", said(&output));
}

#[test]
fn bad_lines_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let good = json!({"text": SHORT}).to_string();
    let long = json!({"text": format!("int a;\n{}", "// and so on\n".repeat(60_000))}).to_string();
    let text = format!("not JSON\n{good}\n\n[]\n{{\"code\": 7}}\n{long}\n{good}\n{{\"text\": \"int cut");
    fs::write(folder.join("in.jsonl"), &text).unwrap();
    let (texts, said) = texts(folder, &["--inputs", "in.jsonl"]);
    assert_eq!(texts, [SHORT]);
    for part in ["1 kept of 7 seen", "too large 1", "duplicates 1", "lines that are no records 4"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Where nothing is right, it was the wrong file.
    fs::write(folder.join("in.jsonl"), "not JSON\n{}\n").unwrap();
    fs::write(folder.join("out.jsonl"), "as it was").unwrap();
    let output = chunker(folder, &["--inputs", "in.jsonl", "--output", "out.jsonl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(self::said(&output).contains("bad_record 2"), "{}", self::said(&output));
    assert_eq!(fs::read_to_string(folder.join("out.jsonl")).unwrap(), "as it was");
    assert_eq!(names(folder), ["in.jsonl", "out.jsonl"]);
}

#[test]
fn nothing_in_is_nothing_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("empty.jsonl"), "").unwrap();
    fs::write(folder.join("blank.jsonl"), "\n \n").unwrap();
    lines(folder, "tiny.jsonl", &[json!({"text": "int a;\n"})]);
    for (input, mode) in
        [("empty.jsonl", "--dep-aware"), ("blank.jsonl", "--commit-mode"), ("tiny.jsonl", "--cross-file")]
    {
        fs::write(folder.join("out.jsonl"), "of an earlier run").unwrap();
        let (texts, said) = texts(folder, &["--inputs", input, mode]);
        assert!(texts.is_empty() && said.contains("RESULTS"), "{input}: {said}");
    }
    assert_eq!(names(folder), ["blank.jsonl", "empty.jsonl", "out.jsonl", "tiny.jsonl"]);
}

#[test]
fn some_lines_of_each_input() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let record = |text: usize| json!({"text": SHORT.replace("few", &format!("count of {text}"))});
    lines(folder, "a.jsonl", &(0..5).map(record).collect::<Vec<_>>());
    lines(folder, "b.jsonl", &(5..10).map(record).collect::<Vec<_>>());
    let (all, _) = texts(folder, &["--inputs", "a.jsonl", "b.jsonl", "--max-records", "0"]);
    let (some, _) = texts(folder, &["--inputs", "a.jsonl", "b.jsonl", "--max-records", "2"]);
    assert_eq!((all.len(), some.len()), (10, 4));
    assert!(some.iter().all(|text| all.contains(text)));
}

#[test]
fn bytes_do_not_depend_on_threads_and_batches() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_projects(folder);
    let record = |file: usize| json!({"repo": format!("r{}", file % 3), "path": format!("{file}.cc"), "text": long(&format!("f{file}"))});
    lines(folder, "in.jsonl", &(0..12).map(record).collect::<Vec<_>>());
    let changes: Vec<Value> = (0..20)
        .map(|file| {
            let (old, path) = (long(&format!("g{file}")), format!("src/{file}.cc"));
            let new = old.replace(&format!("+ {file};"), "+ 0;");
            json!({"old_content": old, "new_content": new, "subject": "less", "filepath": path, "repo": "r"})
        })
        .collect();
    lines(folder, "changes.jsonl", &changes);
    for args in [
        ["--inputs", "in.jsonl", "--dep-aware"].as_slice(),
        &["--inputs", "in.jsonl", "--cross-file"],
        &["--project-dirs", "projects", "--compilable"],
        &["--inputs", "changes.jsonl", "--commit-mode"],
    ] {
        let run = |threads: &str, batch: &str| {
            texts(folder, &[args, &["--threads", threads, "--batch-size", batch]].concat()).0
        };
        let expected = run("1", "1000");
        assert!(expected.len() >= 10 && run("2", "1") == expected && run("0", "7") == expected, "{args:?}");
    }
}

#[test]
fn inputs_and_places_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lines(folder, "in.jsonl", &[json!({"text": SHORT})]);
    fs::create_dir(folder.join("folder")).unwrap();
    symlink("in.jsonl", folder.join("link.jsonl")).unwrap();
    let before = fs::read(folder.join("in.jsonl")).unwrap();
    for (args, expected) in [
        (["--inputs", "none.jsonl", "--output", "out.jsonl"].as_slice(), "none.jsonl"),
        (&["--inputs", "in.jsonl", "none.jsonl", "--commit-mode", "--output", "out.jsonl"], "none.jsonl"),
        (&["--inputs", "folder", "--output", "out.jsonl"], "folder"),
        (&["--project-dirs", "none", "--output", "out.jsonl"], "no such folder"),
        (&["--project-dirs", "folder", "--output", "out.jsonl"], "there are no files"),
        (&["--inputs", "in.jsonl", "--output", "folder"], "name a file: there is a folder"),
        (&["--inputs", "in.jsonl", "--output", "none/out.jsonl"], "failed to write none/out.jsonl"),
        (&["--inputs", "in.jsonl", "--output", "in.jsonl/out.jsonl"], "failed to write in.jsonl/out.jsonl"),
        (&["--inputs", "in.jsonl", "--output", "link.jsonl"], "it is an input as well"),
        (&["--inputs", "in.jsonl", "--output", "/dev/null"], "not a regular file"),
        (&["--inputs", "in.jsonl"], "--output"),
        (&["--output", "out.jsonl"], "--inputs"),
        (&["--inputs", "in.jsonl", "--output", "out.jsonl", "--max-tokens", "0"], "--max-tokens"),
        (&["--inputs", "in.jsonl", "--output", "out.jsonl", "--commit-format", "all"], "--commit-format"),
    ] {
        let output = chunker(folder, args);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert_eq!(said.matches("error:").count(), 1, "{said}");
        assert!(said.contains(expected), "{args:?}: {said}");
        assert_eq!(names(folder), ["folder", "in.jsonl", "link.jsonl"], "{args:?} left something");
    }
    assert_eq!(fs::read(folder.join("in.jsonl")).unwrap(), before);
}

#[test]
fn a_full_disk_leaves_the_old_output() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    lines(
        folder,
        "in.jsonl",
        &(0..40).map(|file| json!({"text": long(&format!("f{file}"))})).collect::<Vec<_>>(),
    );
    fs::write(folder.join("out.jsonl"), "as it was").unwrap();
    // No file may be longer than 64 KiB.
    let program = PathBuf::from(env!("CARGO_BIN_EXE_wootz"));
    symlink(program, folder.join("cpp-chunker")).unwrap();
    let script = "trap '' XFSZ; ulimit -f 64; exec ./cpp-chunker --inputs in.jsonl --output out.jsonl";
    let output = Command::new("bash").args(["-c", script]).current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("File too large"), "{}", said(&output));
    assert_eq!(fs::read_to_string(folder.join("out.jsonl")).unwrap(), "as it was");
    let (again, _) = texts(folder, &["--inputs", "in.jsonl"]);
    assert!(again.len() > 400, "{}", again.len());
    assert_eq!(names(folder), ["cpp-chunker", "in.jsonl", "out.jsonl"]);
}

#[test]
fn its_flags_are_those_of_scripts() {
    let folder = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_wootz"), folder.path().join("cpp-chunker")).unwrap();
    let output = Command::new(folder.path().join("cpp-chunker")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && help.contains("Usage: cpp-chunker [OPTIONS] --output <FILE>"),
        "{help}"
    );
    for (flag, default) in [
        ("--inputs <FILE>...", ""),
        ("--project-dirs <DIR>", ""),
        ("--max-tokens", "[default: 1024]"),
        ("--max-records", "[default: 0]"),
        ("--threads", "[default: 0]"),
        ("--batch-size", "[default: 1000]"),
        ("--dep-aware", ""),
        ("--cross-file", ""),
        ("--cross-depth", "[default: 3]"),
        ("--max-file-bytes", "[default: 500000]"),
        ("--compilable", ""),
        ("--commit-mode", ""),
        ("--commit-format", "[default: both]"),
    ] {
        let of_flag = help.split(flag).nth(1).unwrap_or_else(|| panic!("{flag} is not in {help}"));
        let own = of_flag.split("\n      --").next().unwrap();
        assert!(own.contains(default), "{flag}: {own}");
    }
}
