//! Corpora of JSON lines: the documents that a folder with the same files would give, and what happens to other lines.

use super::tree::{MIT, Tree};
use std::fs;
use std::path::PathBuf;
use wootz_corpus::{CorpusError, build_shard, commits, fingerprint, merge};
use wootz_schema::commits::CommitOptions;
use wootz_schema::corpus::{CorpusOptions, DropReason};
use wootz_schema::progress::Silent;
use wootz_schema::record::RecordOptions;
use wootz_schema::shard::Share;

/// A file of lines beside the tree's source.
fn lines(tree: &Tree, name: &str, lines: &[String]) -> PathBuf {
    let path = tree.source().with_file_name(name);
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn from(files: Vec<PathBuf>) -> CorpusOptions {
    let records = RecordOptions { files, ..RecordOptions::default() };
    CorpusOptions { records, threads: Some(2), ..CorpusOptions::default() }
}

fn record(repo: &str, path: &str, text: &str) -> String {
    json(&[("repo", repo), ("path", path), ("text", text)])
}

/// An object of text fields, written apart from any library.
fn json(fields: &[(&str, &str)]) -> String {
    let quoted = |text: &str| {
        let letters = text.chars().map(|letter| match letter {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            letter if letter < ' ' => format!("\\u{:04x}", letter as u32),
            letter => letter.to_string(),
        });
        format!("\"{}\"", letters.collect::<String>())
    };
    let fields = fields.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

const FILES: [(&str, &str, &str); 10] = [
    ("alpha", "LICENSE", MIT),
    (
        "alpha",
        "include/scale.h",
        "#pragma once\nstruct scale { int factor; };\nint scaled(struct scale s, int x);\n",
    ),
    (
        "alpha",
        "src/scale.c",
        "#include \"scale.h\"\nint scaled(struct scale s, int x) { return s.factor * x; }\n",
    ),
    (
        "alpha",
        "src/use.c",
        "#include \"scale.h\"\nint twice(int x) { struct scale s = { 2 }; return scaled(s, x); }\nint unused(void) { return 1; }\n",
    ),
    ("alpha", "tool.py", "# SPDX-License-Identifier: Zlib\nimport os\n\n\ndef tool():\n    return os.name\n"),
    // In a folder, what says something of a package makes it a project; a record tells its own.
    ("beta", "package.json", "{}"),
    ("beta", "lib.rs", "//! é\r\npub fn b() -> u8 {\n    1\n}\n"),
    ("beta", "copy.rs", "//! é\r\npub fn b() -> u8 {\n    1\n}\n"),
    ("beta", "sub/Cargo.toml", "[package]\nlicense = \"Apache-2.0\"\n"),
    ("beta", "sub/mod.rs", "pub mod tab { pub fn t() -> &'static str { \"\t\\\\\" } }\n"),
];

#[test]
fn a_folder_and_its_lines_are_one_corpus() {
    for cross in [false, true] {
        let tree = Tree::new(&[]);
        for (repo, path, text) in FILES {
            tree.put(&format!("{repo}/{path}"), text.as_bytes());
        }
        let mut of_folder = tree.options();
        if let Some(compose) = of_folder.compose.as_mut() {
            compose.every_function = cross;
        }
        let expected = tree.build(&of_folder).unwrap();
        let documents = tree.documents();
        assert!(documents.len() >= 5, "{documents:?}");
        // In no order, and in two files.
        let all: Vec<String> =
            FILES.iter().rev().map(|(repo, path, text)| record(repo, path, text)).collect();
        let files = vec![lines(&tree, "a.jsonl", &all[..4]), lines(&tree, "b.jsonl", &all[4..])];
        let options = CorpusOptions { compose: of_folder.compose.clone(), ..from(files) };
        let manifest = tree.build(&options).unwrap();
        assert_eq!(tree.documents(), documents);
        assert_eq!(manifest, expected, "counts of everything, digests included");
    }
}

#[test]
fn functions_draw_on_other_lines() {
    let tree = Tree::new(&[]);
    let all: Vec<String> = FILES.iter().map(|(repo, path, text)| record(repo, path, text)).collect();
    let mut options = from(vec![lines(&tree, "a.jsonl", &all)]);
    if let Some(compose) = options.compose.as_mut() {
        compose.every_function = true;
    }
    tree.build(&options).unwrap();
    let of_twice =
        tree.documents().into_iter().find(|one| one.symbols.last().is_some_and(|last| last == "twice"));
    let text = of_twice.expect("a document of `twice` with what it calls").text;
    assert!(text.contains("struct scale { int factor; };") && !text.contains("unused"), "{text}");
    assert!(text.find("int scaled") < text.find("int twice"), "{text}");
}

#[test]
fn every_line_is_accounted_for() {
    let tree = Tree::new(&[]);
    let long = "int a;\n".repeat(100_000);
    let all = [
        record("r", "ok.c", "int ok;\n"),
        "{\"text\": 7}".to_owned(),
        "not JSON".to_owned(),
        "{\"path\": \"a.c\"}".to_owned(),
        "{\"text\": \"int cut".to_owned(),
        String::new(),
        " \t".to_owned(),
        record("r", "empty.c", " \n"),
        record("r", "zero.c", "int z;\0"),
        record("r", "page.html", "<p>"),
        json(&[("text", "int nobody_knows;\n")]),
        record("r", "long.c", &long),
        json(&[("pad", &long.repeat(3)), ("text", "int padded;\n"), ("path", "p.c")]),
        record("r", "again.c", "int ok;\n"),
        "[1]".to_owned(),
    ];
    let path = lines(&tree, "train.jsonl", &all);
    let mut bytes = fs::read(&path).unwrap();
    bytes.splice(0..0, *b"\xef\xbb\xbf");
    bytes.extend_from_slice(b"\n{\"text\":\"\xff\"}\n");
    fs::write(&path, bytes).unwrap();
    let options = CorpusOptions { max_file_bytes: 1000, ..from(vec![path]) };
    let manifest = tree.build(&options).unwrap();
    let dropped: Vec<_> = manifest.files.dropped.iter().map(|(reason, count)| (*reason, *count)).collect();
    assert_eq!(
        dropped,
        [
            (DropReason::UnknownLanguage, 2),
            (DropReason::TooLarge, 2),
            (DropReason::Binary, 1),
            (DropReason::Empty, 1),
            (DropReason::Duplicate, 1),
            (DropReason::BadRecord, 6),
        ]
    );
    assert_eq!((manifest.files.seen, manifest.files.kept), (14, 1), "blank lines are no lines");
}

#[test]
fn datasets_say_where_lines_come_from() {
    let tree = Tree::new(&[]);
    let commit = "0123456789012345678901234567890123456789";
    let all = [
        json(&[
            ("max_stars_repo_name", "own/er"),
            ("max_stars_repo_path", "../a.h"),
            ("content", "int a;\n"),
            ("max_stars_repo_head_hexsha", commit),
        ]),
        r#"{"repo_name":"own/er","path":"/b.c","code":"int b;\n","license":["mit","apache-2.0"]}"#.to_owned(),
        json(&[("repo", "own/er"), ("path", "b.c"), ("text", "int b2;\n"), ("license", "no such license")]),
        json(&[("lang", "C++"), ("text", "class K {};\n")]),
        json(&[("language", "Go"), ("path", "x.unknown"), ("text", "package x\n")]),
        json(&[("text", "// SPDX-License-Identifier: Zlib\nint z;\n"), ("path", "z.c"), ("license", "MIT")]),
        json(&[("text", "int guessed;\n")]),
    ];
    let mut options = from(vec![lines(&tree, "train.jsonl", &all)]);
    options.records.language = Some("c".to_owned());
    tree.build(&options).unwrap();
    let mut found: Vec<String> = tree
        .documents()
        .iter()
        .map(|one| {
            let commit = if one.commit.is_some() { " at a commit" } else { "" };
            format!("{} {} {} {}{commit}", one.repo, one.path, one.language, one.license)
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "own/er a.h c NOASSERTION at a commit",
            "own/er b.c c Apache-2.0 AND MIT at a commit",
            "own/er b~2.c c NOASSERTION at a commit",
            "train record-000004.cc cpp NOASSERTION",
            "train record-000007.c c NOASSERTION",
            "train x.unknown go NOASSERTION",
            "train z.c c Zlib",
        ]
    );
}

#[test]
fn lines_are_the_same_on_any_threads_and_in_shards() {
    let tree = Tree::new(&[("p/a.rs", "fn a() {}\n")]);
    let all: Vec<String> = (0..300)
        .map(|line| {
            let text = format!("int f{line}(int x) {{ return x + {line}; }}\n").repeat(1 + line % 5);
            record(&format!("repo-{}", line % 7), &format!("d{}/f.c", line % 11), &text)
        })
        .collect();
    let files = vec![lines(&tree, "a.jsonl", &all[..100]), lines(&tree, "b.jsonl", &all[100..])];
    let options = CorpusOptions { sources: vec![tree.source()], ..from(files) };
    let expected = tree.build(&CorpusOptions { threads: Some(1), ..options.clone() }).unwrap();
    assert!(expected.documents.documents > 100, "{expected:?}");
    assert_eq!(tree.build(&options).unwrap(), expected);
    let shards: Vec<PathBuf> = (0..2)
        .map(|index| {
            let out = tree.out().with_file_name(format!("shard-{index}"));
            build_shard(&options, Share { index, count: 2 }, &out, &Silent).unwrap();
            out
        })
        .collect();
    assert_eq!(merge(&shards, &tree.out(), &Silent).unwrap(), expected);
}

#[test]
fn a_number_of_lines_can_be_asked_for() {
    let tree = Tree::new(&[]);
    let all: Vec<String> =
        (0..20).map(|line| record("r", &format!("{line}.c"), &format!("int a{line};\n"))).collect();
    let files = vec![lines(&tree, "a.jsonl", &all[..10]), lines(&tree, "b.jsonl", &all[10..])];
    let mut options = from(files);
    options.records.max_records = Some(3);
    assert_eq!(tree.build(&options).unwrap().files.seen, 6, "of each file");
}

#[test]
fn the_fingerprint_changes_with_the_lines() {
    let tree = Tree::new(&[]);
    let path = lines(&tree, "a.jsonl", &[record("r", "a.c", "int a;\n")]);
    let options = from(vec![path.clone()]);
    let before = fingerprint(&options).unwrap();
    fs::write(&path, record("r", "a.c", "int other;\n")).unwrap();
    assert_ne!(fingerprint(&options).unwrap(), before);
}

/// A commit record whose diff is of something else.
fn change(path: &str, old: &str, new: &str) -> String {
    json(&[
        ("old_content", old),
        ("new_content", new),
        ("diff", "@@ -1 +1 @@\n-nothing\n+of this\n"),
        ("subject", "count one more"),
        ("body", "It was one short.\n"),
        ("filepath", path),
        ("repo", "own/er"),
    ])
}

const COUNTED: &str =
    "#include \"one.h\"\n\nint one(void) { return 1; }\n\nint two(void) {\n  return one() + 1;\n}\n";

#[test]
fn changes_are_lines_too() {
    let tree = Tree::new(&[]);
    let mended = COUNTED.replace("+ 1", "+ 2");
    let all = [
        change("src/two.c", COUNTED, &mended),
        change("src/again.c", COUNTED, COUNTED),
        change("", COUNTED, &mended),
        change("page.html", COUNTED, &mended),
        change("third_party/two.c", COUNTED, &mended),
        change("long.c", COUNTED, &format!("{mended}{}", "int a;\n".repeat(200))),
        change("gone.c", COUNTED, "\n"),
        json(&[("old_content", COUNTED), ("new_content", &mended), ("filepath", "a.c")]),
        "{".to_owned(),
        json(&[("text", "int a;")]),
    ];
    let files = vec![lines(&tree, "first.jsonl", &all[..3]), lines(&tree, "second.jsonl", &all[3..])];
    let records = RecordOptions { files, ..RecordOptions::default() };
    let options = CommitOptions { records, max_file_bytes: 1000, ..CommitOptions::default() };
    let run = |threads| {
        let options = CommitOptions { threads: Some(threads), ..options.clone() };
        commits(&options, &|text| text.len() as u64, &tree.out(), &Silent).unwrap()
    };
    let manifest = run(2);
    assert_eq!(manifest, run(1));
    let dropped: Vec<_> = manifest.files.dropped.iter().map(|(reason, count)| (*reason, *count)).collect();
    assert_eq!(
        dropped,
        [
            (DropReason::UnknownLanguage, 1),
            (DropReason::TooLarge, 1),
            (DropReason::Empty, 1),
            (DropReason::NoDefinition, 1),
            (DropReason::Vendored, 1),
            (DropReason::BadRecord, 4),
        ]
    );
    assert_eq!((manifest.files.seen, manifest.files.kept, manifest.projects), (10, 1, 1));
    let documents = tree.documents();
    let about = "// count one more\n//\n// It was one short.\n//\n// Repository: own/er\n// File: src/two.c\n\n\
        #include \"one.h\"\n\nint one(void) { return 1; }\n\n";
    let (old, new) =
        ("int two(void) {\n  return one() + 1;\n}\n", "int two(void) {\n  return one() + 2;\n}\n");
    let diff = "--- a/src/two.c\n+++ b/src/two.c\n@@ -3,5 +3,5 @@\n int one(void) { return 1; }\n \n int two(void) {\n\
        -  return one() + 1;\n+  return one() + 2;\n }\n";
    let texts: Vec<&str> = documents.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(
        texts,
        [format!("{about}// Before:\n\n{old}\n// After:\n\n{new}"), format!("{about}// Change:\n\n{diff}")]
    );
    assert!(documents.iter().all(|one| one.commit.is_none() && one.symbols == ["two"]));
}

#[test]
fn what_holds_no_lines_is_one_error() {
    let tree = Tree::new(&[]);
    let message = |options: &CorpusOptions| tree.build(options).unwrap_err().to_string();
    assert!(message(&from(vec![tree.source().join("none.jsonl")])).contains("none.jsonl"));
    assert!(message(&from(vec![tree.source()])).contains("not a regular file"));
    let bad = lines(&tree, "bad.jsonl", &["x".to_owned(), "y".to_owned()]);
    let said = message(&from(vec![bad]));
    assert!(said.contains("bad.jsonl") && said.contains("bad_record 2"), "{said}");
    let good = lines(&tree, "good.jsonl", &[record("r", "a.c", "int a;\n")]);
    let changes = |files| {
        let records = RecordOptions { files, ..RecordOptions::default() };
        let options = CommitOptions { records, ..CommitOptions::default() };
        commits(&options, &|_| 1, &tree.out(), &Silent).unwrap_err().to_string()
    };
    let missing = tree.source().join("none.jsonl");
    assert!(changes(vec![good.clone(), missing]).contains("none.jsonl"), "before the first is read");
    let said = changes(vec![good.clone()]);
    assert!(said.contains("good.jsonl") && said.contains("bad_record 1"), "{said}");
    let mut options = from(vec![good]);
    options.records.language = Some("klingon".to_owned());
    assert!(matches!(tree.build(&options).unwrap_err(), CorpusError::UnknownLanguage { .. }));
    assert!(tree.beside().iter().all(|name| name.ends_with(".jsonl")), "{:?}", tree.beside());
}
