//! Audits: what counts, what is blamed on whom, and what a machine without tools is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;
use wootz_corpus::{AuditOptions, CorpusError, audit};
use wootz_schema::audit::{AuditCheck, Check, CorpusAudit, Failure, FlagOrigin};
use wootz_schema::document::{Document, DocumentKind};
use wootz_schema::progress::Silent;
use wootz_schema::{Diagnose, ExitCode};

/// Files below `src`, and documents that stand for what a corpus made of them.
fn folder(files: &[(&str, &str)], documents: &[Document]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join("src").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let lines = documents.iter().map(|document| serde_json::to_string(document).unwrap() + "\n");
    fs::write(folder.path().join("documents.jsonl"), lines.collect::<String>()).unwrap();
    folder
}

fn document(path: &str, kind: DocumentKind, language: &str, text: &str) -> Document {
    let (repo, path) = path.split_once('/').unwrap();
    Document {
        text: text.to_owned(),
        language: language.to_owned(),
        repo: repo.to_owned(),
        path: path.to_owned(),
        commit: None,
        license: "MIT".to_owned(),
        kind,
        symbols: Vec::new(),
        tokens: None,
        sha256: wootz_stdx::digest::sha256(text.as_bytes()),
    }
}

fn options(folder: &Path) -> AuditOptions {
    AuditOptions {
        corpus: folder.join("documents.jsonl"),
        sources: vec![folder.join("src")],
        sample: 100,
        seed: 1,
        jobs: 2,
        cc: vec!["cc".to_owned()],
        cxx: vec!["c++".to_owned()],
        time: Duration::from_secs(120),
        failures: None,
    }
}

fn run(options: &AuditOptions) -> CorpusAudit {
    audit(options, &Silent, &AtomicBool::new(false)).unwrap()
}

fn check(audit: &CorpusAudit, check: Check, kind: DocumentKind) -> &AuditCheck {
    audit.checks.iter().find(|entry| (entry.check, entry.kind) == (check, kind)).unwrap()
}

const HEADER: &str = "#ifndef H\n#define H\nstruct point { int x; };\nint length(struct point p);\n#endif\n";
const SOURCE: &str = "#include \"shape/point.h\"\nstatic int twice(int a) { return 2 * a; }\nint length(struct point p) { return twice(p.x); }\n";

#[test]
fn only_documents_whose_original_compiles_count() {
    let files = [
        ("p/api/shape/point.h", HEADER),
        ("p/core/point.c", SOURCE),
        ("p/core/broken.c", "#include <no/such/file.h>\n"),
        ("q/main.cpp", "#include \"own.hpp\"\nint main() { return own(); }\n"),
        ("q/own.hpp", "#pragma once\ninline int own() { return 0; }\n"),
    ];
    let (file, items) = (DocumentKind::File, DocumentKind::Items);
    let documents = [
        document("p/core/point.c", file, "c", SOURCE),
        document("p/core/broken.c", file, "c", "#include <no/such/file.h>\n"),
        document("q/main.cpp", file, "cpp", "#include \"own.hpp\"\nint main() { return own() }\n"),
        document(
            "p/core/point.c",
            items,
            "c",
            "#include \"shape/point.h\"\nint length(struct point p) { return twice(p.x); }\n",
        ),
        document(
            "p/core/point.c",
            items,
            "c",
            "int length(struct point p) { return 0; }\nstruct point { int x; };\n",
        ),
        document("p/gone.c", items, "c", "int a;\n"),
    ];
    let folder = folder(&files, &documents);
    let failures = folder.path().join("failures");
    let audit = run(&AuditOptions { failures: Some(failures.clone()), ..options(folder.path()) });

    let files = &check(&audit, Check::Compiles, file).all;
    assert_eq!((files.documents, files.originals, files.hold), (3, 2, 1));
    assert_eq!(files.failures, BTreeMap::from([(Failure::MissingSemicolon, 1)]));
    assert_eq!(files.original_failures, BTreeMap::from([(Failure::MissingHeader, 1)]));
    let parts = check(&audit, Check::Compiles, items);
    assert_eq!((parts.all.documents, parts.all.originals, parts.all.hold), (2, 2, 0));
    assert_eq!(parts.projects["p"].failures[&Failure::Undeclared], 1);
    assert_eq!(audit.projects["p"].include, [".", "api"]);
    assert_eq!(audit.projects["p"].standards["c"], "c11");
    assert_eq!(audit.skipped.iter().map(|skip| skip.documents).collect::<Vec<_>>(), [1]);
    // The document that lacks a `;` does not parse either.
    let parses = &check(&audit, Check::Parses, file).all;
    assert_eq!((parses.originals, parses.hold), (3, 2));

    let written = fs::read_dir(failures.join("compiles/file/missing_semicolon")).unwrap().count();
    assert_eq!(written, 2, "the document and what is wrong with it");
    let broken = fs::read_to_string(failures.join("compiles/originals")).unwrap();
    assert!(broken.starts_with("p/core/broken.c: "), "{broken}");
    // Who is first has no say.
    assert_eq!(run(&AuditOptions { jobs: 1, ..options(folder.path()) }), audit);
}

#[test]
fn a_project_is_judged_under_the_standard_that_most_of_it_is_written_in() {
    let old = "int typeof_is_free(int typeof) { return typeof; }\n";
    let newer = "#include <concepts>\ntemplate <std::integral T> T same(T a) { return a; }\n";
    let files =
        [("p/a.cpp", newer), ("q/a.c", old), ("q/b.c", "int f(int a) { typeof(a) b = a; return b; }\n")];
    let documents = files.map(|(path, text)| {
        document(path, DocumentKind::File, if path.ends_with('c') { "c" } else { "cpp" }, text)
    });
    let folder = folder(&files, &documents);
    let audit = run(&options(folder.path()));
    assert_eq!(audit.projects["p"].standards["cpp"], "c++20");
    // As many files under c11 as under gnu11: the first stays.
    assert_eq!(audit.projects["q"].standards["c"], "c11");
    assert_eq!(check(&audit, Check::Compiles, DocumentKind::File).projects["q"].originals, 1);
}

#[test]
fn compile_commands_decide_where_they_are() {
    let source = "#ifndef GIVEN\n#error\n#endif\nint a;\n";
    let commands =
        r#"[{"directory": "/", "file": "a.c", "arguments": ["cc", "-DGIVEN=1", "-std=gnu99", "-c", "a.c"]}]"#;
    let folder = folder(
        &[("p/a.c", source), ("p/build/compile_commands.json", commands)],
        &[document("p/a.c", DocumentKind::File, "c", source)],
    );
    let audit = run(&options(folder.path()));
    assert_eq!(check(&audit, Check::Compiles, DocumentKind::File).all.hold, 1);
    assert_eq!(audit.projects["p"].origin, FlagOrigin::Commands);

    fs::write(folder.path().join("src/p/build/compile_commands.json"), "{").unwrap();
    let error = audit_error(&options(folder.path()));
    assert!(matches!(error, CorpusError::CompileCommands { .. }), "{error}");
    assert_eq!(error.exit(), ExitCode::Usage);
}

fn audit_error(options: &AuditOptions) -> CorpusError {
    audit(options, &Silent, &AtomicBool::new(false)).unwrap_err()
}

#[test]
fn a_missing_compiler_is_one_error_with_its_fix() {
    let files = [("p/a.cpp", "int a;\n")];
    let folder = folder(&files, &[document("p/a.cpp", DocumentKind::File, "cpp", "int a;\n")]);
    let missing = AuditOptions { cxx: vec!["no-such-compiler".to_owned()], ..options(folder.path()) };
    let error = audit_error(&missing);
    assert_eq!(error.exit(), ExitCode::Environment);
    assert!(error.to_string().contains("C++ compiler `no-such-compiler`"), "{error}");
    assert!(error.hint().unwrap().contains("CXX"));
    // A compiler that nothing needs may be missing.
    let unused = AuditOptions { cc: vec!["no-such-compiler".to_owned()], ..options(folder.path()) };
    assert_eq!(run(&unused).checks.len(), 2);
}

#[test]
fn texts_that_compile_for_ever_end_as_timeouts_and_a_request_to_stop_is_heard() {
    let compiler = r#"case "$*" in *--version*) echo slow 1;; *) if grep -q slow; then sleep 100; fi;; esac"#;
    let slow = document("p/a.cpp", DocumentKind::File, "cpp", "int slow;\n");
    let folder = folder(&[("p/a.cpp", "int a;\n")], &[slow]);
    let cxx = ["sh", "-c", compiler, "sh"].map(str::to_owned).to_vec();
    let short = AuditOptions { time: Duration::from_secs(2), cxx, ..options(folder.path()) };
    let audited = run(&short);
    let share = &check(&audited, Check::Compiles, DocumentKind::File).all;
    assert_eq!((share.originals, &share.failures), (1, &BTreeMap::from([(Failure::Timeout, 1)])));
    let stopped = audit(&short, &Silent, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(CorpusError::Interrupted)));
}

#[test]
fn other_languages_are_judged_by_syntax() {
    let files = [("p/a.py", "def f():\n    return 1\n"), ("p/b.py", "def f(:\n"), ("p/c.rs", "fn a() {}\n")];
    let documents = [
        document("p/a.py", DocumentKind::File, "python", files[0].1),
        document("p/b.py", DocumentKind::File, "python", files[1].1),
        document("p/c.rs", DocumentKind::File, "rust", "fn a( {}\n"),
    ];
    let folder = folder(&files, &documents);
    let audit = run(&options(folder.path()));
    let shares = |language: &str| {
        let found =
            audit.checks.iter().find(|c| c.check == Check::Syntax && c.languages == language).unwrap();
        (found.all.documents, found.all.originals, found.all.hold)
    };
    assert_eq!((shares("python"), shares("rust")), ((2, 1, 1), (1, 1, 0)));
    assert!(audit.projects.is_empty(), "nothing was compiled");
}
