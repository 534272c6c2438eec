//! A container from its creation to its removal.

use crate::runtime::{ContainerError, Runtime, said};
use crate::spec::Spec;
use std::fs::File;
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

impl Runtime {
    /// Runs a container to its end and removes it; one that is there already under its name and labels is waited for.
    /// `log` receives all that it says on both outputs, from its start. When `cancel` is set it is asked to end, and forced
    /// after `grace`.
    pub fn run(
        &self,
        spec: &Spec,
        log: &File,
        cancel: &AtomicBool,
        grace: Duration,
    ) -> Result<Exit, ContainerError> {
        self.create(spec)?;
        let exit = self.attend(&spec.name, log, cancel, grace);
        // What cannot be removed is in nobody's way but the next container of the name's, and that says so.
        let _ = self.ask(["rm", "--force", "--volumes", &spec.name]);
        exit
    }

    /// Creates and starts it, or finds it started.
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
        let state = self.inspect(name, "{{.State.Status}}")?;
        if matches!(state.as_str(), "created" | "configured" | "initialized") {
            self.text(&format!("start the container {name}"), ["start", name])?;
        }
        Ok(())
    }

    fn attend(
        &self,
        name: &str,
        log: &File,
        cancel: &AtomicBool,
        grace: Duration,
    ) -> Result<Exit, ContainerError> {
        let io = |source| ContainerError::Io { action: "write the log of a container".to_owned(), source };
        let mut logs = self.command();
        logs.args(["logs", "--follow", name]).stdin(Stdio::null());
        logs.stdout(log.try_clone().map_err(io)?).stderr(log.try_clone().map_err(io)?);
        let mut logs = logs.spawn().map_err(|source| ContainerError::Io { action: self.action(), source })?;
        let mut wait = self.command();
        let wait = wait.args(["wait", name]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut wait = wait.spawn().map_err(|source| ContainerError::Io { action: self.action(), source })?;
        let is_cancelled = self.outlast(name, &mut wait, cancel, grace);
        // It has ended; what it said is read to its end, unless somebody holds its outputs open.
        for _ in 0..100 {
            if !matches!(logs.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(GLANCE);
        }
        let _ = logs.kill();
        let _ = logs.wait();
        if is_cancelled? {
            return Err(ContainerError::Cancelled);
        }
        let state = self.inspect(name, "{{.State.ExitCode}} {{.State.OOMKilled}}")?;
        let (code, killed) = state.split_once(' ').unwrap_or((&state, ""));
        let action = || format!("look at the container {name}");
        let code =
            code.parse().map_err(|_| ContainerError::Refused { action: action(), said: state.clone() })?;
        Ok(Exit { code, out_of_memory: killed == "true" })
    }

    /// Waits for its end; true where that was asked for.
    fn outlast(
        &self,
        name: &str,
        wait: &mut Child,
        cancel: &AtomicBool,
        grace: Duration,
    ) -> Result<bool, ContainerError> {
        let io = |source| ContainerError::Io { action: self.action(), source };
        loop {
            if wait.try_wait().map_err(io)?.is_some() {
                return Ok(false);
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

    fn inspect(&self, name: &str, format: &str) -> Result<String, ContainerError> {
        let action = format!("look at the container {name}");
        self.text(&action, ["container", "inspect", "--format", format, name])
    }
}
