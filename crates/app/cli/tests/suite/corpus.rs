//! `wootz corpus build` as a process: killed and started again, in shards, and on sources and machines that are not as they should be.

#![allow(clippy::unwrap_used, reason = "a build that cannot be set up has failed")]

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

fn wootz(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
    command.args(args).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ok(folder: &Path, args: &[&str]) -> Output {
    let output = wootz(folder, args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn put(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Projects of a little more than a part each: many small files, all different.
fn write_projects(folder: &Path, projects: usize) {
    for project in 0..projects {
        for file in 0..200 {
            let mut text = format!("/* {project} {file} */\n");
            for function in 0..300 {
                let name = format!("p{project}_f{file}_{function}");
                text += &format!(
                    "static int {name}(int left, int right) {{ return left * {function} + right; }}\n"
                );
            }
            put(folder, &format!("src/project-{project}/file-{file}.c"), text.as_bytes());
        }
    }
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (PathBuf::from(path.file_name().unwrap()), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Finished parts and when each was written.
fn parts(folder: &Path) -> Vec<(PathBuf, SystemTime)> {
    let Ok(entries) = fs::read_dir(folder.join("parts")) else { return Vec::new() };
    let mut parts: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "zst"))
        .map(|path| (path.clone(), fs::metadata(&path).unwrap().modified().unwrap()))
        .collect();
    parts.sort();
    parts
}

#[test]
fn a_killed_build_goes_on_and_shards_are_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_projects(folder, 3);
    for format in ["jsonl", "parquet"] {
        let calm = format!("calm-{format}");
        ok(folder, &["corpus", "build", "src", "--out", &calm, "--format", format, "-q"]);
        let shards = ["0/2", "1/2"].map(|share| {
            let out = format!("shard-{format}-{}", &share[..1]);
            ok(
                folder,
                &["corpus", "build", "src", "--out", &out, "--format", format, "--shard", share, "-q"],
            );
            out
        });
        let merged = format!("merged-{format}");
        ok(folder, &["corpus", "merge", &shards[1], &shards[0], "--out", &merged, "-q"]);
        assert!(files(&folder.join(&calm)) == files(&folder.join(&merged)), "{format}");
    }

    let left = folder.join(".out.incomplete");
    let mut before = Vec::new();
    for finished in 1..=2 {
        let build = ["corpus", "build", "src", "--out", "out", "--threads", "1", "-q"];
        let mut child = wootz(folder, &build).spawn().unwrap();
        let begun = Instant::now();
        while parts(&left).len() < finished {
            assert!(child.try_wait().unwrap().is_none(), "it ended before part {finished} was finished");
            assert!(begun.elapsed() < Duration::from_secs(120), "part {finished} never came");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let after = parts(&left);
        assert!(after.starts_with(&before), "finished parts were made again: {before:?}, then {after:?}");
        before = after;
        assert!(!folder.join("out").exists());
    }
    ok(folder, &["corpus", "build", "src", "--out", "out", "-q"]);
    assert!(files(&folder.join("calm-jsonl")) == files(&folder.join("out")));
    assert!(!left.exists());
}

/// A build's counts of what was left out, by reason.
fn dropped(output: &Output, reason: &str) -> u64 {
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    said["manifest"]["files"]["dropped"][reason].as_u64().unwrap_or(0)
}

#[test]
fn what_cannot_be_read_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
    put(folder, "src/p/good.c", b"int good(void) { return 1; }\n");
    put(folder, "src/p/secret.c", b"int secret(void) { return 1; }\n");
    put(folder, "src/p/halves.c", b"int half; /* \xff\xfe\x80\x81 \x9d */\n\xc3\x28\n");
    put(folder, "src/p/zeros.c", b"int a;\0\0\0\n");
    fs::set_permissions(folder.join("src/p/secret.c"), PermissionsExt::from_mode(0o0)).unwrap();
    symlink(".", folder.join("src/p/around")).unwrap();
    symlink("nowhere", folder.join("src/p/dangling.c")).unwrap();
    // 100 MB in one line; the file system keeps the zeros for itself, but for the first and last page.
    let line = File::create(folder.join("src/p/line.c")).unwrap();
    line.set_len(100_000_000).unwrap();
    let mut build = wootz(folder, &["corpus", "build", "src", "--out", "out", "--json", "-q"]);
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|itself| std::os::unix::fs::MetadataExt::uid(&itself) == 0);
    if is_root {
        // Nothing is unreadable for root.
        build.uid(65_534);
    }
    let output = build.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(dropped(&output, "unreadable"), 1);
    assert_eq!(dropped(&output, "symlink"), 2);
    assert_eq!(dropped(&output, "too_large"), 1);
    assert_eq!(dropped(&output, "binary"), 1);
    assert_eq!(dropped(&output, "not_utf8"), 1);
    // The same line, in a build that takes files of any length.
    fs::write(folder.join("src/p/line.c"), vec![b'+'; 100_000_000]).unwrap();
    let output = ok(
        folder,
        &["corpus", "build", "src", "--out", "out", "--json", "-q", "--max-file-bytes", "1000000000"],
    );
    assert_eq!(dropped(&output, "minified") + dropped(&output, "data") + dropped(&output, "oversized"), 1);
}

#[test]
fn what_is_no_source_is_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(folder, "file.c", b"int a;\n");
    fs::create_dir(folder.join("empty")).unwrap();
    for (args, expected) in [
        (["corpus", "build", "nowhere", "--out", "out"].as_slice(), "no such folder"),
        (&["corpus", "build", "file.c", "--out", "out"], "not a folder"),
        (&["corpus", "build", "empty", "--out", "out"], "there are no files"),
        (&["corpus", "build", "empty", "--out", "out", "--shard", "2/2"], "I/N"),
        (&["corpus", "merge", "empty", "--out", "out"], "shard.json"),
        (&["corpus", "merge", "nowhere", "--out", "out"], "shard.json"),
    ] {
        let output = wootz(folder, args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert_eq!(said.matches("error:").count(), 1, "{said}");
        assert!(said.contains(expected), "{said}");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2, "{args:?} left something");
    }
}

#[test]
fn a_full_disk_leaves_the_old_corpus_and_finished_parts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_projects(folder, 2);
    ok(folder, &["corpus", "build", "src/project-0", "--out", "out", "-q"]);
    let old = files(&folder.join("out"));
    // No file may be longer than 6 MiB: room for a part, but not for all documents.
    let limited = |command: &str| {
        let script = format!("trap '' XFSZ; ulimit -f 6144; exec {} {command}", env!("CARGO_BIN_EXE_wootz"));
        Command::new("bash").args(["-c", &script]).current_dir(folder).output().unwrap()
    };
    let output = limited("corpus build src --out out -q");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("File too large"), "{said}");
    assert!(files(&folder.join("out")) == old, "the old corpus is as it was");
    assert_eq!(parts(&folder.join(".out.incomplete")).len(), 1, "a finished part is kept");
    ok(folder, &["corpus", "build", "src", "--out", "out", "-q"]);
    ok(folder, &["corpus", "build", "src", "--out", "fresh", "-q"]);
    assert!(files(&folder.join("out")) == files(&folder.join("fresh")));
    assert!(!folder.join(".out.incomplete").exists());
    // A merge that has no room leaves its shard and what was there.
    ok(folder, &["corpus", "build", "src", "--out", "shard", "--shard", "0/1", "-q"]);
    assert_eq!(limited("corpus merge shard --out out -q").status.code(), Some(3));
    assert!(files(&folder.join("out")) == files(&folder.join("fresh")));
    ok(folder, &["corpus", "merge", "shard", "--out", "out", "-q"]);
    assert!(files(&folder.join("out")) == files(&folder.join("fresh")));
}

#[test]
fn progress_says_files_bytes_and_documents() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_projects(folder, 1);
    let output = ok(folder, &["corpus", "build", "src", "--out", "out"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line =
        said.lines().find(|line| line.starts_with("corpus: documents: 200 files in ")).unwrap_or_default();
    for figure in [" files/s", " MB/s", ", 200 documents"] {
        assert!(line.contains(figure), "{said}");
    }
}
