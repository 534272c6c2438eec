//! What the tracker says of how to work with it is true: every example runs as it stands.

#![allow(clippy::unwrap_used, reason = "a folder that cannot be set up has failed")]

use std::path::Path;
use std::process::Command;

/// Runs a shell script in which `wootz` is the binary under test, and stops at the first command that fails.
fn shell(folder: &Path, script: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_wootz"));
    let path = std::env::var_os("PATH").unwrap();
    let folders = std::iter::once(binary.parent().unwrap().to_owned()).chain(std::env::split_paths(&path));
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("USER", "somebody")
        .current_dir(folder)
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{stdout}{stderr}");
    stdout.into_owned()
}

/// The commands that a text shows: its indented lines.
fn examples(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(!lines.is_empty(), "{text}");
    lines.join("\n")
}

#[test]
fn the_quickstart_runs_in_an_empty_folder_and_in_a_repository() {
    for is_repository in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        if is_repository {
            shell(folder.path(), "git init --quiet");
        }
        let script = examples(&shell(folder.path(), "wootz issue quickstart"));
        let told = shell(folder.path(), &format!("set -x; {script}"));
        assert!(told.contains("Finished "), "{told}");
        assert!(told.contains("graph LR"), "{told}");
        let attributes = folder.path().join(".gitattributes");
        let is_installed = attributes.exists() || folder.path().join(".ba/.gitattributes").exists();
        assert_eq!(is_installed, is_repository);
    }
}

#[test]
fn what_agents_are_told_runs() {
    let folder = tempfile::tempdir().unwrap();
    shell(
        folder.path(),
        "wootz issue init; wootz issue create 'The first' -p 0; wootz issue create 'The second'",
    );
    let told = shell(folder.path(), "wootz issue prime --session agent-1");
    assert!(told.contains("Now: 2 ready, 0 claimed, 2 issues in all."), "{told}");
    let done = shell(folder.path(), &examples(&told));
    assert!(done.contains("The first"), "the most urgent comes first: {done}");
    assert!(done.contains("Finished "), "{done}");
    let onboard = shell(folder.path(), "wootz issue onboard");
    let ready = shell(folder.path(), &examples(&onboard));
    assert!(ready.contains("The second"), "{ready}");
}
