//! The launcher of a cluster: what a keeper starts are attendants of jobs.

use crate::job::is_absolute;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_pipeline::{Ended, Launcher, StepError};
use wootz_schema::task::{Resources, Task};

/// Gives each process to an attendant, and the attendant to the launcher of this machine.
pub struct Slurm {
    local: Box<dyn Launcher>,
    /// The command of an attendant; flags and the process are added to it.
    command: Vec<String>,
    /// Folder of the jobs' files.
    folder: PathBuf,
    arguments: Vec<String>,
}

impl Slurm {
    /// A launcher whose attendants are processes of `local`. `arguments` are further words for `sbatch`.
    pub fn new(
        local: Box<dyn Launcher>,
        command: Vec<String>,
        folder: PathBuf,
        arguments: Vec<String>,
    ) -> Slurm {
        Slurm { local, command, folder, arguments }
    }

    /// The attendant's words.
    fn attendant(&self, task: &Task) -> Vec<String> {
        let mut words = self.command.clone();
        let mut flag = |name: &str, value: &str| words.push(format!("--{name}={value}"));
        let Resources { cpus, gpus, nodes, memory_mb } = &task.resources;
        flag("mark", &task.label.mark());
        flag("files", &self.folder.join(task.label.task()).to_string_lossy());
        for (name, count) in [("nodes", nodes), ("cpus", cpus), ("gpus", gpus)] {
            if *count > 0 {
                flag(name, &count.to_string());
            }
        }
        if let Some(memory) = memory_mb {
            flag("memory-mb", &memory.to_string());
        }
        self.arguments.iter().for_each(|argument| flag("sbatch", argument));
        words.push("--".to_owned());
        words.extend(task.argv.iter().cloned());
        words
    }
}

impl Launcher for Slurm {
    fn run(&self, task: &Task, cancel: &AtomicBool, grace: Duration) -> Result<Ended, StepError> {
        if !is_absolute(&self.folder) {
            return Err(StepError::environment("submit a job: the folder of runs has no absolute path"));
        }
        let task = Task { argv: self.attendant(task), ..task.clone() };
        self.local.run(&task, cancel, grace)
    }

    fn survives(&self, task: &str) -> bool {
        self.local.survives(task)
    }
}
