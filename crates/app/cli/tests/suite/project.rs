//! A folder with a store, and the binary under both of its names.

#![allow(clippy::unwrap_used, reason = "a store that cannot be set up has failed")]

use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Wootz,
    Ba,
}

pub struct Project {
    folder: TempDir,
}

impl Project {
    /// A folder whose store has these bytes as its file of issues.
    pub fn new(issues: impl AsRef<[u8]>) -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        let bin = project.folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_wootz"), bin.join("ba")).unwrap();
        make_store(&project.path(), issues);
        project
    }

    /// The working folder.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// The file of issues.
    pub fn file(&self) -> PathBuf {
        self.path().join(".ba/issues.jsonl")
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(self.file()).unwrap()
    }

    /// Every issue.
    pub fn issues(&self) -> Vec<Value> {
        let bytes = self.bytes();
        let lines = std::str::from_utf8(&bytes).unwrap().lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A command under a name, in the working folder.
    pub fn command(&self, name: Name, args: &[&str]) -> Command {
        let mut command = match name {
            Name::Wootz => Command::new(env!("CARGO_BIN_EXE_wootz")),
            Name::Ba => Command::new(self.folder.path().join("bin/ba")),
        };
        if name == Name::Wootz {
            command.arg("issue");
        }
        command.args(args).current_dir(self.path());
        command
    }

    pub fn run(&self, name: Name, args: &[&str]) -> Output {
        self.command(name, args).output().unwrap()
    }

    /// What a command prints that succeeds and has nothing to complain of.
    pub fn told(&self, name: Name, args: &[&str]) -> String {
        let output = self.run(name, args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{name:?} {args:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The result of a command that succeeds, as JSON.
    pub fn json(&self, name: Name, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().chain(&["--json"]).copied().collect();
        serde_json::from_str(&self.told(name, &args)).unwrap()
    }
}

/// Makes a store with this file of issues.
pub fn make_store(folder: &Path, issues: impl AsRef<[u8]>) {
    let store = folder.join(".ba");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("config.json"), "{\n  \"version\": 1,\n  \"prefix\": \"xx\"\n}").unwrap();
    fs::write(store.join("issues.jsonl"), issues).unwrap();
}

/// An open issue as a line; the number makes its ID, its title and its age.
pub fn line(number: usize) -> String {
    line_with(number, "open", "")
}

/// An issue as a line, with further fields, each with a comma before it.
pub fn line_with(number: usize, status: &str, more: &str) -> String {
    let (hours, minutes, seconds) = (number / 3600 % 24, number / 60 % 60, number % 60);
    let time = format!("2025-01-{:02}T{hours:02}:{minutes:02}:{seconds:02}Z", 1 + number / 86_400);
    format!(
        "{{\"id\":\"xx-{number:05}\",\"title\":\"Task number {number}\",\"description\":\"\",\"status\":\"{status}\",\
         \"priority\":2,\"issue_type\":\"task\",\"labels\":[],\"comments\":[],\"created_at\":\"{time}\",\
         \"updated_at\":\"{time}\",\"blocks\":[],\"blocked_by\":[]{more}}}"
    )
}

/// The IDs of a list.
pub fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|issue| issue["id"].as_str().unwrap().to_owned()).collect()
}
