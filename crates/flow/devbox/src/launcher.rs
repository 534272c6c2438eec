//! The launcher of steps in an image: what a keeper starts are attendants of containers, which are `wootz container run`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_pipeline::{Ended, Launcher, StepError};
use wootz_schema::task::{Resources, Task};
use wootz_stdx::digest::sha256;

/// Longest name of a container that is made of others' names.
const LONGEST: usize = 100;

/// Whose container it is among all of all runs: `run/step.attempt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(pub String);

impl Mark {
    /// The container's name; names of steps may have characters that it may not.
    pub fn name(&self) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let plain: String = self.0.chars().map(|c| if is_plain(c) { c } else { '-' }).take(LONGEST).collect();
        format!("wootz-{plain}-{}", &sha256(self.0.as_bytes())[..8])
    }

    /// The run and the step, without the attempt.
    pub fn step(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(step, _)| step)
    }

    /// By what it and other attempts of its step are found.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let label = |key: &str, value: &str| (format!("wootz.{key}"), value.to_owned());
        BTreeMap::from([label("task", &self.0), label("step", self.step())])
    }
}

/// Gives each process to an attendant of a container, and the attendant to the launcher of this machine.
pub struct Contained {
    /// What runs the attendants.
    pub local: Box<dyn Launcher>,
    /// The command of an attendant; flags and the process are added to it.
    pub command: Vec<String>,
    /// The program that has containers, by name.
    pub runtime: String,
    /// The image.
    pub image: String,
    /// Further words for the attendant.
    pub arguments: Vec<String>,
    /// Folders that processes see under their own names, absolute; the first is where the plan's paths begin.
    pub folders: Vec<PathBuf>,
}

impl Contained {
    /// The attendant's words.
    fn attendant(&self, task: &Task) -> Result<Vec<String>, StepError> {
        let Resources { cpus, gpus: _, nodes, memory_mb } = &task.resources;
        if *nodes > 1 {
            let message =
                format!("run {} on {nodes} nodes: containers are of this machine", task.label.task());
            return Err(StepError::usage(message).with_hint("give --launcher slurm"));
        }
        let mut words = self.command.clone();
        words.push("--bare".to_owned());
        let mut flag = |name: &str, value: &str| words.push(format!("--{name}={value}"));
        flag("mark", &task.label.mark());
        flag("runtime", &self.runtime);
        flag("image", &self.image);
        let folder = PathBuf::from(&task.folder);
        let mut seen: Vec<&Path> = Vec::new();
        for folder in self.folders.iter().chain([&folder]) {
            let path = folder.display().to_string();
            match seen.is_empty() {
                true => [("project", &path), ("workspace", &path)]
                    .iter()
                    .for_each(|(name, path)| flag(name, path)),
                false if seen.iter().any(|outer| folder.starts_with(outer)) => {}
                false => flag("mount", &format!("{path}:{path}")),
            }
            seen.push(folder);
        }
        flag("folder", &task.folder);
        if *cpus > 0 {
            flag("cpus", &cpus.to_string());
        }
        if let Some(memory) = memory_mb {
            flag("memory", &format!("{memory}m"));
        }
        // Of which GPUs it is told by the variable, and gives the container those.
        for name in task.env.keys().filter(|name| *name != "CUDA_VISIBLE_DEVICES") {
            flag("env", name);
        }
        words.extend(self.arguments.iter().cloned());
        words.push("--".to_owned());
        words.extend(task.argv.iter().cloned());
        Ok(words)
    }
}

impl Launcher for Contained {
    fn run(&self, task: &Task, cancel: &AtomicBool, grace: Duration) -> Result<Ended, StepError> {
        if task.is_outside {
            return self.local.run(task, cancel, grace);
        }
        let task = Task { argv: self.attendant(task)?, ..task.clone() };
        self.local.run(&task, cancel, grace)
    }

    fn survives(&self, task: &str) -> bool {
        self.local.survives(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_runtimes_take_and_differ() {
        let names: Vec<String> =
            ["r1/a b.1", "r1/a-b.1", "r1/a b.2"].map(|mark| Mark(mark.to_owned()).name()).to_vec();
        for name in &names {
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{name}");
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
        assert_eq!(Mark("r1/a.b.12".to_owned()).step(), "r1/a.b");
    }
}
