//! `docker_build` and `docker_push`: an image made and sent away, by docker or, where that is not installed, by podman. What was sent is
//! asked back by its digest, since a registry may have taken less than it said.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use wootz_container::{Kind, Runtime};
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::metrics::Metrics;

use super::command::{TIMEOUT_SECONDS, judge, last_line, word};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Build,
    Push,
}

/// The step; `programs` are the folders of programs, as `PATH` has them.
pub struct Image {
    pub what: What,
    pub programs: OsString,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Build {
    image: String,
    context: Option<String>,
    dockerfile: Option<String>,
    build_args: BTreeMap<String, Value>,
    labels: BTreeMap<String, Value>,
    platform: Option<String>,
    target: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Push {
    image: String,
}

impl Build {
    fn words(&self) -> Result<Vec<String>, StepError> {
        let mut words = vec!["build".to_owned(), "-t".to_owned(), self.image.clone()];
        let mut flag = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
        if let Some(file) = &self.dockerfile {
            flag("-f", file);
        }
        for (name, values) in [("--build-arg", &self.build_args), ("--label", &self.labels)] {
            for (key, value) in values {
                flag(name, &format!("{key}={}", word(value)?));
            }
        }
        for (name, value) in [("--platform", &self.platform), ("--target", &self.target)] {
            if let Some(value) = value {
                flag(name, value);
            }
        }
        words.push(self.context.clone().unwrap_or_else(|| ".".to_owned()));
        Ok(words)
    }
}

impl Image {
    fn words(&self, config: &Value) -> Result<Vec<String>, StepError> {
        let required = |text: &str, what: &str| match text.trim().is_empty() {
            true => Err(StepError::usage(format!("{} requires {what}", self.kind()))),
            false => Ok(()),
        };
        match self.what {
            What::Build => {
                let build: Build = settings(config)?;
                required(&build.image, "image")?;
                build.words()
            }
            What::Push => {
                let push: Push = settings(config)?;
                required(&push.image, "image")?;
                Ok(vec!["push".to_owned(), push.image])
            }
        }
    }
}

impl Step for Image {
    fn kind(&self) -> &'static str {
        match self.what {
            What::Build => "docker_build",
            What::Push => "docker_push",
        }
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        self.words(config).map(drop)
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
        let mut words = self.words(config)?;
        let here = std::env::current_dir().map_err(|error| super::io("find", Path::new("."), &error))?;
        let docker = Runtime::find(Some(Kind::Docker), &self.programs);
        let runtime = docker.or_else(|_| Runtime::find(None, &self.programs));
        let runtime = runtime.map_err(|error| StepError::from_error(&error))?;
        let file = context.work.join("digest");
        let push: Option<Push> = (self.what == What::Push).then(|| settings(config)).transpose()?;
        if let Some(push) = &push {
            words = runtime.push(&push.image, &file);
        }
        words.insert(0, runtime.program.display().to_string());
        let ended = context.launch_outside(words, BTreeMap::new(), &here)?;
        judge(context, &ended)?;
        let Some(Push { image }) = push else {
            return Ok(StepOutcome::passed(last_line(&context.logs.stdout), Metrics::new()));
        };
        let digest = digest(&file, &context.logs.stdout)
            .ok_or_else(|| StepError::failed(format!("{image} was pushed, and nothing told its digest")))?;
        let name =
            runtime.verify(&image, &digest).map_err(|error| StepError::from_error(&error).retryable())?;
        std::fs::write(&file, &digest).map_err(|error| super::io("write", &file, &error))?;
        Ok(StepOutcome::passed(format!("pushed {name}"), Metrics::new()))
    }
}

/// The digest of what was pushed: in the file that podman left, or in docker's last words.
fn digest(file: &Path, stdout: &str) -> Option<String> {
    let told = std::fs::read_to_string(file).or_else(|_| std::fs::read_to_string(stdout)).ok()?;
    let words = told.split_whitespace().rev();
    let is_digest = |word: &&str| {
        word.strip_prefix("sha256:")
            .is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    words.into_iter().find(is_digest).map(str::to_owned)
}
