//! What is in a corpus, and what the manifest says about the rest.

use super::tree::{MIT, Tree};
use expect_test::{Expect, expect};
use wootz_corpus::{file_list, fingerprint, read_manifest, stats};
use wootz_schema::corpus::{CorpusFormat, CorpusOptions, DropReason};

/// One line per document, then the counts.
fn check(tree: &Tree, options: &CorpusOptions, expected: Expect) {
    let manifest = tree.build(options).unwrap();
    let mut text = String::new();
    for document in tree.documents() {
        text.push_str(&format!(
            "{} {} {} {} {:?} {:?}\n",
            document.repo,
            document.path,
            document.language,
            document.license,
            document.kind,
            document.symbols
        ));
    }
    let files = &manifest.files;
    text.push_str(&format!("{} seen, {} kept, dropped {:?}\n", files.seen, files.kept, files.dropped));
    expected.assert_eq(&text);
    assert_eq!(files.seen, files.kept + files.dropped.values().sum::<u64>(), "every file is accounted for");
    assert_eq!(manifest, read_manifest(&tree.out()).unwrap());
    let recounted = stats(&tree.out()).unwrap();
    assert_eq!(recounted.total, manifest.documents);
    assert_eq!(recounted.languages, manifest.languages);
    assert_eq!(recounted.licenses, manifest.licenses);
}

#[test]
fn projects_licenses_and_order() {
    let tree = Tree::new(&[
        ("b/Cargo.toml", "[package]\nlicense = \"Apache-2.0/MIT\"\n"),
        ("b/src/lib.rs", "pub fn b() {}\n"),
        ("b/tests/x.py", "# SPDX-License-Identifier: Zlib\ndef x(): pass\n"),
        ("b/inner/Cargo.toml", "[package]\nname = \"inner\"\n"),
        ("b/inner/i.rs", "mod i;\n"),
        ("a-b/z.go", "package z\n"),
        ("a/deep/LICENSE", MIT),
        ("a/deep/er/y.ts", "let y = 1;\n"),
        ("a/x.h", "int h(void);\n"),
        ("top.c", "int top;\n"),
    ]);
    check(
        &tree,
        &tree.options(),
        expect![[r#"
        a-b z.go go NOASSERTION File []
        a/deep er/y.ts typescript MIT File ["y"]
        a x.h c NOASSERTION File ["h"]
        b inner/i.rs rust Apache-2.0 OR MIT File ["i"]
        b src/lib.rs rust Apache-2.0 OR MIT File ["b"]
        b tests/x.py python Zlib File ["x"]
        . top.c c NOASSERTION File ["top"]
        10 seen, 7 kept, dropped {UnknownLanguage: 3}
    "#]],
    );
}

#[test]
fn the_source_itself_can_be_the_project() {
    let tree = Tree::new(&[("package.json", r#"{"license": "ISC"}"#), ("lib/a.js", "f()\n")]);
    tree.put(".git/HEAD", b"ref: refs/heads/main\n");
    tree.put(".git/packed-refs", b"# pack-refs\n0123456789012345678901234567890123456789 refs/heads/main\n");
    check(
        &tree,
        &tree.options(),
        expect![[r#"
        . lib/a.js javascript ISC File []
        2 seen, 1 kept, dropped {UnknownLanguage: 1}
    "#]],
    );
    assert_eq!(tree.documents()[0].commit.as_deref(), Some("0123456789012345678901234567890123456789"));
}

#[test]
fn every_reason_to_drop() {
    let tree = Tree::new(&[
        ("p/ok.rs", "fn ok() {}\n"),
        ("p/again.rs", "fn ok() {}\n"),
        ("p/readme.md", "# p\n"),
        ("p/Makefile", "all:\n"),
        ("p/empty.rs", " \n\t\n"),
        ("p/long.rs", &"// long\n".repeat(200)),
        ("p/one.rs", &format!("fn one() {{\n{}}}\n", "    f();\n".repeat(100))),
        ("p/other.py", "x = 1\n"),
        ("p/other.h", "class K;\n"),
        ("p/gpl.rs", "// SPDX-License-Identifier: GPL-3.0-only\nfn gpl() {}\n"),
        ("p/ignored.rs", "fn ignored() {}\n"),
        ("p/.gitignore", "ignored.rs\n"),
        ("p/.hidden/h.rs", "fn hidden() {}\n"),
        ("p/node_modules/m/m.js", "m()\n"),
        ("p/Cargo.toml", "[package]\n"),
        ("p/target/debug/t.rs", "fn t() {}\n"),
        ("p/src/target/kept.rs", "fn kept() {}\n"),
        ("p/list", "// <list> -*- C++ -*-\n#include <x>\n"),
    ]);
    tree.put("p/binary.rs", b"fn a() {}\0");
    tree.put("p/japanese.rs", b"// \x93\xfa\x96{\x8c\xea\n");
    #[cfg(unix)]
    std::os::unix::fs::symlink("ok.rs", tree.source().join("p/link.rs")).unwrap();
    let options = CorpusOptions {
        languages: Some(vec!["rust".to_owned()]),
        licenses: Some(vec!["MIT".to_owned(), "NOASSERTION".to_owned()]),
        max_file_bytes: 1500,
        max_document_bytes: 500,
        compose: None,
        ..tree.options()
    };
    check(
        &tree,
        &options,
        expect![[r#"
        p again.rs rust NOASSERTION File ["ok"]
        p src/target/kept.rs rust NOASSERTION File ["kept"]
        16 seen, 2 kept, dropped {Symlink: 1, UnknownLanguage: 3, OtherLanguage: 3, TooLarge: 1, Binary: 1, NotUtf8: 1, Empty: 1, License: 1, Duplicate: 1, Oversized: 1}
    "#]],
    );
    let manifest = read_manifest(&tree.out()).unwrap();
    assert_eq!(manifest.dropped_documents[&DropReason::Oversized].documents, 1);
    assert_eq!(manifest.dropped_licenses["GPL-3.0-only"], 1);
}

#[test]
fn long_files_become_runs_of_items() {
    let tree = Tree::new(&[("p/a.rs", "fn a() {}\nfn b() {}\nfn c() {}\n")]);
    check(
        &tree,
        &CorpusOptions { max_document_bytes: 25, compose: None, ..tree.options() },
        expect![[r#"
        p a.rs rust NOASSERTION Items ["a", "b"]
        p a.rs rust NOASSERTION Items ["c"]
        1 seen, 1 kept, dropped {}
    "#]],
    );
    let text: String = tree.documents().into_iter().map(|document| document.text).collect();
    assert_eq!(text, "fn a() {}\nfn b() {}\nfn c() {}\n");
}

#[test]
fn a_cap_takes_from_all_projects() {
    let body = |name: &str| format!("fn {name}() {{}}\n");
    let tree = Tree::new(&[]);
    for file in 0..20 {
        tree.put(&format!("big/{file:02}.rs"), body(&format!("big{file:02}")).as_bytes());
    }
    tree.put("small/a.rs", body("small").as_bytes());
    tree.put("tiny/a.rs", body("tiny").as_bytes());
    let options = CorpusOptions { max_total_bytes: Some(90), ..tree.options() };
    let manifest = tree.build(&options).unwrap();
    assert_eq!(manifest.projects, 3);
    assert!((70..=90).contains(&manifest.documents.bytes), "{:?}", manifest.documents);
    assert_eq!(manifest.files.dropped[&DropReason::OverTotal], 22 - manifest.files.kept);
    let small = tree.documents();
    tree.build(&CorpusOptions { max_total_bytes: Some(150), ..tree.options() }).unwrap();
    let larger = tree.documents();
    assert!(small.iter().all(|document| larger.contains(document)), "a larger cap extends a smaller one");
}

#[test]
fn parquet_holds_the_same_documents() {
    let tree = Tree::new(&[
        ("p/a.rs", "fn a() {}\nstruct B;\n"),
        ("p/b.py", "import os\n"),
        ("p/é.go", "package é\n\nfunc Größe() {}\n"),
    ]);
    tree.put("p/.cargo_vcs_info.json", br#"{"git": {"sha1": "0123456789012345678901234567890123456789"}}"#);
    tree.put("q/c.c", b"int c;\n");
    tree.build(&tree.options()).unwrap();
    let lines = tree.documents();
    let manifest = tree.build(&CorpusOptions { format: CorpusFormat::Parquet, ..tree.options() }).unwrap();
    assert_eq!(manifest.documents_file, "documents.parquet");
    assert_eq!(tree.documents(), lines);
    assert!(lines[0].commit.is_some() && lines[3].commit.is_none());
}

#[test]
fn the_fingerprint_changes_with_what_matters() {
    let tree = Tree::new(&[("p/a.rs", "fn a() {}\n"), ("p/LICENSE", MIT), ("p/notes.txt", "x")]);
    let options = tree.options();
    let listed: Vec<_> = file_list(&options)
        .unwrap()
        .into_iter()
        .map(|file| file.path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(listed, ["LICENSE", "a.rs"]);
    let before = fingerprint(&options).unwrap();
    tree.put("p/notes.txt", b"other words");
    assert_eq!(fingerprint(&options).unwrap(), before);
    tree.put("p/LICENSE", b"other terms");
    assert_ne!(fingerprint(&options).unwrap(), before);
}
