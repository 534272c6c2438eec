//! `spack_environment`: an environment of Spack, as its lock says, or else concretized from its template; then installed, with its view.
//!
//! With a lock in the folder the template is not read. Without one, what is left (`spack.lock`) is what to keep beside the template.

use super::command::{judge, last_line};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wootz_devbox::SPACK_BUILD;
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::metrics::Metrics;

/// A whole day: what is built is compilers and PyTorch.
const TIMEOUT_SECONDS: f64 = 86_400.0;

/// The step.
pub struct SpackEnvironment;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    folder: PathBuf,
    template: PathBuf,
    jobs: Option<u32>,
    /// Folder of the program `spack`, if it is not on the path.
    spack: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Settings {
        let (folder, template) = (PathBuf::new(), PathBuf::from("spack_src.yaml"));
        Settings { folder, template, jobs: None, spack: None }
    }
}

fn read(config: &Value) -> Result<Settings, StepError> {
    let settings: Settings = settings(config)?;
    match settings.folder.as_os_str().is_empty() {
        true => Err(StepError::usage("spack_environment requires folder")),
        false => Ok(settings),
    }
}

impl Step for SpackEnvironment {
    fn kind(&self) -> &'static str {
        "spack_environment"
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
        let mut script = SPACK_BUILD.to_owned();
        if let Some(folder) = &settings.spack {
            let folder = here.join(folder);
            script =
                format!("PATH='{}':$PATH\n{script}", folder.display().to_string().replace('\'', "'\\''"));
        }
        let (folder, template) =
            (settings.folder.display().to_string(), settings.template.display().to_string());
        let jobs = settings.jobs.map(|jobs| jobs.to_string()).unwrap_or_default();
        let argv =
            ["/bin/sh", "-c", &script, "spack-build", &folder, &template, &jobs].map(str::to_owned).to_vec();
        let ended = context.launch(argv, BTreeMap::new(), &here)?;
        judge(context, &ended).map_err(|error| match error.code {
            Some(127) => {
                error.with_hint("install Spack and put its bin folder on the path, or name it by `spack`")
            }
            _ => error,
        })?;
        Ok(StepOutcome::passed(last_line(&context.logs.stdout), Metrics::new()))
    }
}
