//! The official clients, as they are in the tests' own Python.

use std::path::Path;
use std::process::Command;

/// What a script says, which sees nothing of this machine but its arguments.
pub fn said(script: &str, arguments: &[&str]) -> String {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.venv/bin/python");
    assert!(python.exists(), "{} is missing: run dev/setup.sh", python.display());
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path()).env("NO_PROXY", "*");
    let output = command.arg("-c").arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
