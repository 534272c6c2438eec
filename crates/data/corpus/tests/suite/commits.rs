//! Documents of git histories, by a real git.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use wootz_corpus::{CommitsError, commits, read_documents};
use wootz_schema::Diagnose;
use wootz_schema::commits::{CommitForm, CommitOptions};
use wootz_schema::corpus::{CorpusManifest, DropReason};
use wootz_schema::document::{Document, DocumentKind};
use wootz_schema::progress::Silent;

struct History {
    folder: tempfile::TempDir,
}

impl History {
    fn new() -> History {
        let history = History { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(history.repository()).unwrap();
        history.git(&["init", "-q", "-b", "main"]);
        history
    }

    fn repository(&self) -> std::path::PathBuf {
        self.folder.path().join("project")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.repository()).args([
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@example.com",
        ]);
        let done = command.args(arguments).stderr(Stdio::inherit()).output().unwrap();
        assert!(done.status.success(), "git {arguments:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn commit(&self, message: &str, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = self.repository().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    fn options(&self) -> CommitOptions {
        CommitOptions { repositories: vec![self.repository()], ..CommitOptions::default() }
    }

    fn build(&self, options: &CommitOptions) -> Result<CorpusManifest, CommitsError> {
        commits(options, &|text| text.len() as u64 / 4, &self.out(), &Silent)
    }

    fn out(&self) -> std::path::PathBuf {
        self.folder.path().join("out")
    }

    fn documents(&self, options: &CommitOptions) -> Vec<Document> {
        self.build(options).unwrap();
        read_documents(&self.out()).unwrap().map(Result::unwrap).collect()
    }
}

const BEFORE: &str = "#include <vector>

namespace geo {

static int leaf(int x) { return x; }

static int helper(int x) {
  return leaf(x) + 1;
}

static int unrelated(int x) {
  return x;
}

class Shape {
 public:
  int area() const {
    return helper(2);
  }
  int sides() const { return 4; }
};

template <class T>
T twice(T x) {
  return x + x;
}

}  // namespace geo
";

#[test]
fn a_chain_shows_callees_and_what_changed_before_and_after() {
    let history = History::new();
    history.commit("first", &[("LICENSE", "see COPYING"), ("src/geo.cc", BEFORE)]);
    let after = BEFORE.replace("return helper(2);", "return helper(3);");
    history.commit(
        "area: count the third\\n\\nIt was two.".replace("\\n", "\n").as_str(),
        &[("src/geo.cc", &after)],
    );
    let documents = history.documents(&CommitOptions { forms: vec![CommitForm::Chain], ..history.options() });
    assert_eq!(documents.len(), 1, "a file that was added is no change: {documents:?}");
    let one = &documents[0];
    assert_eq!(
        (one.kind, one.repo.as_str(), one.path.as_str()),
        (DocumentKind::CommitChain, "project", "src/geo.cc")
    );
    assert_eq!(one.symbols, ["geo::Shape::area"]);
    assert_eq!(one.commit.as_deref(), Some(history.git(&["rev-parse", "HEAD"]).trim()));
    let expected = "// area: count the third
//
// It was two.
//
// Repository: project
// File: src/geo.cc

#include <vector>

static int leaf(int x) { return x; }

static int helper(int x) {
  return leaf(x) + 1;
}

// Before:

int area() const {
    return helper(2);
  }

// After:

int area() const {
    return helper(3);
  }
";
    assert_eq!(one.text, expected);
}

#[test]
fn the_first_and_the_last_line_of_a_function_are_its_own_and_the_lines_around_it_are_not() {
    let lines = [
        "int a() {",
        "  return 1;",
        "}",
        "",
        "int b() {",
        "  return 2;",
        "}",
        "",
        "int c() {",
        "  return 3;",
        "}",
    ];
    let cases = [
        (0, "int a() { // x", "a"),
        (2, "} // x", "a"),
        (4, "int b() { // x", "b"),
        (6, "} // x", "b"),
        (8, "int c() { // x", "c"),
        (10, "} // x", "c"),
    ];
    for (line, text, name) in cases {
        let history = History::new();
        history.commit("first", &[("a.c", &lines.join("\n"))]);
        let mut changed = lines;
        changed[line] = text;
        history.commit("second", &[("a.c", &changed.join("\n"))]);
        let documents = history.documents(&history.options());
        assert!(documents.iter().all(|one| one.symbols == [name]), "{line}: {documents:?}");
    }
    // Between functions nothing is changed that a function holds.
    for line in [3, 7] {
        let history = History::new();
        history.commit("first", &[("a.c", &lines.join("\n"))]);
        let mut changed = lines;
        changed[line] = "/* x */";
        history.commit("second", &[("a.c", &changed.join("\n"))]);
        let error = history.build(&history.options()).unwrap_err();
        assert!(error.to_string().contains("no_definition 1"), "{error}");
    }
}

#[test]
fn added_lines_belong_to_the_function_around_the_gap_on_both_sides() {
    let history = History::new();
    history.commit("first", &[("a.py", "def a():\n    x = 1\n    return x\n\n\ndef b():\n    return 2\n")]);
    history.commit(
        "second",
        &[("a.py", "def a():\n    x = 1\n    x += 1\n    return x\n\n\ndef b():\n    return 2\n")],
    );
    let documents = history.documents(&history.options());
    assert_eq!(documents.len(), 2);
    assert!(documents.iter().all(|one| one.symbols == ["a"]));
    assert!(
        documents[0].text.contains("# Before:\n\ndef a():\n    x = 1\n    return x\n"),
        "{}",
        documents[0].text
    );
}

/// What a diff says is what git makes of it.
#[test]
fn a_diff_applies() {
    let source = |edit: &dyn Fn(usize) -> Option<String>| -> String {
        (0..60).filter_map(edit).collect::<Vec<_>>().join("\n")
    };
    let first = source(&|i| Some(format!("int f{i}() {{ return {i}; }}")));
    let versions = [
        source(&|i| {
            Some(if i % 17 == 3 {
                format!("int f{i}() {{ return -{i}; }}")
            } else {
                format!("int f{i}() {{ return {i}; }}")
            })
        }),
        source(&|i| (i % 7 != 2).then(|| format!("int f{i}() {{ return {i}; }}"))) + "\n",
        source(&|i| {
            Some(
                format!("int f{i}() {{ return {i}; }}")
                    + if i == 0 || i == 59 { "\nint more;\n" } else { "" },
            )
        }),
    ];
    for version in versions {
        let history = History::new();
        history.commit("first", &[("a.c", &first)]);
        history.commit("second", &[("a.c", &version)]);
        let documents =
            history.documents(&CommitOptions { forms: vec![CommitForm::Diff], ..history.options() });
        let text = &documents[0].text;
        let patch = history.folder.path().join("patch");
        fs::write(&patch, &text[text.find("--- a/").unwrap()..]).unwrap();
        history.git(&["checkout", "-q", "HEAD~1"]);
        history.git(&["apply", patch.to_str().unwrap()]);
        assert_eq!(fs::read_to_string(history.repository().join("a.c")).unwrap(), version);
    }
}

#[test]
fn bytes_do_not_depend_on_threads_and_the_wall_holds() {
    let history = History::new();
    for step in 0..12 {
        let body = |name: &str, lines: usize| {
            let lines: String = (0..lines).map(|i| format!("  x += {step} * {i};\n")).collect();
            format!("int {name}(int x) {{\n{lines}  return x;\n}}\n\n")
        };
        let text = body("small", 2) + &body("large", 60 * (step % 3));
        history.commit(&format!("step {step}"), &[("a.c", &text), ("b.c", &text.replace("small", "tiny"))]);
    }
    let options = |threads| CommitOptions { threads: Some(threads), max_tokens: 700, ..history.options() };
    let one = history.build(&options(1)).unwrap();
    assert_eq!(history.build(&options(2)).unwrap(), one);
    assert!(one.dropped_documents[&DropReason::Oversized].documents > 0, "{one:?}");
    let longest =
        read_documents(&history.out()).unwrap().map(|one| one.unwrap()).map(|one| one.tokens.unwrap());
    assert!(longest.max().unwrap() <= 700);
}

#[test]
fn what_is_left_out_is_counted() {
    let history = History::new();
    let many: Vec<(String, String)> =
        (0..25).map(|i| (format!("m{i}.c"), format!("int m{i}() {{\n  return 1;\n}}\n"))).collect();
    let as_files = |edit: &dyn Fn(&str) -> String| {
        many.iter().map(|(path, text)| (path.clone(), edit(text))).collect::<Vec<_>>()
    };
    let commit = |message: &str, files: &[(String, String)]| {
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        history.commit(message, &files);
    };
    commit("first", &many);
    history.commit("text", &[("notes.txt", "a"), ("a.c", "int a() {\n  return 1;\n}\n")]);
    commit("all", &as_files(&|text| text.replace('1', "2")));
    history
        .commit("\u{1}strange\u{1} message", &[("notes.txt", "b"), ("a.c", "int a() {\n  return 2;\n}\n")]);
    let manifest = history.build(&history.options()).unwrap();
    assert_eq!(manifest.files.dropped[&DropReason::MassChange], 25);
    assert_eq!(manifest.files.dropped[&DropReason::UnknownLanguage], 1);
    assert_eq!((manifest.files.kept, manifest.files.seen), (1, 27));
}

#[test]
fn bad_repositories_are_named_with_the_fix() {
    let error = |path: &Path| {
        let options = CommitOptions { repositories: vec![path.to_owned()], ..CommitOptions::default() };
        let out = tempfile::tempdir().unwrap();
        let error = commits(&options, &|_| 0, &out.path().join("out"), &Silent).unwrap_err();
        assert_eq!(error.exit() as u8, 2, "{error}");
        assert!(error.hint().is_some());
        error.to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    assert!(error(&folder.path().join("none")).contains("no such folder"));
    assert!(error(folder.path()).contains("not a git repository"));
    let empty = History::new();
    assert!(error(&empty.repository()).contains("no commit"));
}
