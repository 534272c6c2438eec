//! A container from its creation to its removal.

use crate::runtime::{ContainerError, Runtime, said};
use crate::spec::Spec;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often the caller's flag is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its process's exit code; 128 and the signal's number where one ended it.
    pub code: i32,
    /// Whether it was killed because it used more memory than it may.
    pub out_of_memory: bool,
}

/// Where what a container says goes, from its start on.
#[derive(Debug)]
pub struct Outputs {
    /// Its standard output.
    pub stdout: File,
    /// Its standard error.
    pub stderr: File,
}

impl Outputs {
    /// Both in one file, as they come.
    pub fn joined(file: &File) -> io::Result<Outputs> {
        Ok(Outputs { stdout: file.try_clone()?, stderr: file.try_clone()? })
    }
}

impl Runtime {
    /// Runs a container to its end and removes it; one that is there already under its name and labels is waited for. When `cancel` is
    /// set it is asked to end, and forced after `grace`.
    pub fn run(
        &self,
        spec: &Spec,
        outputs: Outputs,
        cancel: &AtomicBool,
        grace: Duration,
    ) -> Result<Exit, ContainerError> {
        self.create(spec)?;
        if self.is_unstarted(&spec.name)? {
            self.text(&format!("start the container {}", spec.name), ["start", &spec.name])?;
        }
        let exit = self.attend(&spec.name, outputs, cancel, grace);
        self.remove(&spec.name);
        exit
    }

    /// Runs a container whose terminal is the caller's, and removes it.
    pub fn interact(&self, spec: &Spec) -> Result<Exit, ContainerError> {
        self.create(spec)?;
        let io = |source| ContainerError::Io { action: self.action(), source };
        // Its exit code is not trusted: that of the container is asked for.
        let started = self.command().args(["start", "--attach", "--interactive", &spec.name]).status();
        let exit = started.map_err(io).and_then(|_| self.exit(&spec.name));
        self.remove(&spec.name);
        exit
    }

    /// Removes all containers with the label but one, whatever they do.
    pub fn supersede(&self, label: &str, name: &str) -> Result<(), ContainerError> {
        let filter = format!("label={label}");
        let said =
            self.text("list containers", ["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"])?;
        said.lines().filter(|other| *other != name).for_each(|other| self.remove(other));
        Ok(())
    }

    /// What cannot be removed is in nobody's way but the next container of the name's, and that says so.
    fn remove(&self, name: &str) {
        let _ = self.ask(["rm", "--force", "--volumes", name]);
    }

    /// Creates it, or finds it.
    fn create(&self, spec: &Spec) -> Result<(), ContainerError> {
        let name = spec.name.as_str();
        let mut create = self.command();
        create.args(spec.create(self.kind)).envs(&spec.secrets).stdin(Stdio::null());
        let output =
            create.output().map_err(|source| ContainerError::Io { action: self.action(), source })?;
        if !output.status.success() {
            let labels = self.ask(["container", "inspect", "--format", "{{json .Config.Labels}}", name])?;
            if !labels.status.success() {
                let action = format!("create the container {name}");
                return Err(ContainerError::Refused { action, said: said(&output) });
            }
            let found: serde_json::Value = serde_json::from_slice(&labels.stdout).unwrap_or_default();
            let is_ours =
                |(key, value): (&String, &String)| found.get(key).and_then(|v| v.as_str()) == Some(value);
            if spec.labels.is_empty() || !spec.labels.iter().all(is_ours) {
                return Err(ContainerError::Taken { name: name.to_owned() });
            }
        }
        Ok(())
    }

    fn is_unstarted(&self, name: &str) -> Result<bool, ContainerError> {
        let state = self.inspect(name, "{{.State.Status}}")?;
        Ok(matches!(state.as_str(), "created" | "configured" | "initialized"))
    }

    fn attend(
        &self,
        name: &str,
        outputs: Outputs,
        cancel: &AtomicBool,
        grace: Duration,
    ) -> Result<Exit, ContainerError> {
        // A signal to the caller's group is for the caller: who follows must not end by it before the container does.
        let mut logs = self.command();
        logs.args(["logs", "--follow", name]).stdin(Stdio::null()).process_group(0);
        logs.stdout(outputs.stdout).stderr(outputs.stderr);
        let mut logs = logs.spawn().map_err(|source| ContainerError::Io { action: self.action(), source })?;
        let is_cancelled = self.outlast(name, cancel, grace);
        // It has ended; what it said is read to its end, unless somebody holds its outputs open.
        for _ in 0..100 {
            if !matches!(logs.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(GLANCE);
        }
        let _ = logs.kill();
        let _ = logs.wait();
        if is_cancelled? { Err(ContainerError::Cancelled) } else { self.exit(name) }
    }

    /// How it ended.
    fn exit(&self, name: &str) -> Result<Exit, ContainerError> {
        let state = self.inspect(name, "{{.State.ExitCode}} {{.State.OOMKilled}}")?;
        let (code, killed) = state.split_once(' ').unwrap_or((&state, ""));
        let action = || format!("look at the container {name}");
        let code =
            code.parse().map_err(|_| ContainerError::Refused { action: action(), said: state.clone() })?;
        Ok(Exit { code, out_of_memory: killed == "true" })
    }

    /// Waits for its end; true where that was asked for.
    fn outlast(&self, name: &str, cancel: &AtomicBool, grace: Duration) -> Result<bool, ContainerError> {
        let io = |source| ContainerError::Io { action: self.action(), source };
        let mut wait = self.wait(name).map_err(io)?;
        loop {
            // Who waits may end before the container does, if somebody kills it.
            if wait.try_wait().map_err(io)?.is_some() {
                if matches!(self.inspect(name, "{{.State.Status}}")?.as_str(), "exited" | "stopped" | "dead")
                {
                    return Ok(false);
                }
                wait = self.wait(name).map_err(io)?;
            }
            if cancel.load(Ordering::Relaxed) {
                let seconds = grace.as_secs().to_string();
                self.text(&format!("stop the container {name}"), ["stop", "--time", &seconds, name])?;
                wait.wait().map_err(io)?;
                return Ok(true);
            }
            thread::sleep(GLANCE);
        }
    }

    fn wait(&self, name: &str) -> io::Result<Child> {
        let mut wait = self.command();
        let wait = wait.args(["wait", name]).process_group(0);
        wait.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    fn inspect(&self, name: &str, format: &str) -> Result<String, ContainerError> {
        let action = format!("look at the container {name}");
        self.text(&action, ["container", "inspect", "--format", format, name])
    }
}
