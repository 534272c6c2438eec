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

#[test]
fn a_new_member_is_itself_what_changed_and_a_class_only_where_its_own_lines_did() {
    let class = |members: &[&str]| format!("class A:\n{}", members.join("\n"));
    let (f, g, new) = (
        "    def f(self):\n        return 1\n",
        "    def g(self):\n        return 2\n",
        "    def new(self):\n        return 3\n",
    );
    let (doc, field) = ("    \"\"\"A thing.\"\"\"\n", "    size = 3\n");
    let changed_g = "    def g(self):\n        return -2\n";
    for (before, after, expected) in [
        (vec![f, g], vec![f, new, g], vec!["A.new"]),
        (vec![f, new, g], vec![f, g], vec!["A.new"]),
        (vec![f, g], vec![f, "", g], vec![]),
        (vec![f, g], vec![doc, f, g], vec!["A"]),
        (vec![field, f, g], vec!["    size = 4\n", f, g], vec!["A"]),
        // Its own lines and a member's: both, and the class is shown whole.
        (vec![f, g], vec![doc, f, changed_g], vec!["A", "A.g"]),
    ] {
        let history = History::new();
        let keep = "def z():\n    return 0\n\n\n";
        history.commit("first", &[("a.py", &(keep.to_owned() + &class(&before)))]);
        let tail = "\n\ndef added():\n    return 5\n";
        history.commit("second", &[("a.py", &(keep.to_owned() + &class(&after) + tail))]);
        let documents =
            history.documents(&CommitOptions { forms: vec![CommitForm::Chain], ..history.options() });
        let expected: Vec<&str> = expected.into_iter().chain(["added"]).collect();
        assert_eq!(documents[0].symbols, expected, "{}", documents[0].text);
    }
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
    assert_eq!(manifest.files.dropped[&DropReason::AddedOrRemoved], 27);
    assert_eq!((manifest.files.kept, manifest.files.seen), (1, 54));
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
    assert!(error(&file_in(folder.path())).contains("no such folder"));
    let inside = History::new();
    inside.commit("first", &[("src/a.c", "int a() {\n  return 1;\n}\n")]);
    let error_inside = error(&inside.repository().join("src"));
    assert!(error_inside.contains("not a git repository"), "what is around it is not meant: {error_inside}");
    let empty = History::new();
    assert!(error(&empty.repository()).contains("no commit"));
}

fn file_in(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("file");
    fs::write(&path, "x").unwrap();
    path
}

/// A function of so many lines, each with names of its own.
fn function(name: &str, lines: usize) -> String {
    let line = |at: usize| format!("  {name}_{at} = step_{at}({}, {name});\n", at * 7 + name.len());
    format!("int {name}(int x) {{\n{}}}\n", (0..lines).map(line).collect::<String>())
}

#[test]
fn bare_and_shallow_repositories_are_read() {
    let history = History::new();
    for step in 0..4 {
        history.commit(&format!("step {step}"), &[("a.c", &format!("int a() {{\n  return {step};\n}}\n"))]);
    }
    let whole = history.documents(&history.options());
    assert_eq!(whole.len(), 6);
    let cloned = |name: &str, flags: &[&str]| {
        let place = history.folder.path().join(name);
        let source = format!("file://{}", history.repository().display());
        history.git(&[&["clone", "-q"], flags, &[source.as_str(), place.to_str().unwrap()]].concat());
        CommitOptions { repositories: vec![place], ..CommitOptions::default() }
    };
    assert_eq!(history.documents(&cloned("bare/project.git", &["--bare"])), whole);
    // The oldest commit of a shallow clone has lost its parent: its files count as added.
    let shallow = cloned("shallow/project", &["--depth", "2"]);
    assert_eq!(history.documents(&shallow), whole[4..]);
    let manifest = history.build(&shallow).unwrap();
    assert_eq!(manifest.files.dropped[&DropReason::AddedOrRemoved], 1);
}

#[test]
fn a_partial_clone_is_refused() {
    let history = History::new();
    history.commit("first", &[("a.c", "int a() {\n  return 1;\n}\n")]);
    history.git(&["config", "uploadpack.allowFilter", "true"]);
    let place = history.folder.path().join("partial");
    let source = format!("file://{}", history.repository().display());
    history.git(&["clone", "-q", "--bare", "--filter=blob:none", &source, place.to_str().unwrap()]);
    let error =
        history.build(&CommitOptions { repositories: vec![place], ..CommitOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("partial clone"), "{error}");
    assert!(error.hint().unwrap().contains("--filter"));
    assert_eq!(error.exit() as u8, 2);
}

#[test]
fn merges_renames_binaries_links_and_submodules_are_counted() {
    let history = History::new();
    let (one, two) = ("int a() {\n  return 1;\n}\n", "int a() {\n  return 2;\n}\n");
    history.commit("first", &[("a.c", one), ("b.c", one), ("blob.c", "x\0y"), ("link.txt", "")]);
    let link = history.repository().join("link.c");
    std::os::unix::fs::symlink("a.c", &link).unwrap();
    let id = history.git(&["rev-parse", "HEAD"]);
    let held = |id: &str| format!("160000,{},sub", id.trim());
    history.git(&["update-index", "--add", "--cacheinfo", &held(&id)]);
    history.git(&["add", "link.c"]);
    history.git(&["commit", "-q", "-m", "links"]);
    history.git(&["checkout", "-q", "-b", "side"]);
    fs::write(history.repository().join("b.c"), two).unwrap();
    history.git(&["add", "b.c"]);
    history.git(&["commit", "-q", "-m", "side"]);
    history.git(&["checkout", "-q", "main"]);
    fs::write(history.repository().join("a.c"), two).unwrap();
    fs::write(history.repository().join("blob.c"), "x\0z").unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("b.c", &link).unwrap();
    let id = history.git(&["rev-parse", "HEAD"]);
    history.git(&["update-index", "--cacheinfo", &held(&id)]);
    history.git(&["add", "a.c", "blob.c", "link.c"]);
    history.git(&["commit", "-q", "-m", "main"]);
    history.git(&["merge", "-q", "side", "-m", "merge"]);
    history.git(&["mv", "a.c", "moved.c"]);
    history.git(&["commit", "-q", "-m", "move"]);
    let manifest = history.build(&history.options()).unwrap();
    let expected = [
        // Four files and two links at first, and the move, which removes and adds.
        (DropReason::AddedOrRemoved, 8),
        (DropReason::Merge, 1),
        (DropReason::Binary, 1),
        (DropReason::Symlink, 1),
        (DropReason::Submodule, 1),
    ];
    assert_eq!(manifest.files.dropped, expected.into());
    assert_eq!(
        (manifest.files.kept, manifest.files.seen),
        (2, 14),
        "a.c on main, b.c at its side, once each"
    );
}

#[test]
fn folders_have_the_license_that_stands_nearest() {
    let history = History::new();
    let source = |text: &str| format!("int a() {{\n  return {text};\n}}\n");
    let manifest = |license: &str| format!("[package]\nname = \"x\"\nlicense = \"{license}\"\n");
    let (mit, apache) = (manifest("MIT"), manifest("Apache-2.0"));
    let files = |text: &str| {
        [
            ("a.c", source(text)),
            ("sub/deep/b.c", function("b", 12).replace("step_3", text)),
            (
                "sub/c.c",
                "// SPDX-License-Identifier: ISC\n".to_owned() + &function("c", 15).replace("step_3", text),
            ),
        ]
    };
    let commit = |message: &str, text: &str| {
        let files = files(text);
        let mut all: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        all.extend([("Cargo.toml", mit.as_str()), ("sub/Cargo.toml", apache.as_str())]);
        history.commit(message, &all);
    };
    commit("first", "one");
    commit("second", "two");
    let chains = CommitOptions { forms: vec![CommitForm::Chain], ..history.options() };
    let licenses = |options: &CommitOptions| {
        let documents = history.documents(options);
        documents.into_iter().map(|one| (one.path, one.license)).collect::<Vec<_>>()
    };
    let said = [("a.c", "MIT"), ("sub/c.c", "ISC"), ("sub/deep/b.c", "Apache-2.0")];
    assert_eq!(licenses(&chains), said.map(|(path, license)| (path.to_owned(), license.to_owned())));
    let denied = with(&chains, |clean| clean.denied_licenses = vec!["Apache-2.0".to_owned()]);
    assert_eq!(licenses(&denied).len(), 2);
    let manifest = history.build(&denied).unwrap();
    assert_eq!(manifest.files.dropped[&DropReason::License], 1);
    assert_eq!(manifest.dropped_licenses["Apache-2.0"], 1);
    let unknown = with(&chains, |clean| clean.denied_licenses = vec!["No-Such".to_owned()]);
    assert_eq!(history.build(&unknown).unwrap_err().exit() as u8, 2);
}

fn with(
    options: &CommitOptions,
    change: impl FnOnce(&mut wootz_schema::clean::CleanOptions),
) -> CommitOptions {
    let mut options = options.clone();
    change(&mut options.clean);
    options
}

#[test]
fn what_cleaning_leaves_out_of_files_it_leaves_out_of_histories() {
    let history = History::new();
    let key = ["gh", "p_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"].concat();
    let files = |tail: &str| {
        [
            ("a.c", format!("int a() {{\n  return {tail}; // {key}, by ann.lee@uni-x.ac.uk\n}}\n")),
            ("vendor/v.c", format!("int v() {{\n  return {tail};\n}}\n")),
            ("tests/t.c", format!("int t() {{\n  return {tail};\n}}\n")),
            (
                "gen.c",
                format!(
                    "// Automatically generated by a tool. DO NOT EDIT.\nint g() {{\n  return {tail};\n}}\n"
                ),
            ),
            (
                "bench.c",
                format!(
                    "int b() {{\n  // one two three four five six seven eight nine ten eleven twelve thirteen {tail}\n}}\n"
                ),
            ),
        ]
    };
    let commit = |message: &str, tail: &str| {
        let files = files(tail);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        history.commit(message, &files);
    };
    commit("first", "1");
    commit(&format!("second, with {key}"), "2");
    let items = history.folder.path().join("items.jsonl");
    let item = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
    fs::write(&items, format!("{{\"task_id\": \"T/1\", \"prompt\": \"{item}\"}}\n")).unwrap();
    let options = with(&history.options(), |clean| {
        clean.drop_tests = true;
        clean.benchmarks = vec![items.clone()];
    });
    let manifest = history.build(&options).unwrap();
    let dropped = [
        (DropReason::AddedOrRemoved, 5),
        (DropReason::Vendored, 1),
        (DropReason::Test, 1),
        (DropReason::Generated, 1),
        (DropReason::Contaminated, 1),
    ];
    assert_eq!(manifest.files.dropped, dropped.into());
    assert_eq!(manifest.clean.contaminated, [("items:T/1".to_owned(), 2)].into());
    assert_eq!(manifest.clean.redacted.values().sum::<u64>(), 2);
    let documents: Vec<Document> = read_documents(&history.out()).unwrap().map(Result::unwrap).collect();
    assert_eq!(documents.len(), 2);
    for one in &documents {
        assert!(!one.text.contains(&key) && !one.text.contains("ann.lee"), "{}", one.text);
        assert_eq!(
            one.text.matches("REDACTED_GITHUB_TOKEN").count(),
            3,
            "message, before, after: {}",
            one.text
        );
    }
    let kept = with(&history.options(), |clean| clean.redact = false);
    assert!(history.documents(&kept).iter().any(|one| one.text.contains(&key)));
}

#[test]
fn the_same_change_in_a_copy_is_left_out_once_per_form() {
    let history = History::new();
    let (long, other) = (function("long_one", 60), function("other", 60));
    let copy = |text: &str| text.replace("step_31", "stride_31");
    let changed = |text: &str| text.replace("step_5(", "step_five(");
    history.commit("first", &[("a.c", &long), ("b.c", &copy(&long)), ("c.c", &other)]);
    history.commit(
        "second",
        &[("a.c", &changed(&long)), ("b.c", &changed(&copy(&long))), ("c.c", &changed(&other))],
    );
    let documents = history.documents(&history.options());
    let found: Vec<_> = documents.iter().map(|one| (one.path.as_str(), one.kind)).collect();
    let (chain, diff) = (DocumentKind::CommitChain, DocumentKind::CommitDiff);
    // The diff of the copy shows the hunk alone, which is just the same but for the file's name.
    assert_eq!(found, [("a.c", chain), ("a.c", diff), ("c.c", chain), ("c.c", diff)]);
    let manifest = history.build(&history.options()).unwrap();
    assert_eq!(manifest.dropped_documents[&DropReason::NearDuplicate].documents, 2);
    let all = with(&history.options(), |clean| clean.near_duplicates = false);
    assert_eq!(history.documents(&all).len(), 6);
}
