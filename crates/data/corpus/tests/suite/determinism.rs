//! The same bytes from any number of threads, any run, and whatever the machine's git settings.

use super::tree::Tree;
use std::path::PathBuf;
use wootz_chunk::{Chunker, detect};
use wootz_corpus::{build, file_list};
use wootz_schema::corpus::{CorpusFormat, CorpusOptions};
use wootz_schema::progress::Silent;

/// A few packages of the registry that cargo keeps: real code, there after any build.
fn packages() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap();
    let registries = home.join("registry/src");
    let registry = std::fs::read_dir(registries).unwrap().next().unwrap().unwrap().path();
    let wanted =
        ["memchr-", "tree-sitter-language-", "tempfile-", "either-", "cfg-if-", "thiserror-", "spdx-"];
    let mut packages: Vec<_> =
        std::fs::read_dir(registry).unwrap().map(|entry| entry.unwrap().path()).collect();
    packages.retain(|path| {
        wanted.iter().any(|name| path.file_name().unwrap().to_string_lossy().starts_with(name))
    });
    packages.sort();
    packages
}

fn check(options: &CorpusOptions, runs: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut first = None;
    for run in 0..runs {
        let options = CorpusOptions { threads: Some([1, 2, 4][run % 3]), ..options.clone() };
        let out = folder.path().join(format!("run-{run}"));
        let manifest = build(&options, &out, &Silent).unwrap();
        let bytes = std::fs::read(out.join(options.format.file_name())).unwrap();
        match &first {
            None => {
                assert!(manifest.documents.documents > 10, "{manifest:?}");
                first = Some((manifest, bytes));
            }
            Some((expected, expected_bytes)) => {
                assert_eq!(&manifest, expected);
                assert!(&bytes == expected_bytes, "run {run} differs");
            }
        }
    }
}

#[test]
fn ten_runs_on_any_threads_are_one() {
    let options = CorpusOptions { sources: packages(), ..CorpusOptions::default() };
    check(&options, 10);
}

#[test]
fn runs_with_every_limit_are_one() {
    let options = CorpusOptions {
        sources: packages(),
        max_document_bytes: 3000,
        compose: None,
        max_total_bytes: Some(300_000),
        format: CorpusFormat::Parquet,
        licenses: Some(vec!["MIT".to_owned()]),
        ..CorpusOptions::default()
    };
    check(&options, 6);
}

#[test]
fn bodies_left_out_change_no_item_of_real_code() {
    let options = CorpusOptions { sources: packages(), ..CorpusOptions::default() };
    let mut chunker = Chunker::new();
    let mut compared = 0;
    for file in file_list(&options).unwrap() {
        let source = std::fs::read(&file.path).unwrap();
        let Some(language) = detect(&file.path.file_name().unwrap().to_string_lossy(), &source) else {
            continue;
        };
        let whole = chunker.parse_whole(language, &source);
        if !whole.has_errors {
            assert_eq!(chunker.parse(language, &source), whole, "{}", file.path.display());
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared} files compared");
}

#[test]
fn rules_above_the_source_have_no_say() {
    let tree = Tree::new(&[("p/a.rs", "fn a() {}\n"), ("p/b.rs", "fn b() {}\n")]);
    let expected = tree.build(&tree.options()).unwrap();
    std::fs::write(tree.source().parent().unwrap().join(".gitignore"), "a.rs\n").unwrap();
    tree.put(".git/info/exclude", b"b.rs\n");
    tree.put(".ignore", b"*.rs\n");
    let with_rules = tree.build(&tree.options()).unwrap();
    assert_eq!(with_rules.files.kept, expected.files.kept);
}
