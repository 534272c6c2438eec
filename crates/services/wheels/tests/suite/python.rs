//! The Python that the tests ask.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The interpreter of the repository's environment.
pub fn interpreter() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("the repository's root");
    let python = root.join(".venv/bin/python");
    assert!(python.exists(), "{} is not there: run dev/setup.sh once", python.display());
    python
}

/// Runs a script on an input and returns what it printed.
pub fn run(script: &str, arguments: &[&Path], input: Vec<u8>) -> String {
    let mut child = Command::new(interpreter())
        .args(["-c", script])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The script may print before it has read all: what is fed must not wait for that.
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    feeder.join().unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
