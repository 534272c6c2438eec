//! Artifacts appear whole or not at all; fingerprints follow content and nothing else.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use wootz_schema::artifact::{FILE_NAME, Origin};
use wootz_schema::metrics::Metrics;
use wootz_schema::progress::Silent;
use wootz_store::{Artifact, Fingerprint, Lookup, Store};

fn origin() -> Origin {
    Origin {
        run: "r".to_owned(),
        step: "s".to_owned(),
        kind: "k".to_owned(),
        attempt: 1,
        at_ms: 0,
        seconds: 1.5,
        passed: true,
        summary: String::new(),
        metrics: Metrics::new(),
    }
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
}

fn publish(store: &Store, key: &str, files: &[(&str, &str)]) -> Artifact {
    let work = store.work(key).unwrap().unwrap();
    write(work.path(), files);
    work.publish(origin()).unwrap()
}

/// What is done to a folder.
type Change = fn(&Path);

/// Makes every file below old enough for the cache to trust its time.
fn settle(root: &Path) {
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            settle(&path);
        } else if !path.is_symlink() {
            let old = SystemTime::now() - Duration::from_secs(60);
            fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }
    }
}

fn home() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("home")).unwrap();
    (folder, store)
}

#[test]
fn an_artifact_is_found_whole_and_its_digest_is_its_content() {
    let (_folder, store) = home();
    assert_eq!(store.find("a"), Lookup::Missing);
    let files = [("x.txt", "one"), ("deep/y.bin", "two"), (".z.tmp-77", "left by a killed writer")];
    let a = publish(&store, "a", &files);
    assert_eq!(a.manifest.files.keys().collect::<Vec<_>>(), ["deep/y.bin", "x.txt"]);
    assert!(!a.path.join(".z.tmp-77").exists());
    assert_eq!(store.find("a"), Lookup::Whole(Box::new(a.clone())));
    assert_eq!(publish(&store, "b", &files).manifest.digest, a.manifest.digest);
    assert_ne!(
        publish(&store, "c", &[("x.txt", "one"), ("deep/y.bin", "tww")]).manifest.digest,
        a.manifest.digest
    );
}

#[test]
fn a_damaged_artifact_is_named_and_can_be_made_again() {
    let (_folder, store) = home();
    let damages: [(&str, Change); 4] = [
        ("x.txt", |path| fs::remove_file(path.join("x.txt")).unwrap()),
        ("x.txt", |path| fs::write(path.join("x.txt"), "on").unwrap()),
        (FILE_NAME, |path| fs::remove_file(path.join(FILE_NAME)).unwrap()),
        (FILE_NAME, |path| fs::write(path.join(FILE_NAME), "{").unwrap()),
    ];
    for (named, damage) in damages {
        let artifact = publish(&store, "a", &[("x.txt", "one")]);
        damage(&artifact.path);
        let Lookup::Broken(why) = store.find("a") else { panic!("{named} was damaged") };
        assert!(why.contains(named), "{why}");
    }
    publish(&store, "a", &[("x.txt", "one")]);
    assert!(matches!(store.find("a"), Lookup::Whole(_)));
}

#[test]
fn work_survives_until_it_is_published_or_cleared() {
    let (_folder, store) = home();
    let work = store.work("a").unwrap().unwrap();
    write(work.path(), &[("part", "1")]);
    let held = store.work("a").unwrap().unwrap_err();
    assert_eq!(held, format!("process {}", std::process::id()));
    drop(work);
    let work = store.work("a").unwrap().unwrap();
    assert!(work.path().join("part").exists(), "found again");
    work.clear().unwrap();
    assert!(!work.path().join("part").exists());
    let artifact = work.publish(origin()).unwrap();
    assert!(artifact.manifest.files.is_empty());
}

fn take(store: &Store, sources: &[PathBuf]) -> Fingerprint {
    store.fingerprints().take(sources, &Silent).unwrap()
}

#[test]
fn a_fingerprint_follows_paths_and_content_only() {
    let (folder, store) = home();
    let sources = [folder.path().join("src")];
    write(&sources[0], &[("a.rs", "a"), ("b/c.rs", "c"), (".hidden", "h")]);
    let first = take(&store, &sources);
    assert_eq!((first.files, first.hashed), (3, 3));
    settle(&sources[0]);
    assert_eq!(take(&store, &sources).digest, first.digest, "times do not count");
    assert_eq!(take(&store, &sources), Fingerprint { hashed: 0, ..first.clone() }, "nothing is read twice");

    let mut seen = vec![first.digest.clone()];
    let changes: [(&str, Change); 5] = [
        ("content", |root| fs::write(root.join("a.rs"), "b").unwrap()),
        ("a name", |root| fs::rename(root.join("a.rs"), root.join("d.rs")).unwrap()),
        ("a new file", |root| fs::write(root.join("e.rs"), "").unwrap()),
        ("a link", |root| std::os::unix::fs::symlink("d.rs", root.join("l.rs")).unwrap()),
        ("a file gone", |root| fs::remove_file(root.join("b/c.rs")).unwrap()),
    ];
    for (what, change) in changes {
        change(&sources[0]);
        let now = take(&store, &sources).digest;
        assert!(!seen.contains(&now), "{what} must count");
        seen.push(now);
    }
    assert!(store.fingerprints().take(&[folder.path().join("none")], &Silent).is_err());
    let file = [sources[0].join("d.rs")];
    let before = take(&store, &file).digest;
    fs::write(&file[0], "other").unwrap();
    assert_ne!(take(&store, &file).digest, before, "a single file is a source too");
}

#[test]
fn a_repository_counts_by_its_commit_and_its_files_that_git_keeps() {
    let (folder, store) = home();
    let root = folder.path().to_owned();
    write(
        &root,
        &[("a.rs", "a"), (".gitignore", "target\n"), ("target/x", "1"), (".git/HEAD", "ref: refs/heads/m\n")],
    );
    write(&root, &[(".git/refs/heads/m", "1111\n"), (".git/index", "i")]);
    let first = take(&store, std::slice::from_ref(&root)).digest;
    write(&root, &[("target/x", "2"), (".git/index", "j"), ("home/work/k/file", "in the making")]);
    assert_eq!(
        take(&store, std::slice::from_ref(&root)).digest,
        first,
        "ignored files, git's own and the home folder"
    );
    write(&root, &[(".git/refs/heads/m", "2222\n")]);
    assert_ne!(take(&store, &[root]).digest, first, "another commit");
}

#[test]
fn a_broken_digest_cache_is_rebuilt() {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("home")).unwrap();
    fs::write(
        folder.path().join("home/cache.db"),
        "this is no database, but long enough to look like a header ....",
    )
    .unwrap();
    let store = Store::open(&folder.path().join("home")).unwrap();
    write(folder.path(), &[("src/a", "a")]);
    assert_eq!(take(&store, &[folder.path().join("src")]).files, 1);
}

#[test]
fn ten_thousand_unchanged_files_take_a_moment() {
    let (folder, store) = home();
    let root = folder.path().join("src");
    for i in 0..10_000 {
        let path = root.join(format!("d{}/f{i}.rs", i % 100));
        if i < 100 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, format!("{i}")).unwrap();
    }
    settle(&root);
    let folder = vec![root.clone()];
    let files: Vec<PathBuf> = (0..10_000).map(|i| root.join(format!("d{}/f{i}.rs", i % 100))).collect();
    // The list's files are known already: they stand in the folder.
    for (sources, unknown) in [(folder, 10_000), (files, 0)] {
        assert_eq!(take(&store, &sources).hashed, unknown);
        let again = take(&store, &sources);
        assert_eq!((again.files, again.hashed), (10_000, 0));
    }
}
