//! A corpus folder appears whole or not at all.

use super::tree::{Tree, names};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use wootz_corpus::{CorpusError, build};
use wootz_schema::progress::{Observe, Progress, Silent};
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::digest;

/// Dies at an event.
struct DiesAt(AtomicUsize);

impl Observe for DiesAt {
    fn observe(&self, _: Progress<'_>) {
        assert!(self.0.fetch_sub(1, Ordering::Relaxed) > 0, "told to die");
    }
}

#[test]
fn a_build_that_dies_leaves_nothing() {
    let tree = Tree::new(&[("p/a.rs", "fn a() {}\n")]);
    let mut deaths = 0;
    for event in 0..20 {
        let died = catch_unwind(AssertUnwindSafe(|| {
            build(&tree.options(), &tree.out(), &DiesAt(AtomicUsize::new(event))).unwrap();
        }));
        if died.is_ok() {
            assert_eq!(tree.beside(), ["out"]);
            break;
        }
        deaths += 1;
        assert_eq!(tree.beside(), [""; 0]);
    }
    assert!(deaths > 0, "it was killed at least once");
}

#[test]
fn an_earlier_corpus_is_replaced_and_leftovers_are_swept() {
    let tree = Tree::new(&[("p/a.rs", "fn a() {}\n")]);
    fs::create_dir(tree.out()).unwrap();
    // What a killed process leaves, of sources that have changed since.
    let left = tree.out().with_file_name(".out.incomplete");
    fs::create_dir_all(left.join("parts")).unwrap();
    fs::write(left.join("parts/part-000000.jsonl.zst"), "x").unwrap();
    fs::write(left.join("key"), "of other sources").unwrap();
    tree.build(&tree.options()).unwrap();
    tree.put("p/b.rs", b"fn b() {}\n");
    let manifest = tree.build(&tree.options()).unwrap();
    assert_eq!(manifest.documents.documents, 2);
    assert_eq!(names(&tree.out()), ["documents.jsonl", "manifest.json"]);
    assert_eq!(tree.beside(), ["out"]);
    let (sha256, bytes) = digest::sha256_file(&tree.out().join("documents.jsonl")).unwrap();
    assert_eq!((sha256, bytes), (manifest.sha256, manifest.file_bytes));
}

#[test]
fn a_failed_build_keeps_the_earlier_corpus() {
    let tree = Tree::new(&[("p/a.rs", "fn a() {}\n")]);
    let manifest = tree.build(&tree.options()).unwrap();
    fs::remove_file(tree.source().join("p/a.rs")).unwrap();
    tree.build(&tree.options()).unwrap_err();
    assert_eq!(wootz_corpus::read_manifest(&tree.out()).unwrap(), manifest);
    assert_eq!(tree.beside(), ["out"]);
}

#[test]
fn other_things_are_left_alone() {
    let tree = Tree::new(&[("p/a.rs", "fn a() {}\n")]);
    fs::create_dir(tree.out()).unwrap();
    fs::write(tree.out().join("thesis.txt"), "x").unwrap();
    let error = tree.build(&tree.options()).unwrap_err();
    assert!(matches!(error, CorpusError::OutputTaken { .. }));
    assert_eq!(names(&tree.out()), ["thesis.txt"]);
    // A place that cannot be written.
    let error = build(&tree.options(), &tree.source().join("p/a.rs/out"), &Silent).unwrap_err();
    assert_ne!(error.exit(), ExitCode::Bug);
    assert_eq!(tree.beside(), ["out"]);
}
