//! `container_job`: a command in the project's container, which is `wootz container run`, or a launcher of the plan's own.

use super::command::{TIMEOUT_SECONDS, judge, last_line, word};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::metrics::Metrics;

/// The entry point of plans that name none.
const ENTRYPOINT: &str = "run-job.sh";

/// The step; `container` is the command that runs a container, when flags and a process are added to it.
pub struct ContainerJob {
    pub container: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    project_id: Option<String>,
    image: Option<String>,
    entrypoint: Option<String>,
    command: String,
    env: BTreeMap<String, Value>,
    gpu: bool,
    launcher_path: Option<String>,
}

fn read(config: &Value) -> Result<Settings, StepError> {
    let settings: Settings = settings(config)?;
    if settings.command.trim().is_empty() {
        return Err(StepError::usage("container_job requires command"));
    }
    if settings.launcher_path.is_some() && settings.image.is_some() {
        let message = "container_job has both a launcher of its own and an image";
        return Err(StepError::usage(message)
            .with_hint("such a launcher chooses the image itself")
            .at_key("image"));
    }
    settings.variables()?;
    Ok(settings)
}

impl Settings {
    fn variables(&self) -> Result<BTreeMap<String, String>, StepError> {
        let text = |(key, value): (&String, &Value)| {
            let value = word(value).map_err(|error| error.at_key(format!("env.{key}")))?;
            Ok((key.clone(), value))
        };
        self.env.iter().map(text).collect()
    }

    fn entrypoint(&self) -> &str {
        self.entrypoint.as_deref().unwrap_or(ENTRYPOINT)
    }

    /// The words of the plan's own launcher, and what it reads beside them.
    fn of_launcher(&self, launcher: &str) -> Result<(Vec<String>, BTreeMap<String, String>), StepError> {
        let words = [launcher, "--entrypoint", self.entrypoint(), "--", &self.command];
        let mut env = self.variables()?;
        env.extend(self.project_id.clone().map(|project| ("SYGALDRY_PROJECT_ID".to_owned(), project)));
        if !self.gpu {
            env.insert("SYGALDRY_GPU".to_owned(), "false".to_owned());
        }
        Ok((words.map(str::to_owned).to_vec(), env))
    }

    /// Those of `wootz container run`; values of variables stand on no command line.
    fn words(&self, container: &[String], context: &StepContext<'_>) -> Result<Vec<String>, StepError> {
        if container.is_empty() {
            return Err(StepError::environment("run a container: the program that does is not known"));
        }
        let mut words = container.to_vec();
        let mut flag = |name: &str, value: &str| words.push(format!("--{name}={value}"));
        flag("mark", &context.label.mark());
        flag("entrypoint", self.entrypoint());
        flag("gpus", if self.gpu { "auto" } else { "none" });
        for (name, value) in [("project-id", &self.project_id), ("image", &self.image)] {
            if let Some(value) = value {
                flag(name, value);
            }
        }
        if context.resources.cpus > 0 {
            flag("cpus", &context.resources.cpus.to_string());
        }
        if let Some(memory) = context.resources.memory_mb {
            flag("memory", &format!("{memory}m"));
        }
        self.env.keys().for_each(|name| flag("env", name));
        words.extend(["--".to_owned(), self.command.clone()]);
        Ok(words)
    }
}

impl Step for ContainerJob {
    fn kind(&self) -> &'static str {
        "container_job"
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        read(config).map(drop)
    }

    fn sources(&self, _: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(Vec::new())
    }

    fn is_cacheable(&self, _: &Value) -> bool {
        false
    }

    fn is_launched(&self) -> bool {
        true
    }

    fn timeout_seconds(&self) -> Option<f64> {
        Some(TIMEOUT_SECONDS)
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let settings = read(config)?;
        let here = std::env::current_dir().map_err(|error| super::io("find", Path::new("."), &error))?;
        let (words, env) = match &settings.launcher_path {
            Some(launcher) => settings.of_launcher(launcher)?,
            None => (settings.words(&self.container, context)?, settings.variables()?),
        };
        let ended = context.launch_outside(words, env, &here)?;
        judge(context, &ended)?;
        Ok(StepOutcome::passed(last_line(&context.logs.stdout), Metrics::new()))
    }
}
