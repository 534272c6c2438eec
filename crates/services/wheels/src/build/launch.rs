//! Where a script runs: on this machine, or in a container.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use wootz_container::{Mount, Outputs, Runtime, Spec};

/// How often the caller's flag is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a script may take to end when it was asked to.
const GRACE: Duration = Duration::from_secs(10);
/// Where a container has the folder of a stage.
const INSIDE: &str = "/work";

/// Where scripts run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launcher {
    /// On this machine, with its own Pythons.
    Local,
    /// In containers.
    Container(Runtime),
}

/// One script and what it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Name of its folder and container.
    pub name: String,
    /// What it is, for people: `build` or `smoke test`.
    pub what: &'static str,
    /// For `sh`; `$WORK` is the stage's folder.
    pub script: String,
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// Variables whose values are nobody's business.
    pub secrets: BTreeMap<String, String>,
    /// The image.
    pub image: String,
    /// Folders beside that of the stage.
    pub mounts: Vec<Mount>,
    /// Most memory of a container.
    pub memory: Option<String>,
    /// Network of a container.
    pub network: Option<String>,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// 128 and the signal's number where one ended it.
    pub code: i32,
    pub out_of_memory: bool,
}

impl Launcher {
    /// Whether there is a container around what runs.
    pub fn is_container(&self) -> bool {
        matches!(self, Launcher::Container(_))
    }

    /// The exact command of a stage; a container's is its creation.
    pub fn words(&self, stage: &Stage, work: &Path) -> Vec<String> {
        match self {
            Launcher::Local => {
                let mut words = vec!["env".to_owned(), format!("WORK={}", work.display())];
                words.extend(stage.env.iter().map(|(key, value)| format!("{key}={value}")));
                words.extend(["sh".to_owned(), work.join("script").display().to_string()]);
                words
            }
            Launcher::Container(runtime) => {
                let mut words = vec![runtime.program.display().to_string()];
                words.extend(spec(stage, work).create(runtime.kind));
                words
            }
        }
    }

    /// Runs a stage to its end; what it says is added to the log.
    pub(super) fn run(
        &self,
        stage: &Stage,
        work: &Path,
        log: &Path,
        cancel: &AtomicBool,
    ) -> Result<Ended, String> {
        let script = work.join("script");
        fs::write(&script, &stage.script).map_err(|error| super::told("write", &script, &error))?;
        let log = OpenOptions::new().append(true).create(true).open(log);
        let log = log.map_err(|error| format!("write the log: {error}"))?;
        match self {
            Launcher::Local => local(stage, work, &script, &log, cancel),
            Launcher::Container(runtime) => {
                let outputs = Outputs::joined(&log).map_err(|error| format!("write the log: {error}"))?;
                let exit = runtime.run(&spec(stage, work), outputs, cancel, GRACE);
                let exit = exit.map_err(|error| error.to_string())?;
                // Runtimes that do not say so still end it so.
                let out_of_memory = exit.out_of_memory || (exit.code == 137 && stage.memory.is_some());
                Ok(Ended { code: exit.code, out_of_memory })
            }
        }
    }
}

fn spec(stage: &Stage, work: &Path) -> Spec {
    let mut mounts = stage.mounts.clone();
    let outside = work.display().to_string();
    mounts.push(Mount { outside, inside: INSIDE.to_owned(), is_writable: true });
    let mut env = stage.env.clone();
    env.insert("WORK".to_owned(), INSIDE.to_owned());
    let name = format!("wootz-wheel-{}", stage.name);
    Spec {
        labels: BTreeMap::from([("wootz.wheel".to_owned(), stage.name.clone())]),
        name,
        image: stage.image.clone(),
        entrypoint: Some("sh".to_owned()),
        argv: vec![format!("{INSIDE}/script")],
        env,
        secrets: stage.secrets.clone(),
        mounts,
        folder: Some(INSIDE.to_owned()),
        memory: stage.memory.clone(),
        network: stage.network.clone(),
        has_init: false,
        ..Spec::default()
    }
}

fn local(
    stage: &Stage,
    work: &Path,
    script: &Path,
    log: &File,
    cancel: &AtomicBool,
) -> Result<Ended, String> {
    let io = |error: std::io::Error| format!("run sh: {error}");
    let mut command = Command::new("sh");
    command.arg(script).current_dir(work).envs(&stage.env).envs(&stage.secrets).env("WORK", work);
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(io)?).stderr(log.try_clone().map_err(io)?);
    let mut child = command.process_group(0).spawn().map_err(io)?;
    let group = Pid::from_child(&child);
    let mut left = GRACE;
    loop {
        if let Some(status) = child.try_wait().map_err(io)? {
            // What it left behind has nobody who waits for it.
            let _ = kill_process_group(group, Signal::KILL);
            use std::os::unix::process::ExitStatusExt;
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
            return Ok(Ended { code, out_of_memory: false });
        }
        if cancel.load(Ordering::Relaxed) {
            let signal = if left.is_zero() { Signal::KILL } else { Signal::TERM };
            let _ = kill_process_group(group, signal);
            left = left.saturating_sub(GLANCE);
        }
        thread::sleep(GLANCE);
    }
}
