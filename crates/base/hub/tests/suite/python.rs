//! The official client, as it is in the tests' own Python.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use wootz_testkit::hub::Hub;

fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.venv/bin").join(name);
    assert!(path.exists(), "{} is missing: run dev/setup.sh", path.display());
    path
}

/// A tool of theirs that sees nothing but a hub and a folder.
pub fn official(name: &str, hub: &Hub, home: &Path, token: Option<&str>) -> Command {
    let mut command = Command::new(tool(name));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home);
    command.env("HF_ENDPOINT", &hub.url).env("HF_HOME", home.join("hf")).env("HF_HUB_DISABLE_TELEMETRY", "1");
    if let Some(token) = token {
        command.env("HF_TOKEN", token);
    }
    command
}

/// What it printed, where it succeeded.
pub fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", complaint(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it said on both streams.
pub fn complaint(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
