//! Each error: its message, its fix, its exit code, and nothing left behind.

use super::tree::Tree;
use expect_test::{Expect, expect};
use wootz_corpus::{CorpusError, read_documents, read_manifest};
use wootz_schema::corpus::CorpusOptions;
use wootz_schema::{Diagnose, ExitCode};

fn check(tree: &Tree, error: &CorpusError, expected: Expect) {
    let folder = tree.source().parent().unwrap().display().to_string();
    let hint = error.hint().unwrap_or_default();
    expected.assert_eq(&format!("failed to {error}\nhint: {hint}\n").replace(&folder, "DIR"));
    assert_eq!(error.exit(), ExitCode::Usage);
}

fn check_build(tree: &Tree, options: &CorpusOptions, expected: Expect) {
    check(tree, &tree.build(options).unwrap_err(), expected);
    assert_eq!(tree.beside(), [""; 0], "nothing is left behind");
}

#[test]
fn sources() {
    let tree = Tree::new(&[]);
    check_build(
        &tree,
        &CorpusOptions::default(),
        expect![[r#"
        failed to build a corpus from no sources
        hint: name at least one folder under `sources`
    "#]],
    );
    check_build(
        &tree,
        &tree.options(),
        expect![[r#"
        failed to find a document in DIR/src; there are no files
        hint: point `sources` at folders with source code, or loosen the filters that dropped the files
    "#]],
    );
    let missing = CorpusOptions { sources: vec![tree.source().join("none")], ..tree.options() };
    check_build(
        &tree,
        &missing,
        expect![[r#"
        failed to read the source DIR/src/none: no such folder
        hint: check the path of the source
    "#]],
    );
    tree.put("p/notes.txt", b"x");
    tree.put("p/a.rs", b"\xff\xff");
    let file = CorpusOptions { sources: vec![tree.source().join("p/a.rs")], ..tree.options() };
    check_build(
        &tree,
        &file,
        expect![[r#"
        failed to read the source DIR/src/p/a.rs: not a folder
        hint: name the folder the file is in
    "#]],
    );
    check_build(
        &tree,
        &tree.options(),
        expect![[r#"
        failed to find a document in DIR/src; 2 files were seen, dropped as unknown_language 1, not_utf8 1
        hint: point `sources` at folders with source code, or loosen the filters that dropped the files
    "#]],
    );
}

#[test]
fn filters() {
    let tree = Tree::new(&[
        ("p/a.rs", "// SPDX-License-Identifier: MIT\n"),
        ("p/b.rs", "// SPDX-License-Identifier: MIT\nfn b() {}\n"),
        ("p/c.rs", "fn c() {}\n"),
    ]);
    let with = |licenses: &[&str], languages: &[&str]| CorpusOptions {
        licenses: (!licenses.is_empty()).then(|| licenses.iter().map(|id| (*id).to_owned()).collect()),
        languages: (!languages.is_empty()).then(|| languages.iter().map(|id| (*id).to_owned()).collect()),
        ..tree.options()
    };
    check_build(
        &tree,
        &with(&["Zlib", "ISC"], &[]),
        expect![[r#"
        failed to find a document under the allowed licenses (Zlib, ISC); found MIT (2), NOASSERTION (1)
        hint: allow one of the licenses found: MIT, NOASSERTION
    "#]],
    );
    check_build(
        &tree,
        &with(&["Apache 2.0"], &[]),
        expect![[r#"
        failed to allow the license "Apache 2.0": not an SPDX id
        hint: write Apache-2.0
    "#]],
    );
    check_build(
        &tree,
        &with(&["Own"], &[]),
        expect![[r#"
        failed to allow the license "Own": not an SPDX id
        hint: use the ids of https://spdx.org/licenses, or NOASSERTION for files without a known license
    "#]],
    );
    check_build(
        &tree,
        &with(&[], &["cobol"]),
        expect![[r#"
        failed to keep the language "cobol": not one of c, cpp, go, javascript, python, rust, typescript
        hint: choose from the languages named
    "#]],
    );
    check_build(
        &tree,
        &with(&[], &["go"]),
        expect![[r#"
        failed to find a document in DIR/src; 3 files were seen, dropped as other_language 3
        hint: point `sources` at folders with source code, or loosen the filters that dropped the files
    "#]],
    );
}

#[test]
fn unknown_options_are_refused() {
    let error = serde_json::from_str::<CorpusOptions>(r#"{"sources": [], "max_bytes": 1}"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `max_bytes`"), "{error}");
}

#[test]
fn stored_records() {
    let tree = Tree::new(&[("p/a.rs", "fn a() {}\n"), ("p/b.rs", "fn b() {}\n")]);
    tree.build(&tree.options()).unwrap();
    let path = tree.out().join("documents.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let first_error = || read_documents(&path).unwrap().find_map(Result::err).unwrap();

    std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    check(
        &tree,
        &read_documents(&tree.out()).err().unwrap(),
        expect![[r#"
            failed to read DIR/out/documents.jsonl, length: 394 bytes where the manifest says 414
            hint: build the corpus again
        "#]],
    );
    check(
        &tree,
        &first_error(),
        expect![[r#"
            failed to read DIR/out/documents.jsonl, line 2: column 187: EOF while parsing a string
            hint: build the corpus again
        "#]],
    );
    assert_eq!(read_documents(&path).unwrap().count(), 2, "one document, one error, the end");

    std::fs::write(&path, b"{\"text\": \"x\", \"lines\": 3}\n").unwrap();
    check(
        &tree,
        &first_error(),
        expect![[r#"
        failed to read DIR/out/documents.jsonl, line 1: column 21: unknown field `lines`, expected one of `text`, `language`, `repo`, `path`, `commit`, `license`, `kind`, `symbols`, `tokens`, `sha256`
        hint: build the corpus again
    "#]],
    );

    let manifest = tree.out().join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"version\": 1", "\"version\": 7")).unwrap();
    check(
        &tree,
        &read_manifest(&tree.out()).unwrap_err(),
        expect![[r#"
        failed to read DIR/out/manifest.json, version: version 7 where this program reads 1
        hint: build the corpus again
    "#]],
    );
    std::fs::remove_file(&manifest).unwrap();
    check(
        &tree,
        &read_manifest(&tree.out()).unwrap_err(),
        expect![[r#"
        failed to read the manifest DIR/out/manifest.json: No such file or directory (os error 2)
        hint: check the path
    "#]],
    );

    let parquet = tree.out().join("x.parquet");
    std::fs::write(&parquet, b"PAR1 not really").unwrap();
    let error = read_documents(&parquet).err().unwrap();
    assert!(error.to_string().contains("x.parquet, footer: "), "{error}");
}
